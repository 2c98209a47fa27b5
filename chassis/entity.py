"""What every entity of a domain has, and what a happening is. Plain Python: no I/O, no clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from chassis.errors import FailedPrecondition
from chassis.ids import new_id

RESTORABLE = timedelta(days=30)
"""How long a deleted entity can be restored."""


class NotDeleted(FailedPrecondition):
    """Something was to be restored that is there."""

    def __init__(self) -> None:
        super().__init__("It is not deleted.")


class DeletedTooLongAgo(FailedPrecondition):
    """Something was to be restored after its time."""

    def __init__(self) -> None:
        super().__init__(f"It was deleted more than {RESTORABLE.days} days ago and cannot be restored.")


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

    def mark_deleted(self, at: datetime) -> None:
        """Deletes it: it stays readable by its id, and can be restored for 30 days."""
        self.deleted_at = at

    def restore(self, at: datetime) -> None:
        """Undoes a deletion.

        Raises:
            NotDeleted: there is nothing to undo.
            DeletedTooLongAgo: it was deleted more than 30 days before `at`.
        """
        if self.deleted_at is None:
            raise NotDeleted
        if at - self.deleted_at > RESTORABLE:
            raise DeletedTooLongAgo
        self.deleted_at = None


@dataclass(frozen=True, slots=True)
class Event:
    """A fact in the past tense. Its class has the name of the proto event; its fields are the facts
    that the proto event carries besides the resource."""
