"""How records change hands when a user leaves: the same for every kind that has an owner, whatever the
service. Identity asks for it; what is moved is moved exactly once and can be found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import make_dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.descriptor import ServiceDescriptor
from sfa.api.v1 import ownership_pb2 as pb
from sqlalchemy import ColumnElement

from chassis.call import Call
from chassis.convert import uuid_of
from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument, NotFound, Refusal
from chassis.schema import changes
from chassis.store import EntityType

_MOST: Final = 500
_TRANSFER: Final = "sfa.api.v1.OwnershipService.TransferOwned"


class EntityUnknown(NotFound):
    """The service keeps no such records."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"This service keeps no records of the kind {name} that have an owner.", field="entity"
        )


class QueuesUnknown(FailedPrecondition):
    """Records of the kind have owners only."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Records of the kind {name} cannot stand in a queue.", field="to_queue_id")


class OwnersAmbiguous(InvalidArgument):
    """From where and to where has to be said, each once."""

    def __init__(self) -> None:
        super().__init__("Name one owner or queue that records come from, and one that they go to.")


class OwnershipServicer:
    """Counts and moves the records of all kinds of a service that have owners.

    A kind that can stand in a queue has a column `queue_id` and a verb `assign(owner_id=…, queue_id=…)`
    which takes one of them and returns its event. Every other kind has its owner set, which is an
    update as any: the event is `<Entity>Updated`.
    """

    SERVICE: Final[ServiceDescriptor] = pb.DESCRIPTOR.services_by_name["OwnershipService"]

    def __init__(self, entities: Sequence[EntityType[Any]]) -> None:
        self._kinds = {kind.name: kind for kind in entities if kind.owner}

    @property
    def is_needed(self) -> bool:
        """Whether the service keeps anything that has an owner."""
        return bool(self._kinds)

    async def CountOwned(self, request: pb.CountOwnedRequest, call: Call) -> pb.CountOwnedResponse:  # noqa: N802  # as its RPC
        counts = []
        for kind in self._kinds.values():
            open_ = sa.func.count().filter(_is_open(kind))
            row = await call.tx.fetchrow(
                sa.select(open_, sa.func.count()).where(
                    _owner(kind) == UUID(request.owner_id), kind.table.c.deleted_at.is_(None)
                )
            )
            assert row is not None
            counts.append(
                pb.OwnedCount(
                    entity=kind.name, open=row[0], closed=row[1] - row[0], accepts_queue=_accepts_queue(kind)
                )
            )
        return pb.CountOwnedResponse(counts=counts)

    async def TransferOwned(self, request: pb.TransferOwnedRequest, call: Call) -> pb.TransferOwnedResponse:  # noqa: N802  # as its RPC
        kind = self._kinds.get(request.entity)
        if kind is None:
            raise EntityUnknown(request.entity)
        owner, queue = uuid_of(request.to_owner_id), uuid_of(request.to_queue_id)
        if (owner is None) == (queue is None) or bool(request.from_owner_id) == bool(request.from_queue_id):
            raise OwnersAmbiguous
        if (queue is not None or request.from_queue_id) and not _accepts_queue(kind):
            raise QueuesUnknown(kind.name)
        moving = _moving(kind, request)
        moved = await self._moved_by(call, kind, request.request_id)
        if not moved:
            moved = await self._move(call, kind, moving, request.limit or _MOST, owner, queue)
        remaining = await call.tx.fetchval(sa.select(sa.func.count()).select_from(kind.table).where(*moving))
        return pb.TransferOwnedResponse(moved=moved, remaining=remaining)

    async def FindTransferred(  # noqa: N802  # as its RPC
        self, request: pb.FindTransferredRequest, call: Call
    ) -> pb.FindTransferredResponse:
        kind = self._kinds.get(request.entity)
        if kind is None:
            raise EntityUnknown(request.entity)
        return pb.FindTransferredResponse(moved=await self._moved_by(call, kind, request.step))

    async def _moved_by(
        self, call: Call, kind: EntityType[Any], step: str
    ) -> list[pb.TransferOwnedResponse.Moved]:
        """What a step of this caller's moved when it was made."""
        rows = await call.tx.fetch(
            sa.select(changes.c.entity_id, changes.c.version)
            .where(
                changes.c.actor == call.caller.actor,
                changes.c.method == _TRANSFER,
                changes.c.request_id == step,
                changes.c.entity == kind.name,
            )
            .order_by(changes.c.ordinal)
        )
        return [_moved(row[0], row[1]) for row in rows]

    async def _move(
        self,
        call: Call,
        kind: EntityType[Any],
        moving: Sequence[ColumnElement[bool]],
        limit: int,
        owner: UUID | None,
        queue: UUID | None,
    ) -> list[pb.TransferOwnedResponse.Moved]:
        store = kind.store(call)
        chosen = await call.tx.fetch(
            sa.select(kind.table.c.id).where(*moving).order_by(kind.table.c.id).limit(limit).with_for_update()
        )
        entities = await store.get_many([row[0] for row in chosen])
        moved = []
        for row in chosen:
            entity = entities[row[0]]
            try:
                event = _hand_over(kind, entity, owner, queue)
            except Refusal:
                continue  # not now: it is still among those that remain, and comes again
            store.stage(entity, event)
            moved.append(_moved(entity.id, entity.version))
        await store.flush()
        return moved


def _moving(kind: EntityType[Any], request: pb.TransferOwnedRequest) -> list[ColumnElement[bool]]:
    """Which records are to move: open ones of the one they come from."""
    columns = kind.table.c
    from_queue = uuid_of(request.from_queue_id)
    conditions = [
        _is_open(kind),
        columns.deleted_at.is_(None),
        _owner(kind).is_(None) if from_queue else _owner(kind) == UUID(request.from_owner_id),
    ]
    if from_queue:
        conditions.append(columns.queue_id == from_queue)
    if request.ids:
        conditions.append(columns.id == sa.any_(sa.literal(list(map(UUID, request.ids)), sa.ARRAY(sa.Uuid))))
    return conditions


def _hand_over(kind: EntityType[Any], entity: Entity, owner: UUID | None, queue: UUID | None) -> Event:
    if _accepts_queue(kind):
        event: Event = entity.assign(owner_id=owner, queue_id=queue)  # type: ignore[attr-defined]  # _accepts_queue saw it
        return event
    assert kind.owner is not None
    setattr(entity, kind.owner, owner)
    return _updated(f"{kind.cls.__name__}Updated")()


@lru_cache
def _updated(name: str) -> type[Event]:
    """The event of a kind that only this module changes without knowing it."""
    return make_dataclass(name, (), bases=(Event,), frozen=True, slots=True)


def _owner(kind: EntityType[Any]) -> ColumnElement[UUID]:
    return kind.table.c[kind.owner or ""]


def _is_open(kind: EntityType[Any]) -> ColumnElement[bool]:
    return kind.is_open(kind.table) if kind.is_open is not None else sa.true()


def _accepts_queue(kind: EntityType[Any]) -> bool:
    return "queue_id" in kind.table.c and hasattr(kind.cls, "assign")


def _moved(id: UUID, version: int) -> pb.TransferOwnedResponse.Moved:
    return pb.TransferOwnedResponse.Moved(id=str(id), etag=str(version))
