"""The deals behind every sum, part by part: where each stands, in which bucket of days, what it adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Membership
from services.forecast.book.grid import Cuts, Grid, grid
from services.forecast.book.parts import Shares
from services.forecast.book.reference import Settings, Tenant
from services.forecast.book.valuing import EPOCH, Valued, day_number, value
from services.forecast.book.versions import UNDATED, Rows
from services.forecast.dimensions import Axis, GroupBy, Question, axis_of
from services.forecast.dimensions.credit import whole
from services.forecast.dimensions.rates import rate_days
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.periods import FiscalCalendar, Granularity, Period

if TYPE_CHECKING:
    from services.forecast.book.book import Book

Places = npt.NDArray[np.int32]


def entries_of(book: Book, axis: Axis, question: Question) -> Entries:
    """The parts of the deals that count in any of the periods, each with where it stands."""
    cuts = cuts_of(question, settings_of(book, question).calendar, axis)
    return Entries.of(book, axis, question, cuts, rows_of(book, question, cuts))


def settings_of(book: Book, question: Question) -> Settings:
    """What the tenant had set at the instant asked for; before anything was, what is."""
    tenant = book.at(question.recorded)
    return tenant.settings if tenant.of("tenant") else book.at().settings


def lacking_in(book: Book, question: Question) -> list[Lacking]:
    """The rates that are missing for the deals of a question, by currency and day."""
    axis = axis_of(book, replace(question, group_by=GroupBy.OWNER))
    entries = entries_of(book, axis, question)
    waiting = np.flatnonzero(entries.valued.unconverted & (entries.place >= 0))
    index, first = np.unique(entries.index[waiting], return_index=True)
    rows, parts = entries.rows[index], waiting[first]
    pairs = np.stack([book.versions.currency[rows].astype(np.int64), entries.valued.day[parts]], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    found = [
        Lacking(book.codes.currencies.id(currency), EPOCH + timedelta(day), count)
        for (currency, day), count in zip(distinct.tolist(), counts.tolist(), strict=True)
    ]
    return sorted(found, key=lambda lacking: (lacking.currency, lacking.day))


@dataclass(frozen=True)
class Entries:
    """Parts of deals, with where each stands and what it adds; each deal is one where nothing is shared."""

    book: Book
    axis: Axis
    rows: Rows
    member: npt.NDArray[np.int64]
    bucket: npt.NDArray[np.int64]
    valued: Valued
    buckets: int
    shares: Shares | None

    @classmethod
    def of(cls, book: Book, axis: Axis, question: Question, cuts: Cuts, rows: Rows) -> Entries:
        """The parts of some versions."""
        tenant = book.at(question.recorded)
        membership = axis.dimension.members(book, rows, tenant)
        shares = membership.shares
        valued = value_of(book, rows, tenant, question, shares)
        member = np.asarray(membership.member, np.int64)
        bucket = bucket_of(cuts, book.versions.closes_on[rows])
        if shares is not None:
            bucket = bucket[shares.index]
        return cls(book, axis, rows, member, bucket, valued, cuts.undated + 1, shares)

    @cached_property
    def index(self) -> npt.NDArray[Any]:
        """Which of the rows each is a part of."""
        return np.arange(len(self.rows)) if self.shares is None else self.shares.index

    @cached_property
    def place(self) -> Places:
        """The node of each; -1 where the caller does not see it."""
        return self.placed(np.arange(len(self.member)))

    @property
    def size(self) -> npt.NDArray[Any]:
        """How much of its deal's amount each is, in minor units of the deal's currency."""
        if self.shares is None:
            return self.book.versions.amount[self.rows]
        return self.shares.end - self.shares.start

    def placed(self, parts: npt.NDArray[Any]) -> Places:
        """The nodes of some of them."""
        closes_on = self.book.versions.closes_on[self.rows[self.index[parts]]]
        return self.axis.place(self.member[parts], closes_on.astype(np.int64))

    def grid(self) -> Grid:
        """Added up by member and bucket."""
        return grid(self.member, self.bucket, self.buckets, self.valued)


def whole_shares(book: Book, rows: Rows, membership: Membership) -> Shares:
    """The parts of a membership, also where each version is one."""
    if membership.shares is not None:
        return membership.shares
    return whole(book, rows, np.asarray(membership.member))


def value_of(book: Book, rows: Rows, tenant: Tenant, question: Question, shares: Shares | None) -> Valued:
    """What some versions, or parts of them, add."""
    days = rate_days(book, rows, question)
    return value(book, rows, tenant, question.currency, question.today, shares=shares, rate_day=days)


# Days


def cuts_of(question: Question, calendar: FiscalCalendar, axis: Axis) -> Cuts:
    """The days between which nothing changes: where the months of the fiscal years begin that the periods
    lie in, where periods begin and end, and where somebody comes to stand elsewhere."""
    dated = [period for period in question.periods if period.start and period.end]
    if not dated:
        return Cuts(())
    first = calendar.period_of(min(period.start or date.max for period in dated), Granularity.YEAR)
    last = calendar.period_of(max(period.end or date.min for period in dated), Granularity.YEAR)
    assert first.start
    assert last.end
    days = {day_number(last.end + timedelta(1))}
    for year in range(calendar.year_of(first.start), calendar.year_of(last.end) + 1):
        days |= {day_number(day) for day in calendar.months(year)[:-1]}
    for period in dated:
        days |= set(_days_of(period))
    low, high = min(days), max(days)
    return Cuts(tuple(sorted(days | {day for day in axis.days if low < day < high})))


def _days_of(period: Period) -> tuple[int, int]:
    assert period.start
    assert period.end
    return day_number(period.start), day_number(period.end + timedelta(1))


def bucket_of(cuts: Cuts, days: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The bucket of each day: looked up in a table of all days that there are cuts between."""
    if not cuts.days:
        return cuts.of(days)
    first, last = cuts.days[0] - 1, cuts.days[-1] + 1
    table = np.empty(last - first + 2, np.int64)
    table[:-1] = cuts.of(np.arange(first, last + 1, dtype=np.int32))
    table[-1] = cuts.undated
    places = np.clip(days, first, last) - first
    places[days == UNDATED] = len(table) - 1
    found: npt.NDArray[np.int64] = table[places]
    return found


def buckets_of(period: Period, cuts: Cuts) -> slice:
    """The buckets that a period is made of."""
    if period.start is None:
        return slice(cuts.undated, cuts.undated + 1)
    return cuts.between(*_days_of(period))


def rows_of(book: Book, question: Question, cuts: Cuts) -> Rows:
    """The versions that count at the instant asked for, in any of the periods."""
    rows = book.view(question.recorded, question.effective)
    is_asked = np.zeros(cuts.undated + 1, bool)
    for period in question.periods:
        is_asked[buckets_of(period, cuts)] = True
    kept: Rows = rows[is_asked[bucket_of(cuts, book.versions.closes_on[rows])]]
    return kept
