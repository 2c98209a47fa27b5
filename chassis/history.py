"""What was: an entity's versions, and the entity as of an instant, read from its changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chassis.database import Transaction
from chassis.paging import PageTokenInvalid
from chassis.schema import changes


@dataclass(frozen=True, slots=True)
class Version:
    """One version: the resource as it left it, and what, when, by whom."""

    resource: Message
    event_type: str
    changed_fields: list[str]
    recorded_at: datetime
    effective_at: datetime
    actor: str
    via: str

    @property
    def event(self) -> str:
        """The event's name without its package."""
        return self.event_type.rpartition(".")[2]


def decoded(event_type: str, data: bytes) -> Message:
    """The event message of a proto full name."""
    message: Message = GetMessageClass(Default().FindMessageTypeByName(event_type))()
    message.ParseFromString(data)
    return message


def resource_of(event: Message) -> Message:
    """The resource that an event carries, which is its field 1."""
    resource: Message = getattr(event, event.DESCRIPTOR.fields_by_number[1].name)
    return resource


async def as_of(
    tx: Transaction, entity: str, id: UUID, recorded_at: datetime | None, effective_at: datetime | None
) -> Message | None:
    """The resource as it was; None where it was not there yet."""
    statement = sa.select(changes.c.event_type, changes.c.event).where(
        changes.c.entity == entity, changes.c.entity_id == id
    )
    if recorded_at is not None:
        statement = statement.where(changes.c.recorded_at <= recorded_at)
    if effective_at is not None:
        statement = statement.where(changes.c.effective_at <= effective_at).order_by(
            changes.c.effective_at.desc()
        )
    row = await tx.fetchrow(statement.order_by(changes.c.version.desc()).limit(1))
    return resource_of(decoded(row["event_type"], row["event"])) if row is not None else None


async def versions(tx: Transaction, entity: str, id: UUID, request: Any) -> tuple[list[Version], str]:
    """A page of versions, newest first, and the token of the next page."""
    size = request.page_size or 50
    statement = sa.select(changes).where(changes.c.entity == entity, changes.c.entity_id == id)
    if request.page_token:
        statement = statement.where(changes.c.version < _before(request.page_token))
    rows = await tx.fetch(statement.order_by(changes.c.version.desc()).limit(size + 1))
    page = [
        Version(
            resource_of(decoded(row["event_type"], row["event"])),
            row["event_type"],
            list(row["changed_fields"]),
            row["recorded_at"],
            row["effective_at"],
            row["actor"],
            row["via"] or "",
        )
        for row in rows[:size]
    ]
    return page, str(rows[size - 1]["version"]) if len(rows) > size else ""


def _before(token: str) -> int:
    if not token.isascii() or not token.isdigit() or len(token) > 18:
        raise PageTokenInvalid
    return int(token)
