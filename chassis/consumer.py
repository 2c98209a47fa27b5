"""The consumer brings one source's events to their handlers: a batch of one tenant in one transaction,
acknowledged after the commit. What cannot be applied is parked, so that the rest goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import grpc
import nats.errors
import nats.js.errors
import sqlalchemy as sa
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from prometheus_client import Counter, Histogram

from chassis import envelope, inbound, parked
from chassis.broker import OUTSIDE_SUBJECTS, Broker, BrokerUnavailable, stream_of
from chassis.call import current_call
from chassis.clock import Clock
from chassis.database import LOST, Database, DatabaseUnavailable, Prepared
from chassis.envelope import NotAnEvent, Received
from chassis.errors import Kind, Refusal
from chassis.pull import ConsumerGone, Pull
from chassis.store import Conflict
from chassis.subscriptions import Subscriptions, service_call
from chassis.telemetry import log, span

APPLIED: Final = Counter("sfa_events_applied_total", "Events that were applied.", ("service", "source"))
PARKED: Final = Counter("sfa_events_parked_total", "Events that could not be applied.", ("service", "source"))
AGE: Final = Histogram(
    "sfa_event_seconds",
    "From the recording of a change to its being applied here.",
    ("service", "source"),
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600),
)

_BATCH: Final = 500
_PACE_SECONDS: Final = 0.008
"""How long after one batch was done the next begins at the earliest: events that come fast share a transaction."""
_OWN_PACE_SECONDS: Final = 0.25
"""The same for what the service wrote itself: nobody waits for that, and it must not slow down who writes."""
_ACK_SECONDS: Final = 60
_ATTEMPTS: Final = 5
"""How often an event is tried before it is parked."""
_DELIVERIES: Final = 12
"""How often one comes again that needs something which is away, before it is parked."""
_UNPARKED_SECONDS: Final = 60.0
"""After which time one that cannot even be parked comes again."""
_LONGEST_PAUSE: Final = 5.0
_FAREWELL_SECONDS: Final = 5.0
_LATER_KINDS: Final = frozenset(
    {Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.ABORTED, Kind.RESOURCE_EXHAUSTED}
)

_LATER_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)

_APPLIED: Final = (
    "INSERT INTO positions AS p (tenant_id, source, incarnation, position, sequence, recorded_at)"
    " VALUES ('{tenant}', '{source}', {incarnation}, {position}, {sequence}, '{recorded_at}')"
    " ON CONFLICT (tenant_id, source) DO UPDATE SET incarnation = excluded.incarnation,"
    " position = CASE WHEN p.incarnation = excluded.incarnation THEN greatest(p.position, excluded.position)"
    " ELSE excluded.position END, sequence = greatest(p.sequence, excluded.sequence),"
    " recorded_at = greatest(p.recorded_at, excluded.recorded_at)"
)
# a table that every service has, once it is migrated
_ANSWER: Final = Prepared(sa.text("SELECT 1 FROM outbox LIMIT 1"))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, and the event in it where there is one that somebody here takes."""

    raw: Msg
    sequence: int
    attempts: int
    tenant: UUID
    event: Received | None
    trouble: str = ""
    """Why it is no event."""


class Consumer:
    """One source's events for one service. Its replicas share them."""

    def __init__(
        self,
        service: str,
        source: str,
        database: Database,
        broker: Broker,
        subscriptions: Subscriptions,
        clock: Clock,
        replicas: int = 1,
    ) -> None:
        self.service = service
        self.source = source
        self._is_outside = source == inbound.SOURCE
        self._pace = _OWN_PACE_SECONDS if source == service else _PACE_SECONDS
        self._replicas = replicas
        self._database = database
        self._broker = broker
        self._subscriptions = subscriptions
        self._clock = clock
        self._incarnation: int | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pull: Pull | None = None

    def start(self) -> None:
        """Begins to take events, as soon as broker, stream and database are there."""
        self._broker.on_connected(self._connected)
        self._task = asyncio.create_task(self._run(), name=f"{self.service}: events of {self.source}")

    async def stop(self) -> None:
        """Finishes the batch at hand, then stops; what was fetched beyond it is delivered again."""
        self._stopping.set()
        if self._pull is not None:
            self._pull.stop()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _FAREWELL_SECONDS)

    def _connected(self) -> None:
        if self._pull is not None:
            self._pull.ask_again()

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                client = await self._broker.connected()
                await self._keep_consumer(client)
                async with Pull(client, stream_of(self.source), self.service, _BATCH) as self._pull:
                    failures = 0
                    await self._take(self._pull)
            except nats.js.errors.NotFoundError:
                failures = min(failures + 1, 4)  # the source has not made its stream yet
            except (ConsumerGone, BrokerUnavailable, nats.errors.Error, OSError, TimeoutError) as error:
                failures += 1
                log.warning(
                    "the consumer pauses", service=self.service, source=self.source,
                    error=str(error) or type(error).__name__,
                )  # fmt: skip
            except Exception as error:  # noqa: BLE001  # whatever it is, consuming has to go on
                failures += 1
                log.error("the consumer failed", service=self.service, source=self.source, exc_info=error)
            finally:
                self._pull = None
            await self._pause(failures)

    async def _keep_consumer(self, client: Client) -> None:
        """Makes the durable consumer, or brings what it asks for up to date.

        What comes from outside is taken whole, so that what nobody knows is parked and not passed over;
        its stream has no relay to keep it.
        """
        if self._is_outside:
            await self._broker.keep_stream(self.source, self._replicas)
        types = self._subscriptions.types(self.source)
        config = ConsumerConfig(
            durable_name=self.service,
            name=self.service,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_SECONDS,
            max_deliver=-1,
            max_ack_pending=2 * _BATCH,
            filter_subjects=[OUTSIDE_SUBJECTS]
            if self._is_outside
            else [envelope.subject("*", name) for name in types],
        )
        await client.jsm().add_consumer(stream_of(self.source), config)

    async def _take(self, pull: Pull) -> None:
        while not self._stopping.is_set():
            deliveries: dict[UUID, list[Delivery]] = {}
            for message in await pull.batch(self._pace):
                delivery = self._open(message)
                deliveries.setdefault(delivery.tenant, []).append(delivery)
            for tenant, batch in deliveries.items():
                if not await self._apply(tenant, batch):
                    for delivery in batch:
                        await self._apply_alone(delivery)

    def _open(self, raw: Msg) -> Delivery:
        fields = raw.reply.split(".")  # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>…
        attempts, sequence = int(fields[-5]), int(fields[-4])
        try:
            event = self._event(raw, sequence)
        except (NotAnEvent, DecodeError) as error:
            return Delivery(raw, sequence, attempts, _tenant_of(raw.subject), None, str(error))
        return Delivery(raw, sequence, attempts, event.tenant if event else _tenant_of(raw.subject), event)

    def _event(self, raw: Msg, sequence: int) -> Received | None:
        headers = raw.headers or {}
        if self._is_outside:
            stored_at = inbound.stored_at(raw.reply)
            class_of = self._subscriptions.class_of
            return inbound.received(raw.subject, headers, raw.data, class_of, sequence, stored_at)
        if "ce-type" not in headers:
            raise NotAnEvent("The header ce-type is missing.")
        message_class = self._subscriptions.class_of(headers["ce-type"])
        if message_class is None:
            return None
        event = envelope.received(message_class.FromString(raw.data), headers, sequence)
        if event.tenant != _tenant_of(raw.subject) or event.source != self.source:
            raise NotAnEvent("Headers and subject disagree on tenant or source.")
        return event

    async def _apply(self, tenant: UUID, batch: list[Delivery]) -> bool:
        """Applies a batch in one transaction; False where one of it has to be found out."""
        if any(delivery.trouble for delivery in batch):
            return False
        events = [delivery.event for delivery in batch if delivery.event is not None]
        for failures in range(1_000_000):
            try:
                if events:
                    await self._transact(tenant, events)
            except Exception as error:  # noqa: BLE001  # which one it is shows when they are tried alone
                if not await self._is_away(error, failures):
                    log.debug("a batch failed", service=self.service, source=self.source, exc_info=error)
                    return False
                await self._wait_for_database(error, failures)
                if self._stopping.is_set():
                    return True  # not acknowledged, so it comes again
            else:
                await self._acknowledge(batch)
                return True
        return False

    async def _apply_alone(self, delivery: Delivery) -> None:
        """Applies one event, tries again where that may help, and parks it in the end."""
        error: Exception = NotAnEvent(delivery.trouble)
        attempt, waits = _ATTEMPTS if delivery.trouble else 0, 0
        while attempt < _ATTEMPTS:
            try:
                if delivery.event is not None:
                    await self._transact(delivery.tenant, [delivery.event])
            except Exception as failure:  # noqa: BLE001  # parked with its text
                error = failure
                if await self._is_away(failure, waits):
                    await self._wait_for_database(failure, waits)
                    waits += 1
                    if self._stopping.is_set():
                        return
                    continue
                attempt += 1
                await asyncio.sleep(0.01 * 2**attempt * random.uniform(0.5, 1))
            else:
                await self._acknowledge([delivery])
                return
        if comes_later(error) and delivery.attempts < _DELIVERIES:
            log.warning("an event is put off", **self._names(delivery), error=str(error))
            await delivery.raw.nak(delay=min(60, 2**delivery.attempts))
        else:
            await self._park(delivery, error)

    async def _transact(self, tenant: UUID, events: Sequence[Received]) -> None:
        actors = {event.actor for event in events}
        parents = {event.traceparent for event in events}
        tx = self._database.transaction(tenant)
        via = next(iter(actors)) if len(actors) == 1 else None
        call = service_call(self.service, tenant, tx, self._clock, f"events of {self.source}", via)
        call.traceparent = next(iter(parents)) if len(parents) == 1 else None
        token = current_call.set(call)
        try:
            with span(call.method, call.traceparent):
                async with tx:
                    await self._subscriptions.handle(events, call)
                    await tx.connection()
                    tx.with_commit(_position(self.source, tenant, events))
        finally:
            current_call.reset(token)
        if self._incarnation not in (None, events[-1].incarnation):
            log.error(
                "the source was restored from a backup: replay it", service=self.service, source=self.source
            )
        self._incarnation = events[-1].incarnation
        now = self._clock.now()
        APPLIED.labels(self.service, self.source).inc(len(events))
        age = AGE.labels(self.service, self.source)
        for event in events:
            age.observe(max(0.0, (now - event.recorded_at).total_seconds()))

    async def _acknowledge(self, batch: Sequence[Delivery]) -> None:
        # where the connection is gone they are delivered again, which does no harm
        with contextlib.suppress(nats.errors.Error, OSError):
            for delivery in batch:
                await delivery.raw.ack()

    async def _park(self, delivery: Delivery, error: Exception) -> None:
        PARKED.labels(self.service, self.source).inc()
        log.error("an event is parked", **self._names(delivery), error=type(error).__name__)
        for failures in range(1_000_000):
            try:
                async with self._database.transaction(delivery.tenant) as tx:
                    await parked.park(
                        tx, self.source, delivery.sequence, delivery.raw, error, delivery.attempts
                    )
            except Exception as failure:  # noqa: BLE001  # what cannot even be parked must not be lost in silence
                if not await self._is_away(failure, failures):
                    log.error("an event could not be parked", **self._names(delivery), exc_info=failure)
                    await delivery.raw.nak(delay=_UNPARKED_SECONDS)
                    return
                await self._wait_for_database(failure, failures)
                if self._stopping.is_set():
                    return
            else:
                break
        await self._acknowledge([delivery])

    def _names(self, delivery: Delivery) -> dict[str, Any]:
        event = delivery.event
        return {
            "service": self.service,
            "source": self.source,
            "sequence": delivery.sequence,
            "subject": delivery.raw.subject,
            "tenant": str(delivery.tenant),
            "entity_id": str(event.entity_id) if event else None,
        }

    async def _is_away(self, error: Exception, failures: int) -> bool:
        """Whether it is the database and not the event. Who says so again and again is not believed."""
        if not is_away(error) or failures < _ATTEMPTS:
            return is_away(error)
        try:
            async with self._database.transaction(None) as tx:
                await tx.fetchval(_ANSWER)
        except Exception as failure:  # noqa: BLE001  # whatever it is, it is no answer
            return is_away(failure)
        return False

    async def _wait_for_database(self, error: Exception, failures: int) -> None:
        if failures == 0:
            log.warning(
                "the database is away; events wait", service=self.service, source=self.source,
                error=str(error) or type(error).__name__,
            )  # fmt: skip
        await self._pause(failures + 1)

    async def _pause(self, failures: int) -> None:
        if failures:
            seconds = min(_LONGEST_PAUSE, 0.05 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)


def is_away(error: BaseException) -> bool:
    """Whether an error means that the database cannot be reached now, or is not migrated yet."""
    away = (DatabaseUnavailable, asyncpg.TooManyConnectionsError, asyncpg.UndefinedTableError, *LOST)
    return isinstance(error, away)


def comes_later(error: BaseException) -> bool:
    """Whether trying again after a while may help: something else is away, or was in the way."""
    if isinstance(error, Refusal):
        return error.kind in _LATER_KINDS
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in _LATER_CODES
    return isinstance(
        error,
        TimeoutError | OSError | Conflict | asyncpg.TransactionRollbackError | asyncpg.QueryCanceledError
        | asyncpg.LockNotAvailableError | asyncpg.InsufficientResourcesError,
    )  # fmt: skip


def _position(source: str, tenant: UUID, events: Sequence[Received]) -> str:
    """SQL that notes how far the tenant has got; everything in it is a number, an id or a name of ours."""
    return _APPLIED.format(
        tenant=tenant,
        source=source,
        incarnation=events[-1].incarnation,
        position=max(event.position for event in events),
        sequence=max(event.sequence for event in events),
        recorded_at=max(event.recorded_at for event in events).isoformat(),
    )


def _tenant_of(subject: str) -> UUID:
    try:
        return UUID(subject.split(".")[1])
    except (ValueError, IndexError):
        return parked.NOBODY
