"""The transcoded routes within FastAPI: who asks, how often, what; the call; the answer.

They are one `BaseRoute` of the app, with a table of its own: a FastAPI route for each would be
tried one after the other, and costs several times as much once found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from chassis.call import Caller
from chassis.errors import Unauthenticated, Unavailable
from gateway.exchange import Exchange, read_body, send_answer
from gateway.from_json import JsonReader
from gateway.limits import RateLimit
from gateway.problems import Header, Problem, method_not_allowed
from gateway.raw import matches, send_raw
from gateway.reading import RequestReader, accepts
from gateway.settings import GatewaySettings
from gateway.to_json import JsonWriter
from gateway.transcoding import Found, Route, Table
from gateway.upstream import Metadata, Upstream

CONSISTENCY = b"consistency-token"
_CACHE = (b"cache-control", b"private, no-cache")
_EMPTY = "google.protobuf.Empty"


class TokenMissing(Unauthenticated):
    """The request has no bearer token."""

    def __init__(self) -> None:
        super().__init__("Sign in first: the request carries no bearer token.")


class Verifier(Protocol):
    """What the gateway asks of tokens."""

    def verify(self, token: str) -> Awaitable[Caller]:
        """The caller; raises Unauthenticated where the token does not hold."""
        ...


class Answerer(Protocol):
    """What answers the requests of one route."""

    async def answer(self, values: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; `values` are those of the path's variables, still encoded."""
        ...


class TranscodedRoutes(BaseRoute):
    """All routes that the protos declare."""

    def __init__(self) -> None:
        self._table = Table()

    def add(self, route: Route, answerer: Answerer) -> None:
        """Serves a route."""
        self._table.add(route, (route, answerer))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self._table.find(scope["raw_path"].decode("latin-1"))
        return (Match.NONE, {}) if found is None else (Match.FULL, {"sfa.found": found})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        found: Found = scope["sfa.found"]
        method = scope["method"]
        target = found.methods.get(method)
        if target is None and method == "HEAD":
            target = found.methods.get("GET")
            if target is not None and not target[0].rpc.reads and not target[0].streams:
                target = None  # what is only asked about does not happen
        if target is None:
            raise method_not_allowed(found.methods)
        route, answerer = target
        scope["sfa.exchange"].route = route.template
        await answerer.answer(found.values, scope, receive, send)


class Gate:
    """Lets callers in: who they are, and whether it is not too often."""

    def __init__(self, verifier: Verifier, settings: GatewaySettings) -> None:
        self._verifier = verifier
        self._callers = RateLimit(settings.rate_per_second, settings.rate_burst)
        self._addresses = RateLimit(settings.anonymous_rate_per_second, settings.anonymous_rate_burst)

    async def caller(self, exchange: Exchange) -> Caller:
        """The caller that the request's token speaks for.

        Raises:
            Refusal: there is no token, or it does not hold.
            Problem: 429.
        """
        authorization = exchange.header(b"authorization")
        if authorization[:7].lower() != "bearer ":
            self.anonymous(exchange)
            raise TokenMissing
        try:
            caller = await self._verifier.verify(authorization[7:].strip())
        except Unauthenticated:
            self.anonymous(exchange)
            raise
        exchange.answer_headers = self._callers.take((caller.tenant, caller.actor))
        return caller

    async def still_believes(self, token: str) -> bool:
        """Whether a token that was good has neither ended nor been revoked since."""
        try:
            await self._verifier.verify(token)
        except Unauthenticated:
            return False
        except Unavailable:  # nobody can say; the service behind the stream looks too
            pass
        return True

    def anonymous(self, exchange: Exchange) -> None:
        """Counts a request of somebody who has not signed in.

        Raises:
            Problem: 429.
        """
        exchange.answer_headers = self._addresses.take(exchange.client)


class UnaryEndpoint:
    """One route whose RPC gives one answer."""

    def __init__(
        self, route: Route, upstream: Upstream, gate: Gate, reader: JsonReader, writer: JsonWriter,
        settings: GatewaySettings,
    ) -> None:  # fmt: skip
        self._route = route
        self._gate = gate
        self._settings = settings
        self._json = (reader, writer)
        self._call = upstream.unary(route.rpc)
        fields = route.response.fields_by_name
        self._has_etag = "etag" in fields
        self._has_next = "next_page_token" in fields and route.method == "GET"
        self._is_raw = route.answers_raw
        self._is_empty = route.response.full_name == _EMPTY
        self._item_prefix = route.item_template.removesuffix("{id}").encode()

    @cached_property
    def _reader(self) -> RequestReader:
        """Compiled when it is first used, so that a start does not wait for all of them."""
        return RequestReader(self._route, self._json[0])

    @cached_property
    def _to_json(self) -> Callable[[Any], bytes]:
        return self._json[1].to_bytes(self._route.response)

    async def answer(self, values: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        exchange: Exchange = scope["sfa.exchange"]
        metadata = await admitted(self._route, exchange, self._gate)
        if not self._is_raw and not accepts(exchange, b"application/json"):
            raise Problem(406, "NOT_ACCEPTABLE", "The answer is application/json.")
        settings = self._settings
        body = b""
        if self._route.body:
            body = await read_body(receive, exchange, settings.max_body_bytes, settings.body_seconds)
        request, conditional = self._reader.read(values, scope["query_string"], body, exchange)
        exchange.conditional = conditional
        response, trailing = await self._call(request, metadata, settings.call_seconds)

        if self._is_raw:
            await send_raw(send, exchange, response, settings.gzip_minimum_bytes, trailing)
            return
        headers: list[Header] = [_CACHE]
        for name, value in trailing:
            if name == "sfa-consistency":
                headers.append((CONSISTENCY, value.encode()))
            elif name == "sfa-sight":
                headers.append((b"sight", value.encode()))
        if self._has_etag and response.etag:
            etag = b'"%b"' % response.etag.encode()
            headers.append((b"etag", etag))
            if self._route.method == "GET" and matches(exchange.headers.get(b"if-none-match"), etag):
                await send_answer(send, exchange, 304, b"", headers)
                return
        if self._has_next and response.next_page_token:
            headers.append((b"link", _next_link(scope, response.next_page_token)))
        status = 200
        if self._item_prefix:
            status = 201
            headers.append((b"location", self._item_prefix + response.id.encode()))
        elif self._is_empty:
            status = 204
        content = b"" if status == 204 else self._to_json(response)
        await send_answer(send, exchange, status, content, headers, gzip_from=settings.gzip_minimum_bytes)


async def admitted(route: Route, exchange: Exchange, gate: Gate) -> Metadata:
    """Lets a request in, and gives the metadata that goes with it to the service.

    Raises:
        Refusal, Problem: as `Gate.caller` does.
    """
    metadata: Metadata = (("traceparent", exchange.traceparent),)
    if route.is_public:
        gate.anonymous(exchange)
    else:
        caller = await gate.caller(exchange)
        exchange.tenant, exchange.token = str(caller.tenant), caller.token
        metadata = (("authorization", f"Bearer {caller.token}"), *metadata)
    if exchange.tracestate:
        metadata = (*metadata, ("tracestate", exchange.tracestate))
    if consistency := exchange.header(CONSISTENCY):
        if not consistency.isascii() or not consistency.isprintable() or len(consistency) > 1000:
            raise Problem(
                422, "INVALID_REQUEST", "Consistency-Token: Must be a token as it was received.",
                [{"field": "Consistency-Token", "detail": "Must be a token as it was received."}],
            )  # fmt: skip
        metadata = (*metadata, ("sfa-consistency", consistency))
    return metadata


def _next_link(scope: Mapping[str, Any], token: str) -> bytes:
    """`</v1/leads?pageSize=50&pageToken=…>; rel="next"`: the same question, one page on."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name != "pageToken"]
    target = f"{scope['raw_path'].decode('latin-1')}?{urlencode([*kept, ('pageToken', token)])}"
    return f'<{target}>; rel="next"'.encode()
