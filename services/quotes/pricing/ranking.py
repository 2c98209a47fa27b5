"""Which of two selections is better, under the document's policy, down to the last tie."""

from __future__ import annotations

from services.quotes.pricing.charges import gift_amount
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.model import Gift, Policy
from services.quotes.pricing.problem import Offer, Problem
from services.quotes.pricing.rounding import half_up, ratio

Key = tuple[object, ...]


def total_key(computed: Computed) -> Key:
    """Lower is better for the customer: total, gifts, fewer promotions, priority, code, then units by line.

    Lines come in an order of what they are worth, and by their keys only where all else is equal: no total
    depends on the order of lines or promotions.
    """
    problem = computed.problem
    applied = computed.applied
    ranks = tuple(problem.offers[index].promotion.rank for index in applied)
    return (computed.total, -computed.gift_value, len(applied), ranks, _units(computed))


def margin_key(computed: Computed) -> Key:
    """Lower is better for the seller: margin with supplier funding, then as the customer's."""
    return (-margin(computed), *total_key(computed))


def key(computed: Computed) -> Key:
    """By the document's policy. With HIGHEST_MARGIN only totals up to `most_total` may be compared."""
    if computed.problem.document.settings.policy is Policy.HIGHEST_MARGIN:
        return margin_key(computed)
    return total_key(computed)


def most_total(problem: Problem, lowest: int) -> int:
    """The highest total that HIGHEST_MARGIN may choose, given the lowest that there is."""
    numerator, denominator = ratio(problem.document.settings.within_percent)
    return lowest + lowest * numerator // denominator


def margin(computed: Computed) -> int:
    """Net of the lines, plus what suppliers pay, less the cost of gifts; the lines' own cost never differs."""
    problem = computed.problem
    funded = sum(
        funding(problem, problem.offers[i], computed.discounts.get(i, 0)) for i in computed.choice.selected
    )
    return sum(computed.nets) + funded - computed.gift_cost


def funding(problem: Problem, offer: Offer, discount: int) -> int:
    """What the supplier pays for a promotion: of its discount, or of its gift's cost. Minor units."""
    percent = offer.promotion.funding_percent
    if not percent:
        return 0
    if isinstance(offer.benefit, Gift):
        discount = gift_amount(problem, offer.benefit.unit_cost, offer.benefit.quantity)
    numerator, denominator = ratio(percent)
    return half_up(discount * numerator, denominator)


def _units(computed: Computed) -> tuple[tuple[int, ...], ...]:
    """More units on the line that comes first; then more bought there."""
    problem, choice = computed.problem, computed.choice
    rewarded: dict[tuple[int, int], int] = {}
    for offer, places in choice.by_offer.items():
        for place in places:
            where = (problem.lines[choice.pieces[place].line].tie, offer)
            piece = choice.pieces[place]
            rewarded[where] = rewarded.get(where, 0) - (1 if piece.is_rest else 2 * piece.units)
    bought: dict[tuple[int, int], int] = {}
    for offer, places in choice.bought.items():
        for place in places:
            where = (problem.lines[choice.pieces[place].line].tie, offer)
            bought[where] = bought.get(where, 0) - choice.pieces[place].units
    return (
        *((tie, offer, number) for (tie, offer), number in sorted(rewarded.items())),
        *((tie, offer, number) for (tie, offer), number in sorted(bought.items())),
    )
