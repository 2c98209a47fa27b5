"""Answers that are no messages but content of their own kind: files, pictures, pages (`google.api.HttpBody`).

How they go out is said by a `sfa.api.v1.HttpAnswer` among their extensions. A version for caches is made of
the content itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from sfa.api.v1.http_pb2 import HttpAnswer
from starlette.types import Send

from gateway.exchange import Exchange, send_answer
from gateway.problems import Header
from gateway.upstream import Metadata

_CACHE, _NO_STORE = (b"cache-control", b"private, no-cache"), (b"cache-control", b"no-store")
_DEFAULT_TYPE = "application/octet-stream"
_COMPRESSED = ("text/", "image/svg+xml")
_STATUSES = frozenset({200, 303, 400, 404, 409, 410, 422})


async def send_raw(
    send: Send, exchange: Exchange, body: Any, gzip_from: int, trailing: Metadata = ()
) -> None:
    """Sends an HttpBody; 304 without it where the client has the same content."""
    how = _how(body)
    status = how.status or 200
    headers: list[Header] = [_NO_STORE if how.no_store else _CACHE, *_headers(how)]
    headers += [
        (b"consistency-token", value.encode()) for name, value in trailing if name == "sfa-consistency"
    ]
    if how.content_security_policy:
        exchange.own_policy = True
    if status == 200 and not how.no_store:
        etag = b'"%b"' % hashlib.sha256(body.data).hexdigest().encode()
        headers.append((b"etag", etag))
        if matches(exchange.headers.get(b"if-none-match"), etag):
            await send_answer(send, exchange, 304, b"", headers)
            return
    content_type = body.content_type or _DEFAULT_TYPE
    gzips = content_type.startswith(_COMPRESSED)
    await send_answer(
        send, exchange, status, body.data, headers, media_type=_text(content_type),
        gzip_from=gzip_from if gzips else None,
    )  # fmt: skip


def matches(if_none_match: bytes | None, etag: bytes) -> bool:
    """Weak comparison (RFC 9110 section 13.1.2)."""
    if not if_none_match:
        return False
    if if_none_match.strip() == b"*":
        return True
    return any(item.strip().removeprefix(b"W/") == etag for item in if_none_match.split(b","))


def _how(body: Any) -> HttpAnswer:
    how = HttpAnswer()
    for extension in body.extensions:
        if extension.Is(HttpAnswer.DESCRIPTOR):
            extension.Unpack(how)
    if how.status and how.status not in _STATUSES:
        raise ValueError(f"A service answers with the status {how.status}, which is not for it to say.")
    if how.location and (not how.location.startswith("/") or how.location.startswith(("//", "/\\"))):
        raise ValueError("A service redirects to another site.")
    return how


def _headers(how: HttpAnswer) -> Iterator[Header]:
    for name in ("location", "content_disposition", "content_security_policy", "content_language"):
        if value := getattr(how, name):
            yield name.replace("_", "-").encode(), _text(value)


def _text(value: str) -> bytes:
    if not value.isascii() or not value.isprintable():
        raise ValueError("A header holds printable ASCII.")
    return value.encode()
