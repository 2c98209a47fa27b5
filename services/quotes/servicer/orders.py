"""The orders' RPCs."""

from uuid import UUID

from sfa.quotes.v1 import orders_pb2 as pb

from chassis.call import Call
from chassis.convert import datetime_of
from services.quotes import consequences
from services.quotes.store import OrderStore
from services.quotes.wire import orders as wire


class OrderServicer:
    """The orders. They are made where quotes are accepted."""

    async def GetOrder(self, request: pb.GetOrderRequest, call: Call) -> pb.Order:
        store = OrderStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Order)
            return resource
        return wire.order_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetOrders(
        self, request: pb.BatchGetOrdersRequest, call: Call
    ) -> pb.BatchGetOrdersResponse:
        found = await OrderStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetOrdersResponse(orders=map(wire.order_to_proto, found))

    async def ListOrders(self, request: pb.ListOrdersRequest, call: Call) -> pb.ListOrdersResponse:
        page = await OrderStore(call).page(request)
        return pb.ListOrdersResponse(
            orders=map(wire.order_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def CancelOrder(self, request: pb.CancelOrderRequest, call: Call) -> pb.Order:
        store = OrderStore(call)
        effective_at = call.effective_at(request.effective_time)
        order = await store.get(request.id, request.etag)
        cancelled = order.cancel(effective_at or call.now, request.cancel_reason)
        await consequences.called_off(call, order)
        await store.save(order, cancelled, effective_at)
        return wire.order_to_proto(order)

    async def ListOrderVersions(
        self, request: pb.ListOrderVersionsRequest, call: Call
    ) -> pb.ListOrderVersionsResponse:
        versions, token = await OrderStore(call).versions(UUID(request.id), request)
        return pb.ListOrderVersionsResponse(
            versions=map(wire.order_version_to_proto, versions), next_page_token=token
        )
