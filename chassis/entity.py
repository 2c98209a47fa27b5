"""What every entity of a domain has, and what a happening is. Plain Python: no I/O, no clock."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.ids import new_id


@dataclass(frozen=True, slots=True, order=True)
class ExternalId:
    """The id that another system knows an entity by; unique per tenant and kind of entity."""

    system: str
    id: str


@dataclass(slots=True, kw_only=True)
class Entity:
    """Something with an identity and versions.

    The store sets `version` and the times when it writes; values are immutable (tuples, frozen
    dataclasses), so that what changed can be seen by comparison.
    """

    id: UUID = field(default_factory=new_id)
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    effective_at: datetime | None = None
    deleted_at: datetime | None = None
    external_ids: tuple[ExternalId, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A fact in the past tense. Its class has the name of the proto event; its fields are the facts
    that the proto event carries besides the resource."""
