"""Fiscal periods: which days a month, a quarter or a year of the tenant's calendar covers."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from typing import Final

from chassis.errors import InvalidArgument
from chassis.fiscal import MONTHS, FiscalYears

MOST_PERIODS: Final = 60
"""How many periods one forecast can have."""

_ID: Final = re.compile(
    r"(?:FY)?(?P<year>\d{4})|(?P<of>\d{4})-(?:Q(?P<quarter>[1-4])|(?P<fiscal>P?)(?P<month>0[1-9]|1[0-2]))"
)
_MONTHS: Final = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]


class PeriodUnknown(InvalidArgument):
    """A period was named that no calendar has."""

    def __init__(self, text: str, field: str = "periods") -> None:
        super().__init__(
            f"'{text}' is not a period; write one as 2017-03, 2017-Q1, FY2017 or undated.",
            field=field,
        )


class MonthsAreWeeks(InvalidArgument):
    """A calendar month was named where the tenant's months are weeks."""

    def __init__(self, text: str, field: str = "periods") -> None:
        super().__init__(
            f"The months of this fiscal calendar are weeks: instead of '{text}' write 2017-P03, "
            "the third month of fiscal 2017.",
            field=field,
        )


class PeriodRangeWrong(InvalidArgument):
    """A range runs from one kind of period to another, or backwards."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"'{text}' is not a range: both ends must be of one kind, the earlier first.",
            field="periods",
        )


class TooManyPeriods(InvalidArgument):
    """More periods were asked for than one answer holds."""

    def __init__(self) -> None:
        super().__init__(f"At most {MOST_PERIODS} periods can be asked for at once.", field="periods")


class Granularity(IntEnum):
    """How long a period is; the numbers are those of the proto's enum."""

    MONTH = 1
    QUARTER = 2
    YEAR = 3
    UNDATED = 4


@dataclass(frozen=True, slots=True)
class Period:
    """Some days in a row, both ends included; `undated` has none."""

    id: str
    name: str
    granularity: Granularity
    start: date | None = None
    end: date | None = None

    def __contains__(self, day: date | None) -> bool:
        if day is None or self.start is None or self.end is None:
            return day is None and self.start is None
        return self.start <= day <= self.end


UNDATED: Final = Period("undated", "No close date", Granularity.UNDATED)
"""Where open deals without a close date stand."""


@dataclass(frozen=True, slots=True)
class FiscalCalendar(FiscalYears):
    """The tenant's years, called by the year that they end in, with their quarters and months.

    A calendar month is called as everybody calls it: `2017-03` is March 2017, in whatever fiscal year.
    Where months are weeks (4-4-5), `2017-P03` is the third of fiscal 2017.
    """

    def month(self, year: int, month: int) -> Period:
        """A calendar month; where months are weeks, the month of that number in a fiscal year."""
        if self.is_weekly:
            return self._part(
                f"{year:04}-P{month:02}", f"P{month} FY{year}", Granularity.MONTH, year, month - 1, month
            )
        start, end = _months(year, month, 1)
        return Period(f"{year:04}-{month:02}", f"{_MONTHS[month - 1]} {year}", Granularity.MONTH, start, end)

    def quarter(self, fiscal_year: int, quarter: int) -> Period:
        """The first to the fourth quarter of a fiscal year."""
        plain = self.start_month == 1 and not self.is_weekly
        name = f"Q{quarter} {fiscal_year}" if plain else f"Q{quarter} FY{fiscal_year}"
        id, last = f"{fiscal_year:04}-Q{quarter}", 3 * quarter
        return self._part(id, name, Granularity.QUARTER, fiscal_year, last - 3, last)

    def year(self, fiscal_year: int) -> Period:
        """A fiscal year."""
        return self._part(f"FY{fiscal_year:04}", f"FY{fiscal_year}", Granularity.YEAR, fiscal_year, 0, MONTHS)

    def period_of(self, day: date | None, granularity: Granularity) -> Period:
        """The month, quarter or year that a day lies in; `undated` for no day."""
        if day is None or granularity is Granularity.UNDATED:
            return UNDATED
        if granularity is Granularity.MONTH and not self.is_weekly:
            return self.month(day.year, day.month)
        fiscal_year, month = self.month_of(day)
        if granularity is Granularity.MONTH:
            return self.month(fiscal_year, month)
        if granularity is Granularity.QUARTER:
            return self.quarter(fiscal_year, (month + 2) // 3)
        return self.year(fiscal_year)

    def named(self, text: str, field: str = "periods") -> Period:
        """The period with an id, which stands in a field of a request.

        Raises:
            PeriodUnknown: there is none.
            MonthsAreWeeks: a calendar month is named where months are weeks.
        """
        if text == UNDATED.id:
            return UNDATED
        match = _ID.fullmatch(text)
        if match is None or not 1900 <= int(match["year"] or match["of"]) <= 2999:
            raise PeriodUnknown(text, field)
        if match["year"]:
            return self.year(int(match["year"]))
        if match["quarter"]:
            return self.quarter(int(match["of"]), int(match["quarter"]))
        year, month = int(match["of"]), int(match["month"])
        if self.is_weekly:
            if not match["fiscal"]:
                raise MonthsAreWeeks(text, field)
            return self.month(year, month)
        if match["fiscal"]:
            start = self.months(year)[month - 1]
            return self.month(start.year, start.month)
        return self.month(year, month)

    def selected(self, texts: Sequence[str], today: date) -> tuple[Period, ...]:
        """The periods that a request names, each once, by start and length, `undated` last.

        The current quarter where none is named. Ranges (`2017-01..2017-06`) include both ends.

        Raises:
            PeriodUnknown, MonthsAreWeeks, PeriodRangeWrong, TooManyPeriods: the request is wrong.
        """
        found: dict[str, Period] = {}
        for text in texts:
            for period in self._range(text):
                found[period.id] = period
                if len(found) > MOST_PERIODS:
                    raise TooManyPeriods
        found.pop(UNDATED.id, None)
        if not texts:
            current = self.period_of(today, Granularity.QUARTER)
            found[current.id] = current
        dated = sorted(
            found.values(),
            key=lambda period: (period.start or date.max, period.granularity),
        )
        return (*dated, UNDATED)

    def _range(self, text: str) -> Iterable[Period]:
        first, dots, last = text.partition("..")
        start = self.named(first)
        if not dots:
            return [start]
        end = self.named(last)
        if (
            start.granularity is not end.granularity
            or not start.start
            or not end.end
            or start.start > end.end
        ):
            raise PeriodRangeWrong(text)
        periods = [start]
        while periods[-1].end and periods[-1].end < end.end and len(periods) <= MOST_PERIODS:
            periods.append(self.period_of(periods[-1].end + timedelta(days=1), start.granularity))
        return periods

    def _part(self, id: str, name: str, granularity: Granularity, year: int, first: int, last: int) -> Period:
        """From the first day of one month to the day before another, both counted from 0."""
        starts = self.months(year)
        return Period(id, name, granularity, starts[first], starts[last] - timedelta(days=1))


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    first, after = (year * 12 + month - 1), (year * 12 + month - 1 + count)
    return date(first // 12, first % 12 + 1, 1), date(after // 12, after % 12 + 1, 1) - timedelta(days=1)
