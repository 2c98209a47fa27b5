"""The tenant is fenced by the database itself: a query that forgets the tenant, or means another one,
gets nothing, and a service's role has no way around that."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from chassis.ids import new_id
from tests.engines import TestDatabase

MINE, THEIRS = new_id(), new_id()


@pytest.fixture
async def connection(database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:  # type: ignore[no-untyped-def]
    clone: TestDatabase = await database("opportunities")
    connection = await asyncpg.connect(clone.url, server_settings={"search_path": "app, public"})
    yield connection
    await connection.close()


async def execute(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> None:
    """Executes it as my tenant."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL app.tenant = '{MINE}'")
        await connection.execute(statement)


async def add_key(connection: asyncpg.Connection[asyncpg.Record], tenant: object) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL app.tenant = '{tenant}'")
        await connection.execute(
            "INSERT INTO external_ids (entity, system, external_id, entity_id) VALUES ('x', 'erp', '1', $1)",
            new_id(),
        )


async def test_sql_that_forgets_the_tenant_fails(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for statement in ("SELECT * FROM opportunities", "SELECT * FROM changes", "DELETE FROM external_ids"):
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)
    await add_key(connection, MINE)
    with pytest.raises(asyncpg.PostgresError):  # the setting ended with its transaction
        await connection.execute("SELECT * FROM opportunities")


async def test_a_tenant_reads_and_deletes_only_its_own_rows(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    await add_key(connection, MINE)
    await add_key(connection, THEIRS)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL app.tenant = '{MINE}'")
        rows = await connection.fetch("SELECT tenant_id FROM external_ids")
        assert [row["tenant_id"] for row in rows] == [MINE]
        assert await connection.execute("DELETE FROM external_ids") == "DELETE 1"


async def test_a_row_cannot_be_written_for_another_tenant(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    statement = (
        "INSERT INTO external_ids (tenant_id, entity, system, external_id, entity_id)"
        f" VALUES ('{THEIRS}', 'x', 'erp', '1', '{new_id()}')"
    )
    with pytest.raises(asyncpg.WithCheckOptionViolationError):
        await execute(connection, statement)


async def test_the_service_has_no_rights_behind_the_fence(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    for statement in (
        "SELECT * FROM data.opportunities",
        "CREATE TABLE app.mine (id int)",
        "ALTER VIEW app.opportunities OWNER TO sfa_opportunities",
        "UPDATE changes SET actor = 'nobody'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(connection, statement)


async def test_every_table_of_a_tenant_is_behind_a_view_that_checks(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    views = await connection.fetch(
        "SELECT table_name, check_option FROM information_schema.views WHERE table_schema = 'app'"
    )
    assert {"changes", "opportunities", "pipelines"} <= {view["table_name"] for view in views}
    unchecked = [view["table_name"] for view in views if view["check_option"] != "CASCADED"]
    assert unchecked == ["due_routing"]  # says which tenant has work to do, read-only, and nothing else
    tenants = await connection.fetch(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = 'data' AND relkind = 'r' AND relname <> 'alembic_version'"
    )
    assert {row["relname"] for row in tenants} <= {view["table_name"] for view in views}
