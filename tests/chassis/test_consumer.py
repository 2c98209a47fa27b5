"""The consumer under what goes wrong: crashes, poison, duplicates, disorder, engines that are away."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from sfa.opportunities.v1 import events_pb2

from chassis import envelope, inbox, parked
from chassis.broker import Broker, Publisher
from chassis.call import Call, current_call
from chassis.clock import SystemClock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.due import Runner
from chassis.errors import FailedPrecondition, Unavailable
from chassis.ids import new_id
from chassis.positions import Positions
from chassis.relay import Relay
from chassis.subscriptions import Received, Subscriptions, by_way_of
from deploy.engines.nats import Nats
from tests.chassis.consumer_process import SOON
from tests.chassis.events import ROLE, SERVICE, broker_of, chassis_database, connected, record, won, write
from tests.chassis.projection import keep
from tests.engines import TestDatabase
from tests.eventually import eventually

MakeDatabase = Callable[[str], Awaitable[TestDatabase]]
CONSUMER = "forecast"
"""Which service the tests consume as."""


@pytest.fixture
async def place(database: MakeDatabase) -> TestDatabase:
    return await chassis_database(database)


@pytest.fixture
async def rows(place: TestDatabase) -> AsyncIterator[Database]:
    async with connected(place.url) as database:
        yield database


@pytest.fixture
async def source(nats: Nats) -> AsyncIterator[Broker]:
    """The producing service's connection, with its stream made."""
    async with broker_of(nats, SERVICE) as broker:
        await broker.connected()
        await broker.keep_stream(SERVICE)
        yield broker


@asynccontextmanager
async def consuming(database: Database, nats: Nats, subscriptions: Subscriptions) -> AsyncIterator[Consumer]:
    async with broker_of(nats, CONSUMER) as broker:
        consumer = Consumer(CONSUMER, SERVICE, database, broker, subscriptions, SystemClock())
        consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


async def publish(
    source: Broker, tenant: UUID, *events: tuple[UUID, int], repeat: int = 1, **changed: str
) -> None:
    """Puts events on the stream as the relay does; each under a new message id, so that none is swallowed."""
    async with Publisher(source.client) as publisher:
        for id, version in events:
            for _ in range(repeat):
                row = _row(tenant, id, version)
                headers = envelope.headers(SERVICE, 1, row) | {"Nats-Msg-Id": str(new_id())} | changed
                subject = envelope.subject(tenant, row["event_type"])
                await (await publisher.publish(subject, row["event"], headers))


def _row(tenant: UUID, id: UUID, version: int) -> dict[str, Any]:
    now = SystemClock().now()
    return {
        "tenant_id": tenant, "entity": "opportunity", "entity_id": id, "version": version, "recorded_at": now,
        "effective_at": now, "actor": "somebody", "via": None, "position": version, "traceparent": None,
        "event_type": "sfa.opportunities.v1.OpportunityWon", "event": won(id, version).SerializeToString(),
    }  # fmt: skip


async def things(database: Database, tenant: UUID) -> dict[UUID, tuple[int, str, int]]:
    async with database.transaction(tenant) as tx:
        found = await tx.fetch(sa.text("SELECT id, version, name, applied FROM things"))
    return {row["id"]: (row["version"], row["name"], row["applied"]) for row in found}


def projecting() -> Subscriptions:
    subscriptions = Subscriptions()
    subscriptions.on(events_pb2.OpportunityWon, events_pb2.OpportunityLost)(keep)
    return subscriptions


async def test_events_become_rows_of_their_tenant(rows: Database, nats: Nats, source: Broker) -> None:
    one, other, id = new_id(), new_id(), new_id()
    await publish(source, one, (id, 1))
    await publish(source, other, (id, 3))
    async with consuming(rows, nats, projecting()):
        await eventually(lambda: _is(rows, other, {id: (3, "v3", 1)}))
        await eventually(lambda: _is(rows, one, {id: (1, "v1", 1)}))


async def test_services_start_in_any_order(rows: Database, nats: Nats) -> None:
    tenant, id = new_id(), new_id()
    async with consuming(rows, nats, projecting()), broker_of(nats, SERVICE) as source:
        await source.connected()
        await source.keep_stream(SERVICE)
        await publish(source, tenant, (id, 1))
        await eventually(lambda: _is(rows, tenant, {id: (1, "v1", 1)}))


async def test_the_same_event_ten_times_is_applied_once(rows: Database, nats: Nats, source: Broker) -> None:
    tenant, id = new_id(), new_id()
    await publish(source, tenant, (id, 1), repeat=10)
    await publish(source, tenant, (id, 2))
    async with consuming(rows, nats, projecting()):
        await eventually(lambda: _is(rows, tenant, {id: (2, "v2", 2)}))


async def test_versions_in_the_wrong_order_end_at_the_highest(
    rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, id = new_id(), new_id()
    last = new_id()
    await publish(source, tenant, (id, 3), (id, 1), (id, 2), (last, 1))
    async with consuming(rows, nats, projecting()):
        await eventually(lambda: _is(rows, tenant, {id: (3, "v3", 1), last: (1, "v1", 1)}))


async def test_a_poison_event_is_parked_and_the_others_go_on(
    rows: Database, nats: Nats, source: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, poison, before, after = new_id(), new_id(), new_id(), new_id()
    tried: list[int] = []
    is_mended = False

    class Refused(FailedPrecondition):
        """What the handler says."""

    subscriptions = Subscriptions()

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Sequence[Received], call: Call) -> None:
        await keep(events, call)
        if any(event.entity_id == poison for event in events) and not is_mended:
            tried.append(len(events))
            raise Refused("This cannot be.")

    await publish(source, tenant, (before, 1), (poison, 1), (after, 1))
    async with consuming(rows, nats, subscriptions) as consumer:
        expected = {before: (1, "v1", 1), after: (1, "v1", 1)}
        await eventually(lambda: _is(rows, tenant, expected))
        assert tried[-5:] == [1] * 5, "alone it is tried five times"
        [event] = await parked.list_parked(rows)
        assert (event.tenant, event.source, event.entity_id) == (tenant, SERVICE, str(poison))
        assert event.error == "Refused: This cannot be."
        is_mended = True
        runner = Runner(CONSUMER, rows, SystemClock(), {parked.RETRY: parked.retrying(subscriptions)})
        runner.start()
        await parked.retry(rows, SystemClock(), CONSUMER, event)
        await eventually(lambda: _is(rows, tenant, expected | {poison: (1, "v1", 1)}))
        await runner.stop()
        assert await parked.list_parked(rows) == []
        del consumer


async def test_an_event_that_cannot_even_be_parked_is_not_lost(
    rows: Database, place: TestDatabase, nats: Nats, source: Broker
) -> None:
    tenant, poison, after = new_id(), new_id(), new_id()
    subscriptions = Subscriptions()

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Sequence[Received], call: Call) -> None:
        await keep(events, call)
        if any(event.entity_id == poison for event in events):
            raise ValueError("poison")

    owner = await asyncpg.connect(place.owner_url)
    await owner.execute(f"REVOKE INSERT ON app.parked_events FROM {ROLE}")
    await owner.close()
    await publish(source, tenant, (poison, 1), (after, 1))
    async with consuming(rows, nats, subscriptions), broker_of(nats, "watcher") as watcher:
        await eventually(lambda: _is(rows, tenant, {after: (1, "v1", 1)}))

        async def is_kept() -> bool:
            info = await (await watcher.connected()).jsm().consumer_info(SERVICE.upper(), CONSUMER)
            assert info.ack_floor is not None
            return (info.num_pending, info.num_ack_pending, info.ack_floor.stream_seq) == (0, 1, 0)

        await eventually(is_kept, "the other is acknowledged, and this one is not")


async def test_events_wait_for_a_database_that_is_not_migrated_yet(
    nats: Nats, source: Broker, place: TestDatabase, rows: Database
) -> None:
    tenant, id = new_id(), new_id()
    tried: list[int] = []
    subscriptions = Subscriptions()

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Sequence[Received], call: Call) -> None:
        tried.append(len(events))
        await keep(events, call)

    owner = await asyncpg.connect(place.owner_url)
    await owner.execute("ALTER SCHEMA app RENAME TO not_yet")
    await publish(source, tenant, (id, 1))
    async with consuming(rows, nats, subscriptions):
        await eventually(lambda: len(tried) > 5, "it is tried oftener than an event before it is parked")
        await owner.execute("ALTER SCHEMA not_yet RENAME TO app")
        await owner.close()
        await eventually(lambda: _is(rows, tenant, {id: (1, "v1", 1)}))
        assert await parked.list_parked(rows) == []


async def test_what_is_no_event_is_parked_and_what_nobody_takes_is_skipped(
    rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, id = new_id(), new_id()
    async with Publisher(source.client) as publisher:
        type_ = "sfa.opportunities.v1.OpportunityWon"
        good = envelope.headers(SERVICE, 1, _row(tenant, id, 1))
        for number, (subject, data, headers) in enumerate(
            [
                (envelope.subject(tenant, type_), b"\xff\xff\xff", good),
                (envelope.subject(tenant, type_), b"", {}),
                (envelope.subject(tenant, type_), b"", good | {"ce-version": "one"}),
                (envelope.subject(new_id(), type_), b"", good),
                (envelope.subject("nobody", type_), b"", good),
                (envelope.subject(tenant, "sfa.opportunities.v1.OpportunityPraised"), b"?", good),
            ]
        ):
            await (await publisher.publish(subject, data, headers | {"Nats-Msg-Id": str(number)}))
    await publish(source, tenant, (id, 1))
    async with consuming(rows, nats, projecting()):
        await eventually(lambda: _is(rows, tenant, {id: (1, "v1", 1)}))
        await eventually(lambda: _are_parked(rows, 5))
        found = await parked.list_parked(rows)
    assert sorted(event.sequence for event in found) == [1, 2, 3, 4, 5]
    assert {event.sequence: event.tenant for event in found}[5] == parked.NOBODY


async def test_an_event_that_needs_what_is_away_is_put_off_and_not_parked(
    rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, waiting, other = new_id(), new_id(), new_id()
    is_away = True
    subscriptions = Subscriptions()

    class PeerAway(Unavailable):
        """What a call to a dead service says."""

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Sequence[Received], call: Call) -> None:
        if is_away and any(event.entity_id == waiting for event in events):
            raise PeerAway("The service is away.")
        await keep(events, call)

    await publish(source, tenant, (waiting, 1), (other, 1))
    async with consuming(rows, nats, subscriptions):
        await eventually(lambda: _is(rows, tenant, {other: (1, "v1", 1)}))
        is_away = False
        await eventually(lambda: _is(rows, tenant, {other: (1, "v1", 1), waiting: (1, "v1", 1)}))
        assert await parked.list_parked(rows) == []


async def test_a_broker_that_restarts_is_listened_to_again(
    rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, ids = new_id(), [new_id() for _ in range(3)]
    async with consuming(rows, nats, projecting()):
        for number, id in enumerate(ids):
            await publish(source, tenant, (id, 1))
            await eventually(
                lambda seen=ids[: number + 1]: _is(rows, tenant, dict.fromkeys(seen, (1, "v1", 1)))
            )
            if number < 2:
                await nats.stop()
                await nats.start()
                await source.connected()
                await eventually(lambda: _is_up(source))


async def test_a_database_that_goes_away_in_the_middle_costs_no_event(
    place: TestDatabase, rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, ids = new_id(), [new_id() for _ in range(50)]
    admin = await asyncpg.connect(place.admin_url)
    subscriptions = Subscriptions()
    ended = 0

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Sequence[Received], call: Call) -> None:
        nonlocal ended
        await keep(events, call)
        if ended < 3:
            ended += 1
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'doomed' AND datname = current_database()"
            )

    await publish(source, tenant, *((id, 1) for id in ids))
    async with connected(place.url, "doomed") as doomed, consuming(doomed, nats, subscriptions):
        await eventually(lambda: _is(rows, tenant, dict.fromkeys(ids, (1, "v1", 1))))
        assert await parked.list_parked(rows) == []
    await admin.close()


async def test_kill_9_between_fetch_and_apply_and_between_commit_and_ack(
    place: TestDatabase, rows: Database, nats: Nats, source: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process kills itself where the test says; what it had fetched comes again to the next one."""
    monkeypatch.setattr("chassis.consumer._ACK_SECONDS", SOON)
    tenant, ids = new_id(), [new_id() for _ in range(40)]
    await publish(source, tenant, *((id, version) for version in (1, 2) for id in ids))
    for where in ("before", "after"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chassis.consumer_process", place.url, nats.url(CONSUMER), where,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert await process.wait() == -signal.SIGKILL
        assert bool(await things(rows, tenant)) == (where == "after")
    last = new_id()
    await publish(source, tenant, (last, 1))
    async with consuming(rows, nats, projecting()):
        await eventually(lambda: _is_acknowledged(nats))
    assert {id: thing[0] for id, thing in (await things(rows, tenant)).items()} == {last: 1} | dict.fromkeys(
        ids, 2
    )


async def test_an_effect_that_no_version_makes_idempotent_happens_once(
    rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, id, last = new_id(), new_id(), new_id()
    mails: list[str] = []
    subscriptions = Subscriptions()

    @subscriptions.on(events_pb2.OpportunityWon)
    async def congratulate(events: Sequence[Received], call: Call) -> None:
        mails.extend([event.id for event in events if await inbox.is_first(call, event, "congratulation")])
        await keep(events, call)

    ancient = datetime.now(UTC) - inbox.KEPT - timedelta(days=1)
    async with rows.transaction(tenant) as tx:
        for event, at in (("ancient", ancient), ("recent", ancient + timedelta(days=2))):
            values = {"event": event, "at": at}
            await tx.execute(
                sa.text("INSERT INTO inbox (effect, event_id, done_at) VALUES ('mail', :event, :at)"), values
            )
    await publish(source, tenant, (id, 1), repeat=3)
    await publish(source, tenant, (id, 2), (last, 1))
    async with consuming(rows, nats, subscriptions):
        await eventually(lambda: _is(rows, tenant, {id: (2, "v2", 2), last: (1, "v1", 1)}))
    assert len(mails) == 3
    async with rows.transaction(tenant) as tx:
        kept = await tx.fetch(sa.text("SELECT event_id FROM inbox WHERE effect = 'mail'"))
    assert [row["event_id"] for row in kept] == ["recent"]  # what no delivery can ask for is forgotten


async def test_a_handler_acts_as_the_service_by_way_of_who_caused_it(
    rows: Database, nats: Nats, source: Broker
) -> None:
    tenant, id = new_id(), new_id()
    calls: list[tuple[Call, Call]] = []
    subscriptions = Subscriptions()

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Sequence[Received], call: Call) -> None:
        assert current_call.get() is call
        calls.append((call, by_way_of(call, events[0])))

    await publish(source, tenant, (id, 1), traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    async with consuming(rows, nats, subscriptions):
        await eventually(lambda: bool(calls))
    for call in calls[0]:
        assert (call.caller.tenant, call.caller.actor, call.caller.via) == (
            tenant,
            "service:forecast",
            "somebody",
        )
        assert call.traceparent is not None
        assert "1" * 32 in call.traceparent


async def test_a_read_can_wait_until_it_sees_a_write_of_another_service(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    """Source and projection share a database here; the positions do not know."""
    tenant = new_id()
    async with broker_of(nats, SERVICE) as publishing, broker_of(nats, CONSUMER) as listening:
        relay = Relay(SERVICE, place.url, publishing, SystemClock())
        rows.hints.append(relay.hint)
        await relay.start()
        consumer = Consumer(CONSUMER, SERVICE, rows, listening, projecting(), SystemClock())
        consumer.start()
        positions = Positions(CONSUMER, listening, [SERVICE])
        await positions.start()
        for number in range(5):
            id = new_id()
            # the last is of a type that nobody here takes
            event = (
                won(id, 1)
                if number < 4
                else events_pb2.OpportunityDeleted(opportunity=won(id, 1).opportunity)
            )
            position = await record(rows, tenant, (id, 1), event=event)
            token = Positions(SERVICE, publishing, []).token(tenant, position)
            await positions.wait_for(token, tenant, timeout=10)
            assert (id in await things(rows, tenant)) == (number < 4)
        async with rows.transaction(tenant) as tx:
            unpublished = await write(await tx.connection(), new_id(), 1)
            assert not await positions.reached(tenant, SERVICE, unpublished, timeout=0.1)
        watermark = positions.applied(SERVICE, tenant)
        assert watermark is not None
        assert watermark.time is not None
        await consumer.stop()
        await positions.stop()
        await relay.stop()


async def test_the_watermark_follows_while_something_newer_always_is_under_way(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant = new_id()
    async with broker_of(nats, SERVICE) as publishing, broker_of(nats, CONSUMER) as listening:
        relay = Relay(SERVICE, place.url, publishing, SystemClock())
        rows.hints.append(relay.hint)
        await relay.start()
        consumer = Consumer(CONSUMER, SERVICE, rows, listening, projecting(), SystemClock())
        consumer.start()
        positions = Positions(CONSUMER, listening, [SERVICE])
        await positions.start()
        first = await record(rows, tenant, (new_id(), 1))

        async def goes_on() -> bool:
            await record(rows, tenant, (new_id(), 1))  # there is no moment in which all is applied
            applied = positions.applied(SERVICE, tenant)
            return applied is not None and applied.position > first

        await eventually(goes_on, "the watermark passes the first change")
        await consumer.stop()
        await positions.stop()
        await relay.stop()


async def _is(database: Database, tenant: UUID, expected: dict[UUID, tuple[int, str, int]]) -> bool:
    return await things(database, tenant) == expected


async def _are_parked(database: Database, number: int) -> bool:
    return len(await parked.list_parked(database)) == number


async def _is_up(broker: Broker) -> bool:
    try:
        await broker.client.jsm().stream_info(SERVICE.upper())
    except Exception:  # noqa: BLE001  # whatever it says while it starts
        return False
    return True


async def _is_acknowledged(nats: Nats) -> bool:
    async with broker_of(nats, CONSUMER) as broker:
        info = await (await broker.connected()).jsm().consumer_info(SERVICE.upper(), CONSUMER)
    return not (info.num_pending or info.num_ack_pending)
