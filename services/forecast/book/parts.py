"""Parts of amounts: to which products, or to whose credit, a version's amount is shared out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from services.forecast.book.columns import Columns

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shares:
    """The parts of some rows: part i belongs to the `index[i]`-th of them, is `member[i]`'s, and goes from
    the running total `start[i]` to `end[i]`. A row without parts is one part, of nobody (-1)."""

    index: Int32
    member: Int32
    start: Int64
    end: Int64


class Parts(Columns):
    """The parts of all versions: those of row r are at `starts[r]` to `starts[r] + counts[r]`."""

    member: Int32
    end: Int64
    """The running total in minor units: the share of the k-th is end[k] less end[k-1]."""

    DTYPES: ClassVar[Mapping[str, npt.DTypeLike]] = {"member": np.int32, "end": np.int64}

    def __init__(self) -> None:
        super().__init__()
        self._of = _Of()

    @property
    def bytes(self) -> int:
        return super().bytes + self._of.bytes

    @property
    def start(self) -> Int32:
        """Where the parts of each row begin."""
        return self._of.start

    @property
    def count(self) -> Int32:
        """How many parts each row has."""
        return self._of.count

    def add(self, counts: npt.ArrayLike, member: npt.ArrayLike, end: npt.ArrayLike) -> None:
        """Adds the parts of the next rows."""
        counts = np.asarray(counts, np.int32)
        if not len(counts):
            return
        starts = len(self) + np.concatenate([[0], np.cumsum(counts[:-1])])
        if len(np.atleast_1d(member)):
            self.extend({"member": member, "end": end})
        self._of.extend({"start": starts, "count": counts})

    def of(self, rows: Int32, amount: Int64) -> Shares:
        """The parts of some rows, whose amounts are `amount`."""
        counts = self.count[rows]
        sizes = np.maximum(counts, 1)
        index = np.repeat(np.arange(len(rows), dtype=np.int32), sizes)
        ordinal = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        has = counts[index] > 0
        place = (self.start[rows][index] + ordinal)[has]
        member = np.full(len(index), -1, np.int32)
        start, end = np.zeros(len(index), np.int64), amount[index]
        member[has], end[has] = self.member[place], self.end[place]
        follows = ordinal[has] > 0
        start_of = np.zeros(len(place), np.int64)
        start_of[follows] = self.end[place[follows] - 1]
        start[has] = start_of
        return Shares(index, member, start, end)


class _Of(Columns):
    start: Int32
    count: Int32
    DTYPES: ClassVar[Mapping[str, npt.DTypeLike]] = {"start": np.int32, "count": np.int32}
