"""The sums of every node of a tree in every period, out of the sums by member and day.

For deals as they are now, the sums by member are kept and follow each change; for any other instant they
are computed from the versions that held. What a node has in all is what it has itself and what is below
it: with nodes in order, a difference of running totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Basis, Membership
from services.forecast.book.exact import Amounts
from services.forecast.book.grid import DEALS, MEASURES, Cuts, Grid, Measure, grid
from services.forecast.book.parts import Shares
from services.forecast.book.reference import Settings, Tenant
from services.forecast.book.valuing import EPOCH, Valued, day_number, value
from services.forecast.book.versions import UNDATED, Rows
from services.forecast.dimensions import Axis, GroupBy, Question, RateDate, Tree, axis_of
from services.forecast.dimensions.rates import rate_days
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.periods import FiscalCalendar, Granularity, Period

if TYPE_CHECKING:
    from services.forecast.book.book import Book

COUNTS: Final = slice(Measure.OMITTED_DEALS, MEASURES)
Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Sums:
    """What a tree adds up to: `own` and running totals of it, by node, period and measure.

    `twice` is what counts of deals are too high by, where a deal has several parts below a node.
    """

    tree: Tree
    periods: Sequence[Period]
    own: Amounts
    running: Amounts
    """One row more than there are nodes: of all nodes before each."""
    twice: Amounts | None = None

    def total(self, places: Places) -> Amounts:
        """What some nodes have with everything below them."""
        found = self.running[self.tree.after[places]] - self.running[places]
        return found if self.twice is None else found - self.twice[places]

    def deals(self) -> npt.NDArray[np.int64]:
        """How many deals each node has with everything below it, over all periods; for what is to be shown,
        a deal that was counted twice does not matter."""
        running = self.running[:, :, DEALS].sum(axis=(1, 2)).astype(np.int64)
        found: npt.NDArray[np.int64] = running[self.tree.after] - running[: len(self.tree)]
        return found


def entries_of(book: Book, axis: Axis, question: Question) -> Entries:
    """The parts of the deals that count in any of the periods, each with where it stands."""
    cuts = cuts_of(question, settings_of(book, question).calendar, axis)
    return Entries.of(book, axis, question, cuts, _rows(book, question, cuts))


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


def sums_of(book: Book, axis: Axis, question: Question, rows: Rows | None = None) -> Sums:
    """The sums of all nodes: of the deals that count at the instant asked for, or of some versions."""
    cuts = cuts_of(question, settings_of(book, question).calendar, axis)
    dimension, currency, today = axis.dimension, question.currency, question.today
    basis = Basis(dimension, currency, today, cuts)
    is_kept = question.is_live and axis.is_kept and question.rate_date is RateDate.CLOSE
    entries: Entries | None = None
    if is_kept and rows is None:
        cells = book.sums(basis)
    else:
        rows = _rows(book, question, cuts) if rows is None else rows
        entries = Entries.of(book, axis, question, cuts, rows)
        cells = entries.grid()
    own = _own(axis, question, cuts, cells)
    running = np.zeros((len(axis.tree) + 1, *own.shape[1:]), own.dtype)
    np.cumsum(own, axis=0, out=running[1:])
    twice = None
    if axis.may_share:
        if entries is None:
            entries = Entries.of(book, axis, question, cuts, _with_parts(book, axis, book.view()))
        twice, own_twice = _twice(axis, question, cuts, entries)
        own = own - own_twice
    return Sums(axis.tree, question.periods, own, running, twice)


@dataclass(frozen=True, slots=True)
class Entries:
    """Parts of deals, with where each stands and what it adds."""

    rows: Rows
    index: npt.NDArray[Any]
    """Which of the rows each is a part of."""
    member: npt.NDArray[np.int64]
    place: Places
    bucket: npt.NDArray[np.int64]
    valued: Valued
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    buckets: int

    @classmethod
    def of(cls, book: Book, axis: Axis, question: Question, cuts: Cuts, rows: Rows) -> Entries:
        """The parts of some versions."""
        tenant = book.at(question.recorded)
        membership = axis.dimension.members(book, rows, tenant)
        shares = whole_shares(book, rows, membership)
        valued = value_of(book, rows, tenant, question, membership.shares)
        member = np.asarray(membership.member, np.int64)
        closes_on = book.versions.closes_on[rows][shares.index]
        place = axis.place(member, closes_on.astype(np.int64))
        bucket = cuts.of(closes_on)
        return cls(
            rows, shares.index, member, place, bucket, valued, shares.start, shares.end, cuts.undated + 1
        )

    def grid(self) -> Grid:
        """Added up by member and bucket."""
        return grid(self.member, self.bucket, self.buckets, self.valued)


def whole_shares(book: Book, rows: Rows, membership: Membership) -> Shares:
    """The parts of a membership, also where each version is one."""
    if membership.shares is not None:
        return membership.shares
    count = len(rows)
    amount = book.versions.amount[rows]
    member = np.asarray(membership.member, np.int32)
    return Shares(np.arange(count, dtype=np.int32), member, np.zeros(count, np.int64), amount)


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


def buckets_of(period: Period, cuts: Cuts) -> slice:
    """The buckets that a period is made of."""
    if period.start is None:
        return slice(cuts.undated, cuts.undated + 1)
    return cuts.between(*_days_of(period))


def _rows(book: Book, question: Question, cuts: Cuts) -> Rows:
    """The versions that count at the instant asked for, in any of the periods."""
    rows = book.view(question.recorded, question.effective)
    is_asked = np.zeros(cuts.undated + 1, bool)
    for period in question.periods:
        is_asked[buckets_of(period, cuts)] = True
    kept: Rows = rows[is_asked[cuts.of(book.versions.closes_on[rows])]]
    return kept


# Adding up


def _own(axis: Axis, question: Question, cuts: Cuts, cells: Grid) -> Amounts:
    """What each node has itself: by node, period and measure."""
    days = np.array([-(1 << 31), *cuts.days, UNDATED], np.int64)
    place = axis.place(cells.member, days[cells.bucket])
    return _added(place, cells, axis, question, cuts)


def _added(place: Places, cells: Grid, axis: Axis, question: Question, cuts: Cuts) -> Amounts:
    count = len(question.periods)
    shape = (len(axis.tree) * count, MEASURES)
    result = np.zeros(shape, cells.measures.dtype)
    for number, period in enumerate(question.periods):
        buckets = buckets_of(period, cuts)
        mask = (cells.bucket >= buckets.start) & (cells.bucket < buckets.stop) & (place >= 0)
        of_period = np.flatnonzero(mask)
        if len(of_period):
            _add(result, place[of_period].astype(np.int64) * count + number, cells.measures[of_period])
    return result.reshape(len(axis.tree), count, MEASURES)


def _add(result: Amounts, keys: npt.NDArray[np.int64], measures: Amounts) -> None:
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    result[ordered[starts]] += np.add.reduceat(measures[order], starts, axis=0)


# Deals with several parts


def _with_parts(book: Book, axis: Axis, rows: Rows) -> Rows:
    """The versions that may have several parts."""
    several = np.zeros(len(rows), bool)
    for parts in (book.product_lines, book.splits, book.overlays):
        if len(parts):
            several |= parts.count[rows] > (axis.sharing is None)
    if axis.sharing is not None:
        several |= axis.sharing[book.versions.owner[rows]]
    kept: Rows = rows[several]
    return kept


def _twice(axis: Axis, question: Question, cuts: Cuts, entries: Entries) -> tuple[Amounts, Amounts]:
    """By how much counts of deals are too high: in all, and of what nodes have themselves.

    A deal is counted at a node, and at each above it, once for each of its parts there.
    """
    tree = axis.tree
    seen = entries.place >= 0
    counts = np.bincount(entries.index[seen], minlength=len(entries.rows))
    parts = np.flatnonzero(seen & (counts[entries.index] > 1))
    index, place = entries.index[parts].astype(np.int64), entries.place[parts].astype(np.int64)
    own = _again(axis, question, cuts, entries, [(parts, index, place)])
    pairs = []
    while len(parts):
        pairs.append((parts, index, place))
        place = tree.above[place].astype(np.int64)
        inside = place >= 0
        parts, index, place = parts[inside], index[inside], place[inside]
    return _again(axis, question, cuts, entries, pairs), own


def _again(
    axis: Axis, question: Question, cuts: Cuts, entries: Entries, pairs: Sequence[tuple[Any, Any, Any]]
) -> Amounts:
    """The counts of the parts at a node but for the first of each deal there."""
    zeros: Amounts = np.zeros((len(axis.tree), len(question.periods), MEASURES), np.int64)
    if not pairs:
        return zeros
    parts, index, place = (np.concatenate(column) for column in zip(*pairs, strict=True))
    if not len(parts):
        return zeros
    _, first = np.unique(index * len(axis.tree) + place, return_index=True)
    again = np.ones(len(parts), bool)
    again[first] = False
    chosen = parts[again]
    valued = entries.valued
    counted = Valued(
        category=valued.category[chosen],
        probability=valued.probability[chosen],
        converted=np.zeros(len(chosen), np.int64),
        weighted=np.zeros(len(chosen), np.int64),
        overdue=valued.overdue[chosen],
        lost=valued.lost[chosen],
        unpriced=valued.unpriced[chosen],
        unconverted=valued.unconverted[chosen],
        day=valued.day[chosen],
    )
    cells = grid(place[again], entries.bucket[chosen], entries.buckets, counted)
    return _added(cells.member.astype(np.int32), cells, axis, question, cuts)
