"""Reads a source's whole history into this service's handlers: for a projection that is new, was reset,
or missed what the broker no longer keeps. Events that are published meanwhile are taken as ever; an
upsert by version makes the overlap harmless.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import grpc
from sfa.feed.v1 import feed_pb2 as pb
from sfa.feed.v1 import feed_pb2_grpc

from chassis.call import current_call
from chassis.client import Peers
from chassis.clock import Clock
from chassis.convert import datetime_of
from chassis.database import Database
from chassis.envelope import Received
from chassis.subscriptions import Subscriptions, service_call
from chassis.telemetry import log


@dataclass(frozen=True, slots=True)
class Part:
    """Some events of a history, those that a service subscribes to, and the cursor behind them."""

    events: list[Received]
    cursor: str
    is_last: bool


async def history(
    source: str, tenant: UUID, subscriptions: Subscriptions, peers: Peers, cursor: str = ""
) -> AsyncIterator[Part]:
    """A source's history from a cursor on, in the order in which it was recorded; as the current call.

    Raises:
        grpc.aio.AioRpcError: the source cannot be reached, or was restored since the cursor was given out.
    """
    stub: feed_pb2_grpc.FeedServiceAsyncStub = feed_pb2_grpc.FeedServiceStub(
        cast("grpc.aio.Channel", peers.channel(source))
    )
    request = pb.StreamHistoryRequest(types=subscriptions.types(source), cursor=cursor)
    async for part in stub.StreamHistory(request):
        events = [_received(event, source, tenant, subscriptions) for event in part.events]
        yield Part(events, part.cursor, part.is_complete)


async def replay(
    service: str,
    source: str,
    tenant: UUID,
    *,
    database: Database,
    subscriptions: Subscriptions,
    peers: Peers,
    clock: Clock,
) -> int:
    """Applies every event of the source that the service subscribes to, and says how many those were.

    Each part that arrives is one transaction. To be run again from the beginning where it fails.

    Raises:
        grpc.aio.AioRpcError: the source cannot be reached.
    """
    reading = service_call(service, tenant, database.transaction(tenant), clock, "replay", None)
    token = current_call.set(reading)
    number = 0
    try:
        async for part in history(source, tenant, subscriptions, peers):
            if part.events:
                await _apply(service, tenant, part.events, database, subscriptions, clock)
                number += len(part.events)
    finally:
        current_call.reset(token)
    log.info("history was replayed", service=service, source=source, tenant=str(tenant), events=number)
    return number


async def _apply(
    service: str,
    tenant: UUID,
    events: list[Received],
    database: Database,
    subscriptions: Subscriptions,
    clock: Clock,
) -> None:
    async with database.transaction(tenant) as tx:
        call = service_call(service, tenant, tx, clock, "replay", None)
        token = current_call.set(call)
        try:
            await subscriptions.handle(events, call)
        finally:
            current_call.reset(token)


def _received(event: pb.HistoricEvent, source: str, tenant: UUID, subscriptions: Subscriptions) -> Received:
    message_class: Any = subscriptions.class_of(event.type)
    return Received(
        message=message_class.FromString(event.event),
        type=event.type,
        id=event.id,
        source=source,
        tenant=tenant,
        entity=event.entity,
        entity_id=UUID(event.entity_id),
        version=event.version,
        recorded_at=datetime_of(event.record_time),
        effective_at=datetime_of(event.effective_time),
        actor=event.actor,
        via=event.via or None,
        incarnation=event.incarnation,
        position=event.position,
        sequence=0,
        traceparent=None,
    )
