"""By which rules a tenant's promotions add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument
from services.quotes.pricing import model

STANDARD: Final = model.Settings()


@dataclass(frozen=True, slots=True)
class PricingSettingsUpdated(Event):
    """The rules were changed."""


class WithoutBudget(InvalidArgument):
    """Without time nothing is found."""

    def __init__(self) -> None:
        super().__init__("It takes a millisecond or more.", field="pricing_settings.budget_ms")


@dataclass(slots=True, kw_only=True)
class PricingSettings(Entity):
    """One per tenant. Floors are margins in percent of the net price; None is without."""

    policy: model.Policy = STANDARD.policy
    within_percent: Decimal = STANDARD.within_percent
    combine: model.Combine = STANDARD.combine
    remainder: model.Remainder = STANDARD.remainder
    grouping: model.UnitOrder = STANDARD.grouping
    rounding: model.Rounding = STANDARD.rounding
    round_at: model.RoundAt = STANDARD.round_at
    record_zero_effect: bool = STANDARD.record_zero_effect
    allows_zero_prices: bool = not STANDARD.zero_only_for_gifts
    budget_ms: int = STANDARD.budget_ms
    line_margin_floor: Decimal | None = None
    document_margin_floor: Decimal | None = None

    def change(self, values: Mapping[str, Any]) -> PricingSettingsUpdated:
        """Takes new values on.

        Raises:
            WithoutBudget: there would be no time to look for the best combination.
        """
        for name, value in values.items():
            setattr(self, name, value)
        if self.budget_ms < 1:
            raise WithoutBudget
        return PricingSettingsUpdated()

    @property
    def needs_costs(self) -> bool:
        """Whether what products cost the seller has a part in the choice."""
        floors = (self.line_margin_floor, self.document_margin_floor)
        return self.policy is model.Policy.HIGHEST_MARGIN or any(floor is not None for floor in floors)

    def priced(
        self, budget_ms: int = 0, tax_rounding: model.TaxRounding = STANDARD.tax_rounding
    ) -> model.Settings:
        """What pricing reads of them; `budget_ms` stands before their own."""
        return model.Settings(
            policy=self.policy,
            within_percent=self.within_percent,
            combine=self.combine,
            remainder=self.remainder,
            grouping=self.grouping,
            rounding=self.rounding,
            round_at=self.round_at,
            tax_rounding=tax_rounding,
            record_zero_effect=self.record_zero_effect,
            zero_only_for_gifts=not self.allows_zero_prices,
            budget_ms=budget_ms or self.budget_ms,
        )
