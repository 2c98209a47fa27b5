"""What the tests of stock share: warehouses, what an ERP says of them, and quotes that want something."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.type.latlng_pb2 import LatLng
from nats.aio.client import Client
from sfa.erp.v1 import messages_pb2 as erp
from sfa.quotes.v1 import inventory_pb2 as pb
from sfa.quotes.v1 import products_pb2, quotes_pb2, reports_pb2
from sfa.quotes.v1.inventory_pb2_grpc import InventoryServiceStub
from sfa.quotes.v1.reports_pb2_grpc import ReportServiceStub

from chassis import inbound
from chassis.ids import new_id
from tests.quotes.service import Shop, line
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.inventory_pb2_grpc import InventoryServiceAsyncStub
    from sfa.quotes.v1.reports_pb2_grpc import ReportServiceAsyncStub

HAMBURG, MUNICH = LatLng(latitude=53.55, longitude=9.99), LatLng(latitude=48.14, longitude=11.58)
BREMEN = LatLng(latitude=53.08, longitude=8.80)


def level(warehouse: str, product: str, version: int, on_hand: object, **fields: Any) -> Any:
    """What an ERP counted."""
    return erp.StockLevelReported(
        warehouse=warehouse, product=product, version=version, on_hand=str(on_hand), **fields
    )


def shipment(number: str, version: int, warehouse: str, order: str = "", **lines: object) -> Any:
    """What left; `lines` are quantities by product code, `_` standing for `-`."""
    return erp.ShipmentReported(
        shipment=number,
        version=version,
        warehouse=warehouse,
        order=order,
        lines=[
            erp.ShipmentReported.Line(product=code.replace("_", "-"), quantity=str(quantity))
            for code, quantity in lines.items()
        ],
    )


class Depot:
    """Stock as operations, or somebody with another role, see it."""

    def __init__(self, shop: Shop, role: str = "operations") -> None:
        self.shop = shop
        channel = shop.stack.channel("quotes", role)
        self.inventory: InventoryServiceAsyncStub = InventoryServiceStub(channel)
        self.reports: ReportServiceAsyncStub = ReportServiceStub(channel)

    async def warehouse(
        self, code: str = "HH", location: LatLng | None = None, **fields: Any
    ) -> pb.Warehouse:
        """A new warehouse."""
        asked = pb.Warehouse(code=code, name=f"Warehouse {code}", location=location, **fields)
        return await self.inventory.CreateWarehouse(pb.CreateWarehouseRequest(warehouse=asked))

    async def say(self, *messages: Any) -> list[Any]:
        """Reports by REST's way in; answers what became of each."""
        results = []
        for message in messages:
            verb, request = {
                erp.StockLevelReported: (
                    self.reports.BatchUpsertStockLevels, reports_pb2.BatchUpsertStockLevelsRequest,
                ),
                erp.ShipmentReported: (
                    self.reports.BatchUpsertShipments, reports_pb2.BatchUpsertShipmentsRequest,
                ),
                erp.ReceiptScheduled: (
                    self.reports.BatchUpsertReceipts, reports_pb2.BatchUpsertReceiptsRequest,
                ),
            }[type(message)]  # fmt: skip
            response = await verb(request(rows=[message]))  # type: ignore[operator]  # each takes its own
            results += response.results
        return results

    async def item(self, product: products_pb2.Product, warehouse: pb.Warehouse) -> pb.StockItem:
        """What stands there."""
        asked = f'product_id = "{product.id}" AND warehouse_id = "{warehouse.id}"'
        page = await self.inventory.ListStockItems(pb.ListStockItemsRequest(filter=asked))
        (found,) = page.stock_items
        return found

    async def available(
        self, product: products_pb2.Product, quantity: object = 1, **fields: Any
    ) -> pb.Availability:
        """Whether so much of it can be had, as anybody may ask."""
        where = {name: fields.pop(name) for name in ("delivery_location", "in_whole") if name in fields}
        row = pb.FindAvailabilityRequest.Row(product_id=product.id, quantity=str(quantity), **fields)
        answer = await self.inventory.FindAvailability(pb.FindAvailabilityRequest(rows=[row], **where))
        return answer.availabilities[0]

    async def wanted(
        self, product: products_pb2.Product, quantity: object = 1, **fields: Any
    ) -> quotes_pb2.Quote:
        """A draft for so much of it."""
        deal = await self.shop.deal()
        return await self.shop.quote(deal.id, line(product, str(quantity)), **fields)

    async def hold(self, quote: quotes_pb2.Quote, **fields: Any) -> pb.StockHold:
        """Holds what a quote needs."""
        return await self.inventory.HoldStock(pb.HoldStockRequest(id=quote.id, **fields))


class Erp:
    """An ERP on the broker, which may publish what it has to say and nothing else."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = Client()

    async def __aenter__(self) -> Erp:
        await self.client.connect(self.stack.nats.url("erp"), inbox_prefix="_INBOX_erp")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def say(self, message: Message, mode: str = "structured", **attributes: str) -> None:
        """One event, stored when this answers."""
        kind = message.DESCRIPTOR.full_name
        told = {"specversion": "1.0", "id": str(new_id()), "source": "/erp", "type": kind, **attributes}
        if mode == "structured":
            data = json_format.MessageToDict(message, preserving_proto_field_name=True)
            await self.raw(kind, json.dumps({**told, "data": data}).encode())
        elif mode == "json":
            headers = {f"ce-{name}": value for name, value in told.items()} | {
                "Content-Type": "application/json"
            }
            await self.raw(kind, json_format.MessageToJson(message).encode(), headers)
        else:
            headers = {f"ce-{name}": value for name, value in told.items()} | {
                "ce-datacontenttype": "application/protobuf"
            }
            await self.raw(kind, message.SerializeToString(), headers)

    async def raw(self, kind: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Whatever it is, on the subject of a type."""
        stream = self.client.jetstream()
        await stream.publish(inbound.subject(self.stack.tenant, kind), data, headers=headers)
