"""Product families: which group of products lies in which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition
from services.quotes.domain.products import FieldRequired


@dataclass(frozen=True, slots=True)
class ProductFamilyCreated(Event):
    """A product family was made."""


@dataclass(frozen=True, slots=True)
class ProductFamilyUpdated(Event):
    """A product family was changed."""


@dataclass(frozen=True, slots=True)
class ProductFamilyDeleted(Event):
    """A product family was deleted."""


class FamilyNameTaken(AlreadyExists):
    """Two product families cannot share a name."""

    def __init__(self) -> None:
        super().__init__("Another product family has this name already.", field="product_family.name")


class FamilyInItself(FailedPrecondition):
    """A product family would lie in itself, at once or by way of others."""

    def __init__(self) -> None:
        super().__init__("A product family cannot lie in itself.", field="product_family.parent_id")


class FamilyNotEmpty(FailedPrecondition):
    """Another product family lies in this one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The product family {name} lies in this one.", field="id")


@dataclass(slots=True, kw_only=True)
class ProductFamily(Entity):
    """A group of products. Products state its name; what it lies in is said here."""

    name: str
    description: str = ""
    parent_id: UUID | None = None
    tax_class: str = ""

    def create(self, families: Mapping[UUID, ProductFamily]) -> ProductFamilyCreated:
        """Makes it known; `families` are those that there are.

        Raises:
            FieldRequired: it has no name.
            FamilyInItself: it would lie in itself.
        """
        self._check(families)
        return ProductFamilyCreated()

    def change(
        self, values: Mapping[str, Any], families: Mapping[UUID, ProductFamily]
    ) -> ProductFamilyUpdated:
        """Sets the fields that `values` names.

        Raises:
            FieldRequired: the name would be empty.
            FamilyInItself: it would lie in itself.
        """
        for field, value in values.items():
            setattr(self, field, value)
        self._check(families)
        return ProductFamilyUpdated()

    def must_be_empty(self, families: Iterable[ProductFamily]) -> None:
        """Raises FamilyNotEmpty where one of the families lies in it."""
        for family in families:
            if family.parent_id == self.id:
                raise FamilyNotEmpty(family.name)

    def _check(self, families: Mapping[UUID, ProductFamily]) -> None:
        if not self.name:
            raise FieldRequired("product family", "name")
        above = self.parent_id
        for _ in range(len(families) + 1):
            if above == self.id:
                raise FamilyInItself
            family = families.get(above) if above is not None else None
            if family is None:
                return
            above = family.parent_id
        raise FamilyInItself


def lineages(families: Iterable[ProductFamily]) -> dict[str, tuple[ProductFamily, ...]]:
    """Each family by its name, with those that it lies in, from itself up."""
    by_id = {family.id: family for family in families}
    found = {}
    for family in by_id.values():
        line = [family]
        while (above := line[-1].parent_id) in by_id and by_id[above] not in line:
            line.append(by_id[above])
        found[family.name] = tuple(line)
    return found


def tax_class_of(own: str, family: str, families: Mapping[str, tuple[ProductFamily, ...]]) -> str:
    """A product's tax class: its own, else that of the nearest family that says one; else empty."""
    return own or next((each.tax_class for each in families.get(family, ()) if each.tax_class), "")
