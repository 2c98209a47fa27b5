"""Units of measure: exact factors, and quantities rounded by their unit's own rule."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from services.quotes.domain.products import Component, Product, exploded
from services.quotes.domain.units import (
    QuantityNotInSteps,
    Rounding,
    Unit,
    UnitNotSensible,
    UnitRepeated,
    UnitUnknown,
)

FACTORS = st.integers(1, 10**9)
QUANTITIES = st.decimals("0.000001", 10**12, places=6)
STEPS = st.decimals("0.000001", 10**6, places=6)
UNITS = st.builds(
    Unit,
    code=st.just("box"),
    numerator=FACTORS,
    denominator=FACTORS,
    step=STEPS,
    rounding=st.sampled_from([Rounding.UP, Rounding.DOWN, Rounding.NEAREST]),
)


def water(**fields: object) -> Product:
    """Sold by the bottle, the box of 12 and the pallet of 60 boxes."""
    units = (Unit("box", 12, step=Decimal(1)), Unit("pallet", 720, step=Decimal("0.5")))
    return Product(code="W-1", name="Water", base_unit="bottle", units=units, **fields)  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(QUANTITIES, UNITS)
def test_a_quantity_comes_back_as_it_went(quantity: Decimal, unit: Unit) -> None:
    product = Product(code="C", name="C", units=(unit,))
    assert product.in_base_units(quantity, "box") / unit.factor == Fraction(quantity)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(QUANTITIES, UNITS)
def test_a_rounded_quantity_is_a_multiple_of_the_step_and_near(quantity: Decimal, unit: Unit) -> None:
    assert unit.step is not None
    rounded, step = Fraction(unit.rounded(quantity)), Fraction(unit.step)
    assert (rounded / step).denominator == 1
    assert unit.rounded(unit.rounded(quantity)) == unit.rounded(quantity)
    off = rounded - Fraction(quantity)
    assert {
        Rounding.UP: 0 <= off < step,
        Rounding.DOWN: -step < off <= 0,
        Rounding.NEAREST: abs(off) <= step / 2,
    }[unit.rounding]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(QUANTITIES, QUANTITIES, UNITS)
def test_more_is_never_rounded_to_less(one: Decimal, other: Decimal, unit: Unit) -> None:
    assert unit.rounded(min(one, other)) <= unit.rounded(max(one, other))


def test_a_unit_may_refuse_what_is_not_whole() -> None:
    box = Unit("box", 12, step=Decimal(1), rounding=Rounding.REFUSE)
    assert box.rounded(Decimal(3)) == 3
    with pytest.raises(QuantityNotInSteps):
        box.rounded(Decimal("2.5"))


def test_half_a_step_goes_up_to_the_nearest() -> None:
    unit = Unit("box", step=Decimal("0.5"), rounding=Rounding.NEAREST)
    assert [unit.rounded(Decimal(text)) for text in ("1.24", "1.25", "1.75")] == [1, Decimal("1.5"), 2]


def test_a_product_is_counted_in_its_base_unit() -> None:
    product = water()
    assert product.in_base_units(Decimal("1.5"), "pallet") == 1080
    assert product.in_base_units(Decimal(7)) == product.in_base_units(Decimal(7), "bottle") == 7
    with pytest.raises(UnitUnknown):
        product.unit("crate")


def test_the_base_unit_may_have_steps() -> None:
    product = Product(code="R", name="Rope", base_unit="metre", units=(Unit("metre", step=Decimal("0.1")),))
    product.create()
    assert product.unit().rounded(Decimal("1.23")) == Decimal("1.3")


@pytest.mark.parametrize(
    ("units", "refusal"),
    [
        ((Unit("box", 0),), UnitNotSensible),
        ((Unit("box", 1, -1),), UnitNotSensible),
        ((Unit("box", step=Decimal(0)),), UnitNotSensible),
        ((Unit("piece", 2),), UnitNotSensible),
        ((Unit("box", 2), Unit("box", 3)), UnitRepeated),
    ],
)
def test_units_make_sense(units: tuple[Unit, ...], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        Product(code="C", name="C", units=units).create()


def test_a_bundle_takes_its_components_out_of_stock() -> None:
    glass, bottle = new_id(), new_id()
    gift = Product(
        code="G",
        name="Gift",
        units=(Unit("carton", 6),),
        components=(Component(glass, Decimal(2)), Component(bottle, Decimal("0.5"), "box")),
    )
    assert exploded(gift, Decimal(2), "carton") == {
        glass: (Fraction(24), ""),
        bottle: (Fraction(6), "box"),
    }
    alone = water()
    assert exploded(alone, Decimal(2), "box") == {alone.id: (Fraction(24), "bottle")}
