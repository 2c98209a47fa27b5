"""The sums of every node of a tree in every period, out of the sums by member and day.

For deals as they are now, the sums by member are kept and follow each change; for any other instant they
are computed from the versions that held. What a node has in all is what it has itself and what is below
it: with nodes in order, a difference of running totals.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

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
from services.forecast.dimensions.credit import whole
from services.forecast.dimensions.rates import rate_days
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.periods import FiscalCalendar, Granularity, Period

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_MOST_KEPT: Final = 6
_EXACT: Final = 2.0**52
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


_KEPT: WeakKeyDictionary[Book, OrderedDict[Any, tuple[Axis, Sums]]] = WeakKeyDictionary()
"""What was summed up last of each book; nothing of it holds any longer once the book takes something in."""


def sums_of(book: Book, axis: Axis, question: Question, rows: Rows | None = None) -> Sums:
    """The sums of all nodes: of the deals that count at the instant asked for, or of some versions."""
    is_kept = question.is_live and axis.is_kept and question.rate_date is RateDate.CLOSE and rows is None
    if not is_kept:
        return _sums_of(book, axis, question, rows)
    kept = _KEPT.setdefault(book, OrderedDict())
    state = book.seen, len(book.versions)
    key = (id(axis), state, question.currency, question.today, tuple(question.periods))
    known = kept.get(key)
    if known is None or known[0] is not axis:
        known = kept[key] = axis, _sums_of(book, axis, question)
        if len(kept) > _MOST_KEPT:
            kept.popitem(last=False)
    return known[1]


def _sums_of(book: Book, axis: Axis, question: Question, rows: Rows | None = None) -> Sums:
    cuts = cuts_of(question, settings_of(book, question).calendar, axis)
    basis = Basis(axis.dimension, question.currency, question.today, cuts)
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
    if axis.may_share and (entries is None or entries.shares is not None):
        if entries is None:
            entries = Entries.of(book, axis, question, cuts, _with_parts(book, axis, book.view()))
        twice, own_twice = _twice(axis, question, cuts, entries)
        own = own - own_twice
    return Sums(axis.tree, question.periods, own, running, twice)


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


def _rows(book: Book, question: Question, cuts: Cuts) -> Rows:
    """The versions that count at the instant asked for, in any of the periods."""
    rows = book.view(question.recorded, question.effective)
    is_asked = np.zeros(cuts.undated + 1, bool)
    for period in question.periods:
        is_asked[buckets_of(period, cuts)] = True
    kept: Rows = rows[is_asked[bucket_of(cuts, book.versions.closes_on[rows])]]
    return kept


# Adding up


def _own(axis: Axis, question: Question, cuts: Cuts, cells: Grid) -> Amounts:
    """What each node has itself: by node, period and measure."""
    days = np.array([-(1 << 31), *cuts.days, UNDATED], np.int64)
    place = axis.place(cells.member, days[cells.bucket])
    return _added(place, cells, axis, question, cuts)


def _added(place: Places, cells: Grid, axis: Axis, question: Question, cuts: Cuts) -> Amounts:
    """The cells added up by node, period and measure."""
    count = len(question.periods)
    keys, chosen = [], []
    of_bucket = np.full(cuts.undated + 1, -1, np.int64)
    for number, period in enumerate(question.periods):
        buckets = buckets_of(period, cuts)
        if (of_bucket[buckets] >= 0).any():  # it overlaps another one
            only = np.flatnonzero(
                (cells.bucket >= buckets.start) & (cells.bucket < buckets.stop) & (place >= 0)
            )
            keys.append(place[only].astype(np.int64) * count + number)
            chosen.append(only)
        else:
            of_bucket[buckets] = number
    period_of = of_bucket[cells.bucket]
    only = np.flatnonzero((period_of >= 0) & (place >= 0))
    keys.append(place[only].astype(np.int64) * count + period_of[only])
    chosen.append(only)
    total = _summed(np.concatenate(keys), cells.measures[np.concatenate(chosen)], len(axis.tree) * count)
    return total.reshape(len(axis.tree), count, MEASURES)


def _summed(keys: npt.NDArray[np.int64], measures: Amounts, length: int) -> Amounts:
    """The rows with each key added up: as floats where all sums are exact as such, which is fast."""
    if not len(keys):
        return np.zeros((length, MEASURES), measures.dtype)
    if measures.dtype != object:
        largest = max(int(measures.max()), -int(measures.min()))
        if largest * len(keys) < _EXACT:
            by_measure = np.empty((MEASURES, length), np.int64)
            for number in range(MEASURES):
                by_measure[number] = np.bincount(keys, measures[:, number], length)
            return by_measure.T
    result = np.zeros((length, MEASURES), measures.dtype)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    result[ordered[starts]] = np.add.reduceat(measures[order], starts, axis=0)
    return result


# Deals with several parts


def _with_parts(book: Book, axis: Axis, rows: Rows) -> Rows:
    """The versions that may have several parts."""
    several = np.zeros(len(rows), bool)
    if axis.sharing is None and not (len(book.product_lines) + len(book.splits) + len(book.overlays)):
        return rows[several]
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
    parts = np.flatnonzero(np.bincount(entries.index, minlength=len(entries.rows))[entries.index] > 1)
    place = entries.placed(parts).astype(np.int64)
    parts, place = parts[place >= 0], place[place >= 0]
    index = entries.index[parts].astype(np.int64)
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
