"""Queries of orders, and of what the ERP has said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.store import EntityStore
from services.quotes.domain.fulfilment import Said
from services.quotes.domain.orders import Order
from services.quotes.store.base import any_of
from services.quotes.tables.orders import (
    ORDER,
    invoice_of,
    orders,
    payment_of,
    shipment_of,
    standing_of,
)

STANDING: Final = "standing"
SHIPMENT: Final = "shipment"
INVOICE: Final = "invoice"
PAYMENT: Final = "payment"

_FORMER: Final = Prepared(
    sa.text(
        "SELECT key, order_number FROM order_reports WHERE kind = :kind AND key = ANY(CAST(:keys AS text[]))"
        " ORDER BY key FOR UPDATE"
    )
)
_KEEP: Final = Prepared(
    sa.text(
        "INSERT INTO order_reports AS known (kind, key, order_number, version, rank, content)"
        " SELECT :kind, said.key, said.order_number, said.version, said.rank, CAST(said.content AS jsonb)"
        " FROM unnest(CAST(:keys AS text[]), CAST(:orders AS text[]), CAST(:versions AS bigint[]),"
        " CAST(:ranks AS text[]), CAST(:contents AS text[]))"
        " AS said (key, order_number, version, rank, content) ORDER BY said.key"
        " ON CONFLICT (tenant_id, kind, key) DO UPDATE SET order_number = excluded.order_number,"
        " version = excluded.version, rank = excluded.rank, content = excluded.content"
        " WHERE (known.version, known.rank) < (excluded.version, excluded.rank)"
        " RETURNING key"
    )
)
_SAID: Final = Prepared(
    sa.text(
        "SELECT order_number, kind, content::text AS content FROM order_reports"
        " WHERE order_number = ANY(CAST(:orders AS text[])) ORDER BY kind, key"
    )
)


@dataclass(frozen=True, slots=True)
class Paper:
    """What the ERP says of one paper: of two of one key the higher version counts, then the higher rank."""

    key: str
    order: str
    version: int
    rank: str
    content: Any


class OrderStore(EntityStore[Order]):
    """The orders."""

    type = ORDER

    async def by_number(self, numbers: Collection[str]) -> dict[str, Order]:
        """Those that there are, by number."""
        if not numbers:
            return {}
        rows = await self.tx.fetch(self.select().where(any_of(orders.c.number, sorted(numbers), sa.Text)))
        return {order.number: order for order in map(self._load, rows)}


async def keep(call: Call, kind: str, papers: Sequence[Paper]) -> tuple[set[str], set[str]]:
    """Takes papers of one kind up, one of each key: which were news, and which orders they have spoken of."""
    call.tx.wrote = True
    keys = [paper.key for paper in papers]
    former = await call.tx.fetch(_FORMER, {"kind": kind, "keys": keys})
    rows = await call.tx.fetch(
        _KEEP,
        {
            "kind": kind,
            "keys": keys,
            "orders": [paper.order for paper in papers],
            "versions": [paper.version for paper in papers],
            "ranks": [paper.rank for paper in papers],
            "contents": [orjson.dumps(paper.content, default=str).decode() for paper in papers],
        },
    )
    news = {row["key"] for row in rows}
    touched = {paper.order for paper in papers if paper.key in news}
    touched |= {row["order_number"] for row in former if row["key"] in news}
    return news, touched - {""}


async def said_of(call: Call, numbers: Iterable[str]) -> Mapping[str, Said]:
    """All that the ERP has said of orders, by their number."""
    rows = await call.tx.fetch(_SAID, {"orders": sorted(numbers)})
    found: dict[str, dict[str, list[Any]]] = {}
    for row in rows:
        found.setdefault(row["order_number"], {}).setdefault(row["kind"], []).append(
            orjson.loads(row["content"])
        )
    return {
        number: Said(
            standing=next(map(standing_of, kinds.get(STANDING, ())), None),
            shipments=tuple(map(shipment_of, kinds.get(SHIPMENT, ()))),
            invoices=tuple(map(invoice_of, kinds.get(INVOICE, ()))),
            payments=tuple(map(payment_of, kinds.get(PAYMENT, ()))),
        )
        for number, kinds in found.items()
    }
