"""The change feed: everything that ever happened, for projections, and what changed since a cursor, for
devices. Both read `changes` in the order of transactions, and only below the oldest one that is still
running, so that a commit that overtakes another is not missed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.descriptor import ServiceDescriptor
from sfa.feed.v1 import feed_pb2 as pb

from chassis import envelope, sight
from chassis.call import Call, Sight
from chassis.contract import PUBLIC, rpcs
from chassis.convert import set_timestamp
from chassis.database import Database, Prepared, Transaction
from chassis.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from chassis.store import EntityStore, EntityType

_PAGE: Final = 500
_CHUNK_BYTES: Final = 1_000_000
_SERVICE: Final = "service:"
_FIRST: Final = UUID(int=0)

_HORIZON: Final = Prepared(
    sa.text(
        "SELECT i.number AS incarnation, pg_snapshot_xmin(s)::text::bigint AS position"
        " FROM incarnation i, pg_current_snapshot() AS s"
    )
)
_CHANGES: Final = Prepared(
    sa.text(
        "SELECT entity, entity_id, version, ordinal, position::text::bigint AS position, recorded_at, effective_at,"
        " actor, via, event_type, event, sight_before, sight_after FROM changes"
        " WHERE position >= CAST(CAST(:position AS text) AS xid8)"
        " AND position < CAST(CAST(:horizon AS text) AS xid8)"
        " AND (position, ordinal, entity_id, version)"
        " > (CAST(CAST(:position AS text) AS xid8), :ordinal, :entity_id, :version)"
        " AND (CAST(:types AS text[]) IS NULL OR event_type = ANY(:types))"
        " AND (CAST(:entities AS text[]) IS NULL OR entity = ANY(:entities))"
        " ORDER BY position, ordinal, entity_id, version LIMIT :most"
    )
)


class CursorInvalid(InvalidArgument):
    """The cursor was not given out by this feed."""

    def __init__(self) -> None:
        super().__init__(
            "The cursor cannot be read: send it as it came, or begin without one.", field="cursor"
        )


class CursorFromAnotherIncarnation(FailedPrecondition):
    """The database was restored since the cursor was given out: what it says was read may not be so."""

    def __init__(self) -> None:
        super().__init__(
            "The service's data was restored since this cursor was given out: start again without it."
        )


class HistoryNeedsFullSight(PermissionDenied):
    """The history of everything was asked for by somebody who may not see everything."""

    def __init__(self) -> None:
        super().__init__("Only those who see all records may read the history of all; list changes instead.")


class EntityUnknown(InvalidArgument):
    """A kind of record was named that the service does not have, or the caller may not read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There are no records of the kind {name} that you may read.", field="entities")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has read: the last change, or the horizon where there was nothing more."""

    incarnation: int
    tenant: UUID
    position: int = 0
    ordinal: int = -1
    entity_id: UUID = _FIRST
    version: int = 0
    sight: str = ""
    """A digest of whose records the reader saw."""

    def encode(self) -> str:
        """Opaque to its holder."""
        parts = (
            self.incarnation, self.tenant.hex, self.position, self.ordinal, self.entity_id.hex, self.version, self.sight
        )  # fmt: skip
        return base64.urlsafe_b64encode(".".join(map(str, parts)).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, incarnation: int, tenant: UUID) -> Cursor:
        """The cursor, or the beginning where the text is empty.

        Raises:
            CursorInvalid: it is none, or another tenant's.
            CursorFromAnotherIncarnation: it is out of date.
        """
        if not text:
            return cls(incarnation, tenant)
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode(
                "ascii"
            )
            number, of_tenant, position, ordinal, entity_id, version, seen = raw.split(".")
            cursor = cls(
                int(number), UUID(of_tenant), int(position), int(ordinal), UUID(entity_id), int(version), seen
            )
        except (binascii.Error, ValueError):
            raise CursorInvalid from None
        if (
            cursor.tenant != tenant
            or max(cursor.position, cursor.version) >= 2**63
            or abs(cursor.ordinal) >= 2**31
        ):
            raise CursorInvalid
        if cursor.incarnation != incarnation:
            raise CursorFromAnotherIncarnation
        return cursor

    def after(self, row: Any) -> Cursor:
        """Behind a change."""
        return replace(
            self,
            position=row["position"],
            ordinal=row["ordinal"],
            entity_id=row["entity_id"],
            version=row["version"],
        )

    def at(self, horizon: int) -> Cursor:
        """Behind everything below a position."""
        return Cursor(self.incarnation, self.tenant, max(horizon, self.position), sight=self.sight)


class FeedServicer:
    """Serves the feed of one service."""

    SERVICE: Final[ServiceDescriptor] = pb.DESCRIPTOR.services_by_name["FeedService"]

    def __init__(
        self,
        database: Database,
        entities: Iterable[EntityType[Any]],
        servicers: Iterable[ServiceDescriptor],
    ) -> None:
        self._database = database
        self._kinds = {kind.name: kind for kind in entities}
        self._permissions = read_permissions(self._kinds, servicers)

    async def StreamHistory(  # noqa: N802  # as its RPC
        self, request: pb.StreamHistoryRequest, call: Call
    ) -> AsyncIterator[pb.StreamHistoryResponse]:
        if call.caller.sight is not Sight.ALL:
            raise HistoryNeedsFullSight
        tenant = call.caller.tenant
        types, entities = list(request.types) or None, self._readable(call)
        text = request.cursor
        while True:
            # a transaction for each page: a slow reader must not keep one open
            async with self._database.transaction(tenant) as tx:
                cursor, horizon = await _begin(tx, text, tenant)
                rows = await _read(tx, cursor, horizon, entities, types)
            for chunk in _chunks(rows):
                cursor = cursor.after(chunk[-1])
                events = [_historic(row, cursor) for row in chunk]
                yield pb.StreamHistoryResponse(events=events, cursor=cursor.encode())
            if len(rows) < _PAGE:
                yield pb.StreamHistoryResponse(cursor=cursor.at(horizon).encode(), is_complete=True)
                return
            text = cursor.encode()

    async def ListChanges(  # noqa: N802  # as its RPC
        self, request: pb.ListChangesRequest, call: Call
    ) -> pb.ListChangesResponse:
        readable = self._readable(call)
        for name in request.entities:
            if name not in readable:
                raise EntityUnknown(name)
        cursor, horizon = await _begin(call.tx, request.cursor, call.caller.tenant)
        size = request.page_size or 200
        rows = await _read(call.tx, cursor, horizon, list(request.entities) or readable, None, size)
        has_more = len(rows) == size
        owners = await _owners(call)
        reached = cursor.after(rows[-1]) if has_more else cursor.at(horizon)
        digest = _digest(owners)
        answer = pb.ListChangesResponse(
            changes=await self._changes(call, rows, owners),
            cursor=replace(reached, sight=digest).encode(),
            has_more=has_more,
        )
        if digest != cursor.sight:
            answer.sight.all = owners is None
            answer.sight.owner_ids.extend(sorted(map(str, owners or ())))
        return answer

    def _readable(self, call: Call) -> list[str]:
        """The kinds of records that the caller may read; a service may read all."""
        if call.caller.actor.startswith(_SERVICE):
            return list(self._kinds)
        held = call.caller.permissions
        return [name for name in self._kinds if self._permissions.get(name, PUBLIC) in held]

    async def _changes(
        self, call: Call, rows: Sequence[Any], owners: frozenset[UUID] | None
    ) -> list[pb.Change]:
        """What became of the records of some changes, as the caller may see them now; each once."""
        latest = {(row["entity"], row["entity_id"]): row for row in rows}
        were_seen = {
            (row["entity"], row["entity_id"])
            for row in rows
            if owners is None or not owners.isdisjoint((*row["sight_before"], *row["sight_after"]))
        }
        answer: list[pb.Change] = []
        for name in dict.fromkeys(entity for entity, _ in latest):
            kind = self._kinds[name]
            store: EntityStore[Any] = kind.store(call)
            ids = [id for entity, id in latest if entity == name]
            there = await store.get_many(ids)
            for id in ids:
                entity = there.get(id)
                change = pb.Change(entity=name, entity_id=str(id))
                if entity is None:
                    if kind.owner is not None and (name, id) not in were_seen:
                        continue
                    change.kind = pb.Change.LEFT_SIGHT
                elif entity.deleted_at is not None:
                    change.kind, change.version = pb.Change.DELETED, entity.version
                else:
                    change.kind, change.version = pb.Change.UPSERTED, entity.version
                    change.resource.Pack(kind.to_proto(entity))
                answer.append(change)
        return answer


def read_permissions(names: Iterable[str], services: Iterable[ServiceDescriptor]) -> dict[str, str]:
    """The permission that reading each kind of record needs: that of the RPC that gets or lists it. What
    no RPC answers is in nobody's feed."""
    wanted = {_message_name(name): name for name in names}
    gets: dict[str, str] = {}
    lists: dict[str, str] = {}
    for descriptor in services:
        for rpc in rpcs(descriptor):
            if not rpc.reads or rpc.permission == PUBLIC:
                continue
            answer = rpc.descriptor.output_type
            if answer.name in wanted:
                gets.setdefault(wanted[answer.name], rpc.permission)
            for field in answer.fields:
                if field.message_type is not None and field.is_repeated and field.message_type.name in wanted:
                    lists.setdefault(wanted[field.message_type.name], rpc.permission)
    return lists | gets


def _message_name(entity: str) -> str:
    return re.sub(r"(?:^|_)([a-z])", lambda match: match[1].upper(), entity)


async def _begin(tx: Transaction, text: str, tenant: UUID) -> tuple[Cursor, int]:
    """Where to read on, and below which transaction."""
    row = await tx.fetchrow(_HORIZON)
    assert row is not None
    return Cursor.decode(text, row["incarnation"], tenant), row["position"]


async def _read(
    tx: Transaction,
    cursor: Cursor,
    horizon: int,
    entities: Sequence[str],
    types: Sequence[str] | None,
    most: int = _PAGE,
) -> list[Any]:
    values = {"position": str(cursor.position), "horizon": str(horizon), "ordinal": cursor.ordinal}
    which = {
        "entity_id": cursor.entity_id,
        "version": cursor.version,
        "types": types,
        "entities": list(entities),
    }
    return list(await tx.fetch(_CHANGES, {**values, **which, "most": most}))


async def _owners(call: Call) -> frozenset[UUID] | None:
    """Whose records the caller sees; None for everybody's."""
    if call.caller.sight is Sight.ALL:
        return None
    return frozenset(await call.tx.fetchval(sa.select(sight.seen(call))))


def _digest(owners: frozenset[UUID] | None) -> str:
    if owners is None:
        return "all"
    return hashlib.blake2b(b"".join(sorted(owner.bytes for owner in owners)), digest_size=8).hexdigest()


def _chunks(rows: Sequence[Any]) -> list[list[Any]]:
    """Parts of a page that fit into a message."""
    chunks: list[list[Any]] = []
    size = _CHUNK_BYTES
    for row in rows:
        size += len(row["event"])
        if size > _CHUNK_BYTES:
            chunks.append([])
            size = len(row["event"])
        chunks[-1].append(row)
    return chunks


def _historic(row: Any, cursor: Cursor) -> pb.HistoricEvent:
    event = pb.HistoricEvent(
        id=envelope.id_of(cursor.tenant, row["entity"], row["entity_id"], row["version"], cursor.incarnation),
        type=row["event_type"],
        entity=row["entity"],
        entity_id=str(row["entity_id"]),
        version=row["version"],
        actor=row["actor"],
        via=row["via"] or "",
        incarnation=cursor.incarnation,
        position=row["position"],
        event=row["event"],
    )
    set_timestamp(event.record_time, row["recorded_at"])
    set_timestamp(event.effective_time, row["effective_at"])
    return event
