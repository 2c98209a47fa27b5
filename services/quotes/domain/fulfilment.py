"""What an ERP has made of an order: confirmed or rejected it, shipped, invoiced, been paid. All of it is
kept as what was last said of each paper, so that whatever comes in whatever order adds up to the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final
from uuid import UUID

from chassis.entity import ExternalId

NONE: Final = Decimal(0)
_STEP: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Part:
    """What an order line needs of one stocked product, in its base unit: the product, or a bundle's part."""

    product_id: UUID
    code: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Reserved:
    """What is reserved for an order line in one warehouse, in the product's base unit."""

    warehouse: str
    product: str
    quantity: Decimal
    due_on: date


@dataclass(frozen=True, slots=True)
class Item:
    """An order line as it is delivered: what is ordered, in the line's unit, and what has become of it."""

    line_id: UUID
    product_code: str = ""
    product_external_ids: tuple[ExternalId, ...] = ()
    unit: str = ""
    ordered: Decimal = NONE
    ships: bool = False
    """Whether the goods are known to be kept somewhere, or to weigh something; services are not."""
    parts: tuple[Part, ...] = ()
    reserved: tuple[Reserved, ...] = ()
    confirmed: Decimal | None = None
    backordered: Decimal = NONE
    delivery_on: date | None = None
    shipped: Decimal = NONE

    @property
    def outstanding(self) -> Decimal:
        """What has not been shipped."""
        return max(self.ordered - self.shipped, NONE)


@dataclass(frozen=True, slots=True)
class ConfirmedLine:
    """What the ERP says of one line, in the line's unit."""

    line_id: UUID
    confirmed: Decimal
    backordered: Decimal = NONE
    delivery_on: date | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ERP last said of the order as a whole."""

    is_rejection: bool
    at: datetime
    erp_order: str = ""
    reason: str = ""
    lines: tuple[ConfirmedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ShippedProduct:
    """How much of a product left, in its base unit."""

    product_id: UUID | None
    code: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Shipment:
    """One delivery from one warehouse; one without products was taken back."""

    number: str
    warehouse: str
    products: tuple[ShippedProduct, ...]
    shipped_at: datetime | None = None
    tracking_number: str = ""
    tracking_url: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice; of zero it was taken back."""

    number: str
    total: Decimal
    issued_on: date | None = None
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment; of zero it was returned."""

    number: str
    amount: Decimal
    invoice: str = ""
    received_on: date | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """Everything that the ERP has said of an order, each paper as it was last said."""

    standing: Standing | None = None
    shipments: tuple[Shipment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    payments: tuple[Payment, ...] = ()


def delivered(items: Sequence[Item], said: Said) -> tuple[Item, ...]:
    """The lines with what was confirmed of each, and with what was shipped given to them in their order.

    A bundle has been shipped as far as all of its parts have been.
    """
    confirmed: Mapping[UUID, ConfirmedLine] = (
        {line.line_id: line for line in said.standing.lines}
        if said.standing is not None and not said.standing.is_rejection
        else {}
    )
    left = _shipped(said.shipments)
    return tuple(_delivered(item, confirmed.get(item.line_id), left, said) for item in items)


def has_shipped_all(items: Sequence[Item]) -> bool:
    """Whether nothing is outstanding. Where it is not known of any line that it ships, all products do."""
    known = [item for item in items if item.ships]
    goods = known or [item for item in items if item.parts]
    return bool(goods) and not any(item.outstanding for item in goods)


def has_goods(items: Iterable[Item]) -> bool:
    """Whether something of it is to be shipped."""
    return any(item.ships for item in items)


def _delivered(
    item: Item, confirmed: ConfirmedLine | None, left: dict[UUID | str, Decimal], said: Said
) -> Item:
    shipped = _take(item, left)
    outstanding = max(item.ordered - shipped, NONE)
    is_confirmed = said.standing is not None and not said.standing.is_rejection
    if confirmed is None:
        wanted = item.ordered if is_confirmed and not (said.standing and said.standing.lines) else None
        return replace(item, confirmed=wanted, backordered=NONE, delivery_on=None, shipped=shipped)
    return replace(
        item,
        confirmed=confirmed.confirmed,
        backordered=min(confirmed.backordered, outstanding),
        delivery_on=confirmed.delivery_on,
        shipped=shipped,
    )


def _shipped(shipments: Iterable[Shipment]) -> dict[UUID | str, Decimal]:
    left: dict[UUID | str, Decimal] = defaultdict(lambda: NONE)
    for shipment in shipments:
        for product in shipment.products:
            left[product.product_id or product.code] += product.quantity
    return left


def _take(item: Item, left: dict[UUID | str, Decimal]) -> Decimal:
    """How much of the line has been shipped, taken from what was."""
    if not item.parts:
        return NONE
    keys = [part.product_id if part.product_id in left else part.code for part in item.parts]
    shares = [
        min(left[key] / part.quantity, Decimal(1)) if part.quantity else Decimal(1)
        for key, part in zip(keys, item.parts, strict=True)
    ]
    share = min(shares)
    for key, part in zip(keys, item.parts, strict=True):
        left[key] -= min(part.quantity * share, left[key])
    if share == 1:
        return item.ordered
    return (item.ordered * share).quantize(_STEP, ROUND_FLOOR)
