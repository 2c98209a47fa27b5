"""What was known of each deal, and from which day on: the only thing that a model learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

NEVER: Final = np.iinfo(np.int32).max
"""The day of what has not happened, and of what has no date."""
UNPRICED: Final = -1
"""The amount of a deal without one."""
UNKNOWN: Final = -1
"""The code of a feature that a deal has no value of."""


class Status(IntEnum):
    """How a deal stands."""

    OPEN = 0
    WON = 1
    LOST = 2
    GONE = 3
    """Deleted."""


@dataclass(frozen=True, slots=True)
class Histories:
    """The states that deals went through: an entry for each, by deal and then by day.

    Days count from 1970. What is entered on a day is known at its end.
    """

    deal: Ints
    """Which deal, 0 … deals - 1."""
    since: Ints
    """The day from whose end on this was known."""
    status: NDArray[np.int8]
    amount: Longs
    """What it is worth in minor units of one currency; UNPRICED where nobody said."""
    closes_on: Ints
    """When it is expected to close, or did; NEVER where nobody said."""
    features: Mapping[str, Ints]
    """Codes of what it is like: `owner`, `stage`, `product`, …; UNKNOWN where it has none."""
    deals: int

    def known(self, day: int) -> Histories:
        """What was known at the end of a day; nothing else of it is kept."""
        return self.only(self.since <= day)

    def only(self, chosen: Bools) -> Histories:
        """Some of the states."""
        return replace(
            self,
            deal=self.deal[chosen],
            since=self.since[chosen],
            status=self.status[chosen],
            amount=self.amount[chosen],
            closes_on=self.closes_on[chosen],
            features={name: codes[chosen] for name, codes in self.features.items()},
        )

    def rows_at(self, day: int) -> Longs:
        """The state that each deal was in at the end of a day; deals not opened then have none."""
        if not len(self.deal):
            return np.empty(0, np.int64)
        known = self.since <= day
        last = np.empty(len(known), np.bool_)
        last[-1] = True
        last[:-1] = (self.deal[1:] != self.deal[:-1]) | ~known[1:]
        return np.flatnonzero(known & last)

    def lives(self, day: int) -> Lives:
        """How each deal went, as known at the end of a day; deleted ones are left out."""
        known = self.known(day)
        rows = known.rows_at(day)
        first = np.flatnonzero(np.diff(known.deal, prepend=-1))
        kept = known.status[rows] != Status.GONE
        rows, first = rows[kept], first[kept]
        status = known.status[rows]
        opened = known.since[first]
        done = status != Status.OPEN
        ended = np.minimum(np.maximum(known.closes_on[rows], opened), day)
        return Lives(
            known,
            first=first,
            last=rows,
            opened=opened,
            closed=np.where(done, ended, NEVER).astype(np.int32),
            won=status == Status.WON,
            until=day,
        )


@dataclass(frozen=True, slots=True)
class Lives:
    """From when to when each deal was open, as known on one day; an entry for each deal."""

    histories: Histories
    first: Longs
    """The state that it was opened in: an entry of `histories`."""
    last: Longs
    """The state that it is in."""
    opened: Ints
    closed: Ints
    """The day on which it was won or lost; NEVER while it is open."""
    won: Bools
    until: int
    """The day that all this was known on."""

    @property
    def is_closed(self) -> Bools:
        """Which deals are won or lost."""
        return np.asarray(self.closed != NEVER)

    def __len__(self) -> int:
        return len(self.opened)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Months in a row, and which month of its quarter each is."""

    starts: Ints
    """The first day of each, and the day after the last."""
    phase: NDArray[np.int8]
    """0 for the first month of a quarter, 1, 2."""

    def index(self, days: Ints) -> Longs:
        """The month of each day; -1 before the first, as many as there are after the last."""
        return np.searchsorted(self.starts, days, side="right") - 1

    def slice(self, first: int, last: int) -> Calendar:
        """The months from `first` to `last`, both included."""
        return Calendar(self.starts[first : last + 2], self.phase[first : last + 1])

    def __len__(self) -> int:
        return len(self.phase)


def calendar_months(first: str, last: str, first_of_quarter: int = 1) -> Calendar:
    """Calendar months from `first` to `last` (`2017-03`); quarters begin with this month of the year."""
    months = np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 2)
    starts = months.astype("datetime64[D]").astype(np.int32)
    phase = (months[:-1].astype(np.int64) - (first_of_quarter - 1)) % 3
    return Calendar(starts, phase.astype(np.int8))
