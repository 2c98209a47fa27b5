"""Warehouses: where goods stand, and how far that is from where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Any

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, InvalidArgument

_EARTH_KILOMETRES = 6371.0088


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the earth, in degrees (WGS 84)."""

    latitude: float
    longitude: float

    def kilometres_to(self, other: Place) -> float:
        """The distance as the crow flies, by the haversine formula."""
        north, other_north = radians(self.latitude), radians(other.latitude)
        half_up = sin((other_north - north) / 2) ** 2
        half_across = sin(radians(other.longitude - self.longitude) / 2) ** 2
        chord = half_up + cos(north) * cos(other_north) * half_across
        return 2 * _EARTH_KILOMETRES * asin(min(1.0, sqrt(chord)))


@dataclass(frozen=True, slots=True)
class WarehouseCreated(Event):
    """A warehouse was made known."""


@dataclass(frozen=True, slots=True)
class WarehouseUpdated(Event):
    """A warehouse was changed."""


class WarehouseFieldRequired(InvalidArgument):
    """A field that must be set is empty."""

    def __init__(self, field: str) -> None:
        super().__init__(f"A warehouse needs a {field}.", field=f"warehouse.{field}")


class WarehouseCodeTaken(AlreadyExists):
    """Two warehouses cannot share a code."""

    def __init__(self) -> None:
        super().__init__("Another warehouse has this code already.", field="warehouse.code")


@dataclass(slots=True, kw_only=True)
class Warehouse(Entity):
    """A place where goods stand. One that is not active promises nothing new."""

    code: str
    name: str
    address: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    is_active: bool = True

    @property
    def place(self) -> Place | None:
        """Where it is, as far as that is known."""
        if self.latitude is None or self.longitude is None:
            return None
        return Place(self.latitude, self.longitude)

    def create(self) -> WarehouseCreated:
        """Makes it known.

        Raises:
            WarehouseFieldRequired: code or name is empty.
        """
        self._check()
        return WarehouseCreated()

    def change(self, values: Mapping[str, Any]) -> WarehouseUpdated:
        """Sets the fields that `values` names; `place` is both coordinates.

        Raises:
            WarehouseFieldRequired: code or name would be empty.
        """
        for field, value in values.items():
            setattr(self, field, value)
        self._check()
        return WarehouseUpdated()

    def _check(self) -> None:
        for field in ("code", "name"):
            if not getattr(self, field):
                raise WarehouseFieldRequired(field)
