"""Keeping what events say: every version once, under the number of the batch that brought it.

So it does not matter in which order events come, nor how often.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, insert

from chassis.call import Call
from chassis.database import Prepared
from services.forecast.tables import deal_versions, progress, reference_versions

Row = Mapping[str, Any]

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def _insert(table: sa.Table) -> Prepared:
    """Many rows in one statement, a list for each column; lists of lists come as text."""
    columns, values = [], []
    for column in table.c:
        sort = column.type.compile(dialect=_DIALECT)
        is_text = sort.endswith("[]") or sort == "JSONB"
        columns.append(f"CAST(:{column.name} AS {'text' if is_text else sort}[])")
        values.append(f"CAST(one.{column.name} AS {sort})" if is_text else f"one.{column.name}")
    names = ", ".join(column.name for column in table.c)
    return Prepared(
        sa.text(
            f"INSERT INTO {table.name} ({names}) SELECT {', '.join(values)}"
            f" FROM unnest({', '.join(columns)}) AS one({names}) ON CONFLICT DO NOTHING"
        )
    )


_KEEP_DEALS: Final = _insert(deal_versions)
_KEEP_REFERENCES: Final = _insert(reference_versions)
_LISTS: Final = [column.name for column in deal_versions.c if isinstance(column.type, ARRAY)]
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
_RENEWED: Final = Prepared(sa.update(progress).values(epoch=sa.func.gen_random_uuid()))
_CHANGES: Final = Prepared(sa.select(progress.c.changes))


_SINCE: Final = Prepared(
    sa.select(deal_versions.c.id, deal_versions.c.version)
    .where(
        deal_versions.c.counted > sa.bindparam("count", type_=sa.BigInteger),
        deal_versions.c.counted <= sa.bindparam("until", type_=sa.BigInteger),
    )
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)


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
        if deals:
            columns = _columns(deal_versions, deals, batch.count)
            for name in _LISTS:
                columns[name] = [_literal(one) if one else "{}" for one in columns[name]]
            await self.tx.execute(_KEEP_DEALS, columns)
        if references:
            columns = _columns(reference_versions, references, batch.count)
            columns["content"] = [orjson.dumps(one).decode() for one in columns["content"]]
            await self.tx.execute(_KEEP_REFERENCES, columns)
        self.tx.wrote = True
        return batch

    async def empty(self) -> None:
        """Forgets everything, to be filled again from the owners' history."""
        await self.tx.execute(_EMPTIED)
        await self.tx.execute(sa.delete(deal_versions))
        await self.tx.execute(sa.delete(reference_versions))

    async def renew(self) -> None:
        """Has every replica read everything anew: quicker than to follow so much."""
        await self.tx.execute(_RENEWED)

    async def changes(self) -> int:
        """How many batches there were."""
        rows = await self.tx.read(_CHANGES)
        return int(rows[0][0]) if rows else 0

    async def names(self, versions: Collection[tuple[UUID, int]]) -> dict[UUID, str]:
        """What some deals are called in some version of them."""
        ids, numbers = [id for id, _ in versions], [version for _, version in versions]
        rows = await self.tx.read(_NAMES_OF, {"ids": ids, "versions": numbers})
        return {row["id"]: row["name"] for row in rows}

    async def since(self, count: int, until: int, most: int) -> list[tuple[UUID, int]]:
        """The versions of deals that came with the batches after one, up to another; at most so many."""
        rows = await self.tx.read(_SINCE, {"count": count, "until": until, "most": most})
        return [(row["id"], row["version"]) for row in rows]


def _columns(table: sa.Table, rows: Sequence[Row], count: int) -> dict[str, list[Any]]:
    return {
        column.name: [count] * len(rows) if column.name == "counted" else [row[column.name] for row in rows]
        for column in table.c
    }


def _literal(values: Sequence[Any]) -> str:
    return f"{{{','.join(map(str, values))}}}"


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
