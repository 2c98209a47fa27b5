"""Fiscal years: of calendar months, or of 52 and sometimes 53 whole weeks (4-4-5 and its kin).

A year of weeks ends on one weekday: the last one in the month before `start_month`, or the one nearest to
that month's end. So some years have a 53rd week, which lengthens one of the months. Years are called by
the calendar year in which they end.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Final

MONTHS: Final = 12
_WEEK: Final = 7
_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9997


class Pattern(IntEnum):
    """How a quarter is divided into months; the numbers are those of the proto's enum."""

    CALENDAR_MONTHS = 1
    WEEKS_4_4_5 = 2
    WEEKS_4_5_4 = 3
    WEEKS_5_4_4 = 4


class YearEnd(IntEnum):
    """On which day a year of weeks ends; the numbers are those of the proto's enum."""

    NEAREST = 1
    """On the weekday that is nearest to the end of the month."""
    LAST = 2
    """On the last such weekday in the month."""


_WEEKS: Final = {
    Pattern.WEEKS_4_4_5: (4, 4, 5),
    Pattern.WEEKS_4_5_4: (4, 5, 4),
    Pattern.WEEKS_5_4_4: (5, 4, 4),
}


@dataclass(frozen=True, slots=True)
class FiscalYears:
    """How a company divides its years."""

    start_month: int = 1
    pattern: Pattern = Pattern.CALENDAR_MONTHS
    first_weekday: int = 7
    """With which day weeks begin: Monday is 1, Sunday 7."""
    year_end: YearEnd = YearEnd.NEAREST
    long_month: int = MONTHS
    """Which month has the 53rd week of a year that has one."""

    @property
    def is_weekly(self) -> bool:
        """Whether months are weeks, not calendar months."""
        return self.pattern is not Pattern.CALENDAR_MONTHS

    def months(self, year: int) -> tuple[date, ...]:
        """The first days of a year's twelve months, and the first day after the year."""
        return _months(self, min(max(year, _FIRST_YEAR), _LAST_YEAR))

    def year_of(self, day: date) -> int:
        """The year that a day lies in."""
        year = min(max(day.year + (self.start_month > 1 and day.month >= self.start_month), 2), _LAST_YEAR)
        while year > _FIRST_YEAR and day < self.months(year)[0]:
            year -= 1
        while year < _LAST_YEAR and day >= self.months(year)[MONTHS]:
            year += 1
        return year

    def month_of(self, day: date) -> tuple[int, int]:
        """The year that a day lies in, and which of its months, from 1."""
        year = self.year_of(day)
        starts = self.months(year)
        return year, max(number for number in range(1, MONTHS + 1) if starts[number - 1] <= day)


@lru_cache(maxsize=5000)
def _months(years: FiscalYears, year: int) -> tuple[date, ...]:
    if not years.is_weekly:
        first = (year - (years.start_month > 1)) * MONTHS + years.start_month - 1
        return tuple(_first_of(first + month) for month in range(MONTHS + 1))
    day, after = _after_year(years, year - 1), _after_year(years, year)
    weeks = list(_WEEKS[years.pattern]) * 4
    weeks[years.long_month - 1] += (after - day).days // _WEEK - sum(weeks)
    starts = [day]
    for count in weeks:
        starts.append(starts[-1] + timedelta(weeks=count))
    return tuple(starts)


def _after_year(years: FiscalYears, year: int) -> date:
    """The first day after a year of weeks."""
    after = _first_of(year * MONTHS + (years.start_month - 1 if years.start_month > 1 else MONTHS))
    # how long after a week's first day the calendar's year begins; it is moved to one or the other side
    days = (after.isoweekday() - years.first_weekday) % _WEEK
    if years.year_end is YearEnd.LAST or days <= _WEEK // 2:
        return after - timedelta(days=days)
    return after + timedelta(days=_WEEK - days)


def _first_of(month: int) -> date:
    """The first day of a month that is counted from the year 0."""
    return date(month // MONTHS, month % MONTHS + 1, 1)
