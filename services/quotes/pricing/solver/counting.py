"""Many units at once: how many of each line an offer takes at best, from what one unit of each is worth.

Units of a line are alike, so that numbers say it all: what would take as many steps as there are units, tried
one by one, takes as many as there are lines. Rounding aside, the answers are the best there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise

from services.quotes.pricing.evaluation import plain_of
from services.quotes.pricing.grouping import (
    best_bought,
    fewer,
    free_units_are_right,
    group_size,
    line_limit,
    most_repeats,
    reach_units,
)
from services.quotes.pricing.model import BundlePrice, BuyGet, Free
from services.quotes.pricing.problem import Kind, Offer, Problem
from services.quotes.pricing.rounding import ratio

Units = dict[int, int]  # by line


def filled(order: Iterable[int], limits: Mapping[int, int], wanted: int) -> Units:
    """So many units, from the first line on."""
    taken: Units = {}
    for line in order:
        number = min(wanted, limits[line])
        if number > 0:
            taken[line] = number
            wanted -= number
    return taken


def shares_by_count(problem: Problem, offer: Offer, value: Mapping[int, int]) -> tuple[Units, Units]:
    """Units of a limited reach by what each line's are worth: to take, and those no others are worth more than."""
    facts = problem.lines
    limits = {line: line_limit(problem, offer, line) for line in offer.targets}
    order = sorted(offer.targets, key=lambda i: (-value[i], facts[i].tie))
    taken = filled(order, limits, reach_units(problem, offer))
    return taken, taken


def rewards_by_count(
    problem: Problem, offer: Offer, value: Mapping[int, int]
) -> tuple[tuple[Units, Units] | None, Units, bool]:
    """Units that a deal rewards and those bought for it; those no others are worth more than; whether no more may be.

    The cheapest of every group are rewarded where groups are formed from the dearest units down: after `n`
    units so many are rewarded as complete and begun groups have room for.
    """
    deal = offer.benefit
    assert isinstance(deal, BuyGet)
    facts = problem.lines
    whole = dict(enumerate(problem.quoted.whole))
    targets, buys = set(offer.targets), set(offer.buys)
    most = most_repeats(problem, offer)
    by_value = sorted(targets, key=lambda i: (-value[i], facts[i].tie))
    loosely = filled(by_value, whole, most * deal.get_quantity)
    if deal.free is not Free.CHEAPEST or targets.isdisjoint(buys):
        return _bought(problem, offer, deal, [by_value, _dearest(problem, targets)], most), loosely, True
    order = _dearest(problem, targets)
    if targets <= buys:
        elsewhere = sum(whole[line] for line in buys - targets)
        levels = _levels(problem, order)
        limits: Units = {}
        seen = 0
        before = 0
        for level in levels:
            seen += sum(whole[line] for line in level)
            now = min(_rewarded(seen, elsewhere, deal), most * deal.get_quantity)
            limits |= filled(sorted(level, key=lambda i: (-value[i], facts[i].tie)), whole, now - before)
            before += sum(limits.get(line, 0) for line in level)
        many = before - before % deal.get_quantity
        taken = filled(order, {line: limits.get(line, 0) for line in order}, many)
        bought = best_bought(problem, offer, taken, many // deal.get_quantity * deal.buy_quantity)
        if many and free_units_are_right(problem, offer, taken, bought):
            is_ordered = all(value[one] >= value[other] for one, other in pairwise(order))
            return (taken, bought), taken if is_ordered else loosely, True
    return _bought(problem, offer, deal, [order, list(reversed(order))], most), loosely, False


def _dearest(problem: Problem, lines: Iterable[int]) -> list[int]:
    return sorted(lines, key=lambda i: (-problem.lines[i].unit, problem.lines[i].tie))


def _levels(problem: Problem, order: Iterable[int]) -> list[list[int]]:
    """Lines of one price together."""
    levels: list[list[int]] = []
    for line in order:
        if levels and problem.lines[levels[-1][0]].unit == problem.lines[line].unit:
            levels[-1].append(line)
        else:
            levels.append([line])
    return levels


def _rewarded(seen: int, elsewhere: int, deal: BuyGet) -> int:
    """How many of the dearest `seen` units may be rewarded, with so many more bought elsewhere."""
    size = deal.buy_quantity + deal.get_quantity
    groups, left = divmod(seen + elsewhere, size)
    return min(seen, groups * deal.get_quantity + max(0, left - deal.buy_quantity))


def _bought(
    problem: Problem, offer: Offer, deal: BuyGet, orders: Iterable[list[int]], most: int
) -> tuple[Units, Units] | None:
    """As many repeats as are found to be lawful, the rewarded units in one of these orders."""
    whole = dict(enumerate(problem.quoted.whole))
    ways = list(orders)
    for times in fewer(most):
        for order in ways:
            rewarded = filled(order, whole, times * deal.get_quantity)
            wanted = times * deal.buy_quantity
            bought = best_bought(problem, offer, rewarded, wanted)
            if sum(bought.values()) == wanted and free_units_are_right(problem, offer, rewarded, bought):
                return rewarded, bought
    return None


def ceiling_ticks(problem: Problem, offer: Offer) -> tuple[Units, int]:
    """What an offer takes off prices as quoted at most, in ticks: by line, and as one amount on any of its lines."""
    facts = problem.lines
    if offer.kind is Kind.DOCUMENT_AMOUNT:
        anywhere = sum(facts[line].entry for line in offer.targets) if offer.amount < 0 else offer.amount
        return {}, _within(offer, anywhere)
    if offer.kind is Kind.GROUP_AMOUNT:
        return {}, _within(offer, most_repeats(problem, offer) * offer.amount)
    if isinstance(offer.benefit, BundlePrice):
        dearest = sum(
            max((facts[line].unit for line in part), default=0) * component.quantity
            for part, component in zip(offer.parts, offer.benefit.components, strict=True)
        )
        return {}, _within(offer, most_repeats(problem, offer) * max(0, dearest - offer.amount))
    if offer.kind is Kind.LINE_AMOUNT:
        by_line = {line: min(offer.line_amounts[line], facts[line].entry) for line in offer.targets}
    elif offer.kind is Kind.DOCUMENT_PERCENT:
        numerator, denominator = offer.percent
        by_line = {line: facts[line].entry * numerator // denominator for line in offer.targets}
    else:
        by_line = _by_unit(problem, offer)
    if offer.limit is not None and sum(by_line.values()) > offer.limit:
        return {}, offer.limit
    return by_line, 0


def _within(offer: Offer, ticks: int) -> int:
    return ticks if offer.limit is None else min(ticks, offer.limit)


def _by_unit(problem: Problem, offer: Offer) -> Units:
    facts = problem.lines
    gains = offer.gains or {line: facts[line].unit for line in offer.targets}
    reach = getattr(offer.benefit, "reach", None)
    if isinstance(offer.benefit, BuyGet):
        many = most_repeats(problem, offer) * group_size(offer)
        limits = {line: facts[line].whole for line in offer.targets}
    elif reach is not None and reach.is_limited:
        many = reach_units(problem, offer)
        limits = {line: line_limit(problem, offer, line) for line in offer.targets}
    else:
        return {
            line: min(
                gains[line] * (facts[line].whole + (1 if facts[line].rest_size else 0)), facts[line].entry
            )
            for line in offer.targets
        }
    rates = {facts[line].line.tax_rate for line in offer.targets}
    if len(rates) > 1:  # which units are worth most depends on their tax, too
        return {line: gains[line] * min(many, limits[line]) for line in offer.targets}
    order = sorted(offer.targets, key=lambda i: (-gains[i], facts[i].tie))
    return {line: gains[line] * units for line, units in filled(order, limits, many).items()}


def at_most(problem: Problem, offer: Offer, sums: dict[int, tuple[int, int, int]]) -> int:
    """What an offer takes off the total at most, in minor units; about, but never too little. `sums` are kept."""
    facts = problem.lines
    tick = problem.tick
    if offer.kind is Kind.GIFT:
        return 0
    if offer.kind is Kind.SHIPPING:
        return plain_of(problem).total
    known = sums.get(id(offer.targets))
    if known is None:
        own = [facts[line] for line in offer.targets]
        known = sums[id(offer.targets)] = (
            sum(one.entry for one in own),
            sum(one.whole + 1 for one in own),
            max((one.unit for one in own), default=0),
        )
    entry, units, dearest = known
    reach = getattr(offer.benefit, "reach", None)
    ticks = entry
    if offer.kind in (Kind.UNIT_PERCENT, Kind.BUY_GET, Kind.DOCUMENT_PERCENT):
        numerator, denominator = offer.percent
        ticks = entry * numerator // denominator
        dearest = dearest * numerator // denominator
    elif offer.kind is Kind.UNIT_AMOUNT:
        ticks, dearest = offer.amount * units, offer.amount
    elif offer.kind is Kind.LINE_AMOUNT:
        ticks = sum(offer.line_amounts.values())
    elif offer.kind is Kind.DOCUMENT_AMOUNT and offer.amount >= 0:
        ticks = offer.amount
    elif offer.kind is Kind.GROUP_AMOUNT:
        ticks = units // group_size(offer) * offer.amount
    elif offer.kind is Kind.BUNDLE:
        size = group_size(offer)
        ticks = units // size * max(0, size * dearest - offer.amount)
    if reach is not None and reach.max_units is not None:
        ticks = min(ticks, reach.max_units * dearest)
    if offer.kind is Kind.BUY_GET:
        ticks = min(ticks, units * dearest)
        if offer.max_repeats is not None:
            ticks = min(ticks, offer.max_repeats * group_size(offer) * dearest)
    minor = min(_within(offer, ticks), entry) // tick + 1
    if not problem.document.prices_include_tax:
        if 0 not in sums:
            sums[0] = (*ratio(max((one.line.tax_rate for one in facts), default=Decimal(0))), 0)
        numerator, denominator, _ = sums[0]
        minor += minor * numerator // denominator + 1
    return minor + (2 + len(problem.phases)) * len(offer.targets)
