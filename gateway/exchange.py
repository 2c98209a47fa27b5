"""One HTTP request and its answer: what the edge knows of it, and how bodies are read and sent."""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from gateway.problems import MEDIA_TYPE, Header, Problem

JSON = b"application/json"
_HEX = frozenset("0123456789abcdef")
_CLOSE = (b"connection", b"close")
_DISCARDED = 16  # times the limit
_GZIP_LEVEL = 1  # most of the gain for a third of the CPU


@dataclass(slots=True)
class Exchange:
    """What is known of a request from the moment it comes in."""

    trace_id: str
    traceparent: str
    """To be sent on: our own span under the caller's trace."""
    parent: str
    """The trace context that the request came with; empty where it had none."""
    tracestate: str
    headers: dict[bytes, bytes]
    client: str
    """The network address that it came from."""
    route: str = "none"
    """For metrics and logs: the template of the path."""
    tenant: str = ""
    token: str = field(default="", repr=False)
    """The caller's, once it was believed."""
    conditional: bool = False
    """Whether the request changes one version only (`If-Match`)."""
    own_policy: bool = False
    """Whether the answer says by itself what a browser may load for it."""
    answer_headers: list[Header] = field(default_factory=list)
    """Sent with whatever is answered, a problem included."""

    @classmethod
    def of(cls, scope: Scope) -> Exchange:
        """Reads the trace context (W3C), or begins a trace."""
        headers = dict(scope["headers"])
        parent = headers.get(b"traceparent", b"").decode("latin-1")
        trace_id = _trace_id(parent)
        parent = parent if trace_id else ""
        flags = parent[53:55] or "01"
        state = headers.get(b"tracestate", b"").decode("latin-1") if parent else ""
        trace_id = trace_id or secrets.token_hex(16)
        client = scope.get("client")
        return cls(
            trace_id=trace_id,
            traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-{flags}",
            parent=parent,
            tracestate=state if len(state) <= 512 and state.isprintable() and state.isascii() else "",
            headers=headers,
            client=client[0] if client else "",
        )

    def header(self, name: bytes) -> str:
        """A request header's value; empty where there is none."""
        return self.headers.get(name, b"").decode("latin-1")


def _trace_id(parent: str) -> str:
    """The trace id of a `traceparent`; empty where it is not well-formed, as the standard asks."""
    version, _, rest = parent.partition("-")
    trace_id, _, rest = rest.partition("-")
    span, _, flags = rest.partition("-")
    wrong = (
        len(version) != 2 or version == "ff" or len(trace_id) != 32 or len(span) != 16 or len(flags[:2]) != 2
        or not _HEX.issuperset(version + trace_id + span + flags[:2])
        or not trace_id.strip("0") or not span.strip("0")
        or (len(flags) > 2 and (version == "00" or flags[2] != "-"))
    )  # fmt: skip
    return "" if wrong else trace_id


async def read_body(receive: Receive, exchange: Exchange, most: int, seconds: float) -> bytes:
    """The body of a request.

    What is too large is read to its end and thrown away, within bounds: a client that is still
    sending when the connection is closed would not see the answer.

    Raises:
        Problem: 413 where it is larger than `most` bytes, 408 where it does not come in time.
    """
    length = exchange.header(b"content-length")
    declared = int(length) if length.isdecimal() else 0
    if declared > most and (declared > _DISCARDED * most or b"expect" in exchange.headers):
        raise _too_large(most, _CLOSE)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                size += len(message.get("body", b""))
                if size <= most:
                    parts.append(message.get("body", b""))
                elif size > _DISCARDED * most:
                    raise _too_large(most, _CLOSE)
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise Problem(408, "BODY_TOO_SLOW", "The body did not come in time.", headers=[_CLOSE]) from None
    if size > most:
        raise _too_large(most)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Disconnected(Exception):
    """The client left before it had sent its request."""


def _too_large(most: int, *headers: Header) -> Problem:
    return Problem(
        413, "BODY_TOO_LARGE", f"The body is larger than {most} bytes; send less at once.", headers=[*headers]
    )


async def send_answer(
    send: Send,
    exchange: Exchange,
    status: int,
    body: bytes,
    headers: Iterable[Header] = (),
    *,
    media_type: bytes = JSON,
    gzip_from: int | None = None,
) -> None:
    """Sends a whole answer, compressed from `gzip_from` bytes on where the client takes that."""
    fields: list[Header] = [*headers, *exchange.answer_headers]
    if status not in (204, 304):
        fields.append((b"content-type", media_type))
        if gzip_from is not None:
            fields.append((b"vary", b"accept-encoding"))
            if len(body) >= gzip_from and b"gzip" in exchange.headers.get(b"accept-encoding", b""):
                body = gzip(body)
                fields.append((b"content-encoding", b"gzip"))
        fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, exchange: Exchange, problem: Problem) -> None:
    """Sends a problem document."""
    body = problem.body(exchange.trace_id)
    await send_answer(send, exchange, problem.status, body, problem.headers, media_type=MEDIA_TYPE)


def gzip(body: bytes) -> bytes:
    """The body in gzip's format."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    return compressor.compress(body) + compressor.flush()
