"""A database with the chassis's tables, and changes in it, written as the store writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sfa.opportunities.v1 import events_pb2, opportunities_pb2

from chassis.broker import Broker
from chassis.database import Database
from chassis.schema import STEPS, fence, routing
from deploy.engines.nats import Nats
from tests.engines import TestDatabase

ROLE = "sfa_blank"
SERVICE = "opportunities"
"""Whose events the tests publish: the broker lets each service publish its own only."""

_PROJECTION = """
CREATE TABLE data.things (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    id uuid NOT NULL, version bigint NOT NULL, name text NOT NULL, applied integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id)
);
"""


async def chassis_database(make: Callable[[str], Awaitable[TestDatabase]]) -> TestDatabase:
    """A database with the tables that all services have, and a projection `things`."""
    blank = await make("blank")
    owner = await asyncpg.connect(blank.owner_url)
    try:
        text, fenced, routed = STEPS[1]
        await owner.execute(text + _PROJECTION)
        for table, rights in (fenced | {"things": "SELECT, INSERT, UPDATE"}).items():
            await owner.execute(fence(table, rights, ROLE))
        for table, rights in routed.items():
            await owner.execute(routing(table, rights, ROLE))
    finally:
        await owner.close()
    return blank


@asynccontextmanager
async def connected(url: str, name: str = "test") -> AsyncIterator[Database]:
    """A pool as a service's, whose sessions have a name."""
    database = await Database.connect(url, name=name)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def broker_of(nats: Nats, service: str) -> AsyncIterator[Broker]:
    """A service's connection to the broker; it may be away."""
    broker = Broker(nats.url(service), service)
    broker.start()
    try:
        yield broker
    finally:
        await broker.close()


def won(id: UUID, version: int, name: str = "") -> events_pb2.OpportunityWon:
    """An event of version `version`."""
    return events_pb2.OpportunityWon(
        opportunity=opportunities_pb2.Opportunity(id=str(id), etag=str(version), name=name or f"v{version}")
    )


CHANGE = """
WITH change AS (
    INSERT INTO app.changes (entity, entity_id, version, recorded_at, effective_at, actor, via, method, ordinal,
                             sight_before, sight_after, changed_fields, event_type, event, deleted)
    VALUES ('opportunity', $1, $2, $3, $3, $4, NULL, 'test', $5, $6, $7, '{name}', $8, $9, $10)
)
INSERT INTO app.outbox (tenant_id, entity, entity_id, version, traceparent)
VALUES (current_setting('app.tenant')::uuid, 'opportunity', $1, $2, NULL) RETURNING position::text::bigint
"""


async def write(
    connection: Any,
    id: UUID,
    version: int,
    *,
    event: Any = None,
    ordinal: int = 0,
    sight_before: tuple[UUID, ...] = (),
    sight_after: tuple[UUID, ...] = (),
    deleted: bool = False,
    actor: str = "somebody",
) -> int:
    """One change, in the transaction that the asyncpg connection is in; answers its position."""
    event = event or won(id, version)
    position: int = await connection.fetchval(
        CHANGE, id, version, datetime.now(UTC), actor, ordinal, list(sight_before), list(sight_after),
        event.DESCRIPTOR.full_name, event.SerializeToString(), deleted,
    )  # fmt: skip
    return position


async def record(database: Database, tenant: UUID, *versions: tuple[UUID, int], **options: Any) -> int:
    """Changes in one committed transaction; answers its position."""
    async with database.transaction(tenant) as tx:
        connection = await tx.connection()
        for ordinal, (id, version) in enumerate(versions):
            tx.position = await write(connection, id, version, ordinal=ordinal, **options)
    assert tx.position is not None
    return tx.position


async def left(database: Database) -> int:
    """How many rows the outbox has."""
    async with database.transaction(None) as tx:
        count: int = await (await tx.connection()).fetchval("SELECT count(*) FROM outbox")
    return count
