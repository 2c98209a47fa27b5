"""The relay under what goes wrong: crashes, a broker that is away, commits that overtake, two relays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import nats.errors
import nats.js.errors
import pytest
from sfa.opportunities.v1 import events_pb2

from chassis.broker import Broker, stream_config, stream_of
from chassis.clock import SystemClock
from chassis.database import Database
from chassis.ids import new_id
from chassis.positions import Published, asking_subject, published_subject
from chassis.relay import FAILED, Relay
from deploy.engines.nats import Nats
from tests.chassis.events import (
    SERVICE,
    broker_of,
    chassis_database,
    connected,
    left,
    record,
    won,
    write,
)
from tests.engines import TestDatabase
from tests.eventually import eventually

MakeDatabase = Callable[[str], Awaitable[TestDatabase]]


@pytest.fixture
async def place(database: MakeDatabase) -> TestDatabase:
    return await chassis_database(database)


@pytest.fixture
async def rows(place: TestDatabase) -> AsyncIterator[Database]:
    async with connected(place.url) as database:
        yield database


@asynccontextmanager
async def relaying(place: TestDatabase, broker: Broker) -> AsyncIterator[Relay]:
    relay = Relay(SERVICE, place.url, broker, SystemClock())
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def stream(broker: Broker, number: int) -> list[Any]:
    """The first `number` messages of the stream, once there are as many."""
    found: list[Any] = []

    async def there() -> bool:
        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
            while len(found) < number:
                management, first = broker.client.jsm(), len(found) + 1
                numbers = range(first, min(first + 100, number + 1))
                found.extend(
                    await asyncio.gather(*(management.get_msg(stream_of(SERVICE), n) for n in numbers))
                )
        return len(found) >= number

    await broker.connected()
    await eventually(lambda: _stored(broker, number), f"{number} messages")
    await eventually(there, f"{number} messages")
    return found


def versions(messages: list[Any], id: UUID) -> list[int]:
    return [int(m.headers["ce-version"]) for m in messages if m.headers["ce-subject"] == str(id)]


async def test_what_is_committed_is_published_as_a_cloud_event_and_leaves_the_outbox(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, id = new_id(), new_id()
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker) as relay:
        position = await record(rows, tenant, (id, 1))
        relay.hint()
        [message] = await stream(broker, 1)
        await eventually(lambda: _is_empty(rows))
    assert message.subject == f"events.{tenant}.sfa.opportunities.v1.OpportunityWon"
    headers = message.headers
    assert headers["Nats-Msg-Id"] == headers["ce-id"]
    assert headers["ce-type"] == "sfa.opportunities.v1.OpportunityWon"
    assert headers["ce-source"] == "/services/opportunities"
    assert (headers["ce-tenant"], headers["ce-subject"]) == (str(tenant), str(id))
    assert (headers["ce-version"], headers["ce-position"]) == ("1", str(position))
    assert events_pb2.OpportunityWon.FromString(message.data) == won(id, 1)


async def test_many_versions_of_many_tenants_come_in_order(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    ids = [new_id() for _ in range(60)]
    tenants = [new_id() for _ in range(3)]
    for version in range(1, 6):
        for tenant in tenants:
            await record(rows, tenant, *((id, version) for id in ids))
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker):
        messages = await stream(broker, 900)
    for tenant in tenants:
        of_tenant = [message for message in messages if message.headers["ce-tenant"] == str(tenant)]
        assert all(versions(of_tenant, id) == [1, 2, 3, 4, 5] for id in ids)


async def test_a_tenant_with_much_to_publish_does_not_keep_another_waiting(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    busy, small, id = new_id(), new_id(), new_id()
    for _ in range(4):
        await record(rows, busy, *((new_id(), 1) for _ in range(400)))
    await record(rows, small, (id, 1))
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker):
        messages = await stream(broker, 400)  # of 1,601: the first batch may be the busy one's alone
    assert any(message.headers["ce-subject"] == str(id) for message in messages)


async def test_a_commit_that_overtakes_another_makes_none_get_lost(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, early, late = new_id(), new_id(), new_id()
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker) as relay:
        marks = await _marks(broker)
        async with rows.transaction(tenant) as slow:
            slow.position = await write(await slow.connection(), early, 1)
            overtaking = await record(rows, tenant, (late, 1))
            relay.hint()
            [message] = await stream(broker, 1)
            assert message.headers["ce-subject"] == str(late)
            assert slow.position < overtaking
            await _ask(broker)
            await eventually(lambda: len(marks) > 1)
            assert all(mark.of(tenant).position <= slow.position for mark in marks), (
                "it is not all published yet"
            )
        relay.hint()
        assert {m.headers["ce-subject"] for m in await stream(broker, 2)} == {str(early), str(late)}
        await _ask(broker)
        await eventually(lambda: marks[-1].of(tenant).position > overtaking)


async def test_an_older_transaction_that_writes_the_later_version_is_published_after_it(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, id, other = new_id(), new_id(), new_id()
    async with rows.transaction(tenant) as older:
        older.position = await write(await older.connection(), other, 1)
        assert await record(rows, tenant, (id, 1)) > older.position
        await write(await older.connection(), id, 2)
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker):
        assert versions(await stream(broker, 3), id) == [1, 2]


async def test_a_broker_that_is_away_for_long_loses_and_reorders_nothing(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, ids = new_id(), [new_id() for _ in range(20)]
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker) as relay:
        await record(rows, tenant, *((id, 1) for id in ids))
        relay.hint()
        await stream(broker, 20)
        before = FAILED.labels(SERVICE)._value.get()
        await nats.stop()
        for version in (2, 3, 4):  # writers do not notice
            await record(rows, tenant, *((id, version) for id in ids))
            relay.hint()
        await eventually(lambda: FAILED.labels(SERVICE)._value.get() > before)
        await nats.start()
        messages = await stream(broker, 80)
        await eventually(lambda: _is_empty(rows))
    assert all(versions(messages, id) == [1, 2, 3, 4] for id in ids)


async def test_publishes_that_fail_again_and_again_use_nothing_up(
    place: TestDatabase, rows: Database, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is there, but no stream takes the events, so that each publish is refused."""
    monkeypatch.setattr("chassis.relay._LONGEST_PAUSE", 0.01)
    tenant, ids = new_id(), [new_id() for _ in range(200)]
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker) as relay:
        await eventually(lambda: relay.is_active)
        config = stream_config(SERVICE)
        await broker.client.jsm().update_stream(config.evolve(subjects=[f"events.*.sfa.{SERVICE}.nothing"]))
        for version in (1, 2):
            await record(rows, tenant, *((id, version) for id in ids))
        relay.hint()
        before = FAILED.labels(SERVICE)._value.get()
        await eventually(lambda: FAILED.labels(SERVICE)._value.get() > before + 6000, "6,000 failures", 30)
        await broker.keep_stream(SERVICE)
        messages = await stream(broker, 400)
    assert all(versions(messages, id) == [1, 2] for id in ids)


async def test_a_database_that_goes_away_and_comes_back_is_read_on(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, id = new_id(), new_id()
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker) as relay:
        await record(rows, tenant, (id, 1))
        relay.hint()
        await stream(broker, 1)
        await _end_sessions(place, "opportunities relay")
        await record(rows, tenant, (id, 2))
        assert versions(await stream(broker, 2), id) == [1, 2]


async def test_of_two_relays_one_publishes_and_the_other_takes_over(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, id = new_id(), new_id()
    async with (
        broker_of(nats, SERVICE) as one,
        broker_of(nats, SERVICE) as two,
        relaying(place, one) as first,
    ):
        await eventually(lambda: first.is_active)
        async with relaying(place, two) as second:
            await record(rows, tenant, (id, 1))
            await stream(two, 1)
            assert not second.is_active
            await first.stop()
            await record(rows, tenant, (id, 2))
            second.hint()
            assert versions(await stream(two, 2), id) == [1, 2]
            assert second.is_active


async def test_kill_9_between_commit_and_publish_and_between_publish_and_delete(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    tenant, ids = new_id(), [new_id() for _ in range(1000)]
    for version in (1, 2):
        await record(rows, tenant, *((id, version) for id in ids))
    async with broker_of(nats, SERVICE) as broker:
        for reached in (200, 1000):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.chassis.relay_process", place.url, nats.url(SERVICE), SERVICE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            await broker.connected()
            await eventually(lambda reached=reached: _stored(broker, reached), "publishing", 30)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert await left(rows) > 0
        async with relaying(place, broker):
            await eventually(lambda: _is_empty(rows), seconds=30)
        messages = await stream(broker, 2000)
        assert (await broker.client.jsm().stream_info(stream_of(SERVICE))).state.messages == 2000, (
            "none twice"
        )
    order: dict[str, list[int]] = {}
    for message in messages:
        order.setdefault(message.headers["ce-subject"], []).append(int(message.headers["ce-version"]))
    assert order == {str(id): [1, 2] for id in ids}


async def test_silence_is_told_apart_from_nothing_new(
    place: TestDatabase, rows: Database, nats: Nats
) -> None:
    async with broker_of(nats, SERVICE) as broker, relaying(place, broker):
        marks = await _marks(broker)
        await eventually(lambda: len([mark for mark in marks if mark.mark.time]) > 1, "two heartbeats")
        assert marks[-1].mark.time > marks[0].mark.time  # type: ignore[operator]
        assert marks[-1].behind == {}


async def _is_empty(rows: Database) -> bool:
    return await left(rows) == 0


async def _stored(broker: Broker, number: int) -> bool:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        info = await broker.client.jsm().stream_info(stream_of(SERVICE))
        return bool(info.state.messages >= number)
    return False


async def _marks(broker: Broker) -> list[Published]:
    marks: list[Published] = []

    async def hear(message: Any) -> None:
        marks.append(Published.decode(message.data))

    await broker.connected()
    await broker.listen(published_subject(SERVICE), hear)
    await broker.client.flush()
    return marks


async def _ask(broker: Broker) -> None:
    await broker.client.publish(asking_subject(SERVICE, SERVICE))


async def _end_sessions(place: TestDatabase, name: str) -> None:
    admin = await asyncpg.connect(place.admin_url)
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = $1 AND datname = current_database()",
            name,
        )
    finally:
        await admin.close()
