"""Which team a person and which product line a product belongs to: for placing new deals."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from services.opportunities.tables import product_families, products

Row = Mapping[str, Any]

# The more people report to a manager, the farther up.
_MANAGERS = sa.text(
    "SELECT m.member_id, m.viewer_id FROM sight_members m WHERE m.member_id = ANY(:users)"
    " AND m.viewer_id = ANY(:managers) AND m.valid_from <= :now AND m.valid_to > :now"
    " ORDER BY (SELECT count(*) FROM sight_members b WHERE b.viewer_id = m.viewer_id"
    " AND b.valid_from <= :now AND b.valid_to > :now), m.viewer_id"
).bindparams(
    sa.bindparam("users", type_=sa.ARRAY(sa.Uuid)),
    sa.bindparam("managers", type_=sa.ARRAY(sa.Uuid)),
    sa.bindparam("now", type_=sa.DateTime(timezone=True)),
)
_DEEPEST = 50
_FAMILIES = sa.text(
    "WITH RECURSIVE line (product_id, name, parent_id, depth) AS ("
    " SELECT p.id, p.family, f.parent_id, 1 FROM products p LEFT JOIN product_families f ON f.name = p.family"
    " WHERE p.id = ANY(:products) AND p.family <> ''"
    " UNION ALL SELECT line.product_id, f.name, f.parent_id, line.depth + 1 FROM line"
    f" JOIN product_families f ON f.id = line.parent_id WHERE line.depth < {_DEEPEST})"
    " SELECT product_id, name FROM line ORDER BY product_id, depth"
).bindparams(sa.bindparam("products", type_=sa.ARRAY(sa.Uuid)))


class BelongingStore:
    """Projections of identity's reporting lines and of quotes' products and families."""

    def __init__(self, call: Call) -> None:
        self.call = call

    async def managers(
        self, users: Collection[UUID], among: Collection[UUID]
    ) -> Mapping[UUID, Sequence[UUID]]:
        """Those of some managers to whom each user reports today, nearest first."""
        values = {"users": list(users), "managers": list(among), "now": self.call.now}
        return _grouped(await self.call.tx.fetch(_MANAGERS, values))

    async def families(self, ids: Collection[UUID]) -> Mapping[UUID, Sequence[str]]:
        """The family of each product, and those that it lies in, from itself up."""
        return _grouped(await self.call.tx.fetch(_FAMILIES, {"products": list(ids)}))

    async def keep_products(self, rows: Sequence[Row]) -> None:
        """Takes products up, the highest version of each."""
        await self._keep(products, rows)

    async def keep_families(self, rows: Sequence[Row]) -> None:
        """Takes product families up, the highest version of each."""
        await self._keep(product_families, rows)

    async def _keep(self, table: sa.Table, rows: Sequence[Row]) -> None:
        newest = {row["id"]: row for row in sorted(rows, key=lambda row: row["version"])}
        statement = insert(table)
        names = list(next(iter(newest.values())))
        upsert = statement.values({name: sa.bindparam(f"p_{name}") for name in names}).on_conflict_do_update(
            index_elements=["tenant_id", "id"],
            set_={name: statement.excluded[name] for name in names if name != "id"},
            where=table.c.version < statement.excluded.version,
        )
        await self.call.tx.executemany(
            upsert, [{f"p_{name}": row[name] for name in names} for row in newest.values()]
        )


def _grouped(rows: Iterable[Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return groups
