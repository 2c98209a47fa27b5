"""At the rate of which day deals are converted, where that is not the day of the close."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from services.forecast.book.versions import NONE, Rows
from services.forecast.dimensions.question import Question, RateDate

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_DAY: Final = 86_400_000_000
_EPOCH: Final = date(1970, 1, 1)


def rate_days(book: Book, rows: Rows, question: Question) -> npt.NDArray[np.int32] | None:
    """For each version the day (since 1970) whose rate it is converted at; None for that of the close."""
    if question.rate_date is RateDate.CLOSE:
        return None
    today = (question.today - _EPOCH).days
    if question.rate_date is RateDate.TODAY:
        return np.full(len(rows), today, np.int32)
    return np.minimum(_days(_entered(book, rows), question.zone), np.int32(today))


def _entered(book: Book, rows: Rows) -> npt.NDArray[np.int64]:
    """When each deal was entered: the instant from which on its first version holds, in business time."""
    before = book.versions.before
    first = rows.copy()
    while len(later := np.flatnonzero(before[first] != NONE)):
        first[later] = before[first[later]]
    return book.versions.effective_at[first]


def _days(instants: npt.NDArray[np.int64], zone: ZoneInfo) -> npt.NDArray[np.int32]:
    """The day of each instant in a time zone."""
    if not len(instants):
        return np.empty(0, np.int32)
    days = instants // _DAY
    distinct, inverse = np.unique(days, return_inverse=True)
    starts = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(day)) for day in distinct.tolist()]
    early = np.array([_offset(start, zone) for start in starts], np.int64)
    late = np.array([_offset(start + timedelta(days=1, microseconds=-1), zone) for start in starts], np.int64)
    found = (instants + early[inverse]) // _DAY
    for place in np.flatnonzero((early != late)[inverse]).tolist():  # the clocks are changed on this day
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(instants[place]))
        found[place] = (at.astimezone(zone).date() - _EPOCH).days
    return found.astype(np.int32)


def _offset(at: datetime, zone: ZoneInfo) -> int:
    offset = at.astimezone(zone).utcoffset() or timedelta(0)
    return offset // timedelta(microseconds=1)
