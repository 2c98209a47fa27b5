"""What products cost the seller."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Column, Date, Numeric, Text, Uuid

from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.costs import CostTaken, ProductCost
from services.quotes.tables.base import metadata
from services.quotes.wire import costs as wire

product_costs = entity_table(
    "product_costs",
    metadata,
    Column("product_id", Uuid, nullable=False),
    Column("unit_cost", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("valid_from", Date),
)

PRODUCT_COST = EntityType(
    name="product_cost",
    cls=ProductCost,
    table=product_costs,
    to_proto=wire.cost_without_amount,
    events=events_pb2,
    fields={
        "product_id": Field.of(product_costs.c.product_id),
        "currency": Field.of(product_costs.c.currency),
        "valid_from": Field.of(product_costs.c.valid_from),
    },
    money={"unit_cost": ("unit_cost", "currency")},
    unique={"product_costs_key": CostTaken},
)
