"""Whether two documents would be cheaper than one: where something is given once per document, they may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from services.quotes.pricing.by_priority import by_priority
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.grouping import is_limited
from services.quotes.pricing.model import Document, Line, Stacking
from services.quotes.pricing.problem import Kind, Offer, Problem, prepare

_MOST_LINES = 40
_PER_DOCUMENT = frozenset({Kind.DOCUMENT_AMOUNT, Kind.GIFT, Kind.LINE_AMOUNT})


def cheaper_apart(computed: Computed) -> tuple[str, ...]:
    """A note where two documents are known to be cheaper, freight counted once; nothing where none was found.

    Looked for: what is exclusive on its own, and the document in halves. Sound, not complete: what it says
    is so; other splits may be cheaper too.
    """
    problem = computed.problem
    if len(problem.lines) > _MOST_LINES or not any(_is_once(offer) for offer in problem.offers):
        return ()
    best: tuple[int, str] | None = None
    for one, other, words in _splits(computed):
        total = _total(problem, one) + _total(problem, other)
        if total < computed.total and (best is None or total < best[0]):
            best = total, words
    if best is None:
        return ()
    document = problem.document
    saved = Decimal(computed.total - best[0]).scaleb(-document.exponent)
    return (f"Two documents would be {document.currency} {saved} cheaper: {best[1]}.",)


def _is_once(offer: Offer) -> bool:
    return (
        offer.kind in _PER_DOCUMENT
        or offer.limit is not None
        or offer.max_repeats is not None
        or offer.promotion.stacking is not Stacking.ANY
        or is_limited(offer)
    )


def _splits(computed: Computed) -> Iterable[tuple[Document, Document, str]]:
    problem = computed.problem
    document = problem.document
    without = replace(document, charges=())
    seen: set[frozenset[int]] = set()
    for offer in problem.offers:
        apart = frozenset(offer.targets) | frozenset(offer.buys)
        if offer.index in computed.applied or not 0 < len(apart) < len(problem.lines) or apart in seen:
            continue
        seen.add(apart)
        keys = ", ".join(
            problem.lines[i].line.description or problem.lines[i].line.product for i in sorted(apart)
        )
        yield (
            replace(without, lines=tuple(line for i, line in enumerate(document.lines) if i in apart)),
            replace(document, lines=tuple(line for i, line in enumerate(document.lines) if i not in apart)),
            f"one for {keys}",
        )
    halves = [_halves(line) for line in document.lines]
    first = tuple(part for part, _ in halves if part is not None)
    second = tuple(part for _, part in halves if part is not None)
    if first and second:
        yield (
            replace(without, lines=second),
            replace(document, lines=first),
            "each with half of every line's units",
        )


def _halves(line: Line) -> tuple[Line | None, Line | None]:
    units = int(line.quantity)
    if units < 2:
        return line, None
    half = Decimal(units // 2)
    return replace(line, quantity=line.quantity - half), replace(line, quantity=half)


def _total(problem: Problem, document: Document) -> int:
    apart = prepare(document, problem.promotions)
    return compute(apart, by_priority(apart)).total
