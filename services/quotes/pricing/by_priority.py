"""Promotions tried one after another, by priority, then code, each taking all that it may: a first answer.

So other engines choose. It is legal, never proven; a search starts from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.grouping import (
    best_bought,
    fewer,
    fixed_units,
    group_size,
    is_fixed,
    is_limited,
    line_limit,
    most_repeats,
    reach_units,
)
from services.quotes.pricing.model import BundlePrice, BuyGet, Segment, Selection, UsesUp
from services.quotes.pricing.pieces import Choice, IllegalSelection
from services.quotes.pricing.problem import ON_UNITS, Kind, Offer, Problem


@dataclass(slots=True)
class _Part:
    """Units of a line that are treated alike, while a selection grows."""

    line: int
    units: int
    is_rest: bool
    offers: tuple[str, ...] = ()
    bought_for: str = ""
    is_used_up: bool = False


Plan = tuple[list[_Part], tuple[str, ...]]


def by_priority(problem: Problem, among: Iterable[int] | None = None) -> Selection:
    """The selection that comes of trying the offers (all, or those of the indices given) in rank order."""
    plan: Plan = (_start(problem), ())
    conflicts = 0
    for index in range(len(problem.offers)) if among is None else sorted(among):
        offer = problem.offers[index]
        if conflicts >> index & 1:
            continue
        for candidate in _ways(problem, plan, offer):
            try:
                compute(problem, _selection(problem, candidate))
            except IllegalSelection:
                continue
            plan = candidate
            conflicts |= offer.conflicts
            break
    return _selection(problem, plan)


def additions(problem: Problem, choice: Choice, index: int) -> Iterable[Selection]:
    """Ways to add an offer to what is chosen already, the most generous first; legal or not."""
    parts = [
        _Part(
            piece.line,
            piece.units,
            piece.is_rest,
            tuple(problem.offers[offer].code for offer in piece.offers),
            problem.offers[piece.bought_for].code if piece.bought_for >= 0 else "",
            piece.bought_for >= 0
            or any(problem.offers[offer].uses_up is not UsesUp.NOTHING for offer in piece.offers),
        )
        for piece in choice.pieces
    ]
    document = tuple(problem.offers[offer].code for offer in choice.document)
    for plan in _ways(problem, (parts, document), problem.offers[index]):
        if plan[0] != parts or plan[1] != document:
            yield _selection(problem, plan)


def _start(problem: Problem) -> list[_Part]:
    parts: list[_Part] = []
    for facts in problem.lines:
        if facts.whole:
            parts.append(_Part(facts.index, facts.whole, is_rest=False))
        if facts.rest_size:
            parts.append(_Part(facts.index, 0, is_rest=True))
    return parts


def _selection(problem: Problem, plan: Plan) -> Selection:
    parts, document = plan
    segments = tuple(
        Segment(problem.lines[part.line].key, part.units, part.offers, part.bought_for, part.is_rest)
        for part in parts
        if part.offers or part.bought_for
    )
    return Selection(segments, document)


def _ways(problem: Problem, plan: Plan, offer: Offer) -> Iterable[Plan]:
    """Ways to add the offer, the most generous first."""
    parts, document = plan
    if offer.kind not in ON_UNITS:
        yield parts, (*document, offer.code)
        return
    if offer.kind in (Kind.BUY_GET, Kind.BUNDLE, Kind.GROUP_AMOUNT):
        for times in fewer(_most_now(problem, parts, offer)):
            found = _group(problem, parts, offer, times)
            if found is not None:
                yield _with(parts, offer, *found), document
        return
    if is_limited(offer):
        yield _with(parts, offer, _reach(problem, parts, offer), {}), document
        return
    fitting = [
        part
        for part in parts
        if part.line in offer.targets and not (offer.uses_up is not UsesUp.NOTHING and part.is_used_up)
    ]
    yield _onto(parts, offer, fitting), document
    yield _onto(parts, offer, [part for part in fitting if not part.is_used_up]), document
    for line in offer.targets:
        yield _onto(parts, offer, [part for part in fitting if part.line == line]), document


def _onto(parts: list[_Part], offer: Offer, chosen: Sequence[_Part]) -> list[_Part]:
    marked = {id(part) for part in chosen}
    uses = offer.uses_up is not UsesUp.NOTHING
    return [
        _Part(
            part.line,
            part.units,
            part.is_rest,
            (*part.offers, offer.code),
            part.bought_for,
            part.is_used_up or uses,
        )
        if id(part) in marked
        else part
        for part in parts
    ]


def _free(parts: Iterable[_Part], offer: Offer) -> dict[int, int]:
    """Whole units by line that the offer may still take."""
    free: dict[int, int] = {}
    for part in parts:
        if part.units and not (part.is_used_up and offer.uses_up is not UsesUp.NOTHING):
            free[part.line] = free.get(part.line, 0) + part.units
    return free


def _most_now(problem: Problem, parts: list[_Part], offer: Offer) -> int:
    """How often a group may be repeated at most with the units that are left."""
    free = _free(parts, offer)
    most = most_repeats(problem, offer)
    size = group_size(offer)
    most = min(most, sum(free.get(line, 0) for line in offer.targets) // size)
    if isinstance(offer.benefit, BuyGet) and offer.uses_up is UsesUp.ALL:
        bought = offer.benefit.buy_quantity
        most = min(most, sum(free.get(line, 0) for line in offer.buys) // bought)
        most = min(most, sum(free.get(line, 0) for line in {*offer.buys, *offer.targets}) // (size + bought))
    return most


def _reach(problem: Problem, parts: list[_Part], offer: Offer) -> dict[int, int]:
    if is_fixed(problem, offer):
        fixed = fixed_units(problem, offer, 1)
        return fixed[0] if fixed else {}
    free = _free(parts, offer)
    limits = {line: min(free.get(line, 0), line_limit(problem, offer, line)) for line in offer.targets}
    many = min(sum(limits.values()), reach_units(problem, offer))
    step = getattr(offer.benefit, "reach").step  # noqa: B009  # only some benefits have one
    return _take(_dearest(problem, offer.targets), limits, many - many % step)


def _dearest(problem: Problem, lines: Iterable[int]) -> list[int]:
    return sorted(lines, key=lambda i: (-problem.lines[i].unit, problem.lines[i].tie))


def _take(order: Sequence[int], limits: dict[int, int], wanted: int) -> dict[int, int]:
    taken: dict[int, int] = {}
    for line in order:
        number = min(wanted, limits.get(line, 0))
        if number > 0:
            taken[line] = number
            wanted -= number
    return taken if wanted == 0 else {}


def _group(
    problem: Problem, parts: list[_Part], offer: Offer, times: int
) -> tuple[dict[int, int], dict[int, int]] | None:
    if is_fixed(problem, offer):
        fixed = fixed_units(problem, offer, times)
        return fixed if fixed is None or offer.uses_up is UsesUp.ALL else (fixed[0], {})
    free = _free(parts, offer)
    benefit = offer.benefit
    if isinstance(benefit, BuyGet):
        return _deal(problem, offer, benefit, free, times)
    if isinstance(benefit, BundlePrice):
        taken: dict[int, int] = {}
        for place, component in enumerate(benefit.components):
            chosen = _take(_dearest(problem, offer.parts[place]), free, times * component.quantity)
            if not chosen:
                return None
            for line, number in chosen.items():
                taken[line] = taken.get(line, 0) + number
                free[line] -= number
        return taken, {}
    chosen = _take(_dearest(problem, offer.targets), free, times * group_size(offer))
    return (chosen, {}) if chosen else None


def _deal(
    problem: Problem, offer: Offer, deal: BuyGet, free: dict[int, int], times: int
) -> tuple[dict[int, int], dict[int, int]] | None:
    if offer.buys == offer.targets:
        rewarded: dict[int, int] = {}
        bought: dict[int, int] = {}
        size = deal.buy_quantity + deal.get_quantity
        seen = 0
        for line in _dearest(problem, offer.targets):
            number = min(free.get(line, 0), times * size - seen)
            full, left = divmod(seen + number, size)
            before, started = divmod(seen, size)
            buys = deal.buy_quantity * (full - before)
            buys += min(left, deal.buy_quantity) - min(started, deal.buy_quantity)
            if buys:
                bought[line] = buys
            if number - buys:
                rewarded[line] = number - buys
            seen += number
        if seen < times * size:
            return None
    else:
        rewarded = _take(_dearest(problem, offer.targets), free, times * deal.get_quantity)
        left_over = {line: number - rewarded.get(line, 0) for line, number in free.items()}
        order = best_bought(problem, offer, {}, sum(problem.quoted.whole))
        bought = _take(list(order), left_over, times * deal.buy_quantity)
        if not rewarded or not bought:
            return None
    return rewarded, bought if offer.uses_up is UsesUp.ALL else {}


def _with(parts: list[_Part], offer: Offer, rewarded: dict[int, int], bought: dict[int, int]) -> list[_Part]:
    """The parts with so many units rewarded and bought: split where only some of them are."""
    again: list[_Part] = []
    rewarded, bought = dict(rewarded), dict(bought)
    uses = offer.uses_up is not UsesUp.NOTHING
    for part in parts:
        left = part.units
        if not left or (part.is_used_up and uses):
            again.append(part)
            continue
        number = min(left, rewarded.get(part.line, 0))
        if number:
            rewarded[part.line] -= number
            left -= number
            again.append(
                _Part(
                    part.line,
                    number,
                    is_rest=False,
                    offers=(*part.offers, offer.code),
                    bought_for=part.bought_for,
                    is_used_up=part.is_used_up or uses,
                )
            )
        number = min(left, bought.get(part.line, 0))
        if number:
            bought[part.line] -= number
            left -= number
            again.append(
                _Part(
                    part.line,
                    number,
                    is_rest=False,
                    offers=part.offers,
                    bought_for=offer.code,
                    is_used_up=True,
                )
            )
        if left:
            again.append(
                _Part(
                    part.line,
                    left,
                    is_rest=False,
                    offers=part.offers,
                    bought_for=part.bought_for,
                    is_used_up=part.is_used_up,
                )
            )
    return again
