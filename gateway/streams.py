"""Server streams as Server-Sent Events: `id` is the message's cursor, so that a client that comes back
with `Last-Event-ID` goes on where it was. A stream ends with its token, which may be revoked before it
expires, or when the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.edge import Drain, problem_of
from gateway.endpoint import Gate, admitted
from gateway.exchange import Exchange
from gateway.from_json import JsonReader
from gateway.problems import Problem
from gateway.reading import RequestReader, accepts
from gateway.settings import GatewaySettings
from gateway.to_json import JsonWriter
from gateway.transcoding import Route
from gateway.upstream import Upstream, events

MEDIA_TYPE = b"text/event-stream"
RETRY_MILLISECONDS = 3000
_LOOK_SECONDS = 1.0
"""How often a stream looks whether its token still holds."""
_UNAUTHENTICATED = 401


class StreamEndpoint:
    """One route whose RPC gives a stream of answers."""

    def __init__(
        self, route: Route, upstream: Upstream, gate: Gate, reader: JsonReader, writer: JsonWriter,
        settings: GatewaySettings, drain: Drain,
    ) -> None:  # fmt: skip
        self._route = route
        self._gate = gate
        self._drain = drain
        self._heartbeat = settings.heartbeat_seconds
        self._reader = RequestReader(route, reader)
        self._open = upstream.stream(route.rpc)
        self._to_json = writer.to_bytes(route.response)
        self._has_cursor = "cursor" in route.response.fields_by_name
        self._event = event_name(route)

    async def answer(self, values: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        """Sends events until the client leaves, the token ends, or the gateway stops."""
        exchange: Exchange = scope["sfa.exchange"]
        metadata = await admitted(self._route, exchange, self._gate)
        if scope["method"] == "HEAD":
            raise Problem(405, "METHOD_NOT_ALLOWED", "A stream is read by GET.", headers=[(b"allow", b"GET")])
        if not accepts(exchange, MEDIA_TYPE):
            raise Problem(406, "NOT_ACCEPTABLE", "The answer is text/event-stream.")
        request, _ = self._reader.read(values, scope["query_string"], b"", exchange)
        calling = self._open(request, metadata=metadata)
        until = asyncio.ensure_future(self._end(exchange, receive))
        try:
            await self._pump(calling, until, exchange, send)
        finally:
            calling.cancel()
            until.cancel()

    async def _pump(self, calling: Any, until: asyncio.Future[Any], exchange: Exchange, send: Send) -> None:
        messages = events(calling)
        following = asyncio.ensure_future(anext(messages))
        try:
            # A refusal comes instead of the first message: it is answered as a problem, with its status.
            await asyncio.wait(
                {following, until}, timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED
            )
            if following.done() and (error := following.exception()) and not _is_end(error):
                raise error
            part = _parts(send)
            await _begin(send, exchange)
            await part(b"retry: %d\n\n" % RETRY_MILLISECONDS)
            while not until.done():
                if not following.done():
                    await part(b": still here\n\n")
                elif error := following.exception():
                    await self._end_with(error, exchange, part)
                    break
                else:
                    await part(self._frame(following.result()))
                    following = asyncio.ensure_future(anext(messages))
                await asyncio.wait(
                    {following, until}, timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED
                )
            await part(b"", False)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def _frame(self, message: Any) -> bytes:
        cursor = message.cursor if self._has_cursor else ""
        place = b"id: %b\n" % cursor.encode() if cursor and "\n" not in cursor else b""
        return b"%bevent: %b\ndata: %b\n\n" % (place, self._event, self._to_json(message))

    async def _end_with(
        self, error: BaseException, exchange: Exchange, part: Callable[..., Awaitable[None]]
    ) -> None:
        """Says why the stream ends; the end of its token needs no saying."""
        if _is_end(error):
            return
        if not isinstance(error, Exception):
            raise error
        problem = problem_of(error, exchange)
        if problem.status != _UNAUTHENTICATED:
            await part(b"event: problem\ndata: %b\n\n" % problem.body(exchange.trace_id))

    async def _end(self, exchange: Exchange, receive: Receive) -> None:
        """Returns when the client has left, the token has ended, or the gateway stops."""
        leaving = asyncio.ensure_future(_left(receive))
        stopping = asyncio.ensure_future(self._drain.wait())
        try:
            gone: set[Any] = set()
            while not gone and (not exchange.token or await self._gate.still_believes(exchange.token)):
                gone, _ = await asyncio.wait(
                    {leaving, stopping}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            leaving.cancel()
            stopping.cancel()


def _is_end(error: BaseException) -> bool:
    return isinstance(error, StopAsyncIteration)


def event_name(route: Route) -> bytes:
    """The name of a stream's events: that of their message, `forecastChange`."""
    name = str(route.response.name)
    return (name[:1].lower() + name[1:]).encode()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _begin(send: Send, exchange: Exchange) -> None:
    headers = [
        (b"content-type", MEDIA_TYPE),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        *exchange.answer_headers,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _parts(send: Send) -> Callable[..., Awaitable[None]]:
    async def part(body: bytes, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    return part
