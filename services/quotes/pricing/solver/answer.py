"""From a document and promotions to the best selection, priced, with what was proven about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import compute, plain_of
from services.quotes.pricing.explanation import explain
from services.quotes.pricing.model import Document, Policy, Promotion, Result, Segment, Selection
from services.quotes.pricing.pieces import IllegalSelection, selection_of
from services.quotes.pricing.problem import ON_UNITS, Kind, Offer, Problem, prepare
from services.quotes.pricing.ranking import total_key
from services.quotes.pricing.rounding import half_up, scaled
from services.quotes.pricing.solver.counting import at_most
from services.quotes.pricing.solver.lines import Part
from services.quotes.pricing.solver.margin import highest_margin
from services.quotes.pricing.solver.memory import Memory
from services.quotes.pricing.solver.network import Model
from services.quotes.pricing.solver.search import Found, Search, bits

_MOST_REPAIRS = 50
_MOST_LATE = 2  # the same when time is over, all that were refused left out at once
_MOST_LEANING = 60  # promotions times lines
_MOST_PAIRS = 15_000  # of a promotion and a line that it touches: about what a pass over all takes 50 ms for
_PAIRS_A_SECOND = 100_000


@dataclass(frozen=True, slots=True)
class Solved:
    """The best selection found, priced, and the total that no selection is below."""

    computed: Computed
    bound: int
    nodes: int
    margin_gap: int | None = None  # HIGHEST_MARGIN: how much more another selection may earn at most

    @property
    def gap(self) -> int:
        """By how many minor units another selection may be better at most; 0: none is."""
        if self.margin_gap is not None:
            return self.margin_gap
        return max(0, self.computed.total - self.bound)


def best(
    document: Document,
    promotions: Sequence[Promotion],
    budget_ms: int | None = None,
    *,
    memory: Memory | None = None,
    detail: bool = True,
) -> Result:
    """The selection with the lowest total (or the other policy's best), priced, with its gap.

    Answers when it has proven that nothing is better, or about `budget_ms` after it was asked (the
    document's settings say how long where None), with the best found by then and a true bound. It computes
    without a pause: call it where no event loop waits.
    """
    started = time.perf_counter()
    budget = document.settings.budget_ms if budget_ms is None else budget_ms
    problem = prepare(document, promotions)
    solved = solve(problem, started + budget / 1000, memory)
    return replace(
        explain(solved.computed, detail=detail),
        proven=solved.gap == 0,
        bound=solved.bound,
        gap=solved.gap,
        solve_ms=(time.perf_counter() - started) * 1000,
    )


def solve(problem: Problem, deadline: float, memory: Memory | None = None) -> Solved:
    """The lowest total of a problem that is prepared, searched for until the deadline (`perf_counter`)."""
    plain = plain_of(problem)
    if not problem.offers:
        return Solved(plain, plain.total, 0)
    pairs = sum(_pairs(offer) for offer in problem.offers)
    if pairs > max(_MOST_PAIRS, _PAIRS_A_SECOND * (deadline - time.perf_counter())):
        return _among_few(problem, deadline, memory)
    model = Model(problem, memory, deadline)
    search = Search(model.network, deadline, model.spare)
    found = search.best((1 << len(problem.offers)) - 1)
    computed, is_whole = _priced(model, found)
    if computed is None or computed.total > plain.total:
        computed, is_whole = plain, False
    computed = _leaner(model, search, computed)
    bound = min(computed.total, _bound(model, found, plain))
    is_as_searched = (
        is_whole and computed.total - bound <= model.roundings
    )  # no cap was met that cells do not see
    if is_as_searched and found.proven and found.lead >= model.spare > 0 and not model.is_vague(found.chosen):
        bound = computed.total  # all others are so far behind that rounding their tax cannot help them
    if problem.document.settings.policy is Policy.HIGHEST_MARGIN:
        chosen = sum(1 << index for index in computed.choice.selected)
        earning, more = highest_margin(model, computed, chosen, lambda some: _lawful(model, some), deadline)
        return Solved(earning, bound, search.nodes, more if bound == computed.total else max(1, more))
    return Solved(computed, bound, search.nodes)


def _among_few(problem: Problem, deadline: float, memory: Memory | None) -> Solved:
    """Where looking at all promotions on all lines once is too long: the best of those that promise most.

    What the others may gain at most is said by the bound.
    """
    sums: dict[int, tuple[int, int, int]] = {}
    promises = {offer.index: at_most(problem, offer, sums) for offer in problem.offers}
    left = _MOST_PAIRS
    kept = []
    for index in sorted(promises, key=lambda one: (-promises[one], one)):
        pairs = _pairs(problem.offers[index])
        if pairs <= left:
            left -= pairs
            kept.append(index)
            del promises[index]
    promotions = [problem.offers[index].promotion for index in kept]
    solved = solve(prepare(problem.document, promotions), deadline, memory)
    computed = plain_of(problem)
    with suppress(IllegalSelection):
        computed = compute(problem, selection_of(solved.computed.problem, solved.computed.choice))
    more = sum(promises.values())
    gap = None if solved.margin_gap is None else solved.margin_gap + more
    return Solved(computed, max(_least(problem), solved.bound - more), solved.nodes, gap)


def _pairs(offer: Offer) -> int:
    return len(offer.targets) + len(offer.buys) + sum(map(len, offer.parts))


def _least(problem: Problem) -> int:
    """What the lines' floors leave of the total, whatever is chosen; zero where something was given by hand."""
    if problem.document.manual.amount or any(charge.amount < 0 for charge in problem.document.charges):
        return 0
    return sum(min(facts.plain, facts.floor or 0) for facts in problem.lines)


def _bound(model: Model, found: Found, plain: Computed) -> int:
    """The total that no selection is below."""
    problem = model.problem
    quoted = sum(model.price(facts.index, facts.plain) for facts in problem.lines)
    beside = plain.total - sum(plain.nets) - sum(plain.taxes)
    by_hand = half_up(scaled(problem.document.manual.amount, problem.power), problem.tick)
    dearest = max((model.price(facts.index, by_hand) for facts in problem.lines), default=0)
    least = quoted - dearest - found.most - len(problem.offers)
    roundings = model.roundings + (len(problem.lines) if by_hand else 0)
    # each rounding of tax on the document moves the total by half a minor unit at most
    bound = -((-2 * least + roundings * model.minor) // (2 * model.minor)) + beside
    return max(bound, _least(problem))


def _priced(model: Model, found: Found) -> tuple[Computed | None, bool]:
    """The choice as a selection that is lawful in all, and whether it is all of it.

    What only the whole shows to be too much is left out.
    """
    chosen = found.chosen
    late = 0
    for _ in range(_MOST_REPAIRS):
        try:
            computed = _without_idle(model.problem, compute(model.problem, selection(model, chosen)))
            return computed, chosen == found.chosen
        except IllegalSelection as refused:
            named = {model.problem.offer_index[one.code] for one in refused.violations if one.code}
            named = {index for index in named if chosen >> index & 1}
            if not named:
                return None, False
            if model.allocation.is_late():
                late += 1
                if late > _MOST_LATE:
                    return None, False
                chosen &= ~sum(1 << index for index in named)
            else:
                chosen &= ~(1 << max(named))
    return None, False


def _leaner(model: Model, search: Search, computed: Computed) -> Computed:
    """The same total with fewer promotions, where leaving one out costs nothing; looked for on small documents."""
    problem = model.problem
    if len(computed.applied) * len(problem.lines) > _MOST_LEANING or model.allocation.is_late():
        return computed
    best_key = total_key(computed)
    for index in sorted(computed.applied, reverse=True):
        chosen = sum(1 << one for one in computed.applied if one != index)
        gained = search.gain(index, chosen)
        if gained is not None and gained > (1 + model.roundings) * model.minor:
            continue  # more than rounding can bring back
        without = _lawful(model, chosen)
        if without is not None and total_key(without) < best_key:
            computed, best_key = without, total_key(without)
    return computed


def _lawful(model: Model, chosen: int) -> Computed | None:
    try:
        return _without_idle(model.problem, compute(model.problem, selection(model, chosen)))
    except IllegalSelection:
        return None


def _without_idle(problem: Problem, computed: Computed) -> Computed:
    """The same without promotions that take nothing off."""
    applied = set(computed.applied)
    if applied.issuperset(computed.choice.selected):
        return computed
    codes = {problem.offers[index].code for index in applied}
    stated = selection_of(problem, computed.choice)
    segments = tuple(
        replace(
            segment,
            promotions=tuple(code for code in segment.promotions if code in codes),
            bought_for=segment.bought_for if segment.bought_for in codes else "",
        )
        for segment in stated.segments
    )
    lean = Selection(segments, tuple(code for code in stated.document if code in codes))
    try:
        again = compute(problem, lean)
    except IllegalSelection:
        return computed
    return again if again.total <= computed.total else computed


def selection(model: Model, chosen: int) -> Selection:
    """The selection that a choice of offers stands for, units given out."""
    problem = model.problem
    on_units = sum(1 << offer.index for offer in problem.offers if offer.kind in ON_UNITS)
    segments: list[Segment] = []
    for place in model.places:
        found = model.cell(place, chosen, finally_=True)
        if found is None:
            continue
        for line, parts in found.parts.items():
            segments += _segments(problem, line, parts, on_units)
    document = [problem.offers[index].code for index in bits(chosen & ~on_units)]
    capped = chosen & model.capped & on_units
    if capped:
        segments = _with_capped(model, segments, capped)
    return Selection(tuple(segments), tuple(sorted(document)))


def _segments(problem: Problem, line: int, parts: Sequence[Part], on_units: int) -> list[Segment]:
    made = []
    for part in parts:
        codes = tuple(sorted(problem.offers[index].code for index in bits(part.offers & on_units)))
        bought_for = problem.offers[part.bought_for].code if part.bought_for >= 0 else ""
        if codes or bought_for:
            made.append(Segment(problem.lines[line].key, part.units, codes, bought_for, part.is_rest))
    return made


def _with_capped(model: Model, segments: list[Segment], capped: int) -> list[Segment]:
    """Offers whose cap binds, on all that they match, or as far as the cap allows."""
    problem = model.problem
    whole = dict(enumerate(problem.quoted.whole))
    by_line: dict[str, list[Segment]] = {}
    for segment in segments:
        by_line.setdefault(segment.line, []).append(segment)
        whole[problem.line_index[segment.line]] -= segment.units
    for facts in problem.lines:
        own = by_line.setdefault(facts.key, [])
        if whole[facts.index]:
            own.append(Segment(facts.key, whole[facts.index]))
        if facts.rest_size and not any(segment.is_rest for segment in own):
            own.append(Segment(facts.key, 0, is_rest=True))
    for index in bits(capped):
        offer = problem.offers[index]
        left = offer.limit
        assert left is not None
        for line in sorted(offer.targets, key=lambda i: (-problem.lines[i].entry, problem.lines[i].tie)):
            key = problem.lines[line].key
            again: list[Segment] = []
            for segment in by_line[key]:
                each = offer.gains[line] if offer.gains is not None else offer.line_amounts.get(line, 0)
                taken = segment.units
                if not offer.truncatable:
                    taken = min(taken, left // each) if each else 0
                    if offer.kind is Kind.LINE_AMOUNT:
                        taken = segment.units if left >= each else 0
                    left -= taken * each
                if segment.is_rest:
                    again.append(
                        replace(segment, promotions=(*segment.promotions, offer.code))
                        if offer.truncatable
                        else segment
                    )
                    continue
                if taken:
                    again.append(replace(segment, units=taken, promotions=(*segment.promotions, offer.code)))
                if segment.units > taken:
                    again.append(replace(segment, units=segment.units - taken))
            by_line[key] = again
    return [
        segment for own in by_line.values() for segment in own if segment.promotions or segment.bought_for
    ]
