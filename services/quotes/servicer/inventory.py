"""The RPCs of warehouses, stock and holds."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import inventory_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.store import DEFAULT_PAGE
from services.quotes import holds
from services.quotes.domain.availability import NONE, Allocation, Need, Timelines, allocate, nearest, ranked
from services.quotes.domain.products import Product
from services.quotes.domain.warehouses import Place, Warehouse
from services.quotes.store import QuoteStore, stock_promises
from services.quotes.store.products import ProductStore
from services.quotes.store.stock import StockItemStore, StockSettingsStore, WarehouseStore, timelines
from services.quotes.wire import stock as wire

_NOBODY = UUID(int=0)


class PageTokenUnknown(InvalidArgument):
    """The page token was not given out by this list."""

    def __init__(self) -> None:
        super().__init__("Send `next_page_token` as it came, or leave it out.", field="page_token")


class InventoryServicer:
    """Warehouses, what stands in them, and what of it is promised to whom."""

    async def CreateWarehouse(self, request: pb.CreateWarehouseRequest, call: Call) -> pb.Warehouse:
        fields = fields_to_change(request.warehouse, None, wire.WAREHOUSE_FIELDS)
        values = {"code": "", "name": "", **wire.warehouse_values(fields)}
        warehouse = Warehouse(id=uuid_of(request.warehouse.id) or new_id(), **values)
        await WarehouseStore(call).add(warehouse, warehouse.create())
        return wire.warehouse_to_proto(warehouse)

    async def GetWarehouse(self, request: pb.GetWarehouseRequest, call: Call) -> pb.Warehouse:
        return wire.warehouse_to_proto(await WarehouseStore(call).get(request.id))

    async def ListWarehouses(
        self, request: pb.ListWarehousesRequest, call: Call
    ) -> pb.ListWarehousesResponse:
        page = await WarehouseStore(call).page(request)
        return pb.ListWarehousesResponse(
            warehouses=map(wire.warehouse_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateWarehouse(self, request: pb.UpdateWarehouseRequest, call: Call) -> pb.Warehouse:
        fields = fields_to_change(request.warehouse, request.update_mask, wire.WAREHOUSE_FIELDS)
        store = WarehouseStore(call)
        warehouse = await store.get(request.id, request.etag)
        await store.save(warehouse, warehouse.change(wire.warehouse_values(fields)))
        return wire.warehouse_to_proto(warehouse)

    async def GetStockItem(self, request: pb.GetStockItemRequest, call: Call) -> pb.StockItem:
        return wire.stock_item_to_proto(await StockItemStore(call).get(request.id))

    async def ListStockItems(
        self, request: pb.ListStockItemsRequest, call: Call
    ) -> pb.ListStockItemsResponse:
        page = await StockItemStore(call).page(request)
        return pb.ListStockItemsResponse(
            stock_items=map(wire.stock_item_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def FindAvailability(
        self, request: pb.FindAvailabilityRequest, call: Call
    ) -> pb.FindAvailabilityResponse:
        today = call.now.date()
        needs = [
            Need(
                index, _NOBODY, UUID(row.product_id), Decimal(row.quantity or 1),
                wire.day_of(row, "need_date", today),
            )
            for index, row in enumerate(request.rows)
        ]  # fmt: skip
        products = await ProductStore(call).get_many(list({need.product_id for need in needs}))
        instead = {id for product in products.values() for id in product.substitute_ids}
        known = await timelines(call, {need.product_id for need in needs} | instead, call.now)
        place = _place(request)
        warehouses = nearest(await WarehouseStore(call).all(), place)
        found = allocate(needs, known, warehouses, in_parts=not request.in_whole)
        return pb.FindAvailabilityResponse(
            availabilities=(
                wire.availability_to_proto(
                    _unless_unstocked(allocation, known),
                    _substitutes(allocation, products, known, [each for each, _ in warehouses]),
                    is_stocked=allocation.need.product_id in known,
                )
                for allocation in found
            )
        )

    async def HoldStock(self, request: pb.HoldStockRequest, call: Call) -> pb.StockHold:
        quote = await QuoteStore(call).steady(request.id)
        held = await holds.hold(
            call,
            quote,
            day=wire.day_of(request, "need_date", quote.needed_on(call.now.date())),
            to=_place(request),
            in_parts=not request.in_whole,
            allow_shortage=request.allow_shortage,
        )
        lines = [
            wire.availability_to_proto(
                allocation, is_stocked=allocation.need.product_id not in held.unstocked, of_line=True
            )
            for allocation in held.allocations
        ]
        return wire.hold_to_proto(quote.id, held.promises, lines)

    async def ReleaseStock(self, request: pb.ReleaseStockRequest, call: Call) -> pb.StockHold:
        quote = await QuoteStore(call).get(request.id)
        await holds.release(call, quote)
        left = await stock_promises.of_quote(call, quote.id)
        return wire.hold_to_proto(quote.id, (each for each in left if each.is_live(call.now)))

    async def GetStockHold(self, request: pb.GetStockHoldRequest, call: Call) -> pb.StockHold:
        quote = await QuoteStore(call).get(request.id)
        promises = await stock_promises.of_quote(call, quote.id)
        return wire.hold_to_proto(quote.id, (each for each in promises if each.is_live(call.now)))

    async def ListStockPromises(
        self, request: pb.ListStockPromisesRequest, call: Call
    ) -> pb.ListStockPromisesResponse:
        if request.page_token and not (request.page_token.isascii() and request.page_token.isdigit()):
            raise PageTokenUnknown
        item = await StockItemStore(call).get(request.id)
        promises = await stock_promises.of_item(call, item.product_id, item.warehouse_id, call.now)
        known = await timelines(call, {item.product_id}, call.now)
        supply = known[item.product_id][item.warehouse_id]
        for promise in promises:  # as if nothing were promised yet
            supply.move(promise.due_on, promise.outstanding)
        covered = ranked(supply, promises)
        first, size = int(request.page_token[:9] or 0), request.page_size or DEFAULT_PAGE
        shown = covered[first : first + size]
        seen = await QuoteStore(call).get_many(list({promise.quote_id for promise, _ in shown}))
        return pb.ListStockPromisesResponse(
            stock_promises=(
                wire.promise_to_proto(promise, quantity, says_whose=promise.quote_id in seen)
                for promise, quantity in shown
            ),
            next_page_token=str(first + size) if len(covered) > first + size else "",
        )

    async def GetStockSettings(self, request: pb.GetStockSettingsRequest, call: Call) -> pb.StockSettings:
        return wire.stock_settings_to_proto(await StockSettingsStore(call).current())

    async def UpdateStockSettings(
        self, request: pb.UpdateStockSettingsRequest, call: Call
    ) -> pb.StockSettings:
        fields = fields_to_change(request.stock_settings, request.update_mask, wire.STOCK_SETTINGS_FIELDS)
        store = StockSettingsStore(call)
        settings = await store.current(request.etag)
        await store.save(settings, settings.change(fields))
        return wire.stock_settings_to_proto(settings)


def _place(request: Any) -> Place | None:
    if not request.HasField("delivery_location"):
        return None
    return wire.place_of(request.delivery_location, "delivery_location")


def _unless_unstocked(allocation: Allocation, known: Timelines) -> Allocation:
    """What no warehouse has ever had needs no stock: nothing of it is missing."""
    if allocation.need.product_id in known:
        return allocation
    return Allocation(allocation.need, ())


def _substitutes(
    allocation: Allocation,
    products: dict[UUID, Product],
    known: Timelines,
    warehouses: Iterable[Warehouse],
) -> list[tuple[UUID, Decimal]]:
    """What can be had in time in place of what cannot, the best first."""
    need, product = allocation.need, products.get(allocation.need.product_id)
    if allocation.shortage is None or product is None or need.product_id not in known:
        return []
    active = {warehouse.id for warehouse in warehouses}
    found = []
    for id in product.substitute_ids:
        timelines_of = known.get(id, {})
        available = sum(
            (
                max(NONE, timeline.available(need.day))
                for warehouse, timeline in timelines_of.items()
                if warehouse in active
            ),
            NONE,
        )
        if available > 0:
            found.append((id, available))
    return found
