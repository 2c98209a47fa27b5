"""Keeping what events say: every version once, under the number of the batch that brought it.

So it does not matter in which order events come, nor how often.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.database import Prepared
from services.forecast.tables import deal_versions, progress, reference_versions

Row = Mapping[str, Any]


def _insert(table: sa.Table) -> Prepared:
    new = insert(table).values({column.name: sa.bindparam(column.name) for column in table.c})
    return Prepared(new.on_conflict_do_nothing())


_KEEP_DEAL: Final = _insert(deal_versions)
_KEEP_REFERENCE: Final = _insert(reference_versions)
_REFERS: Final = sa.bindparam("refers", type_=sa.Boolean)
_NEXT: Final = progress.c.changes + 1
_COUNT: Final = Prepared(
    insert(progress)
    .values(changes=1, reference_changes=sa.case((_REFERS, 1), else_=0))
    .on_conflict_do_update(
        index_elements=["tenant_id"],
        set_={
            "changes": _NEXT,
            "reference_changes": sa.case((_REFERS, _NEXT), else_=progress.c.reference_changes),
        },
    )
    .returning(progress.c.changes, progress.c.epoch)
)
_EMPTIED: Final = Prepared(
    sa.update(progress).values(epoch=sa.func.gen_random_uuid(), changes=_NEXT, reference_changes=_NEXT)
)
_CHANGES: Final = Prepared(sa.select(progress.c.changes))


@dataclass(frozen=True, slots=True)
class Batch:
    """The number of a batch, and the epoch that it belongs to."""

    count: int
    epoch: UUID


class HistoryStore:
    """What was heard of one tenant."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, deals: Iterable[Row], references: Iterable[Row]) -> Batch:
        """Keeps the versions of a batch: rows of the tables, without `counted`.

        The batches of a tenant wait for each other, and are committed in the order of their numbers: so
        nothing is missing below a number that can be seen.
        """
        deals, references = list(deals), list(references)
        counted = await self.tx.fetchrow(_COUNT, {"refers": bool(references)})
        assert counted is not None
        batch = Batch(counted["changes"], counted["epoch"])
        number = {"counted": batch.count}
        await self.tx.executemany(_KEEP_DEAL, [{**row, **number} for row in deals])
        await self.tx.executemany(
            _KEEP_REFERENCE,
            [{**row, **number, "content": orjson.dumps(row["content"]).decode()} for row in references],
        )
        self.tx.wrote = True
        return batch

    async def empty(self) -> None:
        """Forgets everything, to be filled again from the owners' history."""
        await self.tx.execute(_EMPTIED)
        await self.tx.execute(sa.delete(deal_versions))
        await self.tx.execute(sa.delete(reference_versions))

    async def changes(self) -> int:
        """How many batches there were."""
        rows = await self.tx.read(_CHANGES)
        return int(rows[0][0]) if rows else 0

    async def names(self, versions: Collection[tuple[UUID, int]]) -> dict[UUID, str]:
        """What some deals are called in some version of them."""
        ids, numbers = [id for id, _ in versions], [version for _, version in versions]
        rows = await self.tx.read(_NAMES_OF, {"ids": ids, "versions": numbers})
        return {row["id"]: row["name"] for row in rows}


def _names_of() -> Prepared:
    wanted = (
        sa.func.unnest(
            sa.bindparam("ids", type_=sa.ARRAY(sa.Uuid)),
            sa.bindparam("versions", type_=sa.ARRAY(sa.BigInteger)),
        )
        .table_valued(sa.column("id", sa.Uuid), sa.column("version", sa.BigInteger), name="wanted")
        .render_derived()
    )
    kept = deal_versions.c
    source = deal_versions.join(wanted, sa.and_(kept.id == wanted.c.id, kept.version == wanted.c.version))
    return Prepared(sa.select(kept.id, kept.name).select_from(source))


_NAMES_OF: Final = _names_of()
