"""Products: the catalogue that quotes draw from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from services.quotes.domain import units as unit_rules
from services.quotes.domain.languages import Translation, best, check_translations
from services.quotes.domain.units import BASE_UNIT, Unit, UnitUnknown
from services.quotes.domain.variants import (
    Attribute,
    Option,
    OptionInUse,
    OptionNotChosen,
    OptionValueUnknown,
    ParentNotFree,
    VariantOfNothing,
    check_attributes,
    check_options,
    variant_key,
)

_IMAGE: Final = re.compile(r"https://[^\s/?#]+\S*|(?!.*(?:\.\.|//))[A-Za-z0-9][A-Za-z0-9/_.-]*")


class Lifecycle(Enum):
    """Where a product stands between idea and memory, in this order."""

    PLANNED = "planned"
    ACTIVE = "active"
    PHASING_OUT = "phasing_out"
    DISCONTINUED = "discontinued"

    @property
    def is_sold(self) -> bool:
        """Whether customers can have it: also what is phased out, while there is some."""
        return self in (Lifecycle.ACTIVE, Lifecycle.PHASING_OUT)


_STAGES: Final = tuple(Lifecycle)


@dataclass(frozen=True, slots=True)
class ProductCreated(Event):
    """A product was made."""


@dataclass(frozen=True, slots=True)
class ProductUpdated(Event):
    """A product was changed."""


@dataclass(frozen=True, slots=True)
class ProductDeleted(Event):
    """A product was deleted."""


@dataclass(frozen=True, slots=True)
class ProductUndeleted(Event):
    """A deleted product was restored."""


class FieldRequired(InvalidArgument):
    """A field that must be set is empty."""

    def __init__(self, kind: str, field: str) -> None:
        super().__init__(f"A {kind} needs a {field}.", field=f"{kind.replace(' ', '_')}.{field}")


class CodeTaken(AlreadyExists):
    """Two products cannot share a code."""

    def __init__(self) -> None:
        super().__init__("Another product has this code already.", field="product.code")


class LifecycleReversed(InvalidArgument):
    """A product would be discontinued before it is phased out, or phased out before it is active."""

    def __init__(self, field: str) -> None:
        super().__init__("The dates of a lifecycle follow each other.", field=f"product.{field}")


class NegativeWeight(InvalidArgument):
    """A weight is below zero."""

    def __init__(self) -> None:
        super().__init__("A weight must be zero or more.", field="product.weight_kilograms")


class ImageNotSensible(InvalidArgument):
    """An image is neither at an https address nor under a storage key."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "An image is named by an https address, or by a storage key such as chairs/c-1.jpg.",
            field=f"product.images[{index}].uri",
        )


class ComponentNotSensible(InvalidArgument):
    """A component of a bundle has no quantity, or is there twice, or is the bundle itself."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "A bundle has each component once, with a quantity above zero, and never itself.",
            field=f"product.components[{index}]",
        )


class BundleNested(FailedPrecondition):
    """A bundle's components are sold by themselves: none is a bundle, or a parent of variants."""

    def __init__(self, code: str, index: int | None = None) -> None:
        place = "" if index is None else f"[{index}].product_id"
        super().__init__(
            f"Bundles are made of single products; with {code} this one is not.",
            field=f"product.components{place}",
        )


class RelatedToItself(InvalidArgument):
    """A product is its own substitute or accessory, or names one twice."""

    def __init__(self, field: str, index: int) -> None:
        super().__init__(
            "Substitutes and accessories are other products, each named once.",
            field=f"product.{field}[{index}]",
        )


@dataclass(frozen=True, slots=True)
class Component:
    """What a bundle holds of one product, in one of that product's units; empty for its base unit."""

    product_id: UUID
    quantity: Decimal
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by an https address or by a key of the tenant's own storage."""

    uri: str
    description: str = ""


@dataclass(slots=True, kw_only=True)
class Product(Entity):
    """Something that is sold."""

    code: str
    name: str
    description: str = ""
    family: str = ""
    is_active: bool = True
    parent_id: UUID | None = None
    options: tuple[Option, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    variant_key: str | None = None
    """What tells a variant from its siblings."""
    base_unit: str = BASE_UNIT
    units: tuple[Unit, ...] = ()
    components: tuple[Component, ...] = ()
    substitute_ids: tuple[UUID, ...] = ()
    """What can be had in its place, the best first."""
    accessory_ids: tuple[UUID, ...] = ()
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    active_from: date | None = None
    phasing_out_from: date | None = None
    discontinued_from: date | None = None
    tax_class: str = ""
    weight_kilograms: Decimal | None = None
    """Of one base unit."""
    images: tuple[Image, ...] = ()
    translations: tuple[Translation, ...] = ()

    @property
    def can_be_quoted(self) -> bool:
        """Whether a new line may have it, by where it stands now."""
        return self.is_active and self.deleted_at is None and not self.options

    def can_be_quoted_on(self, day: date) -> bool:
        """Whether a new line may have it on a day: dates count though nobody has moved it on yet."""
        if self.deleted_at is not None or self.options or not self.lifecycle_on(day).is_sold:
            return False
        return self.is_active or self.lifecycle is Lifecycle.PLANNED

    def lifecycle_on(self, day: date) -> Lifecycle:
        """Where it stands on a day: as was said, or further where a date has come."""
        come = [stage for stage, begins in self._begins() if begins is not None and begins <= day]
        return max([self.lifecycle, *come], key=_STAGES.index)

    def next_stage_on(self, day: date) -> date | None:
        """The first day after this one on which its lifecycle moves on by itself."""
        ahead = [begins for _, begins in self._begins() if begins is not None and begins > day]
        return min(ahead, default=None)

    @property
    def is_bundle(self) -> bool:
        """Whether it is made of others."""
        return bool(self.components)

    def unit(self, code: str = "", field: str = "unit") -> Unit:
        """The unit of this code, the base unit for none.

        Raises:
            UnitUnknown: it is not sold so.
        """
        for unit in self.units:
            if unit.code == (code or self.base_unit):
                return unit
        if code in ("", self.base_unit):
            return Unit(self.base_unit)
        raise UnitUnknown(code, field)

    def in_base_units(self, quantity: Decimal, unit: str = "") -> Fraction:
        """How many base units a quantity of a unit is, exactly.

        Raises:
            UnitUnknown: it is not sold so.
        """
        return Fraction(quantity) * self.unit(unit).factor

    def text(self, language: str = "") -> tuple[str, str]:
        """Name and description in a language, or the nearest; the untranslated ones where there is none."""
        found = best(language, {each.language: each for each in self.translations}) if language else None
        if found is None:
            return self.name, self.description
        return found.name or self.name, found.description or self.description

    def create(self) -> ProductCreated:
        """Makes it known.

        Raises:
            FieldRequired: code or name is empty; or another refusal of this module.
        """
        self._check()
        return ProductCreated()

    def change(self, values: Mapping[str, Any]) -> ProductUpdated:
        """Sets the fields that `values` names. A new stage of its lifecycle says whether it is active,
        unless that is said too.

        Raises:
            FieldRequired: code or name would be empty; or another refusal of this module.
        """
        former = self.lifecycle
        for field, value in values.items():
            setattr(self, field, value)
        if self.lifecycle is not former and "is_active" not in values:
            self.is_active = self.lifecycle.is_sold
        self._check()
        return ProductUpdated()

    def move_on(self, day: date) -> ProductUpdated | None:
        """Its lifecycle goes where its dates say; None where it is there."""
        stage = self.lifecycle_on(day)
        return None if stage is self.lifecycle else self.change({"lifecycle": stage})

    def fit(self, parent: Product | None) -> None:
        """Takes its place among the variants of its parent; None for a product that is no variant.

        Raises:
            VariantOfNothing, ParentNotFree: the two cannot be parent and variant.
            OptionNotChosen, OptionValueUnknown: it does not say one value for each option.
        """
        if parent is None:
            self.variant_key = None
            return
        if self.options:
            raise ParentNotFree
        if not parent.options or parent.id == self.id:
            raise VariantOfNothing
        self.variant_key = variant_key(parent.options, self.attributes)

    def check_variants(self, variants: Iterable[Product]) -> None:
        """Whether its options still fit those that it has.

        Raises:
            OptionInUse: one of them would not fit.
        """
        for variant in variants:
            try:
                fits = bool(self.options) and variant.variant_key == variant_key(
                    self.options, variant.attributes
                )
            except (OptionNotChosen, OptionValueUnknown):
                fits = False
            if not fits:
                raise OptionInUse(variant.code)

    def check_components(self, products: Mapping[UUID, Product]) -> None:
        """Whether what it is made of can be parts: `products` are those that its components name.

        Raises:
            BundleNested: one is a bundle itself, or comes in variants.
            UnitUnknown: one is not sold in the unit that is named.
        """
        for index, component in enumerate(self.components):
            part = products[component.product_id]
            if part.components or part.options:
                raise BundleNested(part.code, index)
            part.unit(component.unit, f"product.components[{index}].unit")

    def _begins(self) -> tuple[tuple[Lifecycle, date | None], ...]:
        return (
            (Lifecycle.ACTIVE, self.active_from),
            (Lifecycle.PHASING_OUT, self.phasing_out_from),
            (Lifecycle.DISCONTINUED, self.discontinued_from),
        )

    def _check(self) -> None:
        for field in ("code", "name"):
            if not getattr(self, field):
                raise FieldRequired("product", field)
        self.base_unit = self.base_unit or BASE_UNIT
        if not self.lifecycle.is_sold:
            self.is_active = False
        unit_rules.check(self.base_unit, self.units)
        check_options(self.options)
        check_attributes(self.attributes)
        self.translations = check_translations(self.translations, "product.translations")
        self._check_lifecycle()
        self._check_parts()
        if self.weight_kilograms is not None and self.weight_kilograms < 0:
            raise NegativeWeight
        for index, image in enumerate(self.images):
            if not _IMAGE.fullmatch(image.uri):
                raise ImageNotSensible(index)

    def _check_lifecycle(self) -> None:
        latest: date | None = None
        for stage, begins in self._begins():
            if begins is None:
                continue
            if latest is not None and begins < latest:
                raise LifecycleReversed(f"{stage.value}_from")
            latest = begins

    def _check_parts(self) -> None:
        seen = {self.id}
        for index, component in enumerate(self.components):
            if component.quantity <= 0 or component.product_id in seen:
                raise ComponentNotSensible(index)
            seen.add(component.product_id)
        for field in ("substitute_ids", "accessory_ids"):
            named = {self.id}
            for index, other in enumerate(getattr(self, field)):
                if other in named:
                    raise RelatedToItself(field, index)
                named.add(other)


def exploded(product: Product, quantity: Decimal, unit: str = "") -> dict[UUID, tuple[Fraction, str]]:
    """What a quantity of a product takes out of stock: itself, or the components of a bundle.

    Raises:
        UnitUnknown: it is not sold so.
    """
    count = product.in_base_units(quantity, unit)
    if not product.components:
        return {product.id: (count, product.base_unit)}
    return {part.product_id: (count * Fraction(part.quantity), part.unit) for part in product.components}
