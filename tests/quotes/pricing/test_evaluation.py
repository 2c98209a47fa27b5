"""What a selection comes to, and which selections may not be."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from services.quotes.pricing.model import (
    AmountOff,
    BuyGet,
    Charge,
    FixedPrice,
    FreeShipping,
    Gift,
    ManualDiscount,
    Matching,
    Per,
    PercentOff,
    Promotion,
    Reach,
    ReasonKind,
    Result,
    Segment,
    Selection,
    Settings,
    Stacking,
    StepKind,
)
from services.quotes.pricing.model import Document as Doc
from services.quotes.pricing.pieces import IllegalSelection
from services.quotes.pricing.report import evaluate
from tests.quotes.pricing.making import document, line, on, product, promotion, select

TEN = promotion("TEN", PercentOff(percent=Decimal(10)))
FREE = promotion("FREE", BuyGet(buy_quantity=2, get_quantity=1))


def _refusal(doc: Doc, offered: list[Promotion], selection: Selection) -> ReasonKind | None:
    with pytest.raises(IllegalSelection) as refused:
        evaluate(doc, offered, selection)
    return refused.value.violations[0].kind


def test_a_line_goes_from_list_to_net_in_steps() -> None:
    doc = document(
        line("1", "90.00", 2, list_price="100.00", tax_rate=19, manual=ManualDiscount(percent=Decimal(5))),
        manual=ManualDiscount(amount=Decimal(1)),
    )
    (priced,) = evaluate(doc, [TEN], select(on("1", 2, "TEN"))).lines
    assert [(step.kind, step.change, step.amount) for step in priced.steps] == [
        (StepKind.LIST, 20000, 20000),
        (StepKind.PRICE, -2000, 18000),
        (StepKind.PROMOTION, -1800, 16200),
        (StepKind.MANUAL, -810, 15390),
        (StepKind.DOCUMENT_MANUAL, -100, 15290),
    ]
    assert (priced.net, priced.tax, priced.gross) == (15290, 2905, 18195)


def test_units_of_one_line_may_be_treated_differently() -> None:
    result = evaluate(
        document(line("1", "10.00", 5)),
        [TEN, FREE],
        select(on("1", 1, "FREE"), on("1", 2, bought_for="FREE"), on("1", 2, "TEN")),
    )
    assert result.totals.total == 5000 - 1000 - 200
    free, ten = result.applied
    assert (free.units, free.bought, free.repeats) == ({"1": 1}, {"1": 2}, 1)
    assert ten.units == {"1": 2}


def test_a_rest_carries_its_share_of_an_amount() -> None:
    off = promotion("OFF", AmountOff(amount=Decimal(1)))
    result = evaluate(
        document(line("1", "10.00", "2.5")),
        [off],
        Selection((Segment("1", 2, ("OFF",)), Segment("1", 0, ("OFF",), is_rest=True))),
    )
    assert result.totals.total == 2250


def test_a_unit_is_used_up_once() -> None:
    other = replace(FREE, code="OTHER")
    doc = document(line("1", "10.00", 5))
    shared = select(
        on("1", 1, "FREE", "OTHER"), on("1", 2, bought_for="FREE"), on("1", 2, bought_for="OTHER")
    )
    assert _refusal(doc, [FREE, other], shared) is ReasonKind.LOST


def test_an_exclusive_promotion_stands_alone() -> None:
    alone = promotion("ALONE", FreeShipping(), stacking=Stacking.EXCLUSIVE)
    doc = document(line("1", "10.00"), charges=(Charge(key="f", amount=Decimal(5)),))
    assert _refusal(doc, [TEN, alone], select(on("1", 1, "TEN"), document=["ALONE"])) is ReasonKind.LOST
    assert evaluate(doc, [TEN, alone], select(document=["ALONE"])).totals.total == 1000


def test_the_cheapest_of_a_group_is_free_and_no_other() -> None:
    doc = document(line("1", "10.00", 2), line("2", "4.00", 1))
    wrong = select(on("1", 1, "FREE"), on("1", 1, bought_for="FREE"), on("2", 1, bought_for="FREE"))
    assert _refusal(doc, [FREE], wrong) is None
    right = select(on("2", 1, "FREE"), on("1", 2, bought_for="FREE"))
    result = evaluate(doc, [FREE], right)
    assert [priced.amount for priced in result.lines] == [2000, 0]


def test_only_gifts_cost_nothing() -> None:
    doc = document(line("1", "10.00", 1))
    all_off = promotion("ALL", PercentOff(percent=Decimal(100)))
    assert _refusal(doc, [all_off], select(on("1", 1, "ALL"))) is ReasonKind.ZERO
    result = evaluate(doc, [replace(all_off, truncatable=True)], select(on("1", 1, "ALL")))
    assert (result.totals.total, result.applied[0].truncated) == (1, True)
    lenient = replace(doc, settings=Settings(zero_only_for_gifts=False))
    assert evaluate(lenient, [all_off], select(on("1", 1, "ALL"))).totals.total == 0


def test_a_gift_is_a_line_of_its_own() -> None:
    gift = promotion(
        "MUG",
        Gift(product="mug", quantity=Decimal(2), unit_value=Decimal(4), unit_cost=Decimal(1)),
        funding_percent=Decimal(50),
    )
    doc = document(line("1", "10.00", cost=8))
    result = evaluate(doc, [gift], select(document=["MUG"]))
    given = result.lines[1]
    assert (given.product, given.gross, given.gift_value, given.cost) == ("mug", 0, 800, 200)
    assert (result.totals.total, result.totals.margin, result.applied[0].funding) == (1000, 100, 100)
    guarded = replace(doc, margin_floor=Decimal(10))
    assert _refusal(guarded, [gift], select(document=["MUG"])) is ReasonKind.FLOOR


def test_a_line_below_its_floor_gets_nothing_and_needs_approval() -> None:
    doc = document(line("1", "10.00", price_floor="12.00"), line("2", "10.00"))
    result = evaluate(doc, [TEN], select(on("2", 1, "TEN")))
    assert [priced.needs_approval for priced in result.lines] == [True, False]
    assert result.needs_approval
    assert _refusal(doc, [TEN], select(on("1", 1, "TEN"))) is None


def test_a_discount_by_hand_counts_against_the_floor() -> None:
    doc = document(line("1", "100.00", price_floor="85.00", manual=ManualDiscount(percent=Decimal(10))))
    assert _refusal(doc, [TEN], select(on("1", 1, "TEN"))) is ReasonKind.FLOOR
    cut = evaluate(doc, [replace(TEN, truncatable=True)], select(on("1", 1, "TEN")))
    assert cut.lines[0].amount == 8500
    assert not cut.needs_approval


def test_budgets_and_caps_hold_or_cut() -> None:
    doc = document(line("1", "100.00"), line("2", "50.00"))
    both = select(on("1", 1, "TEN"), on("2", 1, "TEN"))
    twelve = Decimal(12)
    for limited, kind in (
        (replace(TEN, max_discount=twelve), ReasonKind.CAP),
        (replace(TEN, remaining_budget=twelve), ReasonKind.BUDGET),
    ):
        assert _refusal(doc, [limited], both) is kind
        result = evaluate(doc, [replace(limited, truncatable=True)], both)
        assert result.applied[0].by_line == {"1": 800, "2": 400}


def test_a_fixed_price_is_never_a_surcharge() -> None:
    fixed = promotion("FIX", FixedPrice(price=Decimal(8)))
    doc = document(line("1", "10.00", 2), line("2", "5.00", 1))
    result = evaluate(doc, [fixed], select(on("1", 2, "FIX"), on("2", 1, "FIX")))
    assert [priced.amount for priced in result.lines] == [1600, 500]


def test_a_limited_reach_takes_complete_steps() -> None:
    pairs = promotion("PAIRS", PercentOff(percent=Decimal(10), reach=Reach(step=2, max_units=3)))
    doc = document(line("1", "10.00", 5))
    assert evaluate(doc, [pairs], select(on("1", 2, "PAIRS"))).totals.total == 4800
    for units in (1, 3, 4):
        assert _refusal(doc, [pairs], select(on("1", units, "PAIRS"))) is ReasonKind.QUANTITY


def test_an_amount_on_some_lines_leaves_the_others_alone() -> None:
    some = promotion("SOME", AmountOff(amount=Decimal(3), per=Per.DOCUMENT, target=product("a", "b")))
    doc = document(line("1", 10, product="a"), line("2", 20, product="b"), line("3", 30, product="c"))
    result = evaluate(doc, [some], select(document=["SOME"]))
    assert [priced.promotions for priced in result.lines] == [100, 200, 0]


def test_freight_is_taxed_and_may_be_free() -> None:
    doc = document(
        line("1", "10.00", tax_rate=19), charges=(Charge(key="f", amount=Decimal(5), tax_rate=Decimal(19)),)
    )
    half = promotion("HALF", FreeShipping(percent=Decimal(50)))
    result = evaluate(doc, [half], select(document=["HALF"]))
    assert result.charges[0].amount == 250
    assert result.totals.total == 1190 + 250 + 48
    assert result.applied[0].by_line == {"f": 250}


def test_what_is_not_there_is_refused() -> None:
    doc = document(line("1", "10.00", 2))
    for selection in (
        select(on("9", 1, "TEN")),
        select(on("1", 3, "TEN")),
        select(on("1", 1, "NONE")),
        select(document=["TEN"]),
        Selection((Segment("1", 0, ("TEN",), is_rest=True),)),
    ):
        assert _refusal(doc, [TEN], selection) is None


def test_nothing_selected_is_the_quoted_price() -> None:
    result: Result = evaluate(document(line("1", "0.125", 3, tax_rate=Decimal("8.875"))), [TEN])
    assert (result.totals.quoted, result.totals.tax, result.totals.total) == (38, 3, 41)
    assert result.applied == ()
    assert result.selection == Selection()


def test_matching_leaves_out_what_is_excluded() -> None:
    without = promotion(
        "W", PercentOff(percent=Decimal(10), target=Matching(excluded_products=frozenset({"1"})))
    )
    doc = document(line("1", "10.00"), line("2", "10.00"))
    assert _refusal(doc, [without], select(on("1", 1, "W"))) is None
