"""The RPCs of what products cost the seller."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sfa.quotes.v1 import costs_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.entity import Event
from chassis.errors import InvalidArgument, Refusal
from chassis.ids import new_id
from chassis.store import Conflict, EntityNotFound
from services.quotes.domain.costs import CostTaken, ProductCost, ProductCostDeleted
from services.quotes.servicer.rows import found_by
from services.quotes.store import CostStore, ProductStore
from services.quotes.wire import costs as wire


class CostKeyFixed(InvalidArgument):
    """Product, currency and first day say which cost it is."""

    def __init__(self) -> None:
        super().__init__(
            "This id belongs to a cost of another product, currency or valid_from.", field="product_cost.id"
        )


class ProductCostServicer:
    """The costs: answered with their amounts, as whoever asks has the permission to know."""

    async def GetProductCost(self, request: pb.GetProductCostRequest, call: Call) -> pb.ProductCost:
        return wire.cost_to_proto(await CostStore(call).get(request.id, deleted=True))

    async def ListProductCosts(
        self, request: pb.ListProductCostsRequest, call: Call
    ) -> pb.ListProductCostsResponse:
        page = await CostStore(call).page(request)
        return pb.ListProductCostsResponse(
            product_costs=map(wire.cost_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def BatchUpsertProductCosts(
        self, request: pb.BatchUpsertProductCostsRequest, call: Call
    ) -> pb.BatchUpsertProductCostsResponse:
        known = await ProductStore(call).get_many([UUID(row.product_cost.product_id) for row in request.rows])
        store = CostStore(call)
        ids: dict[object, UUID] = {cost.key: cost.id for cost in await store.of_products(known)}
        rows = await found_by(store, batch.numbered(request.rows, "product_cost"), _key, ids)

        def put(
            row: batch.Row, cost: ProductCost | None
        ) -> Iterator[tuple[ProductCost, Event, datetime | None]]:
            asked = wire.cost_of(row.content.product_cost)
            if asked.product_id not in known:
                raise EntityNotFound("product", asked.product_id, "product_cost.product_id")
            if cost is None:
                asked.id = row.id or asked.id
                cost = asked
            elif cost.key != asked.key or cost.deleted_at is not None:
                raise CostKeyFixed
            yield cost, cost.set_to(asked.unit_cost), None

        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except CostTaken as refusal:  # somebody set it at this moment: look again
            raise Conflict from refusal
        return pb.BatchUpsertProductCostsResponse(results=results)

    async def DeleteProductCost(self, request: pb.DeleteProductCostRequest, call: Call) -> pb.ProductCost:
        store = CostStore(call)
        cost = await store.get(request.id, request.etag)
        cost.mark_deleted(call.now)
        await store.save(cost, ProductCostDeleted())
        return wire.cost_without_amount(cost)


def _key(row: batch.Row) -> object:
    try:
        return wire.cost_of(row.content.product_cost).key
    except Refusal:  # it is refused where its turn comes
        return new_id()
