"""What a call does in the database: reads without a transaction, one change with one statement, and never
another tenant's rows, whoever had the connection before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa

from chassis.database import Database, Transaction
from chassis.ids import new_id
from tests.chassis.events import chassis_database, connected, write

_THINGS = sa.text("SELECT name FROM things ORDER BY name")
_PUT = sa.text("INSERT INTO things (id, version, name) VALUES (:id, 1, :name)")
_SNAPSHOT = sa.text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL, txid_current()")


@pytest.fixture
async def database(database) -> AsyncIterator[Database]:  # type: ignore[no-untyped-def]
    clone = await chassis_database(database)
    async with connected(clone.url) as pool:
        yield pool


class Change:
    """One change that waits."""

    def __init__(self, tx: Transaction, *, fails: bool = False) -> None:
        self.tx, self.fails, self.alone, self.id = tx, fails, False, new_id()
        self.is_one_statement = True

    async def flush(self, *, alone: bool = False) -> None:
        self.alone = alone
        connection = await (self.tx.session() if alone else self.tx.connection())
        if self.fails:
            raise LookupError
        self.tx.position = await write(connection, self.id, 1)


async def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in await tx.read(_THINGS)]


async def test_who_takes_a_connection_sees_its_own_tenant_only(database: Database) -> None:
    mine, theirs = new_id(), new_id()
    for tenant, name in ((mine, "mine"), (theirs, "theirs")):
        async with database.transaction(tenant) as tx:
            await tx.execute(_PUT, {"id": new_id(), "name": name})
    for _ in range(2):  # there is one connection, which goes from hand to hand
        assert database.pool.get_size() == 1
        async with database.transaction(mine) as tx:
            assert await names(tx) == ["mine"]
        async with database.transaction(theirs) as tx:
            assert await names(tx) == ["theirs"]
        async with database.transaction(mine) as tx:
            await tx.execute(sa.text("SELECT 1"))
            assert await names(tx) == ["mine"]
    for statement in (database.transaction(None).read, database.transaction(None).fetch):
        with pytest.raises(asyncpg.PostgresError):
            await statement(_THINGS)


async def test_a_read_opens_no_transaction_and_a_write_does(database: Database) -> None:
    tx = database.transaction(new_id())
    await names(tx)
    assert not (await tx.session()).is_in_transaction()
    first, second = [(await tx.read(_SNAPSHOT))[0][1] for _ in range(2)]
    assert first != second
    await tx.execute(_PUT, {"id": new_id(), "name": "x"})
    assert await names(tx) == ["x"]
    assert (await tx.session()).is_in_transaction()
    await tx.rollback()
    async with database.transaction(tx.tenant) as again:
        assert await names(again) == []


async def test_one_change_is_one_statement_and_more_are_one_transaction(database: Database) -> None:
    hinted = []
    database.hints.append(lambda: hinted.append(True))
    tenant = new_id()
    async with database.transaction(tenant) as tx:
        await names(tx)
        tx.defer(only := Change(tx))
    assert only.alone
    async with database.transaction(tenant) as tx:
        tx.defer(first := Change(tx))
        tx.defer(second := Change(tx))
    assert not first.alone
    assert not second.alone
    async with database.transaction(tenant) as tx:
        tx.defer(before := Change(tx))
        count = sa.text("SELECT count(*) FROM outbox")
        assert await tx.fetchval(count) == 4  # what waited went out first
    assert not before.alone
    assert len(hinted) == 3


async def fail_after(tx: Transaction, number: int) -> None:
    """So many changes, and one that fails."""
    async with tx:
        for _ in range(number):
            tx.defer(Change(tx))
        tx.defer(Change(tx, fails=True))


async def test_what_fails_or_is_rolled_back_leaves_nothing(database: Database) -> None:
    tenant = new_id()
    for number in (1, 0):
        with pytest.raises(LookupError):
            await fail_after(database.transaction(tenant), number)
    tx = database.transaction(tenant)
    tx.defer(Change(tx))
    await tx.rollback()
    await tx.commit()
    async with database.transaction(tenant) as tx:
        assert await tx.fetchval(sa.text("SELECT count(*) FROM outbox")) == 0
    assert database.pool.get_idle_size() == database.pool.get_size() == 1
