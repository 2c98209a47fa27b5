"""Fiscal periods."""

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.fiscal import Pattern, YearEnd
from services.forecast.domain.periods import (
    UNDATED,
    FiscalCalendar,
    Granularity,
    MonthsAreWeeks,
    PeriodRangeWrong,
    PeriodUnknown,
    TooManyPeriods,
)

CALENDARS = st.builds(
    FiscalCalendar,
    st.integers(1, 12),
    st.sampled_from(Pattern),
    st.integers(1, 7),
    st.sampled_from(YearEnd),
    st.integers(1, 12),
)
RETAIL = FiscalCalendar(2, Pattern.WEEKS_4_5_4)
"""As the National Retail Federation has it, but for the year's name."""
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
    quarter = FiscalCalendar(start_month=4).named("2018-Q1")
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
    assert FiscalCalendar(start_month=4).named(text).id == id


def test_a_month_is_called_as_everybody_calls_it_whatever_the_fiscal_year() -> None:
    month = FiscalCalendar(start_month=7).named("2017-03")
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


def test_months_of_a_retail_calendar_are_weeks() -> None:
    first, second = RETAIL.named("2018-P01"), RETAIL.named("2018-P02")
    assert (first.start, first.end, first.name) == (date(2017, 1, 29), date(2017, 2, 25), "P1 FY2018")
    assert (second.start, second.end) == (date(2017, 2, 26), date(2017, 4, 1))
    assert RETAIL.named("2018-Q4").end == RETAIL.named("FY2018").end == date(2018, 2, 3)


def test_the_53rd_week_lengthens_the_month_that_the_tenant_says() -> None:
    assert RETAIL.named("2018-P12").start == date(2017, 12, 31)  # five weeks, up to 3 February
    early = FiscalCalendar(2, Pattern.WEEKS_4_5_4, 7, YearEnd.NEAREST, 1)
    assert early.named("2018-P01").end == date(2017, 3, 4)
    assert early.named("FY2018") == RETAIL.named("FY2018")


def test_a_year_can_end_on_the_last_weekday_of_a_month() -> None:
    ends = [FiscalCalendar(10, Pattern.WEEKS_4_4_5, 7, YearEnd.LAST).year(year).end for year in (2022, 2023)]
    assert ends == [date(2022, 9, 24), date(2023, 9, 30)]  # the last Saturday of September


def test_ranges_of_months_that_are_weeks_go_on_over_the_end_of_a_year() -> None:
    ids = [period.id for period in RETAIL.selected(["2017-P11..2018-P02"], TODAY)]
    assert ids == ["2017-P11", "2017-P12", "2018-P01", "2018-P02", "undated"]


def test_calendar_months_are_refused_where_months_are_weeks() -> None:
    with pytest.raises(MonthsAreWeeks, match="2017-P03"):
        RETAIL.selected(["2017-03"], TODAY)


@given(CALENDARS, st.integers(1902, 2198))
def test_a_year_has_twelve_months_of_whole_weeks_where_months_are_weeks(
    calendar: FiscalCalendar, year: int
) -> None:
    starts = calendar.months(year)
    assert len(starts) == 13
    assert starts[12] == calendar.months(year + 1)[0]
    if calendar.is_weekly:
        weeks = [(after - start).days / 7 for start, after in itertools.pairwise(starts)]
        assert sum(weeks) in (52, 53)
        assert all(start.isoweekday() == calendar.first_weekday for start in starts)
        assert sorted(weeks)[:8] == [4] * 8 or weeks[calendar.long_month - 1] == 5


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
