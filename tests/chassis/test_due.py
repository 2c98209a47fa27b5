"""Due work: when, how often, by whom, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa

from chassis import due
from chassis.call import Call
from chassis.database import Database
from chassis.due import Handler, Runner
from chassis.ids import new_id
from chassis.subscriptions import service_call
from tests.chassis.events import chassis_database, connected
from tests.clock import MovableClock
from tests.engines import TestDatabase
from tests.eventually import eventually

MakeDatabase = Callable[[str], Awaitable[TestDatabase]]
KIND = "reminder"


@pytest.fixture
async def place(database: MakeDatabase) -> TestDatabase:
    return await chassis_database(database)


@pytest.fixture
async def rows(place: TestDatabase) -> AsyncIterator[Database]:
    async with connected(place.url) as database:
        yield database


@asynccontextmanager
async def running(database: Database, clock: MovableClock, handler: Handler) -> AsyncIterator[Runner]:
    runner = Runner("leads", database, clock, {KIND: handler})
    database.due_hints.append(runner.hint)
    runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def schedule(
    database: Database, clock: MovableClock, tenant: UUID, key: str, after: timedelta, **payload: Any
) -> None:
    async with database.transaction(tenant) as tx:
        call = service_call("leads", tenant, tx, clock, "test", "somebody")
        await due.schedule(call, KIND, key, clock.now() + after, payload)


async def waiting(database: Database, tenant: UUID) -> list[Any]:
    async with database.transaction(tenant) as tx:
        return await tx.fetch(sa.text("SELECT key, attempts, error, parked_at FROM due_work ORDER BY key"))


async def test_work_is_done_when_its_time_comes_and_not_before(rows: Database, clock: MovableClock) -> None:
    tenant, done = new_id(), list[tuple[str, Any, UUID, str | None]]()

    async def remind(call: Call, key: str, payload: Any) -> None:
        done.append((key, payload, call.caller.tenant, call.caller.via))

    async with running(rows, clock, remind) as runner:
        await schedule(rows, clock, tenant, "later", timedelta(days=1), text="call back")
        await schedule(rows, clock, tenant, "now", timedelta(0))
        await eventually(lambda: done == [("now", {}, tenant, "somebody")])
        clock.move(timedelta(days=1, seconds=1))
        runner.hint()
        await eventually(lambda: done[1:] == [("later", {"text": "call back"}, tenant, "somebody")])
        await eventually(lambda: _is_empty(rows, tenant))


async def test_scheduling_again_moves_it_and_cancelling_takes_it_back(
    rows: Database, clock: MovableClock
) -> None:
    tenant, done = new_id(), list[Any]()

    async def remind(call: Call, key: str, payload: Any) -> None:
        done.append((key, payload))

    await schedule(rows, clock, tenant, "moved", timedelta(days=1), text="old")
    await schedule(rows, clock, tenant, "moved", timedelta(0), text="new")
    await schedule(rows, clock, tenant, "cancelled", timedelta(0))
    async with rows.transaction(tenant) as tx:
        call = service_call("leads", tenant, tx, clock, "test", None)
        assert await due.cancel(call, KIND, "cancelled")
        assert not await due.cancel(call, KIND, "cancelled")
    async with running(rows, clock, remind):
        await eventually(lambda: _is_empty(rows, tenant))
    assert done == [("moved", {"text": "new"})]


async def test_a_handler_that_schedules_its_own_key_is_done_again(
    rows: Database, clock: MovableClock
) -> None:
    tenant, done = new_id(), list[int]()

    async def count(call: Call, key: str, payload: Any) -> None:
        done.append(payload.get("number", 0))
        if len(done) < 5:
            await due.schedule(call, KIND, key, call.clock.now(), {"number": len(done)})

    async with running(rows, clock, count):
        await schedule(rows, clock, tenant, "counter", timedelta(0))
        await eventually(lambda: _is_empty(rows, tenant))
    assert done == [0, 1, 2, 3, 4]


async def test_what_was_scheduled_in_a_transaction_that_failed_is_not_done(
    rows: Database, clock: MovableClock
) -> None:
    tenant, done = new_id(), list[str]()

    async def remind(call: Call, key: str, payload: Any) -> None:
        done.append(key)
        await due.schedule(call, KIND, f"after {key}", call.clock.now())
        if key == "bad":
            raise ValueError("It went wrong after all.")

    async with running(rows, clock, remind):
        await schedule(rows, clock, tenant, "bad", timedelta(0))
        await schedule(rows, clock, tenant, "good", timedelta(0))
        await eventually(lambda: "after good" in done)
    assert "after bad" not in done


async def test_what_fails_is_tried_again_later_and_parked_in_the_end(
    rows: Database, clock: MovableClock
) -> None:
    tenant, tried = new_id(), list[int]()

    async def fail(call: Call, key: str, payload: Any) -> None:
        tried.append(len(tried))
        raise ValueError("No.")

    async with running(rows, clock, fail) as runner:
        await schedule(rows, clock, tenant, "poison", timedelta(0))
        for attempt in range(1, due.ATTEMPTS + 1):
            await eventually(lambda attempt=attempt: _has_failed(rows, tenant, attempt))
            assert len(tried) == attempt
            clock.move(timedelta(hours=1))
            runner.hint()
        [row] = await waiting(rows, tenant)
    assert row["parked_at"] is not None
    assert row["error"] == "ValueError: No."


async def test_of_many_replicas_one_does_each_piece_of_work(
    place: TestDatabase, rows: Database, clock: MovableClock
) -> None:
    tenant, done = new_id(), list[str]()

    async def remind(call: Call, key: str, payload: Any) -> None:
        done.append(key)
        await asyncio.sleep(0)
        await call.tx.execute(sa.text("INSERT INTO things (id, version, name) VALUES (:id, 1, :key)"),
                              {"id": new_id(), "key": key})  # fmt: skip

    for number in range(60):
        await schedule(rows, clock, tenant, f"{number:02}", timedelta(0))
    async with connected(place.url) as other, running(rows, clock, remind), running(other, clock, remind):
        await eventually(lambda: _is_empty(rows, tenant))
    async with rows.transaction(tenant) as tx:
        names = [row["name"] for row in await tx.fetch(sa.text("SELECT name FROM things ORDER BY name"))]
    assert names == [f"{number:02}" for number in range(60)]


async def test_a_database_that_goes_away_in_the_middle_has_it_done_once(
    place: TestDatabase, rows: Database, clock: MovableClock
) -> None:
    tenant, tried = new_id(), list[str]()
    admin = await asyncpg.connect(place.admin_url)

    async def remind(call: Call, key: str, payload: Any) -> None:
        tried.append(key)
        await call.tx.execute(sa.text("INSERT INTO things (id, version, name) VALUES (:id, 1, 'done')"),
                              {"id": new_id()})  # fmt: skip
        if len(tried) == 1:
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                " WHERE application_name = 'doomed' AND datname = current_database()")  # fmt: skip

    await schedule(rows, clock, tenant, "once", timedelta(0))
    async with connected(place.url, "doomed") as doomed, running(doomed, clock, remind) as runner:
        await eventually(lambda: len(tried) == 1)
        await eventually(lambda: _has_failed(rows, tenant, 1))
        clock.move(timedelta(minutes=1))
        runner.hint()
        await eventually(lambda: _is_empty(rows, tenant))
    async with rows.transaction(tenant) as tx:
        assert await tx.fetchval(sa.text("SELECT count(*) FROM things")) == 1
    await admin.close()


async def test_a_handler_that_waits_for_others_does_not_hold_the_feeds_back(
    rows: Database, clock: MovableClock
) -> None:
    tenant, asked, answered = new_id(), asyncio.Event(), asyncio.Event()

    async def ask(call: Call, key: str, payload: Any) -> None:
        await call.tx.fetchval(sa.text("SELECT 1"))
        asked.set()
        await answered.wait()

    async with running(rows, clock, ask):
        await schedule(rows, clock, tenant, "slow", timedelta(0))
        await asked.wait()
        async with rows.transaction(None) as tx:
            of_this = "datname = current_database() AND backend_xid IS NOT NULL"
            assert await tx.fetchval(sa.text(f"SELECT count(*) FROM pg_stat_activity WHERE {of_this}")) == 0
        answered.set()
        await eventually(lambda: _is_empty(rows, tenant))


async def test_what_takes_long_keeps_nothing_of_another_kind_waiting(
    rows: Database, clock: MovableClock
) -> None:
    tenant, answered, done = new_id(), asyncio.Event(), list[str]()

    async def hand_over(call: Call, key: str, payload: Any) -> None:
        done.append(f"{key} begins")
        await answered.wait()
        done.append(f"{key} ends")

    async def expire(call: Call, key: str, payload: Any) -> None:
        done.append(key)

    runner = Runner("leads", rows, clock, {"email": hand_over, "expiry": expire})
    for kind, key in (("email", "one"), ("email", "two"), ("expiry", "three"), ("expiry", "four")):
        async with rows.transaction(tenant) as tx:
            call = service_call("leads", tenant, tx, clock, "test", "somebody")
            await due.schedule(call, kind, key, clock.now())
    runner.start()
    await eventually(lambda: done == ["one begins", "three", "four"])
    answered.set()
    await eventually(lambda: _is_empty(rows, tenant))
    assert done[3:] == ["one ends", "two begins", "two ends"]
    await runner.stop()


async def test_who_stops_lets_go_what_does_not_end(rows: Database, clock: MovableClock) -> None:
    tenant, begun = new_id(), asyncio.Event()

    async def hang(call: Call, key: str, payload: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(rows, clock, hang):
        await schedule(rows, clock, tenant, "endless", timedelta(0))
        await begun.wait()
    assert [row["attempts"] for row in await waiting(rows, tenant)] == [0]


async def _is_empty(database: Database, tenant: UUID) -> bool:
    return await waiting(database, tenant) == []


async def _has_failed(database: Database, tenant: UUID, attempts: int) -> bool:
    return [row["attempts"] for row in await waiting(database, tenant)] == [attempts]
