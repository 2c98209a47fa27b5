"""The forecast's own records as they were said by an instant: read from their history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import distinct_on

from chassis.database import Transaction
from chassis.history import decoded, resource_of
from chassis.schema import changes


@dataclass(frozen=True, slots=True)
class Instant:
    """What was recorded by one instant, and of it what was true at another; None for now."""

    recorded_at: datetime | None = None
    effective_at: datetime | None = None

    @property
    def is_now(self) -> bool:
        """Whether it is what stands in the tables."""
        return self.recorded_at is None and self.effective_at is None

    def or_now(self, now: datetime) -> datetime:
        """The instant at which the answer is true."""
        return self.effective_at or self.recorded_at or now


async def resources_at(tx: Transaction, entity: str, ids: Sequence[UUID], instant: Instant) -> list[Message]:
    """What some records were at an instant; those that were not there yet are left out."""
    if not ids:
        return []
    columns = changes.c
    wanted = columns.entity_id == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
    statement = sa.select(columns.event_type, columns.event).where(columns.entity == entity, wanted)
    order: list[sa.ColumnElement[Any]] = [columns.entity_id]
    if instant.recorded_at is not None:
        statement = statement.where(columns.recorded_at <= instant.recorded_at)
    if instant.effective_at is not None:
        statement = statement.where(columns.effective_at <= instant.effective_at)
        order.append(columns.effective_at.desc())
    statement = statement.ext(distinct_on(columns.entity_id)).order_by(*order, columns.version.desc())
    return [resource_of(decoded(row["event_type"], row["event"])) for row in await tx.read(statement)]
