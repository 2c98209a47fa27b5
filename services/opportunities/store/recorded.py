"""What the service keeps of events so that it can answer for any instant: every version once, in whatever order
and however often it is heard."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.database import Prepared


class RecordedStore:
    """The tables of versions."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Takes versions up that are not there yet. Each then holds until the next one of its id."""
        if not rows:
            return
        await self.tx.executemany(_insert(table), rows)
        await self.tx.execute(
            _succeed(table),
            {"ids": [row["id"] for row in rows], "versions": [row["version"] for row in rows]},
        )

    async def add(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Takes rows up that are not there yet."""
        await self.tx.executemany(_insert(table), rows)


@cache
def _insert(table: sa.Table) -> Prepared:
    given = [column.name for column in table.columns if column.name != "recorded_until"]
    return Prepared(
        insert(table).values({name: sa.bindparam(name) for name in given}).on_conflict_do_nothing()
    )


@cache
def _succeed(table: sa.Table) -> Prepared:
    """Says of what was just heard, and of what came right before it, until when it holds."""
    heard = (
        sa.func.unnest(
            sa.bindparam("ids", type_=sa.ARRAY(sa.Uuid)),
            sa.bindparam("versions", type_=sa.ARRAY(sa.BigInteger)),
        )
        .table_valued(sa.column("id", sa.Uuid), sa.column("version", sa.BigInteger))
        .render_derived("heard")
    )
    near, later = table.alias("near"), table.alias("later")
    touched = (
        sa.select(near.c.id, near.c.version)
        .where(near.c.id == heard.c.id, near.c.version <= heard.c.version)
        .order_by(near.c.version.desc())
        .limit(2)
        .lateral("touched")
    )
    pairs = (
        sa.select(touched.c.id, touched.c.version)
        .select_from(heard.join(touched, sa.true()))
        .distinct()
        .subquery()
    )
    following = (
        sa.select(later.c.recorded_at)
        .where(later.c.id == table.c.id, later.c.version > table.c.version)
        .order_by(later.c.version)
        .limit(1)
        .scalar_subquery()
    )
    until = sa.func.coalesce(following, sa.literal_column("'infinity'::timestamptz"))
    return Prepared(
        sa.update(table)
        .values(recorded_until=until)
        .where(table.c.id == pairs.c.id, table.c.version == pairs.c.version, table.c.recorded_until != until)
    )
