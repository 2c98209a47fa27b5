"""The versions of deals along one of the two times: which held at an instant, and what came between two."""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.forecast.book.book import Book
from services.forecast.book.reference import Tenant
from services.forecast.book.versions import NONE, Rows
from services.forecast.domain.figures import State
from services.forecast.waterfall.attribution import Bools
from services.forecast.wire.heard import Kind


@dataclass(frozen=True, slots=True)
class Instant:
    """One end of a comparison; times are microseconds since 1970."""

    recorded_at: int | None
    """What was recorded by then is known; everything where it is None."""
    effective_at: int | None
    """What was true at this time in the world, where that is asked for."""
    tenant: Tenant
    today: date


@dataclass
class History:
    """The versions of a book between two instants, along the time that these are in."""

    book: Book
    opening: Instant
    closing: Instant
    _deals: int = field(init=False)

    def __post_init__(self) -> None:
        self._deals = len(self.book.codes.deals)

    def at(self, instant: Instant) -> Rows:
        """The version of each deal that held, by the deal's code; -1 where there was none yet."""
        rows = self.book.versions.holding(instant.recorded_at, instant.effective_at, deleted=True)
        result = np.full(self._deals, NONE, np.int32)
        result[self.book.versions.deal[rows]] = rows
        return result

    @cached_property
    def between(self) -> Rows:
        """The versions that came to hold after the opening and up to the closing, deal by deal in order."""
        return self._ordered(np.flatnonzero(self._came_between))

    @cached_property
    def parting(self) -> Rows:
        """Those of them in which a deal was split, or deals were merged."""
        kind = self.book.versions.kind
        return self._ordered(
            np.flatnonzero(self._came_between & ((kind == Kind.SPLIT) | (kind == Kind.MERGED)))
        )

    @cached_property
    def _came_between(self) -> Bools:
        versions, opening, closing = self.book.versions, self.opening, self.closing
        latest = np.iinfo(np.int64).max if closing.recorded_at is None else closing.recorded_at
        if closing.effective_at is not None and opening.effective_at is not None:
            in_time = versions.effective_at > opening.effective_at
            in_time &= versions.effective_at <= closing.effective_at
            in_time &= versions.recorded_at <= latest
            return in_time
        held = (versions.recorded_at <= latest) & (versions.until > versions.recorded_at)
        if opening.recorded_at is not None:
            held &= versions.recorded_at > opening.recorded_at
        return held

    def _ordered(self, rows: NDArray[np.intp]) -> Rows:
        versions = self.book.versions
        deal, version = versions.deal[rows].astype(np.int64), versions.version[rows]
        if self.closing.effective_at is None:
            order = np.argsort((deal << 32) + version, kind="stable")  # quick, as they nearly are in order
        else:
            order = np.lexsort((version, versions.effective_at[rows], deal))
        ordered: Rows = rows[order].astype(np.int32)
        return ordered

    def before(self, rows: Rows) -> Rows:
        """The version before each along this time; -1 before the first."""
        found: Rows = self._before[rows]
        return found

    def last_open(self, rows: Rows) -> Rows:
        """For each version the last at which its deal was open, up to itself; itself where there is none."""
        state = self.book.versions.state
        found, at = rows.copy(), rows.copy()
        seeking = np.flatnonzero(state[rows] != State.OPEN)
        while len(seeking):
            at[seeking] = self.before(at[seeking])
            seeking = seeking[at[seeking] != NONE]
            is_open = state[at[seeking]] == State.OPEN
            found[seeking[is_open]] = at[seeking[is_open]]
            seeking = seeking[~is_open]
        return found

    def counted(self, rows: Rows, instant: Instant) -> Bools:
        """Which of some versions count: neither deleted nor of a lead whose conversion is under way."""
        versions = self.book.versions
        return ~versions.deleted[rows] & ~self.converting(rows, instant)

    def converting(self, rows: Rows, instant: Instant) -> Bools:
        """Which of some versions are of deals that a lead was being converted to."""
        leads = self.book.codes.leads.codes(self.book.references.leads.at(instant.recorded_at))
        if not len(leads):
            return np.zeros(len(rows), bool)
        return np.isin(self.book.versions.lead[rows], leads)

    @cached_property
    def _before(self) -> NDArray[np.int32]:
        versions = self.book.versions
        if self.closing.effective_at is None:
            return versions.before
        order = versions.in_business_order()
        if self.closing.recorded_at is not None:
            order = order[versions.recorded_at[order] <= self.closing.recorded_at]
        result = np.full(len(versions), NONE, np.int32)
        follows = versions.deal[order[1:]] == versions.deal[order[:-1]]
        result[order[1:][follows]] = order[:-1][follows]
        return result
