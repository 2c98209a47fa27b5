"""Refusals: what a rule says when it says no.

A refusal is a small class beside its rule. It knows its kind and its one sentence; the server maps
the kind to a gRPC status, the gateway maps that to an HTTP status. Business code never sets either.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of no it is; the names are those of the gRPC status codes."""

    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PERMISSION_DENIED = "permission_denied"
    FAILED_PRECONDITION = "failed_precondition"
    ABORTED = "aborted"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    UNAUTHENTICATED = "unauthenticated"
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that is wrong: its path in the request (`line_items[2].quantity`) and what to do."""

    field: str
    description: str


class Refusal(Exception):
    """A request that is understood and refused.

    `reason` is the class's name in SCREAMING_SNAKE_CASE, for programs; `str(refusal)` is one
    sentence for people, and safe to show them.
    """

    kind: ClassVar[Kind] = Kind.FAILED_PRECONDITION

    def __init__(
        self,
        sentence: str,
        *,
        field: str | None = None,
        violations: tuple[FieldViolation, ...] = (),
        **facts: str,
    ) -> None:
        super().__init__(sentence)
        self.violations = (FieldViolation(field, sentence), *violations) if field else violations
        self.facts = facts

    @property
    def reason(self) -> str:
        """`OpportunityClosed` becomes `OPPORTUNITY_CLOSED`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).upper()


class InvalidArgument(Refusal):
    """The request is wrong whatever the state of the system."""

    kind = Kind.INVALID_ARGUMENT


class NotFound(Refusal):
    """There is no such thing, or the caller may not know of it."""

    kind = Kind.NOT_FOUND


class AlreadyExists(Refusal):
    """Something with this identity is there already."""

    kind = Kind.ALREADY_EXISTS


class PermissionDenied(Refusal):
    """The caller is known and may not do this."""

    kind = Kind.PERMISSION_DENIED


class FailedPrecondition(Refusal):
    """The thing is not in a state in which this can be done."""

    kind = Kind.FAILED_PRECONDITION


class Aborted(Refusal):
    """Somebody else was faster; read again and decide again."""

    kind = Kind.ABORTED


class ResourceExhausted(Refusal):
    """A limit was reached."""

    kind = Kind.RESOURCE_EXHAUSTED


class Unauthenticated(Refusal):
    """The caller did not prove who they are."""

    kind = Kind.UNAUTHENTICATED


class Unavailable(Refusal):
    """Something that is needed is away; trying again later helps."""

    kind = Kind.UNAVAILABLE


class DeadlineExceeded(Refusal):
    """The caller's time ran out."""

    kind = Kind.DEADLINE_EXCEEDED
