"""The other policy: of all that is not much dearer for the customer than the best, what earns most.

From the customer's best, promotions are left out and exchanged while the margin grows and the total stays
within what the policy allows. What no selection can earn is known from how much the customer must get; the
answer counts as proven only where it earns that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from services.quotes.pricing.charges import settle_charges
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import plain_of
from services.quotes.pricing.model import ChargeKind, Gift
from services.quotes.pricing.pieces import Choice
from services.quotes.pricing.problem import Kind
from services.quotes.pricing.ranking import funding, margin, margin_key, most_total
from services.quotes.pricing.rounding import half_up, ratio, scaled
from services.quotes.pricing.solver.network import Model
from services.quotes.pricing.solver.search import bits

_FEW = 9  # offers: every set of them is tried

Select = Callable[[int], "Computed | None"]


def highest_margin(
    model: Model, lowest: Computed, chosen: int, select: Select, deadline: float
) -> tuple[Computed, int]:
    """The selection that earns most within the policy, and how much more another may earn at most."""
    problem = model.problem
    most = most_total(problem, lowest.total)
    best, best_key = lowest, margin_key(lowest)
    every = (1 << len(problem.offers)) - 1
    tried = _subsets(model, every) if every.bit_count() <= _FEW else ()
    for subset in tried:
        if time.perf_counter() > deadline:
            break
        found = _of(select, subset, most)
        if found is not None and margin_key(found) < best_key:
            best, best_key, chosen = found, margin_key(found), subset
    is_better = every.bit_count() > _FEW
    while is_better and time.perf_counter() < deadline:
        is_better = False
        for subset in _neighbours(model, chosen):
            found = _of(select, subset, most)
            if found is not None and margin_key(found) < best_key:
                best, best_key, chosen, is_better = found, margin_key(found), subset, True
                break
            if time.perf_counter() > deadline:
                break
    return best, max(0, _most_margin(model, most) - margin(best))


def _of(select: Select, subset: int, most: int) -> Computed | None:
    found = select(subset)
    return found if found is not None and found.total <= most else None


def _subsets(model: Model, among: int) -> Iterator[int]:
    subset = among
    while True:
        if not any(model.problem.offers[index].conflicts & subset for index in bits(subset)):
            yield subset
        if not subset:
            return
        subset = (subset - 1) & among


def _neighbours(model: Model, chosen: int) -> Iterator[int]:
    """One offer less; one more, without those that it excludes."""
    offers = model.problem.offers
    for index in bits(chosen):
        yield chosen & ~(1 << index)
    for offer in offers:
        if not chosen >> offer.index & 1:
            yield (chosen & ~offer.conflicts) | 1 << offer.index


def _most_margin(model: Model, most: int) -> int:
    """What no selection earns more than, given what the customer may pay at most."""
    problem = model.problem
    plain = plain_of(problem)
    freight = sum(
        amount + (0 if problem.document.prices_include_tax else tax)
        for (amount, _, tax), charge in zip(plain.charges, problem.document.charges, strict=True)
        if charge.kind is ChargeKind.FREIGHT
    )
    needed = max(0, plain.total - most - freight)
    highest = max((facts.line.tax_rate for facts in problem.lines), default=0)
    numerator, denominator = ratio(highest) if highest else (0, 1)
    given = max(0, needed * denominator // (denominator + numerator) - 2 * len(problem.lines))
    shares = [ratio(offer.promotion.funding_percent) for offer in problem.offers]
    top = max((share[0] / share[1] for share in shares), default=0.0)
    free = 0
    for offer in problem.offers:
        if isinstance(offer.benefit, Gift):
            free += funding(problem, offer, 0)
        elif offer.kind is Kind.SHIPPING and offer.promotion.funding_percent:
            done = Computed(problem, Choice([], [], {}, {}, (offer.index,), (offer.index,)))
            settle_charges(done)
            free += funding(problem, offer, done.discounts.get(offer.index, 0))
    kept = 0 if top >= 1 else int(given * (1 - top))
    roundings = sum(1 for share in shares if share[0])
    if top > 1 or problem.document.manual.amount:
        free += half_up(scaled(problem.document.manual.amount, problem.power), problem.tick) + plain.total
    if problem.document.prices_include_tax:
        roundings += len(problem.lines)
    return sum(plain.nets) - kept + free + roundings
