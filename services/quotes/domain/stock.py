"""Stock: what stands in a warehouse of a product, as the ERP says it. What is on hand changes by its
levels alone; shipments use up reservations, and are subtracted from what may be promised until a level has
allowed for them.

Levels merge in any order: of two the higher version counts, of one version the lower figure, and what any
of them lists as included is included. So the same messages make the same state, however they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import NotFound


@dataclass(frozen=True, slots=True)
class StockItemUpdated(Event):
    """What stands in a warehouse of a product was reported anew."""


@dataclass(frozen=True, slots=True)
class StockShortfall(Event):
    """Less is there, or comes, than was promised. It is said again whenever the shortfall changes."""

    former_shortfall: Decimal


class WarehouseUnknown(NotFound):
    """A report names a warehouse that there is not."""

    def __init__(self, code: str) -> None:
        super().__init__(f"There is no warehouse {code}: make it known, then retry.", field="warehouse")


class ReportedProductUnknown(NotFound):
    """A report names a product that is not in the catalogue."""

    def __init__(self, code: str, field: str = "product") -> None:
        super().__init__(f"There is no product {code}: make it known, then retry.", field=field)


@dataclass(frozen=True, slots=True)
class Level:
    """What the ERP counted; `safety_stock` is None where it does not say."""

    version: int
    on_hand: Decimal
    safety_stock: Decimal | None = None
    counted_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class StockItem(Entity):
    """One product in one warehouse, in the product's base unit."""

    warehouse_id: UUID
    product_id: UUID
    level_version: int = 0
    """The highest level that was heard; 0 before the first."""
    on_hand: Decimal = Decimal(0)
    safety_stock: Decimal = Decimal(0)
    safety_version: int = 0
    """The level that the safety stock is from."""
    shipped: Decimal = Decimal(0)
    """What has left and is in no level yet."""
    incoming: Decimal = Decimal(0)
    """What is awaited, on whatever day."""
    shortfall: Decimal = Decimal(0)
    """How much less is there, on the worst day, than was promised; as of the last report."""

    @property
    def base(self) -> Decimal:
        """What may be promised of what is there: without what is awaited, before what is promised."""
        return self.on_hand - self.safety_stock - self.shipped

    def count(self, level: Level) -> None:
        """Takes a level in; one that is overtaken changes nothing."""
        if (level.version, -level.on_hand) > (self.level_version, -self.on_hand):
            self.level_version, self.on_hand = level.version, level.on_hand
        if level.safety_stock is not None and (level.version, level.safety_stock) > (
            self.safety_version,
            self.safety_stock,
        ):
            self.safety_version, self.safety_stock = level.version, level.safety_stock

    def reckon(self, lowest: Decimal) -> StockItemUpdated | StockShortfall:
        """Notes how far what is there falls short, given the lowest that all promises leave on any day."""
        former, self.shortfall = self.shortfall, max(Decimal(0), -lowest)
        if self.shortfall and self.shortfall != former:
            return StockShortfall(former_shortfall=former)
        return StockItemUpdated()
