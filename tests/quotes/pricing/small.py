"""Small documents and promotions of every kind that fight over few units, for Hypothesis."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Charge,
    Component,
    Document,
    FixedPrice,
    Free,
    FreeShipping,
    Gift,
    Graduated,
    Matching,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Settings,
    Stacking,
    Step,
    TaxRounding,
    UsesUp,
)
from tests.quotes.pricing.making import document, line, product

_NAMES = ("A", "B", "C")
_PRICES = ("0.37", "1.00", "2.50", "9.99", "10.00", "33.33")


@st.composite
def documents(draw: st.DrawFn, /, most_lines: int = 2, most_units: int = 4, **settings: Any) -> Document:
    """Up to three lines of few units, with and without floors and tax."""
    lines = []
    for name in _NAMES[: draw(st.integers(1, most_lines))]:
        price = draw(st.sampled_from(_PRICES))
        floor = draw(st.sampled_from([None, None, None, "0.6", "0.9"]))
        lines.append(
            line(
                name.lower(),
                price,
                draw(st.integers(1, most_units)),
                product=name,
                tax_rate=draw(st.sampled_from(["0", "7", "19"])),
                price_floor=None if floor is None else Decimal(floor) * Decimal(price),
            )
        )
    charges = draw(
        st.sampled_from([(), (Charge(key="freight", amount=Decimal("5.90"), tax_rate=Decimal(19)),)])
    )
    return document(
        *lines,
        charges=charges,
        prices_include_tax=draw(st.booleans()),
        settings=Settings(tax_rounding=draw(st.sampled_from(list(TaxRounding))), **settings),
    )


def _matching(draw: st.DrawFn) -> Matching:
    return draw(
        st.sampled_from([Matching(), product("A"), product("B"), product("A", "B"), product("B", "C")])
    )


@st.composite
def promotions(draw: st.DrawFn, /, code: str) -> Promotion:
    """One of any kind, with any stacking."""
    percent = Decimal(draw(st.sampled_from([5, 10, 15, 50])))
    amount = Decimal(draw(st.sampled_from(["0.10", "0.55", "1.00"])))
    reach = draw(
        st.sampled_from([Reach(), Reach(), Reach(max_units=2), Reach(max_units_per_line=1), Reach(step=2)])
    )
    target = _matching(draw)
    kinds: list[Benefit] = [
        PercentOff(percent=percent, target=target, reach=reach),
        PercentOff(percent=percent, target=target, reach=reach),
        PercentOff(percent=percent, target=target, per=Per.DOCUMENT),
        AmountOff(amount=amount, target=target, reach=reach),
        AmountOff(amount=amount, target=target, per=Per.LINE),
        AmountOff(amount=amount, target=target, per=Per.DOCUMENT),
        AmountOff(amount=amount, target=target, per=Per.GROUP, group_size=2),
        FixedPrice(price=Decimal("2.00"), target=target, reach=reach),
        Graduated(steps=(Step(1, amount), Step(3, amount * 2)), target=target),
        BuyGet(buy=target, buy_quantity=1, get=target, get_quantity=1, percent=Decimal(100)),
        BuyGet(buy=target, buy_quantity=2, get=target, get_quantity=1, percent=percent, free=Free.ANY),
        BuyGet(buy=product("A"), buy_quantity=1, get=product("B"), get_quantity=1, free=Free.DEAREST),
        BundlePrice(components=(Component(product("A"), 1), Component(product("B"), 1)), price=Decimal(3)),
        BundlePrice(components=(Component(product("A", "B"), 2),), price=Decimal(3)),
        Gift(product="box", unit_value=Decimal("1.50")),
        FreeShipping(percent=percent),
    ]
    benefit = draw(st.sampled_from(kinds))
    stacking = draw(
        st.sampled_from(
            [Stacking.ANY, Stacking.ANY, Stacking.ANY, Stacking.EXCLUSIVE_IN_GROUP, Stacking.EXCLUSIVE]
        )
    )
    return Promotion(
        code=code,
        benefit=benefit,
        priority=draw(st.integers(0, 1)),
        phase=draw(st.sampled_from([0, 0, 1])),
        stacking=stacking,
        stacking_group="group" if stacking is Stacking.EXCLUSIVE_IN_GROUP else "",
        truncatable=draw(st.sampled_from([False, False, True])),
        max_discount=draw(st.sampled_from([None, None, None, None, Decimal("1.00")])),
        uses_up=draw(st.sampled_from([None, None, None, UsesUp.NOTHING, UsesUp.REWARDED])),
    )


@st.composite
def offered(draw: st.DrawFn, /, most: int = 3) -> tuple[Promotion, ...]:
    """Up to so many promotions."""
    return tuple(draw(promotions(f"P{number}")) for number in range(draw(st.integers(1, most))))
