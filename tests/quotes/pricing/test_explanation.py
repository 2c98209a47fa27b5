"""Why not, what next, and when two documents are cheaper."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from services.quotes.pricing.by_priority import by_priority
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.explanation import explain
from services.quotes.pricing.model import (
    AmountOff,
    BuyGet,
    Conditions,
    Document,
    Per,
    PercentOff,
    Promotion,
    ReasonKind,
    Requirement,
    Result,
    Stacking,
    Tier,
    Tiered,
)
from services.quotes.pricing.problem import prepare
from tests.quotes.pricing.making import EUROS, document, line, product, promotion
from tests.quotes.pricing.oracle import best


def _explained(doc: Document, *offered: Promotion, detail: bool = True) -> Result:
    return explain(best(doc, offered), detail=detail)


TEN = promotion("TEN", PercentOff(percent=Decimal(10)))


def test_every_promotion_is_accounted_for_once() -> None:
    offered = (
        TEN,
        promotion("CLUB", TEN.benefit, conditions=Conditions(segments=frozenset({"club"}))),
        promotion("TOYS", PercentOff(percent=Decimal(5), target=product("toy"))),
    )
    for detail in (True, False):
        result = _explained(document(line("1", "10.00")), *offered, detail=detail)
        codes = [one.code for one in result.applied] + [one.code for one in result.unused]
        assert sorted(codes) == ["CLUB", "TEN", "TOYS"]
        assert all(one.reasons for one in result.unused)


def test_what_lost_says_against_what_and_by_how_much() -> None:
    big = promotion("BIG", PercentOff(percent=Decimal(15)), stacking=Stacking.EXCLUSIVE)
    (unused,) = _explained(document(line("1", "10.00")), TEN, big).unused
    (reason,) = unused.reasons
    assert (unused.code, reason.kind, reason.against, reason.difference) == (
        "TEN",
        ReasonKind.LOST,
        ("BIG",),
        50,
    )


def test_what_would_break_a_floor_names_the_line_also_without_detail() -> None:
    for detail in (True, False):
        result = _explained(document(line("1", "10.00", price_floor="9.50")), TEN, detail=detail)
        (reason,) = result.unused[0].reasons
        assert (reason.kind, reason.line) == (ReasonKind.FLOOR, "1")


def test_what_is_used_up_by_another_says_by_which() -> None:
    three = promotion("THREE", BuyGet(buy_quantity=2, get_quantity=1), priority=1)
    five = promotion("TWO", BuyGet(buy_quantity=1, get_quantity=1, percent=Decimal(50)))
    result = _explained(document(line("1", "10.00", 3)), three, five)
    (reason,) = result.unused[0].reasons
    assert (reason.kind, reason.against) == (ReasonKind.LOST, ("THREE",))


def test_the_next_tier_is_offered_with_what_it_brings() -> None:
    tiered = promotion(
        "TIERS",
        Tiered(
            tiers=(
                Tier(Decimal(0), PercentOff(percent=Decimal(5))),
                Tier(Decimal(30), PercentOff(percent=Decimal(10))),
            )
        ),
        conditions=EUROS,
    )
    (threshold,) = _explained(document(line("1", "10.00", 2)), tiered).thresholds
    assert (threshold.code, threshold.missing_spend, threshold.gain) == ("TIERS", Decimal("10.00"), 100)


def test_the_next_free_unit_is_offered() -> None:
    three = promotion("THREE", BuyGet(buy_quantity=2, get_quantity=1))
    (threshold,) = _explained(document(line("1", "10.00", 5)), three).thresholds
    assert (threshold.missing_quantity, threshold.gain) == (Decimal(1), 1000)
    assert _explained(document(line("1", "10.00", 4)), three).thresholds == ()


def test_what_is_far_away_or_brings_nothing_is_not_offered() -> None:
    far = replace(TEN, conditions=Conditions(requirements=(Requirement(min_spend=Decimal(1000)),)))
    assert _explained(document(line("1", "10.00")), far).thresholds == ()
    near = replace(TEN, conditions=Conditions(requirements=(Requirement(min_spend=Decimal(12)),)))
    better = promotion("BETTER", PercentOff(percent=Decimal(20)), stacking=Stacking.EXCLUSIVE)
    assert _explained(document(line("1", "10.00")), near, better).thresholds == ()


def test_two_documents_that_are_cheaper_are_named() -> None:
    once = promotion(
        "ONCE",
        AmountOff(amount=Decimal(10), per=Per.DOCUMENT),
        conditions=Conditions(
            requirements=(Requirement(min_spend=Decimal(50)),), currencies=frozenset({"EUR"})
        ),
    )
    result = _explained(document(line("1", "50.00", 2)), once)
    assert result.notes == (
        "Two documents would be EUR 10.00 cheaper: each with half of every line's units.",
    )


def test_trying_by_priority_is_lawful_and_explained() -> None:
    offered = [replace(TEN, code=f"P{i}", priority=i, phase=i % 2) for i in range(4)]
    problem = prepare(document(line("1", "10.00", 3), line("2", "7.00", "1.5")), offered)
    result = explain(compute(problem, by_priority(problem)), detail=True)
    assert len(result.applied) == 4
