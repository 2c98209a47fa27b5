"""Every error as `application/problem+json` (RFC 9457), and the one mapping from refusals to HTTP.

A problem says what went wrong in one sentence (`detail`), which fields are wrong (`errors`), the
reason as a constant name for programs (`reason`), and the trace under which it is in the logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from chassis.errors import Kind, Refusal

MEDIA_TYPE = b"application/problem+json"
TYPE_PREFIX = "urn:sfa:problem:"

_STATUSES = {
    Kind.INVALID_ARGUMENT: 422,
    Kind.NOT_FOUND: 404,
    Kind.ALREADY_EXISTS: 409,
    Kind.PERMISSION_DENIED: 403,
    Kind.FAILED_PRECONDITION: 409,
    Kind.ABORTED: 409,
    Kind.RESOURCE_EXHAUSTED: 429,
    Kind.UNAUTHENTICATED: 401,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE_EXCEEDED: 504,
}
_SNAKE = re.compile("_([a-z0-9])")
_HEADER_FIELDS = {"request_id": "Idempotency-Key", "etag": "If-Match"}
_RETRY_AFTER = {429: "1", 503: "1", 504: "1"}

Header = tuple[bytes, bytes]


@dataclass(eq=False)
class Problem(Exception):
    """An error as the client sees it."""

    status: int
    reason: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    facts: Mapping[str, str] = field(default_factory=dict)
    headers: list[Header] = field(default_factory=list)

    def body(self, trace_id: str) -> bytes:
        """The document."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.reason.lower().replace("_", "-"),
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
        }
        if self.errors:
            document["errors"] = self.errors
        if self.facts:
            document["facts"] = dict(self.facts)
        document["traceId"] = trace_id
        try:
            return orjson.dumps(document)
        except TypeError:  # a name out of the request that is not Unicode
            return orjson.dumps(_printable(document))


def of_field(name: str, detail: str, *, status: int = 422, reason: str = "INVALID_REQUEST") -> Problem:
    """One field (or parameter, or header) that is wrong."""
    return Problem(status, reason, f"{name}: {detail}", [{"field": name, "detail": detail}])


def of_refusal(refusal: Refusal, *, if_match: bool = False) -> Problem:
    """What a service (or the verification of a token) refused.

    Args:
        refusal: The refusal.
        if_match: Whether the request was conditional, so that a lost race is 412 and not 409.
    """
    status = _STATUSES[refusal.kind]
    if refusal.kind is Kind.ABORTED and if_match and refusal.reason == "ETAG_MISMATCH":
        status = 412
    errors = [{"field": json_path(item.field), "detail": item.description} for item in refusal.violations]
    headers: list[Header] = []
    if status == 401:
        headers.append((b"www-authenticate", challenge(refusal.reason)))
    if (seconds := refusal.facts.get("retry_after") or _RETRY_AFTER.get(status)) is not None:
        headers.append((b"retry-after", seconds.encode()))
    facts = {json_path(name): value for name, value in refusal.facts.items()}
    return Problem(status, refusal.reason, str(refusal), errors, facts, headers)


def challenge(reason: str) -> bytes:
    """The `WWW-Authenticate` of a 401 (RFC 6750 section 3)."""
    return (
        b'Bearer realm="sfa"' if reason == "TOKEN_MISSING" else b'Bearer realm="sfa", error="invalid_token"'
    )


def not_found() -> Problem:
    """Nothing stands at the path."""
    return Problem(404, "NO_SUCH_PATH", "There is nothing at this path.")


def method_not_allowed(allowed: Iterable[str]) -> Problem:
    """Something stands at the path, but not for this method."""
    methods = ", ".join(sorted(allowed))
    return Problem(
        405, "METHOD_NOT_ALLOWED", f"This path knows {methods}.", headers=[(b"allow", methods.encode())]
    )


def internal() -> Problem:
    """Nobody foresaw it; the trace id leads to the log."""
    return Problem(500, "INTERNAL", "Something went wrong on our side.")


def json_path(path: str) -> str:
    """The field path of a proto (`line_items[2].unit_price`) as the JSON has it (`lineItems[2].unitPrice`).

    What came in a header goes by the header's name.
    """
    return _HEADER_FIELDS.get(path) or camel_path(path)


def camel_path(path: str) -> str:
    """A field path in the JSON's spelling."""
    return _SNAKE.sub(lambda found: found[1].upper(), path) if "_" in path else path


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _printable(item) for name, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value
