"""How the rows of a batch find what they are about: by id, by external id, else by their key."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from chassis import batch
from chassis.ids import new_id
from chassis.store import EntityStore

K = TypeVar("K", bound=Hashable)


async def found_by(
    store: EntityStore[Any], rows: Sequence[batch.Row], key_of: Callable[[batch.Row], K], ids: dict[K, UUID]
) -> list[batch.Row]:
    """The rows, those with neither id nor known external id by the id behind their key.

    `ids` says whose each key is, and learns the keys that the rows bring: two rows of one new key are
    about one thing. An empty key finds nothing.
    """
    known = await store.ids_of([key for row in rows for key in row.external_ids])
    found = []
    for row in rows:
        id = row.id or next((known[key] for key in row.external_ids if key in known), None)
        if key := key_of(row):
            id = id or ids.get(key) or new_id()
            ids.setdefault(key, id)
        found.append(batch.Row(id, row.external_ids, row.content))
    return found
