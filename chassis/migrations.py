"""Migrations: Alembic for each service, run as the owner of its database, one runner at a time.

A service's migrations are explicit SQL. `Migration` knows the few shapes that all of them share: the
chassis's own tables, an entity's table, and the fence around tenants.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command, context, op
from alembic.config import Config

from chassis.schema import ENTITY_COLUMNS, STEPS, fence, routing

ROOT = Path(__file__).resolve().parent.parent


def upgrade(service: str, owner_url: str, revision: str = "head") -> None:
    """Brings the service's database up to `revision` (the newest by default).

    `owner_url` is a `postgresql://` URL of the owner role. An advisory lock makes a second runner
    wait; `lock_timeout` keeps a migration from queueing up readers behind itself.
    """
    command.upgrade(_config(service, owner_url), revision)


def head(service: str) -> str | None:
    """The newest revision that the code knows."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(service, "")).get_current_head()


def _config(service: str, owner_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "services" / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["owner_url"] = owner_url
    return config


def run() -> None:
    """What every service's `env.py` calls."""
    import asyncio

    asyncio.run(_run(context.config.attributes["owner_url"]))


async def _run(owner_url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    url = sa.make_url(owner_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_lock(hashtext('sfa migrations'))"))
            await connection.execute(sa.text("SET lock_timeout = '5s'"))
            await connection.commit()
            await connection.run_sync(_migrate)
            await connection.commit()
    finally:
        await engine.dispose()


def _migrate(connection: sa.Connection) -> None:
    context.configure(connection=connection, version_table="alembic_version", version_table_schema="data",
                      transaction_per_migration=True)  # fmt: skip
    with context.begin_transaction():
        context.run_migrations()


class Migration:
    """What a migration of a service does, in the terms that all services share."""

    def __init__(self, service: str) -> None:
        self.role = f"sfa_{service}"

    def sql(self, text: str) -> None:
        """Runs explicit SQL; several statements may be given."""
        for statement in _statements(text):
            op.execute(sa.text(statement.replace(":", "\\:")))

    def chassis(self, step: int) -> None:
        """Creates what the chassis needs, as of a numbered step."""
        text, fenced, routed = STEPS[step]
        self.sql(text)
        for table, rights in fenced.items():
            self.fence(table, rights)
        for table, rights in routed.items():
            self.sql(routing(table, rights, self.role))

    def entity(self, table: str, columns: str, *indexes: str) -> None:
        """Creates an entity's table and its fenced view.

        `columns` is SQL, after the columns that every entity has; `indexes` are as for `index`.
        """
        self.sql(f"CREATE TABLE data.{table} ({ENTITY_COLUMNS}, {columns}, PRIMARY KEY (tenant_id, id))")
        for number, index in enumerate(indexes, 1):
            self.index(f"{table}_{number}", table, index)
        self.fence(table, "SELECT, INSERT, UPDATE")

    def table(self, table: str, columns: str, rights: str = "SELECT, INSERT, UPDATE, DELETE") -> None:
        """Creates any other table of a tenant's rows, and its fenced view; `columns` holds the key."""
        self.sql(
            f"CREATE TABLE data.{table} "
            f"(tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid, {columns})"
        )
        self.fence(table, rights)

    def index(self, name: str, table: str, index: str) -> None:
        """Creates an index that leads with the tenant: `owner_id, close_date desc`, `UNIQUE code WHERE …`."""
        columns, _, condition = index.removeprefix("UNIQUE ").partition(" WHERE ")
        unique = "UNIQUE " if index.startswith("UNIQUE ") else ""
        where = f" WHERE {condition}" if condition else ""
        self.sql(f"CREATE {unique}INDEX {name} ON data.{table} (tenant_id, {columns}){where}")

    def fence(self, table: str, rights: str = "SELECT, INSERT, UPDATE") -> None:
        """Shows the table to the service, one tenant at a time."""
        self.sql(fence(table, rights, self.role))


def _statements(text: str) -> list[str]:
    return [statement for part in text.split(";\n") if (statement := part.strip().rstrip(";"))]
