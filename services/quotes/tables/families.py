"""Product families."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Column, Text, Uuid

from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.families import FamilyNameTaken, ProductFamily
from services.quotes.tables.base import metadata
from services.quotes.wire import families as wire

product_families = entity_table(
    "product_families",
    metadata,
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("parent_id", Uuid),
    Column("tax_class", Text, nullable=False),
)

PRODUCT_FAMILY = EntityType(
    name="product_family",
    cls=ProductFamily,
    table=product_families,
    to_proto=wire.family_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(product_families.c.name, sortable=True),
        "parent_id": Field.of(product_families.c.parent_id),
        "tax_class": Field.of(product_families.c.tax_class),
    },
    searched=("name",),
    unique={"product_families_name": FamilyNameTaken},
)
