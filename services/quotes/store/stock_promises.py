"""Queries of what is promised: holds and reservations. To be written under the lock of their stock items."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from services.quotes.domain.availability import Promise, PromiseKind

_COLUMNS: Final = (
    "id, kind, product_id, warehouse_id, quantity, shipped, due_on, created_at, expires_at, quote_id, line_id,"
    " order_number"
)
_TYPES: Final = {
    "id": "uuid", "kind": "text", "product_id": "uuid", "warehouse_id": "uuid", "quantity": "numeric",
    "shipped": "numeric", "due_on": "date", "created_at": "timestamptz", "expires_at": "timestamptz",
    "quote_id": "uuid", "line_id": "uuid", "order_number": "text",
}  # fmt: skip
_OF_QUOTE: Final = Prepared(
    sa.text(
        f"SELECT {_COLUMNS} FROM stock_promises WHERE quote_id = :quote_id"
        " ORDER BY created_at, line_id, warehouse_id"
    )
)
_OF_ITEM: Final = Prepared(
    sa.text(
        f"SELECT {_COLUMNS} FROM stock_promises WHERE product_id = :product_id"
        " AND warehouse_id = :warehouse_id AND (expires_at IS NULL OR expires_at > :now)"
    )
)
_OF_ORDER: Final = Prepared(
    sa.text(
        f"SELECT {_COLUMNS} FROM stock_promises WHERE order_number = :order_number AND order_number <> ''"
        " AND product_id = ANY(CAST(:products AS uuid[]))"
    )
)
_PRODUCTS_OF_ORDER: Final = Prepared(
    sa.text(
        "SELECT DISTINCT product_id FROM stock_promises"
        " WHERE order_number = :order_number AND order_number <> ''"
    )
)
_INSERT: Final = Prepared(
    sa.text(
        f"INSERT INTO stock_promises ({_COLUMNS}) SELECT * FROM unnest("
        + ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _TYPES.items())
        + ")"
    )
)
_DELETE_HOLDS: Final = Prepared(
    sa.text("DELETE FROM stock_promises WHERE quote_id = :quote_id AND kind = 'hold'")
)
_DELETE_ORDER: Final = Prepared(
    sa.text("DELETE FROM stock_promises WHERE order_number = :order_number AND order_number <> ''")
)
_SHIPPED: Final = Prepared(
    sa.text(
        "UPDATE stock_promises AS p SET shipped = said.shipped"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:shipped AS numeric[])) AS said (id, shipped)"
        " WHERE p.id = said.id AND p.shipped <> said.shipped"
    )
)
_PROLONG: Final = Prepared(
    sa.text(
        "UPDATE stock_promises SET expires_at = :until WHERE quote_id = :quote_id AND kind = 'hold'"
        " AND expires_at > :now AND expires_at < :until"
    )
)
_LOWER: Final = Prepared(
    sa.text(
        "UPDATE stock_promises AS p SET quantity = least(p.quantity, said.quantity)"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:quantities AS numeric[])) AS said (id, quantity)"
        " WHERE p.id = said.id"
    )
)
_DELETE_EMPTY: Final = Prepared(
    sa.text("DELETE FROM stock_promises WHERE id = ANY(CAST(:ids AS uuid[])) AND quantity = 0")
)


async def of_quote(call: Call, quote_id: UUID) -> list[Promise]:
    """What is held or reserved for a quote, expired holds among it."""
    return list(map(_promise, await call.tx.read(_OF_QUOTE, {"quote_id": quote_id})))


async def of_item(call: Call, product_id: UUID, warehouse_id: UUID, at: datetime) -> list[Promise]:
    """What counts of one stock item's promises at an instant."""
    rows = await call.tx.read(_OF_ITEM, {"product_id": product_id, "warehouse_id": warehouse_id, "now": at})
    return list(map(_promise, rows))


async def of_order(call: Call, order_number: str, product_ids: Collection[UUID]) -> list[Promise]:
    """What is reserved for an order of some products."""
    rows = await call.tx.fetch(_OF_ORDER, {"order_number": order_number, "products": list(product_ids)})
    return list(map(_promise, rows))


async def products_of_order(call: Call, order_number: str) -> set[UUID]:
    """The products that are reserved for an order."""
    rows = await call.tx.read(_PRODUCTS_OF_ORDER, {"order_number": order_number})
    return {row["product_id"] for row in rows}


async def add(call: Call, promises: Sequence[Promise]) -> None:
    """Writes new promises, in one statement."""
    if promises:
        columns: dict[str, list[Any]] = {
            name: [getattr(promise, name) for promise in promises] for name in _TYPES
        }
        columns["kind"] = [kind.value for kind in columns["kind"]]
        await call.tx.execute(_INSERT, columns)


async def drop_holds(call: Call, quote_id: UUID) -> None:
    """Lets go what a quote holds."""
    await call.tx.execute(_DELETE_HOLDS, {"quote_id": quote_id})


async def drop_order(call: Call, order_number: str) -> None:
    """Lets go what is reserved for an order."""
    await call.tx.execute(_DELETE_ORDER, {"order_number": order_number})


async def prolong(call: Call, quote_id: UUID, until: datetime, at: datetime) -> None:
    """Has the holds of a quote that have not expired at `at` last until an instant, if that is later."""
    await call.tx.execute(_PROLONG, {"quote_id": quote_id, "until": until, "now": at})


async def lower(call: Call, quantities: Mapping[UUID, Decimal]) -> None:
    """Lowers promises to these quantities, where they are higher; those that are left with nothing go."""
    if quantities:
        values = {"ids": list(quantities), "quantities": list(quantities.values())}
        await call.tx.execute(_LOWER, values)
        await call.tx.execute(_DELETE_EMPTY, {"ids": list(quantities)})


async def replace_holds(
    call: Call, quote_id: UUID, holds: Sequence[Promise], swept: Collection[UUID], at: datetime
) -> None:
    """Has the quote hold just these, and clears the expired holds of some products away: in the round trip
    of the commit, since until then everybody waits who wants the same products."""
    sql = f"DELETE FROM stock_promises WHERE quote_id = '{UUID(str(quote_id))}' AND kind = 'hold'"
    if swept:
        ids = ", ".join(f"'{UUID(str(id))}'" for id in swept)
        sql += (
            f"; DELETE FROM stock_promises WHERE product_id IN ({ids}) AND expires_at <= '{at.isoformat()}'"
        )
    if holds:
        sql += f"; INSERT INTO stock_promises ({_COLUMNS}) VALUES " + ", ".join(map(_literal, holds))
    await call.tx.connection()
    call.tx.wrote = True
    call.tx.with_commit(sql)


def _literal(hold: Promise) -> str:
    """A hold as SQL: it consists of ids, numbers and times alone."""
    assert hold.expires_at is not None
    assert not hold.order_number
    ids = [UUID(str(id)) for id in (hold.id, hold.product_id, hold.warehouse_id, hold.quote_id, hold.line_id)]
    return (
        f"('{ids[0]}', 'hold', '{ids[1]}', '{ids[2]}', {Decimal(hold.quantity):f}, 0,"
        f" '{hold.due_on.isoformat()}', '{hold.created_at.isoformat()}', '{hold.expires_at.isoformat()}',"
        f" '{ids[3]}', '{ids[4]}', '')"
    )


async def set_shipped(call: Call, shipped: Mapping[UUID, Decimal]) -> None:
    """Notes what of the promises has been shipped."""
    if shipped:
        await call.tx.execute(_SHIPPED, {"ids": list(shipped), "shipped": list(shipped.values())})


def _promise(row: Any) -> Promise:
    return Promise(**{**row, "kind": PromiseKind(row["kind"])})
