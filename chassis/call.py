"""Who asks for what: the caller, and the call that is being answered."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

from chassis.clock import Clock
from chassis.errors import InvalidArgument, PermissionDenied

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from chassis.database import Transaction


class Sight(Enum):
    """Which records a caller sees, as the token says it."""

    OWN = "own"
    SUBTREE = "subtree"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as a verified token says it."""

    tenant: UUID
    actor: str
    """A user's id, or `service:<name>`."""
    user_id: UUID | None
    permissions: frozenset[str]
    sight: Sight
    expires_at: datetime
    roles: tuple[str, ...] = ()
    session: str = ""
    org_position: int = 0
    """The position of identity's database when the token was made: sight may not be older."""
    via: str | None = None
    """By way of what the actor acts, where that is not directly."""
    token: str = field(default="", repr=False)
    """The raw token, to be passed on to other services."""


class HistoryNotAllowed(PermissionDenied):
    """The caller set when something was true without the permission to."""

    def __init__(self) -> None:
        super().__init__("Setting effective_time needs the permission history.write.", field="effective_time")


class EffectiveTimeInFuture(InvalidArgument):
    """Something was said to be true later than now."""

    def __init__(self) -> None:
        super().__init__("effective_time must not lie in the future.", field="effective_time")


@dataclass(slots=True)
class Call:
    """One RPC, or one batch of events, that is being answered in one transaction."""

    caller: Caller
    tx: Transaction
    clock: Clock
    now: datetime
    method: str
    """The proto full name of the method, or of what stands for it."""
    request_id: str | None = None
    request_hash: bytes | None = None
    traceparent: str | None = None
    deadline: float | None = None
    """On the event loop's clock."""
    degraded: bool = False
    """Whether sight had to be narrowed to own records, because identity has not been heard."""
    ordinal: int = 0
    """Counts the changes that this call writes."""

    def effective_at(self, timestamp: Timestamp | None) -> datetime | None:
        """When the change was true: None where the request does not say.

        Raises:
            HistoryNotAllowed: the caller may not set it.
            EffectiveTimeInFuture: it has not been yet.
        """
        if timestamp is None or not (timestamp.seconds or timestamp.nanos):
            return None
        if "history.write" not in self.caller.permissions:
            raise HistoryNotAllowed
        at = timestamp.ToDatetime(UTC)
        if at > self.clock.now():
            raise EffectiveTimeInFuture
        return at

    async def become(self, caller: Caller) -> None:
        """Goes on as somebody else: whoever signs in is known only after their handle was looked up.

        What was read before is let go; it must not have written.
        """
        await self.tx.rollback()
        self.caller = caller
        self.tx.tenant = caller.tenant


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
"""The call that the running task answers; outgoing calls take token and deadline from it."""
