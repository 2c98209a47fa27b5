"""The catalogue."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Text

from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.products import CodeTaken, Product
from services.quotes.tables.base import metadata
from services.quotes.wire import products as wire

products = entity_table(
    "products",
    metadata,
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("family", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
)

PRODUCT = EntityType(
    name="product",
    cls=Product,
    table=products,
    to_proto=wire.product_to_proto,
    events=events_pb2,
    fields={
        "code": Field.of(products.c.code, sortable=True),
        "name": Field.of(products.c.name, sortable=True),
        "family": Field.of(products.c.family, sortable=True),
        "is_active": Field.of(products.c.is_active),
    },
    searched=("name", "code"),
    unique={"products_code": CodeTaken},
)
