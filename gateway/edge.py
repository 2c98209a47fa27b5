"""The outermost layer, pure ASGI: what every request and every answer has, whoever answers.

Trace context, security headers, metrics, and every error as a problem document; a stopping gateway
asks for connections to be closed.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import telemetry
from chassis.errors import Refusal
from gateway.exchange import Disconnected, Exchange, send_problem
from gateway.problems import Problem, internal, method_not_allowed, not_found, of_refusal

_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

REQUESTS = Histogram(
    "sfa_http_seconds",
    "Time to answer an HTTP request.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_propagator = TraceContextTextMapPropagator()


class Drain:
    """Whether the gateway is stopping; open streams wait for it."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        """Whether nothing new should come here."""
        return self._begun.is_set()

    def begin(self) -> None:
        """From now on, not ready; streams end."""
        self._begun.set()

    async def wait(self) -> None:
        """Until it begins."""
        await self._begun.wait()


class Edge:
    """Wraps the app. With a tracer, every request is a span; without one, its context is passed on."""

    def __init__(self, app: ASGIApp, drain: Drain, tracer: Tracer | None = None) -> None:
        self.app = app
        self._drain = drain
        self._tracer = tracer
        self._observers: dict[tuple[str, str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = scope["sfa.exchange"] = Exchange.of(scope)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = [*message["headers"], *_SECURITY]
                headers.append((b"traceparent", exchange.traceparent.encode()))
                if not exchange.own_policy:
                    headers.append(_POLICY)
                if scope["scheme"] == "https":
                    headers.append(_HSTS)
                if self._drain.has_begun:
                    headers.append((b"connection", b"close"))
            await send(message)

        try:
            if self._tracer is None:
                await self.app(scope, receive, send_with_headers)
            else:
                await self._traced(self._tracer, exchange, scope, receive, send_with_headers)
        except Disconnected:
            status = status or 499
        except Exception as error:
            if status:  # the answer has begun: it can only be cut off
                raise
            await send_problem(send_with_headers, exchange, problem_of(error, exchange))
        finally:
            self._observe(scope["method"], exchange.route, status, time.perf_counter() - started)

    async def _traced(
        self, tracer: Tracer, exchange: Exchange, scope: Scope, receive: Receive, send: Send
    ) -> None:
        parent = _propagator.extract({"traceparent": exchange.parent}) if exchange.parent else None
        with tracer.start_as_current_span(
            scope["method"], parent, SpanKind.SERVER, record_exception=False
        ) as span:
            ours = span.get_span_context()
            exchange.trace_id = f"{ours.trace_id:032x}"
            exchange.traceparent = f"00-{exchange.trace_id}-{ours.span_id:016x}-{ours.trace_flags:02x}"
            try:
                await self.app(scope, receive, send)
            finally:
                span.update_name(f"{scope['method']} {exchange.route}")

    def _observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method if method in _METHODS else "other", route, status)
        observer = self._observers.get(key)
        if observer is None:
            observer = self._observers[key] = REQUESTS.labels(key[0], route, str(status))
        observer.observe(seconds)


def problem_of(error: Exception, exchange: Exchange) -> Problem:
    """What a client is told of an error; what nobody foresaw is logged here."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refusal):
        return of_refusal(error, if_match=exchange.conditional)
    if isinstance(error, HTTPException):
        return _of_http(error)
    telemetry.ERRORS.labels("gateway", exchange.route).inc()
    telemetry.log.error(
        "unforeseen error", service="gateway", route=exchange.route, trace_id=exchange.trace_id,
        tenant=exchange.tenant, exc_info=error,
    )  # fmt: skip
    return internal()


def _of_http(error: HTTPException) -> Problem:
    """What the router itself says."""
    if error.status_code == 404:
        return not_found()
    if error.status_code == 405:
        return method_not_allowed((error.headers or {}).get("Allow", "").split(", "))
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    return Problem(error.status_code, f"HTTP_{error.status_code}", str(error.detail), headers=headers)
