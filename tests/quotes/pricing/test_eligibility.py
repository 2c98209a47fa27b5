"""Why a promotion may not be used, and what would satisfy it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from services.quotes.pricing.eligibility import obstacles
from services.quotes.pricing.model import (
    BundlePrice,
    BuyGet,
    Component,
    Conditions,
    FreeShipping,
    ManualDiscount,
    PercentOff,
    Promotion,
    ReasonKind,
    Requirement,
    Tier,
    Tiered,
)
from services.quotes.pricing.quoted import Quoted
from tests.quotes.pricing.making import DAY, document, family, line, product, promotion

TEN = PercentOff(percent=Decimal(10))
DOCUMENT = document(
    line("1", "10.00", 2, product="saw", families={"tools"}),
    line("2", "4.00", "1.5", product="brush-s", parent="brush", families={"paint"}),
    customer="c1",
    segments=frozenset({"retail"}),
    territories=frozenset({"north", "country"}),
    channel="web",
    rep="r1",
)


def _reasons(offered: Promotion, **changes: Any) -> list[tuple[ReasonKind, str]]:
    quoted = Quoted(replace(DOCUMENT, **changes))
    return [(reason.kind, reason.message) for reason in obstacles(quoted, offered)]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"starts_on": date(2026, 3, 5)}, ReasonKind.NOT_STARTED),
        ({"ends_on": date(2026, 3, 3)}, ReasonKind.EXPIRED),
        ({"weekdays": frozenset({1, 2})}, ReasonKind.WEEKDAY),
        ({"currencies": frozenset({"USD"})}, ReasonKind.CURRENCY),
        ({"customers": frozenset({"c2"})}, ReasonKind.CUSTOMER),
        ({"segments": frozenset({"club"})}, ReasonKind.SEGMENT),
        ({"territories": frozenset({"south"})}, ReasonKind.TERRITORY),
        ({"channels": frozenset({"shop"})}, ReasonKind.CHANNEL),
        ({"reps": frozenset({"r2"})}, ReasonKind.REP),
        ({"first_order": True}, ReasonKind.FIRST_ORDER),
        ({"coupons": frozenset({"SPRING"})}, ReasonKind.COUPON),
    ],
)
def test_names_the_circumstance_that_is_missing(asked: dict[str, Any], kind: ReasonKind) -> None:
    assert [found for found, _ in _reasons(promotion("P", TEN, conditions=Conditions(**asked)))] == [kind]


def test_finds_nothing_where_all_holds() -> None:
    conditions = Conditions(
        starts_on=DAY,
        ends_on=DAY,
        weekdays=frozenset({3}),
        currencies=frozenset({"EUR"}),
        customers=frozenset({"c1"}),
        segments=frozenset({"retail", "club"}),
        territories=frozenset({"country"}),
        channels=frozenset({"web"}),
        reps=frozenset({"r1"}),
        requirements=(
            Requirement(family("tools"), min_quantity=Decimal(2), min_spend=Decimal(20)),
            Requirement(min_quantity=Decimal("3.5"), min_spend=Decimal(26)),
        ),
    )
    assert _reasons(promotion("P", TEN, conditions=conditions)) == []


def test_says_every_reason_and_how_much_is_missing() -> None:
    conditions = Conditions(
        segments=frozenset({"club"}),
        requirements=(
            Requirement(product("saw"), min_quantity=Decimal(4)),
            Requirement(min_spend=Decimal("26.01")),
        ),
    )
    assert _reasons(promotion("P", TEN, conditions=conditions, remaining_redemptions=0)) == [
        (ReasonKind.SEGMENT, "For customers of segment club only."),
        (ReasonKind.REDEMPTIONS, "Has been redeemed as often as it may be."),
        (ReasonKind.QUANTITY, "2 more units of saw."),
        (ReasonKind.SPEND, "EUR 0.01 more."),
    ]


def test_limits_of_the_customer_and_the_budget_are_reasons() -> None:
    found = _reasons(promotion("P", TEN, remaining_for_customer=0, remaining_budget=Decimal(0)))
    assert [kind for kind, _ in found] == [ReasonKind.CUSTOMER_LIMIT, ReasonKind.BUDGET]


def test_a_variant_is_matched_by_its_parent_and_may_be_excluded() -> None:
    quoted = Quoted(DOCUMENT)
    assert quoted.lines(product("brush")) == (1,)
    assert quoted.lines(product("brush-s")) == (1,)
    assert quoted.lines(replace(family("tools", "paint"), excluded_products=frozenset({"brush"}))) == (0,)
    assert quoted.spend(family("paint")) == 600


def test_a_discount_by_hand_changes_no_condition() -> None:
    conditions = Conditions(requirements=(Requirement(min_spend=Decimal(26)),))
    lines = tuple(replace(one, manual=ManualDiscount(percent=Decimal(90))) for one in DOCUMENT.lines)
    assert _reasons(promotion("P", TEN, conditions=conditions), lines=lines) == []


def test_a_tier_that_is_not_reached_says_how_far_it_is() -> None:
    tiered = Tiered(tiers=(Tier(Decimal(30), TEN), Tier(Decimal(50), TEN)))
    assert _reasons(promotion("P", tiered)) == [(ReasonKind.SPEND, "EUR 4.00 more.")]


def test_groups_say_which_units_they_lack() -> None:
    deal = BuyGet(buy=family("tools"), buy_quantity=3, get=family("paint"), get_quantity=2)
    assert [message for _, message in _reasons(promotion("P", deal))] == [
        "1 more unit of tools.",
        "1 more unit of paint.",
    ]
    bundle = BundlePrice(
        components=(Component(product("saw"), 1), Component(product("axe"), 1)), price=Decimal(9)
    )
    assert _reasons(promotion("P", bundle)) == [(ReasonKind.QUANTITY, "1 more unit of axe.")]


def test_nothing_to_take_off_is_a_reason() -> None:
    elsewhere = PercentOff(percent=Decimal(10), target=family("toys"))
    assert [kind for kind, _ in _reasons(promotion("P", elsewhere))] == [ReasonKind.NO_MATCHING_LINE]
    assert [kind for kind, _ in _reasons(promotion("P", FreeShipping()))] == [ReasonKind.NO_EFFECT]
    fixed = tuple(replace(one, discountable=False) for one in DOCUMENT.lines)
    assert [kind for kind, _ in _reasons(promotion("P", TEN), lines=fixed)] == [ReasonKind.NO_MATCHING_LINE]
