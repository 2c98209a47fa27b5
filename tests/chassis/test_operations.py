"""Operations: steps, progress, crashes in the middle, cancelling, failing, and who may ask."""

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
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.wrappers_pb2 import Int64Value
from google.rpc.error_details_pb2 import ErrorInfo
from sfa.api.v1 import operations_pb2 as pb

from chassis import operations
from chassis.call import Call, Caller, Sight
from chassis.database import Database
from chassis.due import Runner
from chassis.errors import FailedPrecondition, Unavailable
from chassis.ids import new_id
from chassis.operations import Advanced, Finished, OperationNotFound, OperationServicer, Running, Step
from tests.callers import Callers
from tests.chassis.events import chassis_database, connected
from tests.clock import MovableClock
from tests.engines import TestDatabase
from tests.eventually import eventually

MakeDatabase = Callable[[str], Awaitable[TestDatabase]]
State = pb.OperationMetadata


class CannotCount(FailedPrecondition):
    """What a step says that cannot go on."""


class CounterAway(Unavailable):
    """What a step says that can go on later."""


@pytest.fixture
async def place(database: MakeDatabase) -> TestDatabase:
    return await chassis_database(database)


@pytest.fixture
async def rows(place: TestDatabase) -> AsyncIterator[Database]:
    async with connected(place.url) as database:
        yield database


@asynccontextmanager
async def running(database: Database, clock: MovableClock, step: Step) -> AsyncIterator[Runner]:
    runner = Runner("leads", database, clock, operations.due_handlers({"count": step}))
    database.due_hints.append(runner.hint)
    runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


@asynccontextmanager
async def calling(database: Database, clock: MovableClock, caller: Caller) -> AsyncIterator[Call]:
    async with database.transaction(caller.tenant) as tx:
        yield Call(caller=caller, tx=tx, clock=clock, now=clock.now(), method="test")


async def begin(database: Database, clock: MovableClock, caller: Caller, upto: int) -> UUID:
    async with calling(database, clock, caller) as call:
        operation = await operations.start(call, "count", {"upto": upto}, total=upto)
    assert not operation.done
    return UUID(operation.name.removeprefix("operations/"))


async def asked(database: Database, clock: MovableClock, caller: Caller, id: UUID) -> Operation:
    async with calling(database, clock, caller) as call:
        return await OperationServicer().GetOperation(pb.GetOperationRequest(id=str(id)), call)


def metadata(operation: Operation) -> pb.OperationMetadata:
    unpacked = pb.OperationMetadata()
    assert operation.metadata.Unpack(unpacked)
    return unpacked


async def count_one(call: Call, operation: Running) -> Advanced | Finished:
    """Writes a row, and the next number down."""
    number = operation.checkpoint.get("number", 0) + 1
    await call.tx.execute(
        sa.text("INSERT INTO things (id, version, name) VALUES (:id, :number, 'counted')"),
        {"id": new_id(), "number": number},
    )
    if number == operation.payload["upto"]:
        return Finished(Int64Value(value=number), done=number)
    return Advanced({"number": number}, done=number)


async def counted(database: Database, tenant: UUID) -> list[int]:
    async with database.transaction(tenant) as tx:
        return [
            row["version"] for row in await tx.fetch(sa.text("SELECT version FROM things ORDER BY version"))
        ]


async def test_it_goes_on_step_by_step_and_answers_what_came_of_it(
    rows: Database, clock: MovableClock, callers: Callers
) -> None:
    caller = callers.caller("rep")
    async with running(rows, clock, count_one):
        id = await begin(rows, clock, caller, 10)
        await eventually(lambda: _has_ended(rows, clock, caller, id))
    operation = await asked(rows, clock, caller, id)
    result = Int64Value()
    assert operation.response.Unpack(result)
    assert result.value == 10
    progress = metadata(operation)
    assert (progress.state, progress.done, progress.total, progress.actor) == (
        State.SUCCEEDED,
        10,
        10,
        caller.actor,
    )
    assert await counted(rows, callers.tenant) == list(range(1, 11))


async def test_a_crash_in_the_middle_makes_no_step_twice(
    place: TestDatabase, rows: Database, clock: MovableClock, callers: Callers
) -> None:
    caller, crashes = callers.caller("rep"), 0
    admin = await asyncpg.connect(place.admin_url)

    async def crash_at_five(call: Call, operation: Running) -> Advanced | Finished:
        nonlocal crashes
        outcome = await count_one(call, operation)
        if operation.done == 4 and not crashes:
            crashes += 1
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'doomed' AND datname = current_database()"
            )
        return outcome

    async with connected(place.url, "doomed") as doomed, running(doomed, clock, crash_at_five) as runner:
        id = await begin(rows, clock, caller, 10)
        runner.hint()
        await eventually(lambda: crashes == 1)
        await eventually(lambda: _goes_on(rows, clock, caller, id, runner))
    assert await counted(rows, callers.tenant) == list(range(1, 11))
    await admin.close()


async def test_it_stops_before_its_next_step_when_it_is_cancelled(
    rows: Database, clock: MovableClock, callers: Callers
) -> None:
    caller, reached, go_on = callers.caller("rep"), asyncio.Event(), asyncio.Event()

    async def wait_at_three(call: Call, operation: Running) -> Advanced | Finished:
        if operation.done == 3:
            reached.set()
            await go_on.wait()
        return await count_one(call, operation)

    async with running(rows, clock, wait_at_three):
        id = await begin(rows, clock, caller, 10)
        await reached.wait()
        async with calling(rows, clock, caller) as call:
            operation = await OperationServicer().CancelOperation(pb.CancelOperationRequest(id=str(id)), call)
        assert metadata(operation).state == State.CANCELLING
        go_on.set()
        await eventually(lambda: _has_ended(rows, clock, caller, id))
    operation = await asked(rows, clock, caller, id)
    assert (metadata(operation).state, operation.error.code) == (State.CANCELLED, 1)
    assert await counted(rows, callers.tenant) == [1, 2, 3, 4]


async def test_a_refusal_ends_it_and_undoes_only_the_step_that_was_refused(
    rows: Database, clock: MovableClock, callers: Callers
) -> None:
    caller = callers.caller("rep")

    async def refuse_at_three(call: Call, operation: Running) -> Advanced | Finished:
        outcome = await count_one(call, operation)
        if operation.done == 2:
            raise CannotCount("Three cannot be counted.")
        return outcome

    async with running(rows, clock, refuse_at_three):
        id = await begin(rows, clock, caller, 10)
        await eventually(lambda: _has_ended(rows, clock, caller, id))
    operation = await asked(rows, clock, caller, id)
    info = ErrorInfo()
    assert operation.error.details[0].Unpack(info)
    assert (operation.error.code, operation.error.message) == (9, "Three cannot be counted.")
    assert info.reason == "CANNOT_COUNT"
    assert metadata(operation).state == State.FAILED
    assert await counted(rows, callers.tenant) == [1, 2]


@pytest.mark.parametrize(("error", "ends_as"), [(CounterAway("Away."), 14), (ValueError("secret"), 13)])
async def test_what_may_pass_is_tried_again_and_in_the_end_given_up(
    rows: Database, clock: MovableClock, callers: Callers, error: Exception, ends_as: int
) -> None:
    caller, tried = callers.caller("rep"), 0

    async def fail(call: Call, operation: Running) -> Advanced | Finished:
        nonlocal tried
        tried += 1
        raise error

    async with running(rows, clock, fail) as runner:
        id = await begin(rows, clock, caller, 10)
        for attempt in range(1, operations.ATTEMPTS + 1):
            await eventually(lambda attempt=attempt: tried == attempt)
            clock.move(timedelta(hours=1))
            runner.hint()
        await eventually(lambda: _has_ended(rows, clock, caller, id))
    operation = await asked(rows, clock, caller, id)
    assert operation.error.code == ends_as
    assert "secret" not in operation.error.message


async def test_who_began_it_sees_it_and_who_sees_all_does(
    rows: Database, clock: MovableClock, callers: Callers
) -> None:
    mine, other, all_seeing = (
        callers.caller("rep"),
        callers.caller("rep", name="other"),
        callers.caller("operations"),
    )
    assert all_seeing.sight is Sight.ALL
    ids = [await begin(rows, clock, mine, 10) for _ in range(3)]
    with pytest.raises(OperationNotFound):
        await asked(rows, clock, other, ids[0])
    assert (await asked(rows, clock, all_seeing, ids[0])).name == f"operations/{ids[0]}"
    names: list[str] = []
    token = ""
    for _ in range(2):
        async with calling(rows, clock, mine) as call:
            request = pb.ListOperationsRequest(page_size=2, page_token=token)
            page = await OperationServicer().ListOperations(request, call)
        names += [operation.name for operation in page.operations]
        token = page.next_page_token
    assert names == [f"operations/{id}" for id in sorted(ids, reverse=True)]
    assert not token
    async with calling(rows, clock, other) as call:
        assert not (await OperationServicer().ListOperations(pb.ListOperationsRequest(), call)).operations


async def _has_ended(database: Database, clock: MovableClock, caller: Caller, id: UUID) -> bool:
    return bool((await asked(database, clock, caller, id)).done)


async def _goes_on(database: Database, clock: MovableClock, caller: Caller, id: UUID, runner: Any) -> bool:
    clock.move(timedelta(seconds=1))
    runner.hint()
    return await _has_ended(database, clock, caller, id)
