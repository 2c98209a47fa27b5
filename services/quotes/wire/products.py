"""Products, to and from the protos."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args
from uuid import UUID

from sfa.quotes.v1 import products_pb2 as pb

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.quotes.domain.languages import Translation
from services.quotes.domain.products import Component, Image, Lifecycle, Product
from services.quotes.domain.units import BASE_UNIT, Rounding, Unit
from services.quotes.domain.variants import Attribute, Option

_STAGES = {stage: pb.Product.Lifecycle.Value(stage.name) for stage in Lifecycle}
_STAGE_OF = {number: stage for stage, number in _STAGES.items()}
_ROUNDINGS = {rounding: pb.ProductUnit.Rounding.Value(rounding.name) for rounding in Rounding}
_ROUNDING_OF = {number: rounding for rounding, number in _ROUNDINGS.items()}
_Dated = Literal["active_from", "phasing_out_from", "discontinued_from"]
_DATES: tuple[_Dated, ...] = get_args(_Dated)


def product_to_proto(product: Product) -> pb.Product:
    """The resource."""
    result = pb.Product()
    convert.set_head(result, product)
    for name in ("code", "name", "description", "family", "is_active", "base_unit", "tax_class"):
        setattr(result, name, getattr(product, name))
    result.lifecycle = _STAGES[product.lifecycle]
    if product.parent_id is not None:
        result.parent_id = str(product.parent_id)
    if product.weight_kilograms is not None:
        result.weight_kilograms = convert.decimal_text(product.weight_kilograms)
    for name in _DATES:
        if (day := getattr(product, name)) is not None:
            convert.set_date(getattr(result, name), day)
    _set_parts(result, product)
    return result


def _set_parts(result: pb.Product, product: Product) -> None:
    for option in product.options:
        result.options.add(name=option.name, values=option.values)
    for attribute in product.attributes:
        result.attributes.add(name=attribute.name, value=attribute.value)
    for unit in product.units:
        result.units.add(
            code=unit.code,
            numerator=unit.numerator,
            denominator=unit.denominator,
            step="" if unit.step is None else convert.decimal_text(unit.step),
            rounding=_ROUNDINGS[unit.rounding],
        )
    for part in product.components:
        result.components.add(
            product_id=str(part.product_id), quantity=convert.decimal_text(part.quantity), unit=part.unit
        )
    result.substitute_ids.extend(map(str, product.substitute_ids))
    result.accessory_ids.extend(map(str, product.accessory_ids))
    for image in product.images:
        result.images.add(uri=image.uri, description=image.description)
    for said in product.translations:
        result.translations.add(language=said.language, name=said.name, description=said.description)


def list_price_of(message: pb.Product) -> Money | None:
    """The price that the product is to have in the standard price book; None where it is not said."""
    return (
        convert.money_of(message.list_price, "product.list_price") if message.HasField("list_price") else None
    )


def _unit_of(unit: pb.ProductUnit) -> Unit:
    return Unit(
        code=unit.code,
        numerator=unit.numerator or 1,
        denominator=unit.denominator or 1,
        step=Decimal(unit.step) if unit.step else None,
        rounding=_ROUNDING_OF.get(unit.rounding, Rounding.UP),
    )


def _component_of(part: pb.ProductComponent) -> Component:
    return Component(UUID(part.product_id), Decimal(part.quantity), part.unit)


def _date(name: _Dated) -> Callable[[pb.Product], date | None]:
    return lambda message: (
        convert.date_of(getattr(message, name), f"product.{name}") if message.HasField(name) else None
    )


def _ids(texts: Iterable[str]) -> tuple[UUID, ...]:
    return tuple(map(UUID, texts))


# How each field that a client may set is read; the names are those of the update mask.
PRODUCT_FIELDS: Mapping[str, Callable[[pb.Product], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "code": lambda message: message.code,
    "name": lambda message: message.name,
    "description": lambda message: message.description,
    "family": lambda message: message.family,
    "is_active": lambda message: message.is_active if message.HasField("is_active") else True,
    "list_price": list_price_of,
    "parent_id": lambda message: convert.uuid_of(message.parent_id),
    "options": lambda message: tuple(Option(each.name, tuple(each.values)) for each in message.options),
    "attributes": lambda message: tuple(Attribute(each.name, each.value) for each in message.attributes),
    "base_unit": lambda message: message.base_unit or BASE_UNIT,
    "units": lambda message: tuple(map(_unit_of, message.units)),
    "components": lambda message: tuple(map(_component_of, message.components)),
    "substitute_ids": lambda message: _ids(message.substitute_ids),
    "accessory_ids": lambda message: _ids(message.accessory_ids),
    "lifecycle": lambda message: _STAGE_OF.get(message.lifecycle, Lifecycle.ACTIVE),
    **{name: _date(name) for name in _DATES},
    "tax_class": lambda message: message.tax_class,
    "weight_kilograms": lambda message: (
        Decimal(message.weight_kilograms) if message.weight_kilograms else None
    ),
    "images": lambda message: tuple(Image(each.uri, each.description) for each in message.images),
    "translations": lambda message: tuple(
        Translation(each.language, each.name, each.description) for each in message.translations
    ),
}


def product_version_to_proto(version: Version) -> pb.ProductVersion:
    """One version."""
    assert isinstance(version.resource, pb.Product)
    return pb.ProductVersion(
        product=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
