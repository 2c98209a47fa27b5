"""Events that could not be applied: kept with the reason, listed, and tried again when somebody says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import sqlalchemy as sa
from nats.aio.msg import Msg

from chassis import due, envelope, inbound
from chassis.call import Call
from chassis.clock import Clock
from chassis.database import Database, Prepared, Transaction
from chassis.errors import NotFound
from chassis.subscriptions import Subscriptions, service_call

NOBODY: Final = UUID(int=0)
"""Whose the messages are of which no tenant can be told."""
RETRY: Final = "parked event"
"""The kind of due work that tries one again."""

_PARK: Final = Prepared(
    sa.text(
        "INSERT INTO parked_events (source, sequence, subject, headers, data, error, attempts)"
        " VALUES (:source, :sequence, :subject, CAST(CAST(:headers AS text) AS jsonb), :data, :error, :attempts)"
        " ON CONFLICT (tenant_id, source, sequence) DO UPDATE SET error = excluded.error,"
        " attempts = excluded.attempts, parked_at = clock_timestamp()"
    )
)
_KNOWN: Final = Prepared(
    sa.text(
        "INSERT INTO positions (tenant_id, source, incarnation, position, sequence, recorded_at)"
        " VALUES (:tenant_id, :source, 0, 0, 0, clock_timestamp()) ON CONFLICT DO NOTHING"
    )
)
_TENANTS: Final = Prepared(sa.text("SELECT DISTINCT tenant_id FROM positions ORDER BY tenant_id"))
_LIST: Final = Prepared(
    sa.text(
        "SELECT source, sequence, subject, headers->>'ce-subject' AS entity_id, error, attempts, parked_at"
        " FROM parked_events ORDER BY source, sequence LIMIT 10000"
    )
)
_ONE: Final = Prepared(
    sa.text(
        "SELECT subject, headers::text AS headers, data, parked_at FROM parked_events"
        " WHERE source = :source AND sequence = :sequence FOR UPDATE"
    )
)
_GONE: Final = Prepared(sa.text("DELETE FROM parked_events WHERE source = :source AND sequence = :sequence"))


class ParkedEventNotFound(NotFound):
    """It was applied meanwhile, or never parked."""

    def __init__(self, source: str, sequence: int) -> None:
        super().__init__(f"No event {sequence} of {source} is parked.")


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """One event that could not be applied."""

    tenant: UUID
    source: str
    sequence: int
    subject: str
    entity_id: str | None
    error: str
    attempts: int
    parked_at: datetime

    @property
    def key(self) -> str:
        """How `retry` names it."""
        return f"{self.source}/{self.sequence}"


async def park(
    tx: Transaction, source: str, sequence: int, raw: Msg, error: Exception, attempts: int
) -> None:
    """Keeps an event, of the transaction's tenant."""
    sentence = f"{type(error).__name__}: {error}".replace("\0", "")[:2000]
    headers = {name: value.replace("\0", "") for name, value in (raw.headers or {}).items()}
    values = {
        "source": source,
        "sequence": sequence,
        "subject": raw.subject,
        "data": raw.data,
        "attempts": attempts,
    }
    await tx.execute(_PARK, {**values, "headers": orjson.dumps(headers).decode(), "error": sentence})
    await tx.execute(_KNOWN, {"tenant_id": tx.tenant, "source": source})


async def list_parked(database: Database) -> list[ParkedEvent]:
    """All parked events of a service, of all tenants."""
    async with database.transaction(None) as tx:
        tenants = [row["tenant_id"] for row in await tx.fetch(_TENANTS)]
    found = []
    for tenant in tenants:
        async with database.transaction(tenant) as tx:
            found += [ParkedEvent(tenant, **row) for row in await tx.fetch(_LIST)]
    return found


async def retry(database: Database, clock: Clock, service: str, event: ParkedEvent) -> None:
    """Has the running service try a parked event again, at once."""
    async with database.transaction(event.tenant) as tx:
        call = service_call(service, event.tenant, tx, clock, "parked events", None)
        await due.schedule(call, RETRY, event.key, clock.now(), {})


def retrying(subscriptions: Subscriptions) -> Callable[[Call, str, Any], Awaitable[None]]:
    """The handler of the due work: applies a parked event, and parks it no longer."""

    async def apply(call: Call, key: str, _: Any) -> None:
        source, _, number = key.rpartition("/")
        sequence = int(number)
        which = {"source": source, "sequence": sequence}
        row = await call.tx.fetchrow(_ONE, which)
        if row is None:
            return
        headers = orjson.loads(row["headers"])
        if source == inbound.SOURCE:
            event = inbound.received(
                row["subject"], headers, row["data"], subscriptions.class_of, sequence, row["parked_at"]
            )
            await subscriptions.handle([event], call)
            await call.tx.execute(_GONE, which)
            return
        if "ce-type" not in headers:
            raise envelope.NotAnEvent("The header ce-type is missing.")
        message_class = subscriptions.class_of(headers["ce-type"])
        if message_class is not None:
            event = envelope.received(message_class.FromString(row["data"]), headers, sequence)
            await subscriptions.handle([event], call)
        await call.tx.execute(_GONE, which)

    return apply
