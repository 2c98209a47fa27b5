"""What tax is due, by rates and exemptions, and that it adds up however it is rounded."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import minor_unit
from services.quotes.domain.apportionment import apportion, half_away
from services.quotes.domain.taxation import RatePart, TaxableLine, TaxQuestion, TaxRounding, tax_by_rates
from services.quotes.domain.taxes import (
    TaxExemption,
    TaxPercentTooHigh,
    TaxRate,
    TaxRateMissing,
    TaxValidityReversed,
    built_in_tax,
    parts_in_force,
)

DAY = date(2026, 5, 4)


def rate(percent: str, tax_class: str = "standard", **values: object) -> TaxRate:
    return TaxRate(
        **{"region": "DE", "percent": Decimal(percent), "tax_class": tax_class, **values}  # type: ignore[arg-type]
    )


def question(*amounts: str, **values: object) -> TaxQuestion:
    lines = tuple(
        TaxableLine(new_id(), Decimal(amount), "standard", index=index)
        for index, amount in enumerate(amounts)
    )
    return TaxQuestion(**{"lines": lines, "currency": "EUR", "region": "DE", "day": DAY, **values})  # type: ignore[arg-type]


def test_the_rate_that_begins_last_holds() -> None:
    rates = [
        rate("19"),
        rate("16", valid_from=date(2026, 1, 1), valid_to=date(2026, 6, 30)),
        rate("21", valid_from=date(2026, 7, 1)),
        rate("20", region="FR"),
    ]
    assert parts_in_force(rates, "DE", DAY) == {"standard": (RatePart("VAT", Decimal(16)),)}
    assert parts_in_force(rates, "DE", date(2025, 5, 4)) == {"standard": (RatePart("VAT", Decimal(19)),)}
    assert parts_in_force(rates, "DE", date(2026, 7, 1)) == {"standard": (RatePart("VAT", Decimal(21)),)}


def test_rates_of_several_names_are_due_together() -> None:
    answer = built_in_tax(question("100.00"), [rate("4", name="State"), rate("4.875", name="City")], [])
    (due,) = answer.lines.values()
    assert (due.percent, due.amount) == (Decimal("8.875"), Decimal("8.88"))
    assert [(tax.name, tax.amount) for tax in answer.taxes] == [
        ("City", Decimal("4.88")),
        ("State", Decimal("4.00")),
    ]


def test_tax_is_on_top_or_in_the_price() -> None:
    (on_top,) = built_in_tax(question("100"), [rate("19")], []).taxes
    assert (on_top.base, on_top.amount) == (Decimal(100), Decimal("19.00"))
    (within,) = built_in_tax(question("119", prices_include_tax=True), [rate("19")], []).taxes
    assert (within.base, within.amount) == (Decimal(100), Decimal("19.00"))


def test_rounding_per_line_and_per_document_differ() -> None:
    amounts = ["0.05"] * 3
    per_line = built_in_tax(question(*amounts), [rate("10")], [])
    assert [line.amount for line in per_line.lines.values()] == [Decimal("0.01")] * 3
    whole = built_in_tax(question(*amounts, rounding=TaxRounding.PER_DOCUMENT), [rate("10")], [])
    assert [line.amount for line in whole.lines.values()] == [Decimal("0.01"), Decimal("0.01"), Decimal(0)]


def test_a_missing_rate_is_reported_and_not_taken_as_zero() -> None:
    with pytest.raises(TaxRateMissing) as refused:
        built_in_tax(question("100"), [rate("7", "reduced")], [])
    assert refused.value.violations[0].field == "quote.lines[0].tax_class"
    assert built_in_tax(question("100"), [rate("0")], []).taxes[0].amount == 0


def test_an_exempt_customer_pays_no_tax_while_the_exemption_holds() -> None:
    exemption = TaxExemption(account_id=new_id(), region="DE", valid_to=date(2026, 12, 31))
    answer = built_in_tax(question("100"), [rate("19")], [exemption])
    assert (answer.is_exempt, answer.taxes) == (True, ())
    assert [line.amount for line in answer.lines.values()] == [Decimal(0)]
    later = built_in_tax(question("100", day=date(2027, 1, 1)), [rate("19")], [exemption])
    assert not later.is_exempt
    assert later.taxes[0].amount == Decimal("19.00")


def test_a_rate_makes_sense() -> None:
    with pytest.raises(TaxPercentTooHigh):
        rate("1000").change({})
    with pytest.raises(TaxValidityReversed):
        rate("19", valid_from=DAY, valid_to=date(2026, 5, 3)).change({})


CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD", "CLF"])
PERCENTS = st.decimals("0", "99.999", places=3)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from("abc")), min_size=1, max_size=12),
    st.dictionaries(
        st.sampled_from("abc"), st.lists(PERCENTS, min_size=1, max_size=3), min_size=3, max_size=3
    ),
    CURRENCIES,
    st.booleans(),
    st.sampled_from(TaxRounding),
)
def test_taxes_add_up_in_every_currency_and_rounding(
    asked: list[tuple[int, str]],
    percents: dict[str, list[Decimal]],
    currency: str,
    includes: bool,
    rounding: TaxRounding,
) -> None:
    unit = minor_unit(currency)
    lines = tuple(TaxableLine(new_id(), units * unit, name) for units, name in asked)
    rates = {
        name: [RatePart(f"{name}{index}", percent) for index, percent in enumerate(parts)]
        for name, parts in percents.items()
    }
    asked_question = TaxQuestion(lines, currency, "X", DAY, prices_include_tax=includes, rounding=rounding)
    answer = tax_by_rates(asked_question, rates)
    due = {line.id: answer.lines[line.id].amount for line in lines}
    assert sum(due.values()) == sum(tax.amount for tax in answer.taxes)
    for line in lines:
        assert due[line.id] % unit == 0
        percent = Fraction(sum(percents[line.tax_class]))
        exact = Fraction(line.amount) * percent / (100 + percent if includes else 100)
        assert abs(Fraction(due[line.id]) - exact) < Fraction(unit)
        if rounding is TaxRounding.PER_LINE:
            assert due[line.id] == half_away(exact, currency)
    for name, parts in percents.items():
        of_class = [line for line in lines if line.tax_class == name]
        exact = sum((Fraction(line.amount) for line in of_class), Fraction(0)) * Fraction(sum(parts))
        exact /= 100 + Fraction(sum(parts)) if includes else 100
        if rounding is TaxRounding.PER_DOCUMENT:
            assert sum(due[line.id] for line in of_class) == half_away(exact, currency)


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.decimals("0", "1000", places=2), min_size=1, max_size=20),
    CURRENCIES,
)
def test_shares_add_up_and_are_off_by_less_than_a_unit(
    units: int, weights: list[Decimal], currency: str
) -> None:
    unit = minor_unit(currency)
    shares = apportion(units * unit, weights, currency)
    assert sum(shares) == units * unit
    if sum(weights):
        assert sorted(apportion(units * unit, weights[::-1], currency)) == sorted(shares)
    whole = sum(weights)
    if whole:
        for share, weight in zip(shares, weights, strict=True):
            assert abs(Fraction(share) - Fraction(units * unit) * Fraction(weight) / Fraction(whole)) < unit
