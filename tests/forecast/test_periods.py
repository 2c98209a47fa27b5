"""Fiscal periods."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.forecast.domain.periods import (
    UNDATED,
    FiscalCalendar,
    Granularity,
    PeriodRangeWrong,
    PeriodUnknown,
    TooManyPeriods,
)

CALENDARS = st.builds(FiscalCalendar, st.integers(1, 12))
DAYS = st.dates(date(1901, 1, 1), date(2199, 12, 31))
DATED = st.sampled_from([Granularity.MONTH, Granularity.QUARTER, Granularity.YEAR])
TODAY = date(2017, 8, 15)


def test_calendar_year_quarters_are_those_of_the_wall_calendar() -> None:
    quarter = FiscalCalendar().named("2017-Q2")
    assert (quarter.start, quarter.end, quarter.name) == (
        date(2017, 4, 1),
        date(2017, 6, 30),
        "Q2 2017",
    )


def test_a_fiscal_year_is_named_by_the_year_that_it_ends_in() -> None:
    quarter = FiscalCalendar(first_month=4).named("2018-Q1")
    assert (quarter.start, quarter.end, quarter.name) == (
        date(2017, 4, 1),
        date(2017, 6, 30),
        "Q1 FY2018",
    )


@pytest.mark.parametrize(
    ("text", "id"),
    [("2018", "FY2018"), ("2018-P01", "2017-04"), ("2018-P10", "2018-01")],
)
def test_the_names_that_identity_gives_are_understood(text: str, id: str) -> None:
    assert FiscalCalendar(first_month=4).named(text).id == id


def test_a_month_is_called_as_everybody_calls_it_whatever_the_fiscal_year() -> None:
    month = FiscalCalendar(first_month=7).named("2017-03")
    assert (month.start, month.end) == (date(2017, 3, 1), date(2017, 3, 31))


def test_the_current_quarter_is_meant_where_no_period_is_named() -> None:
    assert [period.id for period in FiscalCalendar().selected([], TODAY)] == [
        "2017-Q3",
        "undated",
    ]


def test_ranges_include_both_ends_and_undated_comes_last() -> None:
    periods = FiscalCalendar().selected(["undated", "2017-Q1..2017-Q3", "2017-Q2"], TODAY)
    assert [period.id for period in periods] == [
        "2017-Q1",
        "2017-Q2",
        "2017-Q3",
        "undated",
    ]


def test_undated_alone_can_be_asked_for() -> None:
    assert FiscalCalendar().selected(["undated"], TODAY) == (UNDATED,)


@pytest.mark.parametrize("text", ["2017-13", "17", "Q1", "FY0000", "2017-Q5", "", "yesterday", "2017-Q1.."])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(PeriodUnknown):
        FiscalCalendar().selected([text], TODAY)


@pytest.mark.parametrize(
    "text",
    ["2017-Q2..2017-Q1", "2017-Q1..2017-06", "undated..2017-01", "2017-01..undated"],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(PeriodRangeWrong):
        FiscalCalendar().selected([text], TODAY)


def test_more_periods_than_an_answer_holds_are_refused() -> None:
    with pytest.raises(TooManyPeriods):
        FiscalCalendar().selected(["1901-01..2199-12"], TODAY)


@given(CALENDARS, DAYS, DATED)
def test_every_day_lies_in_exactly_the_period_that_has_its_id(
    calendar: FiscalCalendar, day: date, granularity: Granularity
) -> None:
    period = calendar.period_of(day, granularity)
    assert day in period
    assert calendar.named(period.id) == period


@given(CALENDARS, DAYS, DATED)
def test_periods_follow_each_other_without_gap(
    calendar: FiscalCalendar, day: date, granularity: Granularity
) -> None:
    period = calendar.period_of(day, granularity)
    assert period.end is not None
    after = calendar.period_of(period.end + timedelta(days=1), granularity)
    assert after.start == period.end + timedelta(days=1)


@given(CALENDARS, DAYS)
def test_quarters_and_months_nest(calendar: FiscalCalendar, day: date) -> None:
    month, quarter, year = (
        calendar.period_of(day, length) for length in (Granularity(1), Granularity(2), Granularity(3))
    )
    assert month.start in quarter
    assert month.end in quarter
    assert quarter.start in year
    assert quarter.end in year
