"""The sums of every node of a tree in every period, out of the sums by member and day.

For deals as they are now, the sums by member are kept and follow each change; for any other instant they
are computed from the versions that held. What a node has in all is what it has itself and what is below
it: with nodes in order, a difference of running totals.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Basis, Cells
from services.forecast.book.exact import Amounts
from services.forecast.book.grid import DEALS, MEASURES, Cuts, Grid, Measure, grid
from services.forecast.book.valuing import Valued
from services.forecast.book.versions import UNDATED, Rows
from services.forecast.dimensions import Axis, Question, RateDate, Tree
from services.forecast.domain.periods import Period
from services.forecast.entries import (
    Entries,
    Places,
    buckets_of,
    cuts_of,
    entries_of,
    lacking_in,
    rows_of,
    settings_of,
    value_of,
    whole_shares,
)
from services.forecast.repeats import repeated, repeats

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_MOST_KEPT: Final = 6
_FEW: Final = 500
"""Up to how many cells that changed sums are followed, instead of being added up again."""
_EXACT: Final = 2.0**52
COUNTS: Final = slice(Measure.OMITTED_DEALS, MEASURES)


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

    def deals(self, places: Places) -> npt.NDArray[np.int64]:
        """How many deals some nodes have with everything below them, over all periods; for what is to be
        shown, a deal that was counted twice does not matter."""
        counts = self.running[:, :, DEALS]
        found = counts[self.tree.after[places]] - counts[places]
        total: npt.NDArray[np.int64] = found.sum(axis=(1, 2)).astype(np.int64)
        return total


@dataclass(frozen=True, slots=True)
class Kept:
    """Sums of the deals as they were at a state of the book, and up to which change of which cells."""

    axis: Axis
    state: tuple[int, int]
    basis: Basis
    sums: Sums
    cells: Cells
    changes: int

    def followed(self, book: Book, question: Question, state: tuple[int, int]) -> Kept | None:
        """The same with what was added to the cells since; None where all has to be added up again."""
        cells = book.cells(self.basis)
        news = cells.since(self.changes) if cells is self.cells and not self.axis.may_share else None
        if news is None or sum(len(each.member) for each in news) > _FEW:
            return None
        own, running = self.sums.own.copy(), self.sums.running.copy()
        cuts = self.basis.cuts
        layers = list(_layers(question, cuts))
        for each in news:
            if each.measures.dtype != own.dtype:
                return None
            place = _placed(self.axis, cuts, each)
            for of_bucket in layers:
                period = of_bucket[each.bucket]
                for number in np.flatnonzero((place >= 0) & (period >= 0)).tolist():
                    own[place[number], period[number]] += each.measures[number]
                    running[place[number] + 1 :, period[number]] += each.measures[number]
        sums = replace(self.sums, own=own, running=running)
        return replace(self, state=state, sums=sums, changes=cells.changes)


_KEPT: WeakKeyDictionary[Book, OrderedDict[Any, Kept]] = WeakKeyDictionary()
"""What was summed up last of each book."""


def sums_of(book: Book, axis: Axis, question: Question, rows: Rows | None = None) -> Sums:
    """The sums of all nodes: of the deals that count at the instant asked for, or of some versions."""
    is_kept = question.is_live and axis.is_kept and question.rate_date is RateDate.CLOSE and rows is None
    if not is_kept:
        return _sums_of(book, axis, question, rows)
    kept = _KEPT.setdefault(book, OrderedDict())
    state = book.seen, len(book.versions)
    key = (id(axis), question.currency, question.today, tuple(question.periods))
    known = kept.get(key)
    if known is not None and known.axis is axis:
        if known.state == state:
            return known.sums
        known = known.followed(book, question, state)
    else:
        known = None
    if known is None:
        basis = _basis(book, axis, question)
        cells = book.cells(basis)
        known = Kept(axis, state, basis, _sums_of(book, axis, question), cells, cells.changes)
    kept[key] = known
    kept.move_to_end(key)
    if len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
    return known.sums


def _basis(book: Book, axis: Axis, question: Question) -> Basis:
    cuts = cuts_of(question, settings_of(book, question).calendar, axis)
    return Basis(axis.dimension, question.currency, question.today, cuts)


def _sums_of(book: Book, axis: Axis, question: Question, rows: Rows | None = None) -> Sums:
    basis = _basis(book, axis, question)
    cuts = basis.cuts
    is_kept = question.is_live and axis.is_kept and question.rate_date is RateDate.CLOSE
    entries: Entries | None = None
    if is_kept and rows is None:
        cells = book.sums(basis)
    else:
        rows = rows_of(book, question, cuts) if rows is None else rows
        entries = Entries.of(book, axis, question, cuts, rows)
        cells = entries.grid()
    own = _own(axis, question, cuts, cells)
    running = np.zeros((len(axis.tree) + 1, *own.shape[1:]), own.dtype)
    np.cumsum(own, axis=0, out=running[1:])
    twice = None
    again: Grid | None = None
    if entries is not None:
        again = _repeats_of(axis, entries) if entries.shares is not None else None
    elif axis.may_share and _may_repeat(book, axis):
        again = book.sums(replace(basis, dimension=repeats(axis)))
    if again is not None:
        twice, own_twice = _twice(axis, question, cuts, again)
        own = own - own_twice
    return Sums(axis.tree, question.periods, own, running, twice)


# Adding up


def _own(axis: Axis, question: Question, cuts: Cuts, cells: Grid) -> Amounts:
    """What each node has itself: by node, period and measure."""
    return _added(_placed(axis, cuts, cells), cells, axis, question, cuts)


def _placed(axis: Axis, cuts: Cuts, cells: Grid) -> Places:
    """Where each cell stands."""
    days = np.array([-(1 << 31), *cuts.days, UNDATED], np.int64)
    return axis.place(cells.member, days[cells.bucket])


def _added(place: Places, cells: Grid, axis: Axis, question: Question, cuts: Cuts) -> Amounts:
    """The cells added up by node, period and measure; periods that overlap one after the other."""
    count, length = len(question.periods), len(axis.tree) * len(question.periods)
    total: Amounts | None = None
    for of_bucket in _layers(question, cuts):
        period = of_bucket[cells.bucket]
        keys = np.where((period >= 0) & (place >= 0), place.astype(np.int64) * count + period, length)
        added = _summed(keys, cells.measures, length)
        total = added if total is None else total + added
    if total is None:
        total = np.zeros((length, MEASURES), cells.measures.dtype)
    return total.reshape(len(axis.tree), count, MEASURES)


def _layers(question: Question, cuts: Cuts) -> Iterator[npt.NDArray[np.int64]]:
    """For each bucket the number of its period, or -1; as often as there are periods that overlap."""
    layers: list[npt.NDArray[np.int64]] = []
    for number, period in enumerate(question.periods):
        buckets = buckets_of(period, cuts)
        free = next((layer for layer in layers if (layer[buckets] < 0).all()), None)
        if free is None:
            free = np.full(cuts.undated + 1, -1, np.int64)
            layers.append(free)
        free[buckets] = number
    yield from layers


def _summed(keys: npt.NDArray[np.int64], measures: Amounts, length: int) -> Amounts:
    """The rows with each key below `length` added up: as floats where all sums are exact as such."""
    if measures.dtype != object and len(keys):
        largest = max(int(measures.max()), -int(measures.min()))
        if largest * len(keys) < _EXACT:
            by_measure = np.empty((MEASURES, length), np.int64)
            for number in range(MEASURES):
                by_measure[number] = np.bincount(keys, measures[:, number], length + 1)[:length]
            return by_measure.T
    result = np.zeros((length, MEASURES), measures.dtype)
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] < length]
    if len(order):
        ordered = keys[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        result[ordered[starts]] = np.add.reduceat(measures[order], starts, axis=0)
    return result


# Deals with several parts


def _twice(axis: Axis, question: Question, cuts: Cuts, cells: Grid) -> tuple[Amounts, Amounts]:
    """By how much counts of deals are too high: in all, and of what nodes have themselves."""
    is_own = cells.member % 2 == 1
    place = (cells.member // 2).astype(np.int32)
    total = _added(np.where(is_own, np.int32(-1), place), cells, axis, question, cuts)
    return total, _added(np.where(is_own, place, np.int32(-1)), cells, axis, question, cuts)


def _may_repeat(book: Book, axis: Axis) -> bool:
    return axis.sharing is not None or any(map(len, (book.product_lines, book.splits, book.overlays)))


def _repeats_of(axis: Axis, entries: Entries) -> Grid:
    """The repetitions of deals among some parts, added up."""
    parts = np.flatnonzero(np.bincount(entries.index, minlength=len(entries.rows))[entries.index] > 1)
    again, node = repeated(axis.tree, entries.index[parts], entries.placed(parts))
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
    return grid(node, entries.bucket[chosen], entries.buckets, counted)


__all__ = [
    "COUNTS", "Entries", "Places", "Sums", "entries_of", "lacking_in", "sums_of", "value_of", "whole_shares",
]  # fmt: skip
