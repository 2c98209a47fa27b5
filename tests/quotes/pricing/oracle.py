"""The best selection by trying all: every unit in every state, every set of promotions on the document.

It knows the model and asks `compute` what a selection comes to and whether it may be; nothing of how a
search goes about it. For small cases only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, combinations_with_replacement, product

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.model import BuyGet, Document, Policy, Promotion, Segment, Selection, UsesUp
from services.quotes.pricing.pieces import IllegalSelection
from services.quotes.pricing.problem import ON_UNITS, Problem, prepare
from services.quotes.pricing.ranking import key, most_total

State = tuple[tuple[str, ...], str]  # promotions on a unit, and for which it was bought


def selections(problem: Problem) -> Iterator[Selection]:
    """Every selection, legal or not, except those that plainly share or miss units."""
    per_line = [list(_line(problem, index)) for index in range(len(problem.lines))]
    beside = [offer.code for offer in problem.offers if offer.kind not in ON_UNITS]
    chosen = [subset for many in range(len(beside) + 1) for subset in combinations(beside, many)]
    for parts in product(*per_line):
        segments = tuple(segment for part in parts for segment in part)
        for document in chosen:
            yield Selection(segments, document)


def _line(problem: Problem, index: int) -> Iterator[tuple[Segment, ...]]:
    facts = problem.lines[index]
    states = list(_states(problem, index))
    rests = [promotions for promotions, bought_for in states if not bought_for] if facts.rest_size else [None]
    for chosen in combinations_with_replacement(states, facts.whole):
        segments = tuple(
            Segment(facts.key, chosen.count(state), state[0], state[1])
            for state in sorted(set(chosen))
            if state != ((), "")
        )
        for rest in rests:
            yield (*segments, Segment(facts.key, 0, rest, is_rest=True)) if rest else segments


def _states(problem: Problem, index: int) -> Iterator[State]:
    offers = [offer for offer in problem.offers if offer.kind in ON_UNITS and index in offer.targets]
    buyers = [
        offer.code
        for offer in problem.offers
        if isinstance(offer.benefit, BuyGet) and offer.uses_up is UsesUp.ALL and index in offer.buys
    ]
    for many in range(len(offers) + 1):
        for subset in combinations(offers, many):
            users = [offer for offer in subset if offer.uses_up is not UsesUp.NOTHING]
            if len(users) > 1:
                continue
            codes = tuple(sorted(offer.code for offer in subset))
            yield codes, ""
            if not users:
                for buyer in buyers:
                    yield codes, buyer


def legal(problem: Problem) -> Iterator[Computed]:
    """Every selection that may be, priced."""
    for selection in selections(problem):
        try:
            yield compute(problem, selection)
        except IllegalSelection:
            continue


def best(document: Document, promotions: Sequence[Promotion]) -> Computed:
    """The best selection there is, by the document's policy."""
    problem = prepare(document, promotions)
    everything = list(legal(problem))
    if document.settings.policy is Policy.HIGHEST_MARGIN:
        most = most_total(problem, min(one.total for one in everything))
        everything = [one for one in everything if one.total <= most]
    return min(everything, key=key)
