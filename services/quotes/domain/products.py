"""Products: the catalogue that quotes draw from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, InvalidArgument


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


@dataclass(slots=True, kw_only=True)
class Product(Entity):
    """Something that is sold."""

    code: str
    name: str
    description: str = ""
    family: str = ""
    is_active: bool = True

    @property
    def can_be_quoted(self) -> bool:
        """Whether a new line may have it."""
        return self.is_active and self.deleted_at is None

    def create(self) -> ProductCreated:
        """Makes it known.

        Raises:
            FieldRequired: code or name is empty.
        """
        self._check()
        return ProductCreated()

    def change(self, values: Mapping[str, Any]) -> ProductUpdated:
        """Sets the fields that `values` names.

        Raises:
            FieldRequired: code or name would be empty.
        """
        for field, value in values.items():
            setattr(self, field, value)
        self._check()
        return ProductUpdated()

    def _check(self) -> None:
        for field in ("code", "name"):
            if not getattr(self, field):
                raise FieldRequired("product", field)
