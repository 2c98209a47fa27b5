"""Sums by member and bucket of days: what every roll-up is made of."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.forecast.book import exact
from services.forecast.book.exact import Amounts
from services.forecast.book.valuing import Valued
from services.forecast.book.versions import UNDATED

_DENSE: Final = 1 << 20


class Measure(IntEnum):
    """The columns of a grid: amounts and counts of each category alone, then what else there is."""

    OMITTED = 0
    PIPELINE = 1
    BEST_CASE = 2
    COMMIT = 3
    CLOSED = 4
    OVERDUE = 5
    LOST = 6
    WEIGHTED = 7
    OMITTED_DEALS = 8
    PIPELINE_DEALS = 9
    BEST_CASE_DEALS = 10
    COMMIT_DEALS = 11
    CLOSED_DEALS = 12
    OVERDUE_DEALS = 13
    LOST_DEALS = 14
    UNPRICED_DEALS = 15
    UNCONVERTED_DEALS = 16


MEASURES: Final = len(Measure)
DEALS: Final = slice(Measure.OMITTED_DEALS, Measure.CLOSED_DEALS + 1)
"""All deals: the sum of these."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """The first days of buckets, ascending. What lies before the first is in bucket 0, what has no date
    in the last, `undated`."""

    days: tuple[int, ...]

    @property
    def undated(self) -> int:
        """The bucket of what has no date."""
        return len(self.days) + 1

    def of(self, days: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The bucket of each day."""
        buckets = np.searchsorted(np.array(self.days, np.int32), days, side="right")
        return np.where(days == UNDATED, self.undated, buckets)

    def between(self, first: int, after: int) -> slice:
        """The buckets of the days from `first` to before `after`, which must be cuts both."""
        return slice(self.days.index(first) + 1, self.days.index(after) + 1)


@dataclass(frozen=True, slots=True)
class Grid:
    """One row for each member and bucket that has a deal: `measures[row, measure]`."""

    member: npt.NDArray[np.int64]
    bucket: npt.NDArray[np.int64]
    measures: Amounts


def measures_of(valued: Valued) -> Amounts:
    """What each entry adds to each measure: a matrix, for few entries."""
    count = len(valued.category)
    result = np.zeros((count, MEASURES), valued.converted.dtype)
    if valued.weighted.dtype == object:
        result = result.astype(object)
    places, category = np.arange(count), valued.category - 1
    result[places, category] = valued.converted
    result[places, category + Measure.OMITTED_DEALS] = 1
    for flag, amount, deals in (
        (valued.overdue, Measure.OVERDUE, Measure.OVERDUE_DEALS),
        (valued.lost, Measure.LOST, Measure.LOST_DEALS),
    ):
        result[flag, amount] = valued.converted[flag]
        result[flag, deals] = 1
    result[:, Measure.WEIGHTED] = valued.weighted
    result[valued.unpriced, Measure.UNPRICED_DEALS] = 1
    result[valued.unconverted, Measure.UNCONVERTED_DEALS] = 1
    return result


def grid(member: npt.NDArray[Any], bucket: npt.NDArray[Any], buckets: int, valued: Valued) -> Grid:
    """Adds entries up by member (-1 and more) and bucket (below `buckets`)."""
    if not len(member):
        return Grid(np.empty(0, np.int64), np.empty(0, np.int64), np.zeros((0, MEASURES), np.int64))
    keys = (member.astype(np.int64) + 1) * buckets + bucket
    distinct, places = _distinct(keys)
    cells = len(distinct)
    category = valued.category.astype(np.int64) - 1
    converted, weighted = exact.addable(valued.converted), exact.addable(valued.weighted)
    dtype = object if object in (converted.dtype, weighted.dtype) else np.int64
    measures = np.zeros((cells, MEASURES), dtype)
    by_category = places * 5 + category
    measures[:, :5] = exact.sums(by_category, converted, cells * 5).reshape(cells, 5)
    measures[:, DEALS] = np.bincount(by_category, minlength=cells * 5).reshape(cells, 5)
    for flag, amount, deals in (
        (valued.overdue, Measure.OVERDUE, Measure.OVERDUE_DEALS),
        (valued.lost, Measure.LOST, Measure.LOST_DEALS),
    ):
        if flag.any():
            measures[:, amount] = exact.sums(places[flag], converted[flag], cells)
            measures[:, deals] = np.bincount(places[flag], minlength=cells)
    measures[:, Measure.WEIGHTED] = exact.sums(places, weighted, cells)
    for flag, deals in (
        (valued.unpriced, Measure.UNPRICED_DEALS),
        (valued.unconverted, Measure.UNCONVERTED_DEALS),
    ):
        if flag.any():
            measures[:, deals] = np.bincount(places[flag], minlength=cells)
    return Grid(distinct // buckets - 1, distinct % buckets, measures)


def _distinct(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct keys in order, and for each key its place among them."""
    span = int(keys.max()) + 1
    if span > max(_DENSE, 4 * len(keys)):
        return np.unique(keys, return_inverse=True)
    there = np.zeros(span, bool)
    there[keys] = True
    place = np.cumsum(there) - 1
    return np.flatnonzero(there), place[keys]
