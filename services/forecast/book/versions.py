"""All versions of all deals as columns, and which of them hold at an instant."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from services.forecast.book.columns import Columns

UNDATED: Final = np.iinfo(np.int32).max
"""The day of no close date."""
FOREVER: Final = np.iinfo(np.int64).max
NONE: Final = -1
_FEW: Final = 1000
"""Up to how many rows are put in order one by one."""

Rows = npt.NDArray[np.int32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]


class Versions(Columns):
    """One entry for each version. Times are microseconds, days are days since 1970, codes are -1 for none.

    A version holds from `recorded_at` until `until`: the next version's `recorded_at`.
    """

    deal: Int32
    version: Int32
    recorded_at: Int64
    until: Int64
    effective_at: Int64
    kind: Int8
    state: Int8
    deleted: Bools
    owner: Int32
    account: Int32
    pipeline: Int32
    stage: Int32
    lead: Int32
    amount: Int64
    """In minor units of its own currency; 0 where there is none."""
    has_amount: Bools
    currency: npt.NDArray[np.int16]
    closes_on: Int32
    category: Int8
    """How it counts while it is open, where that is not what its stage says; else 0."""
    before: Int32
    """The row of the version before; -1 for the first."""

    HEARD: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "deal": np.int32,
        "version": np.int32,
        "recorded_at": np.int64,
        "effective_at": np.int64,
        "kind": np.int8,
        "state": np.int8,
        "deleted": np.bool_,
        "owner": np.int32,
        "account": np.int32,
        "pipeline": np.int32,
        "stage": np.int32,
        "lead": np.int32,
        "amount": np.int64,
        "has_amount": np.bool_,
        "currency": np.int16,
        "closes_on": np.int32,
        "category": np.int8,
    }
    DTYPES: ClassVar[Mapping[str, npt.DTypeLike]] = {**HEARD, "until": np.int64, "before": np.int32}

    def __init__(self) -> None:
        super().__init__()
        self._last: Int32 = np.empty(0, np.int32)
        """The row of the last version of each deal, by the deal's code."""
        self._deals = 0
        self._business: Int32 | None = None

    @property
    def bytes(self) -> int:
        return super().bytes + self._last.nbytes + (0 if self._business is None else self._business.nbytes)

    @property
    def last(self) -> Int32:
        """The row of the last version of each deal, by the deal's code."""
        return self._last[: self._deals]

    def load(self, columns: dict[str, npt.NDArray[Any]], deals: int) -> None:
        """Takes everything in at once, each version once; there is nothing yet. The arrays become its own."""
        order = np.lexsort((columns["version"], columns["deal"]))
        for name in self.HEARD:  # one after the other, so that there are never two of all
            columns[name] = columns[name][order]
        deal, recorded_at = columns["deal"], columns["recorded_at"]
        count = len(deal)
        follows = np.zeros(count, bool)
        follows[1:] = deal[1:] == deal[:-1]
        rows = np.arange(count, dtype=np.int32)
        until = np.full(count, FOREVER, np.int64)
        until[:-1][follows[1:]] = recorded_at[1:][follows[1:]]
        self.adopt({**columns, "until": until, "before": np.where(follows, rows - 1, np.int32(NONE))})
        self._reserve(deals)
        self._last[deal] = rows  # of several, the last stays
        for row in np.flatnonzero(until < recorded_at):
            self._end_before(int(row), int(until[row]))

    def add(self, columns: Mapping[str, npt.NDArray[Any]], deals: int) -> list[tuple[int, int]]:
        """Takes more versions in, in any order; those that are there already are passed over.

        Returns:
            For each deal whose last version is another now: the row of the former (-1 for none) and
            that of the present one.
        """
        self._reserve(deals)
        former: dict[int, int] = {}
        for place, (deal, version) in enumerate(
            zip(columns["deal"].tolist(), columns["version"].tolist(), strict=True)
        ):
            last = int(self._last[deal])
            after, row = NONE, last
            while row != NONE and self.version[row] > version:
                after, row = row, int(self.before[row])
            if row != NONE and self.version[row] == version:
                continue
            new, recorded_at = len(self), int(columns["recorded_at"][place])
            until = min(int(self.recorded_at[after]), int(self.until[after])) if after != NONE else FOREVER
            self.extend(
                {name: column[place : place + 1] for name, column in columns.items()}
                | {"until": np.array([until]), "before": np.array([row])}
            )
            if after == NONE:
                self._last[deal] = new
                former.setdefault(deal, last)
            else:
                self.before[after] = new
            self._end_before(new, recorded_at)
        return [(row, int(self._last[deal])) for deal, row in former.items()]

    def _end_before(self, row: int, recorded_at: int) -> None:
        """No version before `row` holds once it is recorded."""
        row = int(self.before[row])
        while row != NONE and self.until[row] > recorded_at:
            self.until[row] = recorded_at
            row = int(self.before[row])

    def _reserve(self, deals: int) -> None:
        if deals > len(self._last):
            grown = np.full(max(deals, len(self._last) * 5 // 4 + 16), NONE, np.int32)
            grown[: len(self._last)] = self._last
            self._last = grown
        self._deals = max(self._deals, deals)

    # What holds when

    def holding(self, recorded_at: int | None, effective_at: int | None, *, deleted: bool = False) -> Rows:
        """The version of each deal that holds: by recorded time, and by business time where that is given.

        Deleted deals are left out, unless they are asked for, too.
        """
        if effective_at is not None:
            rows = self._in_business(recorded_at, effective_at)
        elif recorded_at is None:
            last = self.last
            rows = last[last != NONE]
        else:
            rows = np.flatnonzero((self.recorded_at <= recorded_at) & (self.until > recorded_at)).astype(
                np.int32
            )
        kept: Rows = rows if deleted else rows[~self.deleted[rows]]
        return kept

    def _in_business(self, recorded_at: int | None, effective_at: int) -> Rows:
        order = self.in_business_order()
        known = self.effective_at[order] <= effective_at
        if recorded_at is not None:
            known &= self.recorded_at[order] <= recorded_at
        rows = order[known]
        deal = self.deal[rows]
        is_last = np.ones(len(rows), bool)
        is_last[:-1] = deal[1:] != deal[:-1]
        kept: Rows = rows[is_last]
        return kept

    def in_business_order(self) -> Int32:
        """All rows by deal, then business time, then version."""
        order = self._business
        if order is None or len(self) - len(order) > _FEW:
            self._business = np.lexsort((self.version, self.effective_at, self.deal)).astype(np.int32)
        elif len(order) < len(self):
            since = np.arange(len(order), len(self), dtype=np.int32)
            since = since[np.lexsort((self.version[since], self.effective_at[since], self.deal[since]))]
            self._business = np.insert(order, self._places_of(since, order), since)
        assert self._business is not None
        return self._business

    def _places_of(self, since: Int32, order: Int32) -> list[int]:
        """Before which place of an order each of some rows belongs."""
        deals = self.deal[order]
        first, after = (np.searchsorted(deals, self.deal[since], side) for side in ("left", "right"))
        places = []
        for row, start, end in zip(since.tolist(), first.tolist(), after.tolist(), strict=True):
            key = self._business_key(row)
            places.append(start + sum(self._business_key(other) < key for other in order[start:end].tolist()))
        return places

    def _business_key(self, row: int) -> tuple[int, int]:
        return int(self.effective_at[row]), int(self.version[row])
