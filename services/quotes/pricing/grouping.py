"""Groups of units: what may be put together for bundles and for buying some to get others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.quotes.pricing.model import AmountOff, BundlePrice, BuyGet, Free, UnitOrder
from services.quotes.pricing.problem import Kind, Offer, Problem

Units = Mapping[int, int]  # whole units by line index


def repeats(offer: Offer, rewarded: Units) -> int | None:
    """How often the offer is repeated with these units; None: they make no complete groups."""
    size = group_size(offer)
    whole, left = divmod(sum(rewarded.values()), size)
    return None if left else whole


def group_size(offer: Offer) -> int:
    """Rewarded units in one repeat."""
    match offer.benefit:
        case BuyGet(get_quantity=quantity):
            return quantity
        case BundlePrice(components=components):
            return sum(component.quantity for component in components)
        case AmountOff(group_size=size):
            return size
    return 1


def most_repeats(problem: Problem, offer: Offer) -> int:
    """How often the document's units allow it at most, others aside."""
    key = ("most", offer.index)
    found = problem.allocations.get(key)
    if not isinstance(found, int):
        found = problem.allocations[key] = _most_repeats(problem, offer)
    return found


_FEW_REPEATS = 120


def fewer(most: int) -> Iterator[int]:
    """Numbers of repeats worth trying, from the most on: every one where they are few, else ever fewer."""
    number, step = most, 1
    while number > 0:
        yield number
        if most > _FEW_REPEATS and most - number >= _FEW_REPEATS // 2:
            step = max(1, number // 4)
        number -= step


def _most_repeats(problem: Problem, offer: Offer) -> int:
    whole = problem.quoted.whole
    match offer.benefit:
        case BuyGet(buy_quantity=buy, get_quantity=get):
            most = min(
                sum(whole[i] for i in offer.buys) // buy,
                sum(whole[i] for i in offer.targets) // get,
                sum(whole[i] for i in {*offer.buys, *offer.targets}) // (buy + get),
            )
        case BundlePrice(components=components):
            most = sum(whole[i] for i in offer.targets) // group_size(offer)
            elsewhere = _units_outside(problem, offer)
            count = sum(elsewhere[-1:])
            for chosen in range(1, len(elsewhere)):
                wanted = sum(part.quantity for c, part in enumerate(components) if chosen >> c & 1)
                most = min(most, (count - elsewhere[len(elsewhere) - 1 - chosen]) // wanted)
        case _:
            most = sum(whole[i] for i in offer.targets) // group_size(offer)
    return most if offer.max_repeats is None else min(most, offer.max_repeats)


def _units_outside(problem: Problem, offer: Offer) -> list[int]:
    """By set of components, as bits: units of lines that fit into none but these."""
    count = len(offer.parts)
    by_mask = [0] * (1 << count)
    masks: dict[int, int] = {}
    for place, part in enumerate(offer.parts):
        for line in part:
            masks[line] = masks.get(line, 0) | 1 << place
    for line, mask in masks.items():
        by_mask[mask] += problem.quoted.whole[line]
    for place in range(count):
        bit = 1 << place
        for mask in range(1 << count):
            if mask & bit:
                by_mask[mask] += by_mask[mask ^ bit]
    return by_mask


def bundle_fits(offer: Offer, units: Units, times: int) -> bool:
    """Whether the units can be shared out among the components, each complete (Hall's condition)."""
    benefit = offer.benefit
    assert isinstance(benefit, BundlePrice)
    count = len(benefit.components)
    by_mask: dict[int, int] = {}
    for line, number in units.items():
        mask = sum(1 << c for c in range(count) if line in offer.parts[c])
        by_mask[mask] = by_mask.get(mask, 0) + number
    for chosen in range(1 << count):
        room = times * sum(benefit.components[c].quantity for c in range(count) if chosen >> c & 1)
        if sum(number for mask, number in by_mask.items() if not mask & ~chosen) > room:
            return False
    return True


def free_units_are_right(problem: Problem, offer: Offer, rewarded: Units, bought: Units) -> bool:
    """Whether groups can be formed in which the rewarded units are the cheapest (or dearest) that could be.

    Bought units that could not be rewarded never stand in the way. With units sorted by price, groups exist
    exactly when above every price there are enough bought units for the groups that the rewarded ones need.
    """
    benefit = offer.benefit
    assert isinstance(benefit, BuyGet)
    if benefit.free is Free.ANY:
        return True
    sign = 1 if benefit.free is Free.CHEAPEST else -1
    targets = set(offer.targets)
    free_choice = 0
    events: dict[int, list[int]] = {}
    for line, number in rewarded.items():
        events.setdefault(sign * problem.lines[line].unit, [0, 0])[0] += number
    for line, number in bought.items():
        if line in targets:
            events.setdefault(sign * problem.lines[line].unit, [0, 0])[1] += number
        else:
            free_choice += number
    above_rewarded, above_bought = 0, free_choice
    for price in sorted(events, reverse=True):
        above_rewarded += events[price][0]
        above_bought += events[price][1]
        if above_bought < benefit.buy_quantity * -(-above_rewarded // benefit.get_quantity):
            return False
    return True


def best_bought(problem: Problem, offer: Offer, rewarded: Units, wanted: int) -> dict[int, int]:
    """Units to count as bought where buying uses nothing up: those that leave the most freedom; may be too few."""
    benefit = offer.benefit
    assert isinstance(benefit, BuyGet)
    targets = set(offer.targets)
    sign = 1 if benefit.free is Free.CHEAPEST else -1
    order = sorted(
        offer.buys, key=lambda i: (i in targets, -sign * problem.lines[i].unit, problem.lines[i].tie)
    )
    return _take(order, {i: problem.quoted.whole[i] - rewarded.get(i, 0) for i in order}, wanted)


def _take(order: Sequence[int], available: Units, wanted: int) -> dict[int, int]:
    taken: dict[int, int] = {}
    for line in order:
        number = min(wanted, available[line])
        if number > 0:
            taken[line] = taken.get(line, 0) + number
            wanted -= number
    return taken


# --- fixed orders of units -----------------------------------------------------------------------


def is_fixed(problem: Problem, offer: Offer) -> bool:
    """Whether a setting, not the solver, says which units the offer takes."""
    if problem.document.settings.grouping is UnitOrder.BEST:
        return False
    if offer.kind in (Kind.BUY_GET, Kind.GROUP_AMOUNT):
        return True
    return is_limited(offer)


def is_limited(offer: Offer) -> bool:
    """Whether its reach takes only some units."""
    reach = getattr(offer.benefit, "reach", None)
    return reach is not None and reach.is_limited


def fixed_units(problem: Problem, offer: Offer, times: int) -> tuple[dict[int, int], dict[int, int]] | None:
    """Rewarded and bought units of so many repeats in the settings' order; None: there are too few.

    The order is that of all matching units, whatever other promotions take. For a limited reach `times`
    does not matter.
    """
    key = (offer.index, times)
    if key not in problem.allocations:
        problem.allocations[key] = _fixed_units(problem, offer, times)
    return problem.allocations[key]  # type: ignore[return-value]  # written one line above


def _fixed_units(problem: Problem, offer: Offer, times: int) -> tuple[dict[int, int], dict[int, int]] | None:
    whole = problem.quoted.whole
    order = _ordered(problem, offer.targets)
    benefit = offer.benefit
    if isinstance(benefit, BuyGet):
        if times > most_repeats(problem, offer):
            return None
        return _fixed_deal(problem, offer, benefit, times, order)
    if offer.kind is Kind.GROUP_AMOUNT:
        wanted = times * group_size(offer)
        rewarded = _take(order, {i: whole[i] for i in order}, wanted)
        return (rewarded, {}) if sum(rewarded.values()) == wanted else None
    return _take(order, {i: line_limit(problem, offer, i) for i in order}, reach_units(problem, offer)), {}


def line_limit(problem: Problem, offer: Offer, line: int) -> int:
    """How many units of a line the offer's reach may take."""
    most = getattr(offer.benefit, "reach").max_units_per_line  # noqa: B009  # only some benefits have one
    whole = problem.quoted.whole[line]
    return whole if most is None else min(whole, most)


def reach_units(problem: Problem, offer: Offer) -> int:
    """How many units the offer's reach may take on the document: complete steps only."""
    reach = getattr(offer.benefit, "reach")  # noqa: B009  # only some benefits have one
    many = sum(line_limit(problem, offer, line) for line in offer.targets)
    if reach.max_units is not None:
        many = min(many, reach.max_units)
    return many - many % int(reach.step)


def _ordered(problem: Problem, lines: Sequence[int]) -> list[int]:
    match problem.document.settings.grouping:
        case UnitOrder.CHEAPEST:
            return sorted(lines, key=lambda i: (problem.lines[i].unit, problem.lines[i].tie))
        case UnitOrder.DEAREST:
            return sorted(lines, key=lambda i: (-problem.lines[i].unit, problem.lines[i].tie))
        case _:
            return sorted(lines)


def _fixed_deal(
    problem: Problem, offer: Offer, deal: BuyGet, times: int, order: Sequence[int]
) -> tuple[dict[int, int], dict[int, int]] | None:
    whole = problem.quoted.whole
    if problem.document.settings.grouping is UnitOrder.CART_ORDER and offer.buys == offer.targets:
        return _consecutive(problem, offer, deal, times)
    wanted = times * deal.get_quantity
    rewarded = _take(order, {i: whole[i] for i in order}, wanted)
    if problem.document.settings.grouping is UnitOrder.CART_ORDER:
        bought = _take(sorted(offer.buys), _left(problem, offer.buys, rewarded), times * deal.buy_quantity)
    else:
        bought = best_bought(problem, offer, rewarded, times * deal.buy_quantity)
    if sum(rewarded.values()) < wanted or sum(bought.values()) < times * deal.buy_quantity:
        return None
    return rewarded, bought


def _left(problem: Problem, lines: Sequence[int], taken: Units) -> dict[int, int]:
    return {i: problem.quoted.whole[i] - taken.get(i, 0) for i in lines}


def _consecutive(
    problem: Problem, offer: Offer, deal: BuyGet, times: int
) -> tuple[dict[int, int], dict[int, int]]:
    """Groups one after another in the document's order; in each the cheapest (dearest) are rewarded."""
    size = deal.buy_quantity + deal.get_quantity
    sign = -1 if deal.free is Free.DEAREST else 1
    rewarded: dict[int, int] = {}
    bought: dict[int, int] = {}

    def settle(group: list[tuple[int, int]], groups: int) -> None:
        free = deal.get_quantity
        for line, number in sorted(
            group, key=lambda one: (sign * problem.lines[one[0]].unit, problem.lines[one[0]].tie)
        ):
            given = min(free, number)
            free -= given
            if given:
                rewarded[line] = rewarded.get(line, 0) + given * groups
            if number > given:
                bought[line] = bought.get(line, 0) + (number - given) * groups

    begun: list[tuple[int, int]] = []
    missing = size
    for line in sorted(offer.targets):
        left = problem.quoted.whole[line]
        while left and times:
            if not begun and left >= size:  # groups inside one line are alike
                groups = min(times, left // size)
                settle([(line, size)], groups)
                times -= groups
                left -= groups * size
                continue
            number = min(left, missing)
            begun.append((line, number))
            left -= number
            missing -= number
            if not missing:
                settle(begun, 1)
                begun, missing = [], size
                times -= 1
    return rewarded, bought
