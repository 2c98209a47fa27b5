"""Floors: what promotions may not go below, by line and by document."""

from __future__ import annotations

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.model import ReasonKind
from services.quotes.pricing.pieces import Violation
from services.quotes.pricing.problem import LineFacts, Problem, after_manual, rounded
from services.quotes.pricing.rounding import ceiling, digits, power_of_ten, scaled


def least_subtotal(problem: Problem, facts: LineFacts, least: int) -> int:
    """The least subtotal before manual discounts, in minor units, from which they leave `least`."""
    low, high = least, facts.quoted
    while low < high:
        middle = (low + high) // 2
        if rounded(problem, facts, after_manual(problem, facts, middle * problem.tick)) >= least:
            high = middle
        else:
            low = middle + 1
    return low


def price_floor(problem: Problem) -> int | None:
    """The document's price floor in minor units, rounded up."""
    floor = problem.document.price_floor
    if floor is None:
        return None
    return ceiling(scaled(floor, problem.document.exponent + 12), 10**12)


def margin_slack(problem: Problem, net: int, gift_cost: int) -> int | None:
    """Above zero: so far is the document above its margin floor; in ticks times a constant. None: it has none."""
    margin = problem.document.margin_floor
    cost = total_cost(problem)
    if margin is None or cost is None:
        return None
    places = digits(margin)
    hundred = 100 * power_of_ten(places)
    return (
        net * problem.tick * (hundred - scaled(margin, places)) - (cost + gift_cost * problem.tick) * hundred
    )


def total_cost(problem: Problem) -> int | None:
    """What the lines cost, in ticks; None where one's cost is not known."""
    total = 0
    for facts in problem.lines:
        if facts.cost is None:
            return None
        total += facts.cost
    return total


def check_document_floors(done: Computed, plain: Computed) -> None:
    """Promotions leave the document above its floors, or where it was if that is below."""
    document = done.problem.document
    if document.price_floor is None and document.margin_floor is None:
        return
    if not done.choice.selected:
        return
    net, plain_net = sum(done.nets), sum(plain.nets)
    floor = price_floor(done.problem)
    codes = tuple(done.problem.offers[index].code for index in done.choice.selected)
    if floor is not None and net < min(floor, plain_net):
        _below(done, codes, "Would break the document's price floor.")
    slack, plain_slack = (
        margin_slack(done.problem, net, done.gift_cost),
        margin_slack(done.problem, plain_net, 0),
    )
    if slack is not None and plain_slack is not None and slack < min(0, plain_slack):
        _below(done, codes, "Would break the document's margin floor.")


def _below(done: Computed, codes: tuple[str, ...], message: str) -> None:
    done.broken.append(Violation(kind=ReasonKind.FLOOR, message=message, code=codes[-1], against=codes[:-1]))
