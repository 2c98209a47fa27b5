"""Keeping what events say: one row for each thing, replaced by a higher version only.

So it does not matter in which order events come, nor how often.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.database import Prepared
from services.forecast import tables


def _upsert(table: sa.Table) -> Prepared:
    new = insert(table).values({column.name: sa.bindparam(column.name) for column in table.c})
    others = {column.name: new.excluded[column.name] for column in table.c if column.name != "id"}
    return Prepared(
        new.on_conflict_do_update(
            index_elements=["tenant_id", "id"], set_=others, where=table.c.version < new.excluded.version
        )
    )


_UPSERTS = {table.name: _upsert(table) for table in tables.metadata.tables.values() if "version" in table.c}
_CHANGES = Prepared(sa.select(tables.progress.c.changes))
_COUNT = Prepared(
    insert(tables.progress)
    .values(changes=1)
    .on_conflict_do_update(index_elements=["tenant_id"], set_={"changes": tables.progress.c.changes + 1})
    .returning(tables.progress.c.changes)
)


class ProjectionStore:
    """The projections of one tenant, as one batch of events changes them."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Takes rows up, each with all columns of the table, at the highest version of each id."""
        newest: dict[Any, Mapping[str, Any]] = {}
        for row in rows:
            known = newest.get(row["id"])
            if known is None or known["version"] < row["version"]:
                newest[row["id"]] = row
        # in order of ids, so that two batches that meet wait for each other instead of failing
        await self.tx.executemany(_UPSERTS[table.name], sorted(newest.values(), key=lambda row: row["id"]))

    async def count(self) -> int:
        """Counts that the forecast has changed, which streams look for: how often it has by now."""
        self.tx.wrote = True
        return int(await self.tx.fetchval(_COUNT))

    async def owners_of(self, deals: Collection[UUID]) -> set[UUID | None]:
        """Whose some deals are, as far as they are known."""
        kept = tables.deals.c
        wanted = sa.any_(sa.literal(list(deals), sa.ARRAY(sa.Uuid)))
        return {row[0] for row in await self.tx.fetch(sa.select(kept.owner_id).where(kept.id == wanted))}

    async def changes(self) -> int:
        """How often the forecast has changed."""
        return int(await self.tx.fetchval(_CHANGES) or 0)
