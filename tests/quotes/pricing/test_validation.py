"""Promotions that cannot be meant are refused, naming the field."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from chassis.errors import InvalidArgument
from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Component,
    Conditions,
    FixedPrice,
    Gift,
    Graduated,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Requirement,
    Stacking,
    Step,
    Tier,
    Tiered,
    UsesUp,
)
from services.quotes.pricing.validation import check, check_document
from tests.quotes.pricing.making import EUROS, document, line, product, promotion

TEN = PercentOff(percent=Decimal(10))
FIVE = AmountOff(amount=Decimal(5))


@pytest.mark.parametrize(
    ("benefit", "field"),
    [
        (PercentOff(percent=Decimal(0)), "benefit.percent"),
        (PercentOff(percent=Decimal("100.01")), "benefit.percent"),
        (PercentOff(percent=Decimal("0.00001")), "benefit.percent"),
        (PercentOff(percent=Decimal(1), per=Per.LINE), "benefit.per"),
        (PercentOff(percent=Decimal(1), per=Per.DOCUMENT, reach=Reach(max_units=1)), "benefit.reach"),
        (AmountOff(amount=Decimal(-1)), "benefit.amount"),
        (AmountOff(amount=Decimal(1), per=Per.GROUP, group_size=0), "benefit.group_size"),
        (FixedPrice(price=Decimal(0)), "benefit.price"),
        (Tiered(tiers=()), "benefit.tiers"),
        (Tiered(tiers=(Tier(Decimal(5), TEN), Tier(Decimal(5), TEN))), "benefit.tiers"),
        (Tiered(tiers=(Tier(Decimal(5), replace(TEN, reach=Reach(step=2))),)), "benefit.tiers"),
        (Graduated(steps=(Step(0, Decimal(1)),)), "benefit.steps"),
        (BuyGet(buy_quantity=0, get_quantity=1), "benefit.buy_quantity"),
        (BundlePrice(components=(Component(product("a"), 1),), price=Decimal(1)), "benefit.components"),
        (Gift(product="g", quantity=Decimal(0)), "benefit.quantity"),
    ],
)
def test_a_benefit_that_cannot_be_meant_is_refused(benefit: Benefit, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(promotion("P", benefit, conditions=EUROS))
    assert refused.value.violations[0].field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": ""}, "code"),
        ({"phase": 101}, "phase"),
        (
            {"conditions": Conditions(starts_on=date(2026, 1, 2), ends_on=date(2026, 1, 1))},
            "conditions.ends_on",
        ),
        ({"conditions": Conditions(weekdays=frozenset({0}))}, "conditions.weekdays"),
        (
            {"conditions": Conditions(requirements=(Requirement(min_spend=Decimal(1)),))},
            "conditions.currencies",
        ),
        ({"benefit": FIVE}, "conditions.currencies"),
        ({"max_discount": Decimal(5)}, "conditions.currencies"),
        ({"max_discount": Decimal(-5)}, "max_discount"),
        ({"stacking": Stacking.EXCLUSIVE_IN_GROUP}, "stacking_group"),
        ({"stacking": Stacking.ONLY_WITH}, "combinable_with"),
        ({"funding_percent": Decimal(101)}, "funding_percent"),
        ({"benefit": BuyGet(buy_quantity=1, get_quantity=1), "uses_up": UsesUp.NOTHING}, "uses_up"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(changes: dict[str, Any], field: str) -> None:
    offered: Promotion = replace(promotion("P", TEN), **changes)
    with pytest.raises(InvalidArgument) as refused:
        check(offered)
    assert refused.value.violations[0].field == field


def test_a_document_that_cannot_be_priced_is_refused() -> None:
    good = line("1", "10.00")
    check_document(document(good))
    for bad in (
        document(good, good),
        document(replace(good, quantity=Decimal(0))),
        document(replace(good, unit_price=Decimal(-1))),
        document(replace(good, tax_rate=Decimal(-1))),
    ):
        with pytest.raises(InvalidArgument):
            check_document(bad)
    with pytest.raises(InvalidArgument):
        check_document(document(good), [promotion("P", TEN), promotion("P", TEN)])
