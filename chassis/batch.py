"""Many rows in one request: each is created or changed, or refused without harm to the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sfa.api.v1.resource_pb2 import RowResult

from chassis.call import Call
from chassis.convert import external_ids_of, uuid_of
from chassis.entity import Entity, Event, ExternalId
from chassis.errors import Refusal
from chassis.history import decoded, resource_of
from chassis.idempotency import done_before
from chassis.store import EntityNotFound, EntityStore, ExternalIdTaken

E = TypeVar("E", bound=Entity)

VERSIONS_PER_ROW = 100
"""A row may write this many versions; it numbers their changes within the request."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a row names its entity by."""

    id: UUID | None
    external_ids: tuple[ExternalId, ...]
    content: Any


Put = Callable[[Row, E | None], Iterator[tuple[E, Event, datetime | None]]]
"""Makes the row's entity (None: a new one) what the row says, version by version."""


async def upsert(
    store: EntityStore[E], call: Call, rows: Sequence[Row], put: Put[E], *, validate_only: bool = False
) -> list[RowResult]:
    """Writes the rows in one round trip and says what became of each.

    An entity is found by the row's id, else by the first of its external ids that is known. Rows that
    were written under the same request id before are answered, not written again.
    """
    done = await _done(call, store.type.name) if call.request_id and not validate_only else {}
    by_id = await store.get_many([row.id for row in rows if row.id is not None])
    ids = await store.ids_of([key for row in rows for key in row.external_ids])
    by_id |= await store.get_many([id for id in set(ids.values()) if id not in by_id])
    results = []
    for index, row in enumerate(rows):
        if index in done:
            results.append(done[index])
            continue
        try:
            with store.row():
                entity = _found(store, row, by_id, ids)
                written = last = None
                # a copy: what a refused row changed is forgotten with it
                changing = copy(entity) if entity is not None else None
                for ordinal, (last, event, effective_at) in enumerate(put(row, changing)):
                    if store.stage(last, event, effective_at, ordinal=index * VERSIONS_PER_ROW + ordinal):
                        written = last
        except Refusal as refusal:
            results.append(_rejected(refusal))
            continue
        if last is None:
            raise AssertionError("a row leaves an entity")
        by_id[last.id] = last
        ids.update(dict.fromkeys(last.external_ids, last.id))
        outcome = (
            RowResult.CREATED if entity is None else RowResult.UPDATED if written else RowResult.UNCHANGED
        )
        results.append(RowResult(outcome=outcome, id=str(last.id), etag=str(last.version)))
    if not validate_only:
        await store.flush()
    return results


def _found(store: EntityStore[E], row: Row, by_id: dict[UUID, E], ids: dict[ExternalId, UUID]) -> E | None:
    if row.id is not None and row.id in by_id:
        return by_id[row.id]
    for key in row.external_ids:
        if key in ids:
            if ids[key] not in by_id:
                raise ExternalIdTaken(store.type.name)
            found = by_id[ids[key]]
            if found.deleted_at is not None:
                raise EntityNotFound(store.type.name, found.id)
            return found
    return None


async def _done(call: Call, entity: str) -> dict[int, RowResult]:
    results: dict[int, RowResult] = {}
    for change in await done_before(call):
        if change["entity"] != entity:
            continue
        index, ordinal = divmod(change["ordinal"], VERSIONS_PER_ROW)
        resource: Any = resource_of(decoded(change["event_type"], change["event"]))
        if ordinal == 0:
            created = change["version"] == 1
            results[index] = RowResult(
                outcome=RowResult.CREATED if created else RowResult.UPDATED, id=resource.id
            )
        results[index].etag = resource.etag
    return results


def _rejected(refusal: Refusal) -> RowResult:
    field = refusal.violations[0].field if refusal.violations else ""
    return RowResult(outcome=RowResult.REJECTED, error=str(refusal), reason=refusal.reason, field=field)


def numbered(rows: Iterable[Any], resource: str) -> list[Row]:
    """The rows of a batch request, each with its resource in the field `resource`."""
    return [
        Row(uuid_of(message.id), external_ids_of(message.external_ids), row)
        for row in rows
        for message in (getattr(row, resource),)
    ]
