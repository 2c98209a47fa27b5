"""What products cost the seller, to and from the protos: the amount only where it is asked for."""

from uuid import UUID

from sfa.quotes.v1 import costs_pb2 as pb

from chassis import convert
from services.quotes.domain.costs import ProductCost


def cost_without_amount(cost: ProductCost) -> pb.ProductCost:
    """The resource as events and versions have it."""
    result = pb.ProductCost()
    convert.set_head(result, cost)
    result.product_id = str(cost.product_id)
    if cost.valid_from is not None:
        convert.set_date(result.valid_from, cost.valid_from)
    return result


def cost_to_proto(cost: ProductCost) -> pb.ProductCost:
    """The resource, for those who may know."""
    result = cost_without_amount(cost)
    convert.set_money(result.unit_cost, cost.unit_cost)
    return result


def cost_of(message: pb.ProductCost) -> ProductCost:
    """The cost that a row asks for."""
    field = "product_cost"
    begins = message.valid_from if message.HasField("valid_from") else None
    return ProductCost(
        product_id=UUID(message.product_id),
        unit_cost=convert.money_of(message.unit_cost, f"{field}.unit_cost"),
        valid_from=convert.date_of(begins, f"{field}.valid_from") if begins is not None else None,
        external_ids=convert.external_ids_of(message.external_ids),
    )
