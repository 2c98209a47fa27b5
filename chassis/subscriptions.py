"""Which events a service listens to, and what it does with them: one function for each matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from chassis.call import Call, Caller, Sight
from chassis.clock import Clock
from chassis.database import Transaction
from chassis.envelope import Received, service_of

__all__ = ["Received", "Subscriptions", "by_way_of", "service_call"]

Handler = Callable[[Sequence[Received], Call], Awaitable[None]]
H = TypeVar("H", bound=Handler)
_LIFETIME: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A handler and the types that it takes."""

    types: frozenset[str]
    handler: Handler


class Subscriptions:
    """The subscriptions of one service.

    A handler is given the events of one tenant and one source that arrived together, in the order of
    the stream, in one transaction. An event may come more than once and after a newer one: an upsert
    by version makes both harmless. Of several handlers, the one that was declared first runs first.
    """

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._classes: dict[str, type[Message]] = {}

    def on(self, *types: type[Message]) -> Callable[[H], H]:
        """Declares the events that the decorated function takes."""

        def declare(handler: H) -> H:
            names = {type_.DESCRIPTOR.full_name: type_ for type_ in types}
            self._subscriptions.append(Subscription(frozenset(names), handler))
            self._classes.update(names)
            return handler

        return declare

    @property
    def sources(self) -> list[str]:
        """The services that are listened to."""
        return sorted({service_of(name) for name in self._classes})

    def types(self, source: str) -> list[str]:
        """The types of one source that are listened to."""
        return sorted(name for name in self._classes if service_of(name) == source)

    def class_of(self, event_type: str) -> type[Message] | None:
        """The message class of a type; None for one that nobody here takes."""
        return self._classes.get(event_type)

    async def handle(self, events: Sequence[Received], call: Call) -> None:
        """Gives the events to their handlers."""
        for subscription in self._subscriptions:
            if taken := [event for event in events if event.type in subscription.types]:
                await subscription.handler(taken, call)


def service_call(
    service: str, tenant: UUID, tx: Transaction, clock: Clock, method: str, via: str | None
) -> Call:
    """The call of a service that acts by itself: it sees everything of one tenant."""
    now = clock.now()
    caller = Caller(
        tenant=tenant,
        actor=f"service:{service}",
        user_id=None,
        permissions=frozenset({"history.write"}),
        sight=Sight.ALL,
        expires_at=now + _LIFETIME,
        via=via,
    )
    return Call(caller=caller, tx=tx, clock=clock, now=now, method=method)


def by_way_of(call: Call, event: Received) -> Call:
    """The same call, acting because of this one event: history names its actor."""
    caller = replace(call.caller, via=event.actor)
    return replace(call, caller=caller, traceparent=event.traceparent or call.traceparent)
