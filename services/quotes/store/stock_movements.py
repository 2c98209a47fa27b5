"""Queries of what has left warehouses and what is awaited in them, as the ERP says. The sums of a stock item
are always added up anew from these rows, so that no order of messages can leave them wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from services.quotes.store.stock import Key

_INCLUDE_SHIPMENTS: Final = Prepared(
    sa.text(
        "INSERT INTO stock_shipments AS s (shipment, product_id, warehouse_id, version, order_number, quantity,"
        " is_included) SELECT shipment, product_id, warehouse_id, 0, '', 0, true FROM"
        " unnest(CAST(:shipments AS text[]), CAST(:products AS uuid[]), CAST(:warehouses AS uuid[]))"
        " AS said (shipment, product_id, warehouse_id)"
        " ON CONFLICT (tenant_id, product_id, warehouse_id, shipment) DO UPDATE SET is_included = true"
        " WHERE NOT s.is_included RETURNING product_id, warehouse_id"
    )
)
_INCLUDE_RECEIPTS: Final = Prepared(
    sa.text(
        "INSERT INTO stock_receipts AS r (receipt, product_id, warehouse_id, version, quantity, due_on,"
        " is_included) SELECT receipt, product_id, warehouse_id, 0, 0, NULL, true FROM"
        " unnest(CAST(:receipts AS text[]), CAST(:products AS uuid[]), CAST(:warehouses AS uuid[]))"
        " AS said (receipt, product_id, warehouse_id)"
        " ON CONFLICT (tenant_id, receipt) DO UPDATE SET is_included = true"
        " WHERE NOT r.is_included RETURNING product_id, warehouse_id"
    )
)
_SHIPMENTS: Final = Prepared(
    sa.text(
        "SELECT shipment, product_id, warehouse_id, order_number FROM stock_shipments"
        " WHERE shipment = ANY(CAST(:shipments AS text[]))"
    )
)
_CLEAR_SHIPMENTS: Final = Prepared(
    sa.text(
        "UPDATE stock_shipments SET quantity = 0, order_number = ''"
        " WHERE shipment = ANY(CAST(:shipments AS text[]))"
    )
)
_PUT_SHIPMENTS: Final = Prepared(
    sa.text(
        "INSERT INTO stock_shipments AS s (shipment, product_id, warehouse_id, version, order_number, quantity,"
        " is_included) SELECT *, false FROM unnest(CAST(:shipments AS text[]), CAST(:products AS uuid[]),"
        " CAST(:warehouses AS uuid[]), CAST(:versions AS bigint[]), CAST(:orders AS text[]),"
        " CAST(:quantities AS numeric[]))"
        " ON CONFLICT (tenant_id, product_id, warehouse_id, shipment) DO UPDATE SET version = excluded.version,"
        " order_number = excluded.order_number, quantity = excluded.quantity"
    )
)
_RECEIPTS: Final = Prepared(
    sa.text(
        "SELECT product_id, warehouse_id FROM stock_receipts WHERE receipt = ANY(CAST(:receipts AS text[]))"
    )
)
_PUT_RECEIPTS: Final = Prepared(
    sa.text(
        "INSERT INTO stock_receipts AS r (receipt, product_id, warehouse_id, version, quantity, due_on,"
        " is_included) SELECT *, false FROM unnest(CAST(:receipts AS text[]), CAST(:products AS uuid[]),"
        " CAST(:warehouses AS uuid[]), CAST(:versions AS bigint[]), CAST(:quantities AS numeric[]),"
        " CAST(:days AS date[]))"
        " ON CONFLICT (tenant_id, receipt) DO UPDATE SET version = excluded.version,"
        " product_id = excluded.product_id, warehouse_id = excluded.warehouse_id,"
        " quantity = excluded.quantity, due_on = excluded.due_on"
    )
)
_SUMS: Final = Prepared(
    sa.text(
        "SELECT product_id, warehouse_id, sum(shipped) AS shipped, sum(incoming) AS incoming FROM ("
        " SELECT product_id, warehouse_id, quantity AS shipped, 0 AS incoming FROM stock_shipments"
        " WHERE product_id = ANY(CAST(:products AS uuid[])) AND NOT is_included AND quantity > 0"
        " UNION ALL SELECT product_id, warehouse_id, 0, quantity FROM stock_receipts"
        " WHERE product_id = ANY(CAST(:products AS uuid[])) AND NOT is_included AND quantity > 0"
        ") AS moves GROUP BY product_id, warehouse_id"
    )
)
_SHIPPED_FOR: Final = Prepared(
    sa.text(
        "SELECT warehouse_id, sum(quantity) AS quantity FROM stock_shipments"
        " WHERE order_number = :order_number AND order_number <> '' AND product_id = :product_id"
        " GROUP BY warehouse_id"
    )
)
_PLACES_OF_ORDERS: Final = Prepared(
    sa.text(
        "SELECT DISTINCT product_id, warehouse_id FROM stock_promises WHERE order_number <> ''"
        " AND order_number = ANY(CAST(:orders AS text[])) AND product_id = ANY(CAST(:products AS uuid[]))"
    )
)


@dataclass(frozen=True, slots=True)
class ShipmentLine:
    """What left one warehouse of one product with one shipment."""

    shipment: str
    version: int
    product_id: UUID
    warehouse_id: UUID
    order_number: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is awaited of one product in one warehouse."""

    receipt: str
    version: int
    product_id: UUID
    warehouse_id: UUID
    quantity: Decimal
    due_on: date


async def include(
    call: Call, shipments: Iterable[tuple[str, Key]], receipts: Iterable[tuple[str, Key]]
) -> set[Key]:
    """Notes which shipments and receipts levels allow for; answers the stock items of which one is new."""
    changed: set[Key] = set()
    for statement, name, said in (
        (_INCLUDE_SHIPMENTS, "shipments", sorted(set(shipments))),
        (_INCLUDE_RECEIPTS, "receipts", sorted(dict(receipts).items())),
    ):
        if said:
            call.tx.wrote = True
            values = {
                name: [each for each, _ in said],
                "products": [key[0] for _, key in said],
                "warehouses": [key[1] for _, key in said],
            }
            changed |= {(row[0], row[1]) for row in await call.tx.fetch(statement, values)}
    return changed


async def replace_shipments(call: Call, shipments: Collection[str], lines: Sequence[ShipmentLine]) -> None:
    """Has the shipments consist of these lines alone; what is included stays included."""
    await call.tx.execute(_CLEAR_SHIPMENTS, {"shipments": list(shipments)})
    if lines:
        lines = sorted(lines, key=lambda line: (line.product_id, line.warehouse_id, line.shipment))
        await call.tx.execute(
            _PUT_SHIPMENTS,
            {
                "shipments": [line.shipment for line in lines],
                "products": [line.product_id for line in lines],
                "warehouses": [line.warehouse_id for line in lines],
                "versions": [line.version for line in lines],
                "orders": [line.order_number for line in lines],
                "quantities": [line.quantity for line in lines],
            },
        )


async def lines_of(call: Call, shipments: Collection[str]) -> list[tuple[Key, str]]:
    """Of what and for which order the shipments were said to be until now."""
    rows = await call.tx.fetch(_SHIPMENTS, {"shipments": list(shipments)})
    return [((row["product_id"], row["warehouse_id"]), row["order_number"]) for row in rows]


async def places_of(call: Call, receipts: Collection[str]) -> set[Key]:
    """Of which stock items the receipts were said to be until now."""
    rows = await call.tx.fetch(_RECEIPTS, {"receipts": list(receipts)})
    return {(row["product_id"], row["warehouse_id"]) for row in rows}


async def put_receipts(call: Call, receipts: Sequence[Receipt]) -> None:
    """Has the receipts be as they are now said to be."""
    await call.tx.execute(
        _PUT_RECEIPTS,
        {
            "receipts": [each.receipt for each in receipts],
            "products": [each.product_id for each in receipts],
            "warehouses": [each.warehouse_id for each in receipts],
            "versions": [each.version for each in receipts],
            "quantities": [each.quantity for each in receipts],
            "days": [each.due_on for each in receipts],
        },
    )


async def sums(call: Call, product_ids: Collection[UUID]) -> Mapping[Key, Any]:
    """What has left and is in no level, and what is awaited, by stock item."""
    rows = await call.tx.fetch(_SUMS, {"products": list(product_ids)})
    return {(row["product_id"], row["warehouse_id"]): row for row in rows}


async def shipped_for(call: Call, order_number: str, product_id: UUID) -> dict[UUID, Decimal]:
    """What left for an order of a product, by warehouse."""
    rows = await call.tx.fetch(_SHIPPED_FOR, {"order_number": order_number, "product_id": product_id})
    return {row["warehouse_id"]: row["quantity"] for row in rows}


async def reserved_places(call: Call, orders: Collection[str], product_ids: Collection[UUID]) -> set[Key]:
    """Where the products are reserved for the orders."""
    rows = await call.tx.fetch(_PLACES_OF_ORDERS, {"orders": list(orders), "products": list(product_ids)})
    return {(row["product_id"], row["warehouse_id"]) for row in rows}
