"""uvicorn's HTTP protocol, with two differences: what is no HTTP is refused by a problem document like
everything else, and headers have a size."""

from __future__ import annotations

import secrets
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.problems import MEDIA_TYPE, Problem

MOST_HEADER_BYTES = 64 * 1024


class HeadersTooLarge(Exception):
    """Path and headers together are larger than any client needs."""


class ProblemProtocol(HttpToolsProtocol):
    """One connection."""

    _header_bytes = 0

    def on_message_begin(self) -> None:
        self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MOST_HEADER_BYTES:
            raise HeadersTooLarge

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls where the parser gave up."""
        if self._header_bytes > MOST_HEADER_BYTES:
            detail = f"Path and headers are larger than {MOST_HEADER_BYTES} bytes."
            problem = Problem(431, "HEADERS_TOO_LARGE", detail)
        else:
            problem = Problem(400, "MALFORMED_REQUEST", "This is not an HTTP request.")
        body = problem.body(secrets.token_hex(16))
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
            f"content-type: {MEDIA_TYPE.decode()}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
