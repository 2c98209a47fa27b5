"""Logs, metrics and traces. Logs are JSON lines with trace id and tenant and without personal data;
metrics are Prometheus', labelled by service because several services may share a process; spans are
our own, few, and cost nothing where no exporter is set."""

from __future__ import annotations

import logging
import secrets
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

RPCS: Final = Histogram(
    "sfa_rpc_seconds",
    "Time to answer an RPC.",
    ("service", "method", "code"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
POOL: Final = Gauge("sfa_database_connections", "Connections of the pool.", ("service",))
ERRORS: Final = Counter("sfa_internal_errors_total", "Errors that no rule foresaw.", ("service", "where"))

log = structlog.stdlib.get_logger("sfa")


def configure_logs(level: str = "INFO", *, readable: bool = False) -> None:
    """Sends logs to standard error, as JSON or, for people, as text."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


_tracers: list[trace.Tracer] = []
_propagator = TraceContextTextMapPropagator()
_NO_SPAN: Final = nullcontext()


def span(name: str, parent: str | None) -> AbstractContextManager[object]:
    """A span around what follows, as a child of the W3C trace context `parent`; nothing, and at no cost,
    where spans are not exported."""
    if not _tracers:
        return _NO_SPAN
    context = _propagator.extract({"traceparent": parent}) if parent else None
    return _tracers[-1].start_as_current_span(name, context=context)


def configure_traces(service: str, endpoint: str | None) -> None:
    """Exports spans by OTLP where an endpoint is set."""
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "sfa"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    _tracers.append(provider.get_tracer("sfa"))


def traceparent() -> str:
    """A new W3C trace context, for what nobody sent one with."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(parent: str | None) -> str:
    """The trace id within a W3C trace context."""
    return parent.split("-")[1] if parent and parent.count("-") == 3 else ""
