"""What a selection comes to, in plain integers: what searching compares and reports are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.quotes.pricing.pieces import Choice, Violation
from services.quotes.pricing.problem import Kind, Problem


@dataclass(slots=True)
class Computed:
    """A selection's prices, as integers: minor units, except `taken`, which is exact."""

    problem: Problem
    choice: Choice
    taken: dict[int, dict[int, int]] = field(default_factory=dict)  # ticks by offer and line
    truncated: set[int] = field(default_factory=set)
    subtotals: list[int] = field(default_factory=list)  # after promotions
    before_header: list[int] = field(
        default_factory=list
    )  # after the line's manual discount and the header's percent
    amounts: list[int] = field(default_factory=list)
    nets: list[int] = field(default_factory=list)
    taxes: list[int] = field(default_factory=list)
    shares: list[dict[int, int]] = field(default_factory=list)  # by line: minor units by offer
    charges: list[tuple[int, int, int]] = field(default_factory=list)  # amount, net, tax
    shipping: dict[int, list[int]] = field(default_factory=dict)  # by offer: minor units by charge
    discounts: dict[int, int] = field(default_factory=dict)  # by offer, minor units
    broken: list[Violation] = field(default_factory=list)
    total: int = 0
    gift_value: int = 0
    gift_cost: int = 0

    @property
    def applied(self) -> tuple[int, ...]:
        """Offers that took something off or gave something, in rank order; with the setting, all selected.

        A remainder can be shifted from line to line by an offer that takes nothing off in all: it is
        among them, as the lines tell of it.
        """
        if self.problem.document.settings.record_zero_effect:
            return self.choice.selected
        moved = {index for line in self.shares for index, share in line.items() if share}
        return tuple(
            index
            for index in self.choice.selected
            if self.discounts.get(index) or index in moved or self.problem.offers[index].kind is Kind.GIFT
        )
