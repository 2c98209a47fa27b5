"""Small documents and promotions of every kind, for properties: small enough to try all selections."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from services.quotes.pricing.model import (
    EVERYTHING,
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Charge,
    Combine,
    Component,
    Conditions,
    Document,
    FixedPrice,
    Free,
    FreeShipping,
    Gift,
    Graduated,
    Line,
    ManualDiscount,
    Matching,
    Measure,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Remainder,
    Requirement,
    RoundAt,
    Rounding,
    Settings,
    Stacking,
    Step,
    TaxRounding,
    Tier,
    Tiered,
    UnitOrder,
)
from tests.quotes.pricing.making import DAY

CURRENCIES = {0: "JPY", 2: "EUR", 3: "KWD"}


@st.composite
def money(draw: st.DrawFn, exponent: int, most: int = 30, finer: bool = False) -> Decimal:
    """An amount above zero, now and then finer than the currency's minor unit."""
    fine = exponent + (draw(st.integers(0, 2)) if finer else 0)
    return Decimal(draw(st.integers(1, most * 10**fine))).scaleb(-fine)


def matchings() -> st.SearchStrategy[Matching]:
    """Everything, a product, a family, or all but a product."""
    return st.sampled_from(
        [
            EVERYTHING,
            EVERYTHING,
            Matching(products=frozenset({"A"})),
            Matching(families=frozenset({"tools"})),
            Matching(families=frozenset({"toys"})),
            Matching(excluded_products=frozenset({"B"})),
        ]
    )


percents = st.sampled_from([Decimal(p) for p in ("3", "5", "10", "12.5", "33.3333", "50")])


@st.composite
def lines(draw: st.DrawFn, exponent: int, most_units: int = 3, count: int = 3) -> tuple[Line, ...]:
    """One to three lines of a few units, some with a fraction, floors, costs and manual discounts."""
    made: list[Line] = []
    for index in range(draw(st.integers(1, count))):
        price = draw(money(exponent, finer=True))
        quantity = Decimal(draw(st.integers(1, most_units)))
        if draw(st.integers(0, 5)) == 0:
            quantity += Decimal("0.5")
        floored = draw(st.integers(0, 3)) == 0
        made.append(
            Line(
                key=f"l{index}",
                product=draw(st.sampled_from(["A", "B", "C"])),
                families=frozenset({draw(st.sampled_from(["tools", "toys"]))}),
                quantity=quantity,
                unit_price=price,
                cost=(price * Decimal("0.6")) if draw(st.booleans()) else None,
                price_floor=price * Decimal("0.7") if floored else None,
                margin_floor=Decimal(20) if draw(st.integers(0, 4)) == 0 else None,
                tax_rate=draw(st.sampled_from([Decimal(0), Decimal(7), Decimal(19), Decimal("8.875")])),
                discountable=draw(st.integers(0, 7)) > 0,
                manual=draw(manuals(exponent)),
            )
        )
    return tuple(made)


@st.composite
def manuals(draw: st.DrawFn, exponent: int) -> ManualDiscount:
    """Mostly none."""
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return ManualDiscount(percent=draw(percents))
    if kind == 1:
        return ManualDiscount(amount=draw(money(exponent, most=3)))
    return ManualDiscount()


@st.composite
def settings(draw: st.DrawFn, /, **fixed: Any) -> Settings:
    """Any rule for rounding and combining."""
    drawn = {
        "combine": draw(st.sampled_from(Combine)),
        "remainder": draw(st.sampled_from(Remainder)),
        "grouping": draw(st.sampled_from([UnitOrder.BEST, UnitOrder.BEST, *UnitOrder])),
        "rounding": draw(st.sampled_from(Rounding)),
        "round_at": draw(st.sampled_from(RoundAt)),
        "tax_rounding": draw(st.sampled_from(TaxRounding)),
        "zero_only_for_gifts": draw(st.booleans()),
    }
    return Settings(**{**drawn, **fixed})


@st.composite
def documents(
    draw: st.DrawFn, *, most_units: int = 3, count: int = 3, rules: st.SearchStrategy[Settings] | None = None
) -> Document:
    """A small document in yen, euros or dinars."""
    exponent = draw(st.sampled_from([0, 2, 2, 3]))
    charged = draw(st.booleans())
    return Document(
        currency=CURRENCIES[exponent],
        exponent=exponent,
        day=DAY,
        lines=draw(lines(exponent, most_units, count)),
        charges=(Charge(key="freight", amount=draw(money(exponent, most=9)), tax_rate=Decimal(19)),)
        if charged
        else (),
        prices_include_tax=draw(st.booleans()),
        manual=draw(manuals(exponent)),
        price_floor=draw(money(exponent)) if draw(st.integers(0, 7)) == 0 else None,
        margin_floor=Decimal(10) if draw(st.integers(0, 5)) == 0 else None,
        settings=draw(settings() if rules is None else rules),
    )


@st.composite
def benefits(draw: st.DrawFn, exponent: int) -> Benefit:
    """Every kind."""
    target = draw(matchings())
    amount = draw(money(exponent, most=8))
    percent = draw(percents)
    reach = draw(
        st.sampled_from([Reach(), Reach(), Reach(max_units=1), Reach(max_units_per_line=1), Reach(step=2)])
    )
    options: Sequence[Benefit] = (
        PercentOff(percent=percent, target=target, reach=reach),
        PercentOff(percent=percent, target=target, per=Per.DOCUMENT),
        AmountOff(amount=amount, target=target, reach=reach),
        AmountOff(amount=amount, target=target, per=Per.LINE),
        AmountOff(amount=amount, target=target, per=Per.GROUP, group_size=2),
        AmountOff(amount=amount, target=target, per=Per.DOCUMENT),
        FixedPrice(price=amount, target=target, reach=reach),
        Tiered(
            tiers=(
                Tier(Decimal(0), PercentOff(percent=percent)),
                Tier(Decimal(3), AmountOff(amount=amount, per=Per.DOCUMENT)),
            ),
            measure=Measure.QUANTITY,
        ),
        Graduated(steps=(Step(1, amount), Step(2, amount / 2)), target=target),
        BuyGet(buy_quantity=1, get_quantity=1, free=draw(st.sampled_from(Free)), percent=Decimal(100)),
        BuyGet(buy=target, buy_quantity=1, get=draw(matchings()), get_quantity=1, percent=Decimal(50)),
        BuyGet(buy=target, get=target, buy_quantity=2, get_quantity=1, max_repeats=1),
        BundlePrice(components=(Component(target, 1), Component(draw(matchings()), 1)), price=amount),
        Gift(product="G", unit_value=amount, unit_cost=amount / 2),
        FreeShipping(percent=draw(st.sampled_from([Decimal(50), Decimal(100)]))),
    )
    return draw(st.sampled_from(options))


@st.composite
def promotions(draw: st.DrawFn, exponent: int, most: int = 3) -> tuple[Promotion, ...]:
    """Up to three, stacked in any way."""
    made: list[Promotion] = []
    for index in range(draw(st.integers(1, most))):
        stacking = draw(st.sampled_from([Stacking.ANY, Stacking.ANY, Stacking.ANY, *Stacking]))
        limited = draw(st.integers(0, 5)) == 0
        made.append(
            Promotion(
                code=f"P{index}",
                benefit=draw(benefits(exponent)),
                priority=draw(st.integers(0, 2)),
                phase=draw(st.sampled_from([0, 0, 0, 1])),
                stacking=stacking,
                stacking_group="g" if stacking is Stacking.EXCLUSIVE_IN_GROUP else "",
                combinable_with=frozenset({"P0", "P1"}) if stacking is Stacking.ONLY_WITH else frozenset(),
                truncatable=draw(st.booleans()),
                max_discount=draw(money(exponent, most=5)) if limited else None,
                funding_percent=draw(st.sampled_from([Decimal(0), Decimal(50)])),
                conditions=Conditions(
                    currencies=frozenset({CURRENCIES[exponent]}),
                    requirements=(Requirement(min_quantity=Decimal(draw(st.integers(0, 3)))),),
                ),
            )
        )
    return tuple(made)


@st.composite
def priced(
    draw: st.DrawFn,
    *,
    most_units: int = 3,
    count: int = 3,
    most: int = 3,
    rules: st.SearchStrategy[Settings] | None = None,
) -> tuple[Document, tuple[Promotion, ...]]:
    """A document and promotions in its currency."""
    document = draw(documents(most_units=most_units, count=count, rules=rules))
    return document, draw(promotions(document.exponent, most))
