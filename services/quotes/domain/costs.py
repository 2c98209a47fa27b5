"""What products cost the seller, and the margin that a price leaves.

Costs are for few eyes: they stand in a resource of their own, whose amount is in no event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, InvalidArgument
from chassis.money import Money


@dataclass(frozen=True, slots=True)
class ProductCostChanged(Event):
    """A product's cost was set or changed."""


@dataclass(frozen=True, slots=True)
class ProductCostDeleted(Event):
    """A product's cost was deleted."""


class CostTaken(AlreadyExists):
    """Two costs of a product begin on the same day in one currency."""

    def __init__(self) -> None:
        super().__init__(
            "Another cost of this product begins on this day, in this currency.",
            field="product_cost.valid_from",
        )


class NegativeCost(InvalidArgument):
    """A cost is below zero."""

    def __init__(self) -> None:
        super().__init__("A cost must be zero or more.", field="product_cost.unit_cost")


@dataclass(slots=True, kw_only=True)
class ProductCost(Entity):
    """What one base unit of a product costs from a day on, until the next cost begins.

    Known by product, currency and `valid_from`.
    """

    product_id: UUID
    unit_cost: Money
    valid_from: date | None = None

    @property
    def key(self) -> tuple[UUID, str, date | None]:
        """What tells it from every other cost."""
        return self.product_id, self.unit_cost.currency, self.valid_from

    def set_to(self, unit_cost: Money) -> ProductCostChanged:
        """Makes it known, or changes the amount, in the same currency.

        Raises:
            NegativeCost: it is below zero.
        """
        if unit_cost.amount < 0:
            raise NegativeCost
        self.unit_cost = unit_cost
        return ProductCostChanged()


def cost_on(costs: Iterable[ProductCost], day: date) -> ProductCost | None:
    """The cost of one product on a day: of those that have begun the last."""
    begun = (cost for cost in costs if (cost.valid_from or day) <= day)
    return max(begun, key=lambda cost: cost.valid_from or date.min, default=None)
