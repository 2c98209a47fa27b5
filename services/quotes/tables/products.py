"""The catalogue."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Date, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from chassis.columns import array, enumerated, listed
from chassis.fields import Field, FieldType
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.languages import Translation
from services.quotes.domain.products import CodeTaken, Component, Image, Lifecycle, Product
from services.quotes.domain.units import Rounding, Unit
from services.quotes.domain.variants import Attribute, Option, VariantTaken
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
    Column("parent_id", Uuid),
    Column("options", JSONB, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("variant_key", Text),
    Column("base_unit", Text, nullable=False),
    Column("units", JSONB, nullable=False),
    Column("components", JSONB, nullable=False),
    Column("substitute_ids", ARRAY(Uuid), nullable=False),
    Column("accessory_ids", ARRAY(Uuid), nullable=False),
    Column("lifecycle", Text, nullable=False),
    Column("active_from", Date),
    Column("phasing_out_from", Date),
    Column("discontinued_from", Date),
    Column("tax_class", Text, nullable=False),
    Column("weight_kilograms", Numeric),
    Column("images", JSONB, nullable=False),
    Column("translations", JSONB, nullable=False),
)


def _option(item: dict[str, Any]) -> Option:
    return Option(item["name"], tuple(item["values"]))


def _unit(item: dict[str, Any]) -> Unit:
    step = item["step"]
    return Unit(
        code=item["code"],
        numerator=int(item["numerator"]),
        denominator=int(item["denominator"]),
        step=None if step is None else Decimal(step),
        rounding=Rounding(item["rounding"]),
    )


def _component(item: dict[str, Any]) -> Component:
    return Component(UUID(item["product_id"]), Decimal(item["quantity"]), item["unit"])


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
        "parent_id": Field.of(products.c.parent_id),
        "components.product_id": Field(
            products.c.components, FieldType.UUID, repeated=True, path=("product_id",)
        ),
        "substitute_ids": Field.of(products.c.substitute_ids),
        "accessory_ids": Field.of(products.c.accessory_ids),
        "lifecycle": Field.of(products.c.lifecycle, names={stage.name: stage.value for stage in Lifecycle}),
        "discontinued_from": Field.of(products.c.discontinued_from),
        "tax_class": Field.of(products.c.tax_class),
    },
    searched=("name", "code"),
    codecs={
        "options": listed(Option, _option),
        "attributes": listed(Attribute),
        "units": listed(Unit, _unit),
        "components": listed(Component, _component),
        "substitute_ids": array(),
        "accessory_ids": array(),
        "lifecycle": enumerated(Lifecycle),
        "images": listed(Image),
        "translations": listed(Translation),
    },
    unique={"products_code": CodeTaken, "products_variant": VariantTaken},
)
