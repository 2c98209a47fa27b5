"""Budgets and caps: no promotion takes more than what is left for it."""

from __future__ import annotations

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.model import ReasonKind
from services.quotes.pricing.pieces import Violation
from services.quotes.pricing.problem import Offer


def over_limit(offer: Offer) -> Violation:
    """That a promotion would take more than what is left of its budget, or than its cap."""
    budget, cap = offer.promotion.remaining_budget, offer.promotion.max_discount
    by_budget = budget is not None and (cap is None or budget <= cap)
    kind, what = (ReasonKind.BUDGET, "its budget") if by_budget else (ReasonKind.CAP, "its cap")
    return Violation(kind=kind, message=f"Would take more than {what} allows.", code=offer.code)


def check_limits(done: Computed) -> None:
    """No promotion takes more than its budget and cap, also after rounding."""
    for index, discount in done.discounts.items():
        offer = done.problem.offers[index]
        if offer.limit is not None and discount * done.problem.tick > offer.limit:
            done.broken.append(over_limit(offer))
