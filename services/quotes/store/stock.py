"""Queries of warehouses, stock items and the settings of holds.

Whoever changes what stands somewhere or what is promised of it locks the stock items first, always in the
same order, and reads everything else after that: the sums it reads are then those that its write meets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.store import EntityStore
from services.quotes.domain.availability import Timeline
from services.quotes.domain.stock import StockItem
from services.quotes.domain.stock_settings import StockSettings
from services.quotes.domain.warehouses import Warehouse
from services.quotes.store.base import any_of
from services.quotes.tables.stock import (
    STOCK_ITEM,
    STOCK_SETTINGS,
    WAREHOUSE,
    stock_items,
    warehouses,
)

_PRODUCTS = "product_id = ANY(CAST(:products AS uuid[]))"
_MOVES = f"""
    SELECT product_id, warehouse_id, due_on, sum(quantity) AS quantity FROM stock_receipts
    WHERE {_PRODUCTS} AND NOT is_included AND quantity > 0 GROUP BY product_id, warehouse_id, due_on
    UNION ALL
    SELECT product_id, warehouse_id, due_on, -sum(quantity - shipped) FROM stock_promises
    WHERE {_PRODUCTS} AND (expires_at IS NULL OR expires_at > :now) GROUP BY product_id, warehouse_id, due_on
"""
_TIMELINES: Final = Prepared(
    sa.text(
        "SELECT product_id, warehouse_id, CAST(NULL AS date) AS due_on,"
        " on_hand - safety_stock - shipped AS quantity"
        f" FROM stock_items WHERE {_PRODUCTS} UNION ALL {_MOVES}"
    )
)
_LOCK: Final = Prepared(
    sa.text(
        "SELECT item.product_id, item.warehouse_id, item.on_hand - item.safety_stock - item.shipped AS quantity,"
        " place.code, place.name, place.latitude, place.longitude, place.is_active"
        " FROM stock_items AS item JOIN warehouses AS place ON place.id = item.warehouse_id"
        " WHERE item.product_id = ANY(CAST(:products AS uuid[]))"
        " ORDER BY item.product_id, item.warehouse_id FOR UPDATE OF item"
    )
)
_MOVES_AFTER_LOCK: Final = Prepared(
    sa.text(f"""
    SELECT product_id, warehouse_id, due_on, sum(quantity) AS quantity, false AS is_own,
        CAST(NULL AS timestamptz) AS since, 0 AS expired
    FROM stock_receipts
    WHERE {_PRODUCTS} AND NOT is_included AND quantity > 0 GROUP BY product_id, warehouse_id, due_on
    UNION ALL
    SELECT product_id, warehouse_id, due_on,
        -coalesce(sum(quantity - shipped) FILTER (WHERE expires_at IS NULL OR expires_at > :now), 0),
        kind = 'hold' AND quote_id = :quote_id,
        min(created_at) FILTER (WHERE expires_at IS NULL OR expires_at > :now),
        count(*) FILTER (WHERE expires_at <= :now)
    FROM stock_promises WHERE {_PRODUCTS}
    GROUP BY product_id, warehouse_id, due_on, kind = 'hold' AND quote_id = :quote_id
    """)
)
_NOBODY: Final = UUID(int=0)

Key = tuple[UUID, UUID]
"""A product and a warehouse."""


class WarehouseStore(EntityStore[Warehouse]):
    """The warehouses."""

    type = WAREHOUSE

    async def all(self) -> list[Warehouse]:
        """All that are active; a tenant has few."""
        rows = await self.tx.read(self.select().where(warehouses.c.is_active).limit(5000))
        return [self._load(row) for row in rows]

    async def by_code(self, codes: Collection[str]) -> dict[str, Warehouse]:
        """Those with these codes, active or not."""
        rows = await self.tx.read(self.select().where(any_of(warehouses.c.code, codes, sa.Text)))
        return {warehouse.code: warehouse for warehouse in map(self._load, rows)}


class StockItemStore(EntityStore[StockItem]):
    """The stock items."""

    type = STOCK_ITEM

    async def locked(self, keys: Iterable[Key]) -> dict[Key, StockItem]:
        """The items of these products in these warehouses, made where there are none, for this
        transaction alone until it ends."""
        wanted = sorted(set(keys))
        product, warehouse = stock_items.c.product_id, stock_items.c.warehouse_id
        pairs = (
            sa.func.unnest(
                sa.literal([key[0] for key in wanted], sa.ARRAY(sa.Uuid)),
                sa.literal([key[1] for key in wanted], sa.ARRAY(sa.Uuid)),
            )
            .table_valued("product_id", "warehouse_id")
            .render_derived("wanted")
        )
        rows = await self.tx.fetch(
            self.select()
            .where(product == pairs.c.product_id, warehouse == pairs.c.warehouse_id)
            .order_by(product, warehouse)
            .with_for_update(of=stock_items)
        )
        found = {(item.product_id, item.warehouse_id): item for item in map(self._load, rows)}
        for key in wanted:
            if key not in found:
                found[key] = StockItem(product_id=key[0], warehouse_id=key[1])
        return found


class StockSettingsStore(EntityStore[StockSettings]):
    """The tenant's one resource of settings."""

    type = STOCK_SETTINGS

    async def current(self, etag: str = "") -> StockSettings:
        """The settings that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id = uuid5(self.call.caller.tenant, "stock settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or StockSettings(id=id)


async def timelines(
    call: Call, product_ids: Collection[UUID], at: datetime
) -> dict[UUID, dict[UUID, Timeline]]:
    """What the warehouses have of the products, day by day, as of an instant; one round trip."""
    if not product_ids:
        return {}
    rows = await call.tx.read(_TIMELINES, {"products": list(product_ids), "now": at})
    return _timelines(rows)


@dataclass(slots=True)
class Locked:
    """Stock that nobody else can promise anything of until the transaction ends."""

    at: datetime
    """An instant after everybody who had it locked before: no two agree on a hold that has just expired."""
    timelines: dict[UUID, dict[UUID, Timeline]] = field(default_factory=dict)
    warehouses: dict[UUID, Warehouse] = field(default_factory=dict)
    """Those that have any of it."""
    own: list[tuple[Timeline, date, Decimal]] = field(default_factory=list)
    """What the quote that asks holds of it already; it is taken off the timelines."""
    since: datetime | None = None
    """Since when."""
    expired: int = 0
    """How many holds have expired and not been swept."""


async def lock(call: Call, product_ids: Collection[UUID], quote_id: UUID = _NOBODY) -> Locked:
    """Locks all stock of the products, for a quote."""
    call.tx.wrote = True
    rows = await call.tx.fetch(_LOCK, {"products": list(product_ids)}) if product_ids else []
    locked = Locked(call.clock.now())
    if not rows:
        return locked
    for row in rows:
        of_product = locked.timelines.setdefault(row["product_id"], {})
        of_product[row["warehouse_id"]] = Timeline(row["quantity"])
        if row["warehouse_id"] not in locked.warehouses:
            columns = ("code", "name", "latitude", "longitude", "is_active")
            values = {name: row[name] for name in columns}
            locked.warehouses[row["warehouse_id"]] = Warehouse(id=row["warehouse_id"], **values)
    values = {"products": list(product_ids), "now": locked.at, "quote_id": quote_id}
    for row in await call.tx.fetch(_MOVES_AFTER_LOCK, values):
        locked.expired += row["expired"]
        timeline = locked.timelines[row["product_id"]].get(row["warehouse_id"])
        if timeline is None:
            continue
        timeline.move(row["due_on"], row["quantity"])
        if row["is_own"] and row["since"] is not None:
            locked.own.append((timeline, row["due_on"], -row["quantity"]))
            locked.since = min(row["since"], locked.since or row["since"])
    return locked


def _timelines(rows: Iterable[Any]) -> dict[UUID, dict[UUID, Timeline]]:
    found: dict[UUID, dict[UUID, Timeline]] = {}
    for row in rows:
        timeline = found.setdefault(row["product_id"], {}).setdefault(row["warehouse_id"], Timeline())
        if row["due_on"] is None:
            timeline.base += row["quantity"]
        else:
            timeline.move(row["due_on"], row["quantity"])
    return found
