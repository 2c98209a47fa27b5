"""The bars of every node: what the steps do to the shares of deals, added up where these stand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.forecast.book.exact import Amounts, sums
from services.forecast.domain.figures import Category
from services.forecast.waterfall.attribution import Bools, Change, Codes, Measure, Pairs, Portions
from services.forecast.waterfall.reasons import BARS, Reason

_MOST: Final = 1 << 31

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Within:
    """Which of the nodes asked for each place stands in: a row of nodes per place, -1 where there is none."""

    nodes: Codes
    count: int
    """How many nodes were asked for."""

    def expanded(self, place: Codes) -> tuple[Codes, Codes]:
        """For each node that holds one of the places: which of them, and the node."""
        nodes = self.nodes[place]
        index, column = np.nonzero(nodes >= 0)
        return index.astype(np.int32), nodes[index, column]


@dataclass(slots=True)
class Bar:
    """One reason's amounts and deals, one entry per node."""

    total: Amounts
    open: Amounts
    closed: Amounts
    deals: Counts

    @classmethod
    def empty(cls, count: int) -> "Bar":
        """A bar without anything."""
        return cls(*(np.zeros(count, np.int64) for _ in range(4)))

    def add(self, total: Amounts, opened: Amounts, closed: Amounts, deals: Counts) -> None:
        """Adds to all nodes."""
        self.total = self.total + total
        self.open = self.open + opened
        self.closed = self.closed + closed
        self.deals = self.deals + deals


@dataclass(frozen=True, slots=True)
class Part:
    """What some shares add to one bar, each in each node that holds it."""

    reason: Reason
    node: Codes
    deal: Codes
    total: Amounts
    open: Amounts
    closed: Amounts


@dataclass(slots=True)
class Bars:
    """All bars of the nodes asked for."""

    count: int
    by_reason: dict[Reason, Bar] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Adds a part; each deal counts once in each node."""
        if not len(part.node):
            return
        bar = self.by_reason.setdefault(part.reason, Bar.empty(self.count))
        total, opened_, closed = (
            sums(part.node, each, self.count) for each in (part.total, part.open, part.closed)
        )
        seen = np.unique(part.node.astype(np.int64) * _MOST + part.deal) // _MOST
        bar.add(total, opened_, closed, np.bincount(seen, minlength=self.count))


def added_up(changes: Iterable[Change], pairs: Pairs, portions: Portions, within: Within) -> Bars:
    """The bars of all nodes.

    A deal of which one place has all, and that did not move, is in the same bar of each node that it is
    in; so these are added up by place first. What is shared or moved is looked at for each node.
    """
    bars = Bars(within.count)
    deal = pairs.deal[portions.pair]
    shared = np.bincount(deal, minlength=1)[deal] > 1 if len(deal) else np.zeros(0, bool)
    for change in changes:
        of_shared = shared[change.rows]
        _add_by_place(bars, change, change.touched & ~of_shared, portions, within)
        for part in _parts(change, change.touched & of_shared, deal, portions, within):
            bars.add(part)
    return bars


def opened(changes: Iterable[Change], pairs: Pairs, portions: Portions, within: Within) -> Iterator[Part]:
    """The parts of the bars of one node, deal by deal: a deal may occur more than once."""
    deal = pairs.deal[portions.pair]
    for change in changes:
        yield from _parts(change, change.touched, deal, portions, within)


@dataclass(frozen=True, slots=True)
class Level:
    """What stands in each node at one end: an amount, and how many deals."""

    amount: Amounts
    deals: Counts


def levels(
    pairs: Pairs, portions: Portions, categories: frozenset[Category], within: Within
) -> tuple[Level, Level]:
    """What stands in each node at the opening and at the closing of some pairs, one for each deal."""
    measure = Measure.of(categories)
    ends = (
        (pairs.opening, portions.opening, portions.was_there),
        (pairs.closing, portions.closing, portions.is_there),
    )
    opening, closing = (
        _level(pairs, portions, measure.gate(standing, portions.pair).total & there, amount, within)
        for standing, amount, there in ends
    )
    return opening, closing


def _level(pairs: Pairs, portions: Portions, which: Bools, amount: Amounts, within: Within) -> Level:
    rows = np.flatnonzero(which)
    place, pair = portions.place[rows], portions.pair[rows]
    shared = np.bincount(pair, minlength=1)[pair] > 1 if len(rows) else np.zeros(0, bool)
    places = len(within.nodes)
    index, node = within.expanded(np.arange(places, dtype=np.int32))
    by_place = sums(place, amount[rows], places)
    total = sums(node, by_place[index], within.count)
    alone = np.bincount(place[~shared], minlength=places)
    deals = sums(node, alone[index], within.count)
    if shared.any():
        at, in_node = within.expanded(place[shared])
        seen = np.unique(in_node.astype(np.int64) * _MOST + pairs.deal[pair[shared][at]]) // _MOST
        deals = deals + np.bincount(seen, minlength=within.count)
    return Level(total, deals)


def _add_by_place(bars: Bars, change: Change, which: Bools, portions: Portions, within: Within) -> None:
    coming, going = BARS[change.step]
    sorts = [(coming, which)]
    if coming is not going:
        grows = change.grows()
        sorts = [(coming, which & grows), (going, which & ~grows)]
    for reason, chosen in sorts:
        at = np.flatnonzero(chosen)
        if not len(at):
            continue
        bar = bars.by_reason.setdefault(reason, Bar.empty(bars.count))
        place, places = portions.place[change.rows[at]], len(within.nodes)
        by_place = [
            sums(place, each, places)
            for each in (change.total[at], change.open[at], change.closed[at], np.ones(len(at), np.int64))
        ]
        index, node = within.expanded(np.arange(places, dtype=np.int32))
        total, opened_, closed, deals = (sums(node, each[index], bars.count) for each in by_place)
        bar.add(total, opened_, closed, deals)


def _parts(change: Change, which: Bools, deal: Codes, portions: Portions, within: Within) -> Iterator[Part]:
    """The parts of a step's bars, node by node: all that a node has of a pair is looked at together, since
    what one place of it lost another may have."""
    if not which.any():
        return
    pairs = np.zeros(int(portions.pair.max()) + 1, bool)
    pairs[portions.pair[change.rows[which]]] = True
    entries = np.flatnonzero(pairs[portions.pair[change.rows]])
    index, node = within.expanded(portions.place[change.rows[entries]])
    entry = entries[index]
    row = change.rows[entry]
    keys, first, group = np.unique(
        portions.pair[row].astype(np.int64) * _MOST + node, return_index=True, return_inverse=True
    )

    def any_of(flags: Bools) -> Bools:
        found = np.zeros(len(keys), bool)
        found[group[flags[entry]]] = True
        return found

    total, opened_, closed = (
        sums(group, each[entry], len(keys)) for each in (change.total, change.open, change.closed)
    )
    grows = total > 0 if change.comes is None else change.comes[entry[first]]
    touched = any_of(change.gated) | (total != 0) | (opened_ != 0) | (closed != 0)
    if change.had is not None and change.has is not None:
        had, has = any_of(change.had), any_of(change.has)
        touched |= had != has
        grows = np.where(had != has, has, total > 0)
    coming, going = BARS[change.step]
    sorts = [(coming, touched)] if coming is going else [(coming, touched & grows), (going, touched & ~grows)]
    for reason, chosen in sorts:
        at = first[chosen]
        yield Part(reason, node[at], deal[row[at]], total[chosen], opened_[chosen], closed[chosen])
