"""What the ERP says of stock: levels, shipments, receipts. Each taker finds out what is meant, locks the
stock items that it is about, writes down what was said, and adds the items up anew from all that was ever
said: so any order and any number of the same messages end in the same state.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from chassis.call import Call
from chassis.convert import date_of
from chassis.errors import Refusal
from services.quotes.domain.availability import NONE, Timeline, consume
from services.quotes.domain.stock import (
    Level,
    ReportedProductUnknown,
    StockItem,
    WarehouseUnknown,
)
from services.quotes.reports import Effect, Outcome, Report, newer
from services.quotes.store import stock_movements, stock_promises
from services.quotes.store.products import ProductStore
from services.quotes.store.stock import Key, StockItemStore, WarehouseStore, timelines
from services.quotes.store.stock_movements import Receipt, ShipmentLine


@dataclass(frozen=True, slots=True)
class _Names:
    """What the codes in the reports stand for."""

    warehouses: dict[str, UUID]
    products: dict[str, UUID]

    @classmethod
    async def of(cls, call: Call, warehouses: Collection[str], products: Collection[str]) -> _Names:
        found = await WarehouseStore(call).by_code(set(warehouses))
        known = await ProductStore(call).by_code(list(set(products)))
        return cls(
            {code: each.id for code, each in found.items()}, {code: each.id for code, each in known.items()}
        )

    def warehouse(self, code: str) -> UUID:
        if code not in self.warehouses:
            raise WarehouseUnknown(code)
        return self.warehouses[code]

    def product(self, code: str, field: str = "product") -> UUID:
        if code not in self.products:
            raise ReportedProductUnknown(code, field)
        return self.products[code]


async def stock_levels(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """The ERP counted: what is on hand, and which shipments and receipts the figure allows for."""
    levels = [report.message for report in said]
    names = await _Names.of(call, [each.warehouse for each in levels], [each.product for each in levels])
    outcomes: list[Outcome] = []
    keys: list[Key | None] = []
    for level in levels:
        try:
            warehouse = names.warehouse(level.warehouse)
            keys.append((names.product(level.product), warehouse))
            outcomes.append(Effect.UNCHANGED)
        except Refusal as refusal:
            keys.append(None)
            outcomes.append(refusal)
    meant = [(index, key) for index, key in enumerate(keys) if key is not None]
    if not meant:
        return outcomes
    came = {receipt for index, _ in meant for receipt in levels[index].included_receipts}
    elsewhere = await stock_movements.places_of(call, came) if came else set()
    store = StockItemStore(call)
    items = await store.locked({key for _, key in meant} | elsewhere)
    included = await stock_movements.include(
        call,
        [(shipment, key) for index, key in meant for shipment in levels[index].included_shipments],
        [(receipt, key) for index, key in meant for receipt in levels[index].included_receipts],
    )
    for index, key in meant:
        item, level = items[key], levels[index]
        before = item.level_version, item.on_hand, item.safety_stock
        item.count(
            Level(
                level.version,
                Decimal(level.on_hand),
                Decimal(level.safety_stock) if level.HasField("safety_stock") else None,
            )
        )
        if item.version == 0 and not before[0]:
            outcomes[index] = Effect.CREATED
        elif before != (item.level_version, item.on_hand, item.safety_stock) or key in included:
            outcomes[index] = Effect.UPDATED
    await _add_up(call, store, items)
    return outcomes


async def shipments(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """Goods left a warehouse: reservations are used up, and what may be promised is lowered until a level
    allows for it."""
    messages = [report.message for report in said]
    names = await _Names.of(
        call,
        [each.warehouse for each in messages],
        [line.product for each in messages for line in each.lines],
    )
    outcomes: list[Outcome] = [Effect.UNCHANGED] * len(said)
    lines: dict[int, list[ShipmentLine]] = {}
    for index, message in enumerate(messages):
        try:
            lines[index] = _lines(message, names)
        except Refusal as refusal:
            outcomes[index] = refusal
    meant = list(lines)
    fresh = await newer(
        call, "shipment", [(messages[index].shipment, messages[index].version) for index in meant]
    )
    meant = [index for index, is_new in zip(meant, fresh, strict=True) if is_new]
    if not meant:
        return outcomes
    numbers = [messages[index].shipment for index in meant]
    new = [line for index in meant for line in lines[index]]
    former = await stock_movements.lines_of(call, numbers)
    keys = {key for key, _ in former} | {(line.product_id, line.warehouse_id) for line in new}
    products = {key[0] for key in keys}
    orders = {order for _, order in former} | {line.order_number for line in new}
    orders.discard("")
    keys |= await stock_movements.reserved_places(call, orders, products) if orders else set()
    store = StockItemStore(call)
    items = await store.locked(keys)
    await stock_movements.replace_shipments(call, numbers, new)
    for order in sorted(orders):
        await _consume(call, order, products)
    await _add_up(call, store, items)
    for index in meant:
        outcomes[index] = Effect.UPDATED
    return outcomes


async def receipts(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """Goods are awaited, later or no longer."""
    messages = [report.message for report in said]
    names = await _Names.of(call, [each.warehouse for each in messages], [each.product for each in messages])
    outcomes: list[Outcome] = [Effect.UNCHANGED] * len(said)
    meant: dict[int, Receipt] = {}
    for index, message in enumerate(messages):
        try:
            meant[index] = Receipt(
                receipt=message.receipt,
                version=message.version,
                warehouse_id=names.warehouse(message.warehouse),
                product_id=names.product(message.product),
                quantity=Decimal(message.quantity),
                due_on=date_of(message.due_date, "due_date"),
            )
        except Refusal as refusal:
            outcomes[index] = refusal
    fresh = await newer(call, "receipt", [(each.receipt, each.version) for each in meant.values()])
    new = {index: each for (index, each), is_new in zip(meant.items(), fresh, strict=True) if is_new}
    if not new:
        return outcomes
    former = await stock_movements.places_of(call, [each.receipt for each in new.values()])
    keys = former | {(each.product_id, each.warehouse_id) for each in new.values()}
    store = StockItemStore(call)
    items = await store.locked(keys)
    await stock_movements.put_receipts(call, list(new.values()))
    await _add_up(call, store, items)
    for index in new:
        outcomes[index] = Effect.UPDATED
    return outcomes


def _lines(message: object, names: _Names) -> list[ShipmentLine]:
    """A shipment's lines, one for each product."""
    warehouse = names.warehouse(message.warehouse)  # type: ignore[attr-defined]  # a ShipmentReported
    quantities: dict[UUID, Decimal] = {}
    for index, line in enumerate(message.lines):  # type: ignore[attr-defined]
        product = names.product(line.product, f"lines[{index}].product")
        quantities[product] = quantities.get(product, NONE) + Decimal(line.quantity)
    return [
        ShipmentLine(message.shipment, message.version, product, warehouse, message.order, quantity)  # type: ignore[attr-defined]
        for product, quantity in quantities.items()
    ]


async def _consume(call: Call, order: str, products: Collection[UUID]) -> None:
    """Has what left for an order use up what is reserved for it."""
    reserved = await stock_promises.of_order(call, order, products)
    for product in sorted({promise.product_id for promise in reserved}):
        of_product = [promise for promise in reserved if promise.product_id == product]
        shipped = await stock_movements.shipped_for(call, order, product)
        await stock_promises.set_shipped(call, consume(of_product, shipped))


async def _add_up(call: Call, store: StockItemStore, items: dict[Key, StockItem]) -> None:
    """Adds the locked items up anew, and writes those that changed."""
    products = {key[0] for key in items}
    sums = await stock_movements.sums(call, products)
    known = await timelines(call, products, call.now)
    for key, item in items.items():
        row = sums.get(key)
        item.shipped = row["shipped"] if row is not None else NONE
        item.incoming = row["incoming"] if row is not None else NONE
        timeline = known.get(key[0], {}).get(key[1], Timeline())
        timeline.base = item.base  # the item is written last
        store.stage(item, item.reckon(timeline.lowest))
    await store.flush()
