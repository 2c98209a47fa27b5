"""The solver's budget holds whatever is asked: thousands of units, hundreds of promotions on everything, floors.

Measured in CPU time of this thread, so that a busy machine does not matter; bounds are several times what is
seen, and a fraction of what unit by unit would take.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random

import pytest

from services.quotes.best_offer import Memories, solved_with
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Component,
    Conditions,
    Document,
    FixedPrice,
    Free,
    Line,
    Matching,
    Per,
    PercentOff,
    Policy,
    Promotion,
    Reach,
    Result,
    Settings,
    Stacking,
    TaxRounding,
    UnitOrder,
)
from services.quotes.pricing.problem import prepare
from services.quotes.pricing.solver import Memory, best
from tests.quotes.pricing import oracle

BUDGET_MS = 100
PASS_MS = 1500  # generous: what reading, pricing and explaining the largest quotes takes beside the search


def _quote(quantities: list[str], floor: str = "", settings: Settings | None = None) -> Document:
    """Lines of rising prices at two tax rates."""
    return Document(
        currency="EUR",
        exponent=2,
        day=date(2026, 1, 1),
        settings=settings or Settings(),
        lines=tuple(
            Line(
                key=str(place),
                product=f"p{place}",
                quantity=Decimal(quantity),
                unit_price=Decimal("9.99") + Decimal("1.37") * place,
                price_floor=Decimal(floor) if floor else None,
                tax_rate=Decimal((7, 19)[place % 2]),
            )
            for place, quantity in enumerate(quantities)
        ),
    )


def _promotion(code: str, benefit: Benefit, **more: object) -> Promotion:
    conditions = Conditions(currencies=frozenset({"EUR"}))
    return Promotion(code=code, benefit=benefit, conditions=conditions, **more)  # type: ignore[arg-type]


def _one(product: str) -> Matching:
    return Matching(products=frozenset({product}))


BENEFITS: dict[str, Benefit] = {
    "reach": PercentOff(percent=Decimal(10), reach=Reach(max_units=1_000_000)),
    "half": PercentOff(percent=Decimal(10), reach=Reach(max_units=3_333)),
    "step": PercentOff(percent=Decimal(10), reach=Reach(step=3)),
    "by line": AmountOff(amount=Decimal("0.55"), reach=Reach(max_units_per_line=4_000)),
    "fixed": FixedPrice(price=Decimal(9), reach=Reach(max_units=4_444)),
    "groups": AmountOff(amount=Decimal(5), per=Per.GROUP, group_size=7),
    "3 for 2": BuyGet(buy_quantity=2, get_quantity=1),
    "dearest": BuyGet(buy_quantity=2, get_quantity=1, free=Free.DEAREST),
    "any": BuyGet(buy_quantity=2, get_quantity=1, free=Free.ANY),
    "other": BuyGet(buy_quantity=2, get_quantity=1, buy=_one("p0"), get=_one("p1")),
    "bundle": BundlePrice(components=(Component(_one("p0"), 1), Component(_one("p1"), 2)), price=Decimal(20)),
    "wide bundle": BundlePrice(
        components=(Component(Matching(), 1), Component(Matching(), 2)), price=Decimal(20)
    ),
}


def _within_budget(document: Document, promotions: list[Promotion], most_ms: float) -> Result:
    """The answer, which is legal, bounded, and was there in time.

    The time of this thread counts, without clearing up what other tests have left in memory.
    """
    gc.disable()
    try:
        started = time.thread_time()
        found = solved_with(None, document, promotions)
        spent = (time.thread_time() - started) * 1000
    finally:
        gc.enable()
    assert spent < most_ms
    problem = prepare(document, promotions)
    assert compute(problem, found.selection).total == found.totals.total
    assert found.bound is not None
    assert found.bound <= found.totals.total <= compute(problem).total
    assert found.gap is not None
    assert found.proven == (found.gap == 0)
    return found


@pytest.mark.parametrize("units", ["5000", "1000000"])
@pytest.mark.parametrize("name", BENEFITS)
@pytest.mark.parametrize("grouping", [UnitOrder.BEST, UnitOrder.CART_ORDER])
def test_quantities_of_thousands(units: str, name: str, grouping: UnitOrder) -> None:
    settings = Settings(grouping=grouping, budget_ms=BUDGET_MS)
    document = _quote([units, units, "3.5"], settings=settings)
    found = _within_budget(document, [_promotion("P", BENEFITS[name])], BUDGET_MS + 200)
    assert found.applied


@pytest.mark.parametrize("floor", ["", "8.50"])
def test_all_of_them_want_the_same_thousands(floor: str) -> None:
    document = _quote(["5000", "1000000", "3.5"], floor, Settings(budget_ms=BUDGET_MS))
    promotions = [_promotion(name.upper(), benefit) for name, benefit in BENEFITS.items()]
    _within_budget(document, promotions, BUDGET_MS + PASS_MS)


def test_counting_finds_what_trying_every_unit_finds() -> None:
    """The same questions small enough for the oracle, and a thousand times as large."""
    for name in ("reach", "step", "3 for 2", "dearest", "any", "other"):
        promotions = [_promotion("P", BENEFITS[name])]
        small = oracle.best(_quote(["4", "5"]), promotions)
        large = best(_quote(["4000", "5000"]), promotions, 1000)
        assert large.bound is not None
        assert large.totals.total <= small.total * 1000 + 1000 * 4  # rounding of the small one
        assert large.gap is not None
        assert large.gap <= 20


def _many(kind: str, floor: str = "") -> tuple[Document, list[Promotion]]:
    """500 lines and 500 promotions that overlap."""
    draw = Random(kind)
    document = _quote([str(draw.randint(1, 500)) for _ in range(500)], floor)

    def target() -> Matching:
        if "everything" in kind:
            return Matching()
        return Matching(products=frozenset(f"p{draw.randrange(500)}" for _ in range(draw.randint(1, 20))))

    kinds: list[Callable[[], Benefit]] = [
        lambda: PercentOff(percent=Decimal(draw.randint(1, 3)), target=target()),
        lambda: PercentOff(percent=Decimal(9), target=target(), reach=Reach(max_units=draw.randint(1, 400))),
        lambda: BuyGet(buy_quantity=3, get_quantity=1, buy=(same := target()), get=same),
        lambda: AmountOff(amount=Decimal(2), per=Per.GROUP, group_size=3, target=target()),
        lambda: AmountOff(amount=Decimal(30), per=Per.DOCUMENT, target=target()),
        lambda: BundlePrice(components=(Component(target(), 2),), price=Decimal(9)),
    ]
    promotions = []
    for number in range(500):
        stacking: dict[str, object] = {}
        if "groups" in kind and draw.random() < 0.8:
            stacking = {
                "stacking": Stacking.EXCLUSIVE_IN_GROUP,
                "stacking_group": f"group-{draw.randrange(20)}",
            }
        if "named" in kind:
            partners = frozenset(f"P{draw.randrange(500):04}" for _ in range(250))
            stacking = {"stacking": Stacking.ONLY_WITH, "combinable_with": partners}
        made = (kinds[0] if "percent" in kind else draw.choice(kinds))()
        phase = draw.randrange(3) if "phases" in kind else 0
        promotions.append(_promotion(f"P{number:04}", made, phase=phase, **stacking))
    return document, promotions


@pytest.mark.parametrize(
    ("kind", "floor"),
    [
        ("percent on everything", ""),
        ("percent on everything", "9.9"),
        ("all kinds", ""),
        ("all kinds on everything", ""),
        ("all kinds in groups", "9.9"),
        ("all kinds with named ones in phases", ""),
    ],
)
def test_500_lines_and_500_promotions(kind: str, floor: str) -> None:
    document, promotions = _many(kind, floor)
    hurried = replace(document, settings=replace(document.settings, budget_ms=BUDGET_MS))
    _within_budget(hurried, promotions, BUDGET_MS + PASS_MS)


def test_the_other_policy_keeps_the_budget_too() -> None:
    settings = Settings(policy=Policy.HIGHEST_MARGIN, within_percent=Decimal(10), budget_ms=BUDGET_MS)
    document = _quote(["4000"] * 200, settings=settings)
    promotions = [_promotion(name, benefit) for name, benefit in list(BENEFITS.items())[:9]]
    started = time.thread_time()
    found = solved_with(None, document, promotions)
    assert (time.thread_time() - started) * 1000 < BUDGET_MS + PASS_MS
    assert found.bound is not None
    assert found.bound <= found.totals.total


def test_a_bound_of_what_was_hurried_holds_for_what_was_not() -> None:
    document, promotions = _many("all kinds")
    document = replace(
        document, lines=document.lines[:40], settings=Settings(tax_rounding=TaxRounding.DOCUMENT)
    )
    hurried = best(document, promotions[:60], 0, detail=False)
    patient = best(document, promotions[:60], 2000, detail=False)
    assert hurried.bound is not None
    assert hurried.bound <= patient.totals.total <= hurried.totals.total


def test_what_was_answered_in_a_hurry_is_not_remembered() -> None:
    document, promotions = _many("all kinds")
    document = replace(document, lines=document.lines[:10])
    memory = Memory()
    best(document, promotions[:20], 0, memory=memory, detail=False)
    after = best(document, promotions[:20], 5000, memory=memory, detail=False)
    fresh = best(document, promotions[:20], 5000, detail=False)
    assert (after.totals.total, after.gap) == (fresh.totals.total, fresh.gap)


def test_memories_are_so_many_and_lent_to_one_at_a_time() -> None:
    memories = Memories(most_quotes=2)
    first = memories.lend("a")
    assert memories.lend("a") is not first
    memories.keep("a", first)
    assert memories.lend("a") is first
    for whose in ("a", "b", "c"):
        memories.keep(whose, Memory())
    assert len(memories) == 2
    assert memories.lend("a") is not first
