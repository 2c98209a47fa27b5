"""Books are as fresh as the database: loaded whole, or kept so, on one replica or another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from chassis.call import Call
from chassis.database import Database
from chassis.ids import new_id
from services.forecast.book import Book, Books
from services.forecast.book.deals import deals_at
from services.forecast.domain.periods import FiscalCalendar
from services.forecast.store import HistoryStore
from tests.callers import Callers
from tests.engines import TestDatabase
from tests.forecast.book_figures import BookFigures, Selection
from tests.forecast.histories import NOW, TODAY, Row, World, book_of, references_of
from tests.forecast.test_book import contents
from tests.statements import noted

_SELECTION = Selection(FiscalCalendar().selected(["2017-Q1..2017-Q4"], TODAY), "EUR", "EUR", TODAY)


class Replica:
    """A process that serves one tenant."""

    def __init__(self, database: Database, callers: Callers) -> None:
        self.database, self.callers = database, callers
        self.books = Books(database)

    def call(self, **claims: Any) -> Call:
        caller = self.callers.caller("operations", **claims)
        return Call(caller, self.database.transaction(caller.tenant), self.callers.clock, NOW, "test")

    async def book(self, **claims: Any) -> Book:
        call = self.call(**claims)
        book = await self.books.of(call)
        await call.tx.commit()
        return book

    async def keep(self, deals: list[Row], references: list[Row]) -> None:
        """Takes a batch in as the subscribers do."""
        call = self.call()
        batch = await HistoryStore(call).keep(deals, references)
        await call.tx.commit()
        self.books.applied(call.caller.tenant, batch, deals, references_of(references))


@pytest.fixture
async def replica(
    database: Callable[[str], Awaitable[TestDatabase]], callers: Callers
) -> AsyncIterator[Callable[[], Replica]]:
    """Makes replicas on one database."""
    pool = await Database.connect((await database("forecast")).url)
    yield lambda: Replica(pool, callers)
    await pool.close()


async def test_replicas_agree_whatever_came_when_and_where(replica: Callable[[], Replica]) -> None:
    world = World(21)
    rows, references = world.history(80, 4), world.references()
    first, second = replica(), replica()
    assert len((await first.book()).versions) == 0
    await first.keep([], references)
    for number, batch in enumerate(world.shuffled(rows)):
        await world.random.choice([first, second]).keep(batch, [])
        if number % 3 == 0:
            await (first if number % 2 else second).book()
    books = [await each.book() for each in (first, second, replica())]
    plain = book_of(world, rows)
    for book in books:
        assert contents(book) == contents(plain)
        assert BookFigures(book, None).by_product(_SELECTION) == BookFigures(plain, None).by_product(
            _SELECTION
        )
        for at in world.random.choices(plain.versions.recorded_at.tolist(), k=5):
            assert {deal.id: deal for deal in deals_at(book, book.view(at))} == {
                deal.id: deal for deal in deals_at(plain, plain.view(at))
            }


async def test_a_replica_that_has_just_started_misses_nothing_while_events_come(
    replica: Callable[[], Replica],
) -> None:
    world = World(22)
    rows = world.history(200, 5)
    writers = [replica() for _ in range(3)]
    await writers[0].keep([], world.references())

    async def write(writer: Replica, batches: list[list[Row]]) -> None:
        for batch in batches:
            await writer.keep(batch, [])

    batches = world.shuffled(rows)
    writing = [asyncio.create_task(write(each, batches[place::3])) for place, each in enumerate(writers)]
    latest: list[Book] = []
    while not all(task.done() for task in writing):
        asked = replica()
        latest.extend(await asyncio.gather(asked.book(), asked.book(), writers[0].book()))
    await asyncio.gather(*writing)
    plain = contents(book_of(world, rows))
    assert len(latest) > 3
    for each in writers:
        assert contents(await each.book()) == plain


async def test_what_was_committed_before_the_question_is_in_the_answer(
    replica: Callable[[], Replica],
) -> None:
    world, asked, other = World(23), replica(), replica()
    rows = world.history(30, 1)
    await asked.book()
    for number, row in enumerate(rows, 1):
        await other.keep([row], [])
        assert len((await asked.book()).versions) == number


async def test_an_emptied_forecast_is_read_anew(replica: Callable[[], Replica]) -> None:
    world, one = World(24), replica()
    await one.keep(world.history(30, 1), world.references())
    assert len((await one.book()).versions) == 30
    await HistoryStore(call := one.call()).empty()
    await call.tx.commit()
    assert len((await one.book()).versions) == 0
    await one.keep(world.history(5, 1), [])
    assert len((await one.book()).versions) == 5


async def test_books_that_are_not_asked_for_make_room(replica: Callable[[], Replica]) -> None:
    one = replica()
    await one.keep(World(25).history(30, 1), [])
    one.books = Books(one.database, budget=1)
    book = await one.book()
    assert book is await one.book()  # the one that is asked for stays, whatever its size
    await one.book(tenant=new_id())
    assert len(one.books) == 1


async def test_the_history_of_a_deal_is_opened_by_an_index(replica: Callable[[], Replica]) -> None:
    one = replica()
    rows: list[Any] = World(26).history(30, 1)
    await one.keep(rows, [])
    call = one.call()
    names = await HistoryStore(call).names([(row["id"], row["version"]) for row in rows])
    await call.tx.commit()
    assert names == {row["id"]: row["name"] for row in rows}


async def test_a_book_is_read_to_its_end_whoever_stops_waiting(replica: Callable[[], Replica]) -> None:
    one = replica()
    await one.keep(World(27).history(30, 1), [])
    impatient = asyncio.create_task(one.book())
    while not one.books._loading:
        await asyncio.sleep(0)
    (loading,) = one.books._loading.values()
    impatient.cancel()
    book = await loading
    assert book is await one.book()
    assert len(book.versions) == 30


async def test_no_question_reads_a_whole_table(
    replica: Callable[[], Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = noted(monkeypatch)
    world, one, other = World(28), replica(), replica()
    rows = world.history(30, 2)
    await one.keep(rows[:20], world.references())
    await one.book()
    await other.keep(rows[20:], [])
    await one.book()
    call = one.call()
    await HistoryStore(call).names([(row["id"], row["version"]) for row in rows])
    connection = await call.tx.connection()
    await connection.execute("SET LOCAL enable_seqscan = off")
    seen = {sql: arguments for sql, arguments in asked if sql.startswith("SELECT")}
    assert sum("deal_versions" in sql for sql in seen) >= 2
    for sql, arguments in seen.items():
        plan = await connection.fetch(f"EXPLAIN {sql}", *arguments)
        assert not [row[0] for row in plan if "Seq Scan on" in row[0]], sql
    await call.tx.commit()
