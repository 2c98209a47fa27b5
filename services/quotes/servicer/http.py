"""Answers for browsers: pages, pictures, files."""

from __future__ import annotations

import re
from urllib.parse import quote

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.any_pb2 import Any
from sfa.api.v1.http_pb2 import HttpAnswer

from services.quotes.documents.typesetting import Picture

_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""What an SVG may do that is opened by itself: show itself."""


def answer(content_type: str, data: bytes, how: HttpAnswer) -> HttpBody:
    """Any answer."""
    packed = Any()
    packed.Pack(how)
    return HttpBody(content_type=content_type, data=data, extensions=[packed])


def inline(pdf: bytes, name: str) -> HttpBody:
    """A PDF that a browser shows, and keeps under a name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    disposition = f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return answer("application/pdf", pdf, HttpAnswer(content_disposition=disposition))


def picture(logo: Picture) -> HttpBody:
    """A logo."""
    return answer(logo.media_type, logo.content, HttpAnswer(content_security_policy=_PICTURE_POLICY))
