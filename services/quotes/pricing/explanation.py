"""Why a promotion was not used, and what would change that."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from math import inf

from services.quotes.pricing.by_priority import additions, by_priority
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.model import (
    Reason,
    ReasonKind,
    Result,
    Unused,
    UsesUp,
)
from services.quotes.pricing.pieces import IllegalSelection, Violation
from services.quotes.pricing.problem import Offer
from services.quotes.pricing.report import report
from services.quotes.pricing.splitting import cheaper_apart
from services.quotes.pricing.thresholds import money, thresholds

_MOST_WORK = 400  # lines times promotions whose loss, or gain, is priced; beyond, they are only named
_MOST_TRIED = 150  # the same without detail: what is lost is tried beside what was chosen
_SMALL = 40  # lines times promotions up to which all is priced without being asked for


def explain(computed: Computed, *, detail: bool | None = None, until: float = inf) -> Result:
    """The priced document with every promotion accounted for.

    With `detail` losses and gains are priced against other selections, and splits of the document are looked
    for, which takes some ten times as long as the price alone. Without it what is lost is tried once beside
    what was chosen, and gains are those of the promotion alone. None: with detail on small documents. After
    `until` (`perf_counter`) nothing more is tried: what was lost is named.
    """
    problem = computed.problem
    if detail is None:
        detail = len(problem.lines) * len(problem.promotions) <= _SMALL
    return replace(
        report(computed),
        unused=tuple(_unused(computed, detail=detail, until=until)),
        thresholds=thresholds(problem, computed, detail=detail and time.perf_counter() < until),
        notes=cheaper_apart(computed) if detail and time.perf_counter() < until else (),
    )


def _unused(computed: Computed, *, detail: bool, until: float) -> Iterable[Unused]:
    problem = computed.problem
    used = {problem.offers[i].code for i in computed.applied}
    users = _users_by_line(computed)
    work = 0
    for promotion in problem.promotions:
        code = promotion.code
        if code in used:
            continue
        if code in problem.obstacles:
            yield Unused(code, problem.obstacles[code])
            continue
        work += len(problem.lines)
        offer = problem.offers[problem.offer_index[code]]
        tried = work <= (_MOST_WORK if detail else _MOST_TRIED) and time.perf_counter() < until
        yield Unused(code, (_lost(computed, offer, users, tried=tried, priced=detail and tried),))


def _lost(computed: Computed, offer: Offer, by_line: Users, *, tried: bool, priced: bool) -> Reason:
    if not offer.targets and offer.gains is not None:
        return Reason(
            kind=ReasonKind.FLOOR,
            message="What it applies to is at or below its price or margin floor already.",
        )
    if offer.index in computed.choice.selected:
        return Reason(kind=ReasonKind.NO_EFFECT, message="Would take nothing off.")
    against = [i for i in computed.applied if offer.conflicts >> i & 1]
    if against:
        return _beaten(computed, offer, against, "Does not go together with", priced=priced)
    users = _users(offer, by_line)
    if not tried:
        if users:
            return _beaten(computed, offer, users, "Its units are used up by", priced=False)
        return Reason(kind=ReasonKind.LOST, message="Would not lower the total.")
    return _tried(computed, offer, users, priced=priced)


Users = dict[int, set[int]]  # offers that use up units, by line


def _users_by_line(computed: Computed) -> Users:
    offers = computed.problem.offers
    users: Users = {}
    for piece in computed.choice.pieces:
        for index in (*piece.offers, piece.bought_for):
            if index >= 0 and (index == piece.bought_for or offers[index].uses_up is not UsesUp.NOTHING):
                users.setdefault(piece.line, set()).add(index)
    return users


def _users(offer: Offer, by_line: Users) -> list[int]:
    """Offers that use up units it could take, when it uses units up itself."""
    if offer.uses_up is UsesUp.NOTHING:
        return []
    found: set[int] = set()
    for line in (*offer.targets, *offer.buys):
        found.update(by_line.get(line, ()))
    return sorted(found)


def _beaten(computed: Computed, offer: Offer, against: Sequence[int], words: str, *, priced: bool) -> Reason:
    problem = computed.problem
    codes = tuple(problem.offers[i].code for i in against)
    difference = None
    if priced:
        kept = [i for i in computed.applied if i not in against]
        other = compute(problem, by_priority(problem, [*kept, offer.index]))
        difference = max(0, other.total - computed.total)
    more = ""
    if difference:
        more = f"; with it instead the total would be {money(problem, difference)} higher"
    return Reason(
        kind=ReasonKind.LOST,
        message=f"{words} {', '.join(codes)}{more}.",
        against=codes,
        difference=difference,
    )


def _tried(computed: Computed, offer: Offer, users: Sequence[int], *, priced: bool) -> Reason:
    """What happens when it is added to what was chosen: in every way, or in the most generous ones only."""
    problem = computed.problem
    first: Violation | None = None
    for selection in islice(additions(problem, computed.choice, offer.index), None if priced else 2):
        try:
            other = compute(problem, selection)
        except IllegalSelection as refused:
            first = first or refused.violations[0]
            continue
        if offer.index not in other.applied or other.total == computed.total:
            return Reason(
                kind=ReasonKind.NO_EFFECT, message="Would take nothing off the total.", difference=0
            )
        difference = other.total - computed.total
        return Reason(
            kind=ReasonKind.LOST,
            message="Is not part of the best combination."
            if difference < 0
            else f"The total would be {money(problem, difference)} higher with it.",
            difference=max(0, difference),
        )
    if users:
        return _beaten(computed, offer, users, "Its units are used up by", priced=priced)
    if first is None or first.kind is None:
        return Reason(kind=ReasonKind.NO_EFFECT, message="Finds nothing to take something off.")
    return Reason(kind=first.kind, message=first.message, line=first.line, against=_others(first, offer.code))


def _others(violation: Violation, code: str) -> tuple[str, ...]:
    return tuple(other for other in (*violation.against, violation.code) if other and other != code)
