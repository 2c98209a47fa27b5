"""Rates hold from their day on and are never made up; fiscal periods have no gaps."""

import itertools
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.fiscal import FiscalYears, Pattern, YearEnd
from services.identity.domain.rates import ExchangeRate, ExchangeRateMissing, RateImpossible, rate_on
from services.identity.domain.tenants import (
    PeriodKind,
    Tenant,
    TenantIncomplete,
    fiscal_periods,
)


def rate(day: int, value: str, from_currency: str = "USD", to_currency: str = "EUR") -> ExchangeRate:
    return ExchangeRate(
        from_currency=from_currency, to_currency=to_currency, date=date(2026, 1, day), rate=Decimal(value)
    )


def test_the_latest_rate_on_or_before_the_day_holds() -> None:
    rates = [rate(10, "0.9"), rate(1, "0.8"), rate(20, "0.95"), rate(10, "1.1", "GBP")]
    assert rate_on(rates, "USD", "EUR", date(2026, 1, 19)).rate == Decimal("0.9")
    assert rate_on(rates, "USD", "EUR", date(2026, 1, 20)).rate == Decimal("0.95")


@pytest.mark.parametrize(("pair", "day"), [(("USD", "EUR"), 9), (("EUR", "USD"), 11), (("JPY", "EUR"), 11)])
def test_a_missing_rate_is_reported_and_never_one(pair: tuple[str, str], day: int) -> None:
    with pytest.raises(ExchangeRateMissing, match=f"from {pair[0]} to {pair[1]}"):
        rate_on([rate(10, "0.9")], *pair, date(2026, 1, day))


def test_a_rate_is_positive_and_between_two_currencies() -> None:
    with pytest.raises(RateImpossible):
        rate(1, "0").record()
    with pytest.raises(RateImpossible):
        rate(1, "1", "EUR", "EUR").record()


def test_a_tenant_needs_name_and_currency() -> None:
    with pytest.raises(TenantIncomplete):
        Tenant(reporting_currency="EUR").create()
    with pytest.raises(TenantIncomplete):
        Tenant(name="Acme").create()


def test_a_fiscal_year_is_called_by_the_year_it_ends_in() -> None:
    year, first, *_ = fiscal_periods(2018, FiscalYears(2))
    assert (year.name, year.start_date, year.end_date) == ("2018", date(2017, 2, 1), date(2018, 2, 1))
    assert (first.name, first.start_date, first.end_date) == ("2018-Q1", date(2017, 2, 1), date(2017, 5, 1))
    assert fiscal_periods(2018, FiscalYears(1))[0].start_date == date(2018, 1, 1)
    assert fiscal_periods(2018, FiscalYears(2))[5].name == "2018-P01"


CALENDARS = st.builds(
    FiscalYears,
    st.integers(1, 12),
    st.sampled_from(Pattern),
    st.integers(1, 7),
    st.sampled_from(YearEnd),
    st.integers(1, 12),
)


@given(st.integers(2, 9997), CALENDARS)
def test_quarters_and_months_cover_the_year_without_gap(year: int, calendar: FiscalYears) -> None:
    whole, *parts = fiscal_periods(year, calendar)
    for kind, count in ((PeriodKind.QUARTER, 4), (PeriodKind.MONTH, 12)):
        periods = [period for period in parts if period.kind is kind]
        assert len(periods) == count
        assert (periods[0].start_date, periods[-1].end_date) == (whole.start_date, whole.end_date)
        for one, next_one in itertools.pairwise(periods):
            assert one.end_date == next_one.start_date
            assert one.number + 1 == next_one.number


@given(st.dates(date(2, 1, 1), date(9990, 12, 31)), CALENDARS)
def test_every_day_is_in_the_fiscal_year_that_it_says(day: date, calendar: FiscalYears) -> None:
    year = fiscal_periods(calendar.year_of(day), calendar)[0]
    assert year.start_date <= day < year.end_date
    assert year.end_date - year.start_date >= timedelta(days=364)
