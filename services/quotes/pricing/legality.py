"""What may be chosen: which promotions go together, whose units they are, and whether groups are complete."""

from __future__ import annotations

from collections.abc import Iterable

from services.quotes.pricing.grouping import (
    best_bought,
    bundle_fits,
    fixed_units,
    free_units_are_right,
    is_fixed,
    is_limited,
    line_limit,
    reach_units,
    repeats,
)
from services.quotes.pricing.model import AmountOff, BuyGet, FixedPrice, PercentOff, ReasonKind, UsesUp
from services.quotes.pricing.pieces import Choice, Violation
from services.quotes.pricing.problem import Kind, Offer, Problem


def violations(problem: Problem, choice: Choice) -> tuple[Violation, ...]:
    """Every rule that the choice breaks, before anything is priced: floors and budgets come with the prices."""
    return (*_conflicts(problem, choice), *_shared_units(problem, choice), *_groups(problem, choice))


def _conflicts(problem: Problem, choice: Choice) -> Iterable[Violation]:
    mask = 0
    for index in choice.selected:
        mask |= 1 << index
    for index in choice.selected:
        against = problem.offers[index].conflicts & mask
        if against:
            codes = tuple(problem.offers[i].code for i in choice.selected if against >> i & 1)
            yield Violation(
                kind=ReasonKind.LOST,
                message=f"Does not go together with {', '.join(codes)}.",
                code=problem.offers[index].code,
                against=codes,
            )


def _shared_units(problem: Problem, choice: Choice) -> Iterable[Violation]:
    offers = problem.offers
    for piece in choice.pieces:
        users = [index for index in piece.offers if offers[index].uses_up is not UsesUp.NOTHING]
        if piece.bought_for >= 0:
            if piece.bought_for in piece.offers:
                yield _wrong(problem, piece.bought_for, piece.line, "A unit is bought or rewarded, not both.")
            users.append(piece.bought_for)
        if len(users) > 1:
            codes = tuple(offers[index].code for index in users)
            yield Violation(
                kind=ReasonKind.LOST,
                message=f"{' and '.join(codes)} use up the same units.",
                code=codes[-1],
                line=problem.lines[piece.line].key,
                against=codes[:-1],
            )


def _groups(problem: Problem, choice: Choice) -> Iterable[Violation]:
    for index in choice.selected:
        offer = problem.offers[index]
        if index in choice.document:
            if offer.kind in (Kind.DOCUMENT_AMOUNT, Kind.DOCUMENT_PERCENT) and not offer.targets:
                yield Violation(kind=ReasonKind.FLOOR, message="No line may be discounted.", code=offer.code)
            continue
        rewarded = _units(choice, choice.by_offer.get(index, ()))
        bought = _units(choice, choice.bought.get(index, ()))
        targets = set(offer.targets)
        pieces = choice.by_offer.get(index, ())
        for piece in (choice.pieces[place] for place in pieces):
            if piece.line not in targets:
                yield _wrong(problem, index, piece.line, "May take nothing off this line.")
        if bought and offer.kind is not Kind.BUY_GET:
            yield _wrong(
                problem, index, next(iter(bought)), "Units are bought for buy-and-get promotions only."
            )
        match offer.kind:
            case Kind.BUY_GET:
                yield from _deal(problem, offer, rewarded, bought, choice, pieces)
            case Kind.BUNDLE | Kind.GROUP_AMOUNT:
                yield from _complete(problem, offer, rewarded, choice, pieces)
            case Kind.LINE_AMOUNT:
                yield from _whole_lines(problem, offer, choice, pieces)
            case _:
                if is_limited(offer):
                    yield from _within_reach(problem, offer, rewarded, choice, pieces)


def _units(choice: Choice, places: Iterable[int]) -> dict[int, int]:
    units: dict[int, int] = {}
    for place in places:
        piece = choice.pieces[place]
        if not piece.is_rest:
            units[piece.line] = units.get(piece.line, 0) + piece.units
    return units


def _wrong(problem: Problem, index: int, line: int, message: str) -> Violation:
    return Violation(
        kind=None, message=message, code=problem.offers[index].code, line=problem.lines[line].key
    )


def _no_rests(problem: Problem, offer: Offer, choice: Choice, pieces: Iterable[int]) -> Iterable[Violation]:
    for place in pieces:
        if choice.pieces[place].is_rest:
            yield _wrong(problem, offer.index, choice.pieces[place].line, "Takes whole units only.")


def _deal(
    problem: Problem,
    offer: Offer,
    rewarded: dict[int, int],
    bought: dict[int, int],
    choice: Choice,
    pieces: Iterable[int],
) -> Iterable[Violation]:
    yield from _no_rests(problem, offer, choice, pieces)
    deal = offer.benefit
    assert isinstance(deal, BuyGet)
    times = repeats(offer, rewarded)
    wanted = (times or 0) * deal.buy_quantity
    if not times or (offer.max_repeats is not None and times > offer.max_repeats):
        yield _incomplete(offer)
        return
    if is_fixed(problem, offer):
        fixed = fixed_units(problem, offer, times)
        if fixed is None or fixed[0] != rewarded or (bought and fixed[1] != bought):
            yield Violation(kind=None, message="Takes other units, by the settings' order.", code=offer.code)
            return
        if offer.uses_up is UsesUp.ALL and not bought:
            yield _incomplete(offer)
        return
    if offer.uses_up is not UsesUp.ALL:
        if bought:
            yield Violation(kind=None, message="What is bought for it is not used up.", code=offer.code)
        bought = best_bought(problem, offer, rewarded, wanted)
    if sum(bought.values()) != wanted or not set(bought) <= set(offer.buys):
        yield _incomplete(offer)
    elif not free_units_are_right(problem, offer, rewarded, bought):
        yield Violation(
            kind=None, message=f"Rewards not the {deal.free.value} units of its groups.", code=offer.code
        )


def _incomplete(offer: Offer) -> Violation:
    return Violation(
        kind=ReasonKind.QUANTITY, message="Its groups are not complete, or too many.", code=offer.code
    )


def _complete(
    problem: Problem, offer: Offer, rewarded: dict[int, int], choice: Choice, pieces: Iterable[int]
) -> Iterable[Violation]:
    yield from _no_rests(problem, offer, choice, pieces)
    times = repeats(offer, rewarded)
    if not times or (offer.max_repeats is not None and times > offer.max_repeats):
        yield _incomplete(offer)
    elif offer.kind is Kind.BUNDLE:
        if not bundle_fits(offer, rewarded, times):
            yield _incomplete(offer)
    elif is_fixed(problem, offer):
        fixed = fixed_units(problem, offer, times)
        if fixed is None or fixed[0] != rewarded:
            yield Violation(kind=None, message="Takes other units, by the settings' order.", code=offer.code)


def _whole_lines(
    problem: Problem, offer: Offer, choice: Choice, pieces: Iterable[int]
) -> Iterable[Violation]:
    carried = set(pieces)
    for line in {choice.pieces[place].line for place in pieces}:
        if not carried.issuperset(choice.by_line[line]):
            yield _wrong(problem, offer.index, line, "Takes the whole line or nothing.")


def _within_reach(
    problem: Problem, offer: Offer, rewarded: dict[int, int], choice: Choice, pieces: Iterable[int]
) -> Iterable[Violation]:
    yield from _no_rests(problem, offer, choice, pieces)
    benefit = offer.benefit
    assert isinstance(benefit, PercentOff | AmountOff | FixedPrice)
    many = sum(rewarded.values())
    if is_fixed(problem, offer):
        fixed = fixed_units(problem, offer, 1)
        if fixed is None or fixed[0] != rewarded:
            yield Violation(kind=None, message="Takes other units, by the settings' order.", code=offer.code)
        return
    if many > reach_units(problem, offer) or many % benefit.reach.step:
        yield _incomplete(offer)
    for line, number in rewarded.items():
        if number > line_limit(problem, offer, line):
            yield _wrong(problem, offer.index, line, "Takes fewer units of a line.")
