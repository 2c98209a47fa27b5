"""In which nodes of a tree deals count: each whole, or in parts whose amounts add up to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.forecast.prediction.histories import Floats, Ints, Longs

_EXACT = float(1 << 53)


@dataclass(frozen=True, slots=True)
class Places:
    """The parts of deals: those of deal i are at `start[i]` to `start[i] + count[i]`.

    A part is what its deal's running total grows by from the share `low` to the share `high`, in whole minor
    units: so parts that cover a deal add up to it.
    """

    node: Ints
    """Of each part; -1 where it counts in none."""
    low: Floats
    high: Floats
    start: Longs
    """Of each deal."""
    count: Ints
    nodes: int
    """How many there are."""
    is_whole: bool = False
    """Whether deal i is all in part i."""

    @classmethod
    def whole(cls, node: Ints, nodes: int) -> Places:
        """Each deal counts in one node."""
        many = len(node)
        return cls(
            node.astype(np.int32),
            np.zeros(many),
            np.ones(many),
            np.arange(many),
            np.ones(many, np.int32),
            nodes,
            is_whole=True,
        )

    def take(self, deals: Longs | Ints) -> Places:
        """Some deals, in this order."""
        if self.is_whole:
            return Places.whole(self.node[deals], self.nodes)
        return replace(self, start=self.start[deals], count=self.count[deals])

    def add(self, sums: Longs, deals: Ints | Longs, columns: Ints | Longs, values: Floats | Longs) -> None:
        """Adds values of deals to `sums` [node, column]; values are whole minor units."""
        width = sums.shape[1]
        if self.is_whole:
            self._add(sums, self.node[deals], np.asarray(columns), values, width)
            return
        counts = self.count[deals]
        index = np.repeat(np.arange(len(deals)), counts)
        ordinal = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
        part = self.start[deals][index] + ordinal
        value = np.asarray(values)[index]
        portion = np.rint(value * self.high[part]) - np.rint(value * self.low[part])
        self._add(sums, self.node[part], np.asarray(columns)[index], portion, width)

    def _add(self, sums: Longs, node: Ints, columns: Any, values: Any, width: int) -> None:
        if len(node) and node.min() < 0:
            there = node >= 0
            node, columns, values = node[there], columns[there], values[there]
        cells = node.astype(np.int64) * width + columns
        sums += added(cells, values, sums.size).reshape(sums.shape)


def added(cells: Ints | Longs, values: Floats | Longs, count: int) -> Longs:
    """The sum of whole values in each cell, exactly."""
    most = max(float(np.max(values, initial=0)), -float(np.min(values, initial=0)))
    if most * len(values) < _EXACT or float(np.abs(values).sum(dtype=np.float64)) < _EXACT:
        return np.rint(np.bincount(cells, values, minlength=count)).astype(np.int64)
    sums = np.zeros(count, np.int64)
    np.add.at(sums, cells, np.asarray(values, np.int64))
    return sums
