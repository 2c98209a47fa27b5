"""Which offers to take: branch and bound over independent parts, remembering what was solved.

Offers are bits. A choice gains the sum of what its cells gain; a cell (lines that share something) knows the
least cost of its lines under any choice of its own offers. Pairs that do not go together exclude each other.
A part that falls in two is solved as two; a bound adds up what each clique of rivals can gain at most.
Whether less was proven than asked for shows in the bound that comes back. The clock is looked at before
everything that takes more than a moment: after the deadline nothing is branched on or priced any more, and
what is left of the tree is bounded by what its offers may gain at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

Cost = Callable[[int], "tuple[int, int] | None"]
_UNKNOWN = object()


@dataclass(slots=True)
class Cell:
    """Lines whose cost depends on the offers of `scope`, and on no other.

    `cost` gives the least cost under a choice (a subset of `scope`), in units of which `Network.minor` are
    one minor unit of money, and by how much it may be too high; None: the choice is not allowed. `slack` is
    by how many minor units rounding may make two offers gain more together than one by one. `kinds` are bits
    of what is rounded together with other cells (a tax rate). What is computed when it `is_late` is rough: true,
    but not worth remembering.
    """

    scope: int
    compute: Cost
    slack: int = 1
    simple: bool = True  # no offer gains more on these lines by another's presence, rounding aside
    known: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    kinds: int = 0
    is_late: Callable[[], bool] | None = None
    rough: dict[int, tuple[int, int] | None] = field(default_factory=dict)

    def cost(self, chosen: int) -> int | None:
        """The least cost of its lines; asked twice, computed once."""
        chosen &= self.scope
        try:
            found = self.known[chosen]
        except KeyError:
            found = self._computed(chosen)
        return None if found is None else found[0]

    def _computed(self, chosen: int) -> tuple[int, int] | None:
        if chosen in self.rough:
            return self.rough[chosen]
        found = self.compute(chosen)
        is_rough = self.is_late is not None and self.is_late()
        (self.rough if is_rough else self.known)[chosen] = found
        return found

    def loose(self, chosen: int) -> int:
        """By how much what `cost` answered may be too high."""
        chosen &= self.scope
        found = self.known.get(chosen) or self.rough.get(chosen)
        return 0 if found is None else found[1]


@dataclass(slots=True)
class Network:
    """Everything there is to choose."""

    count: int
    conflicts: Sequence[int]  # by offer: bits of those that it does not go together with
    cells: Sequence[Cell]
    minor: int  # the weight of one minor unit; what is smaller decides ties
    whole: int  # bits of offers that stand on all that they match or nowhere: they may stand in others' way
    ceiling: Callable[[int], int] | None = None  # what an offer gains at most, said without pricing anything


_FAR = 1 << 400


@dataclass(frozen=True, slots=True)
class Found:
    """A choice, what it gains, and what no choice gains more than."""

    gain: int
    chosen: int
    most: int
    lead: int = _FAR  # so far is every other choice behind, those aside that take less of the same

    @property
    def proven(self) -> bool:
        """Whether nothing gains more."""
        return self.most <= self.gain


_WIDE = 24  # cells: what reaches over more is looked at only where it matters
_GRACE = 0.02  # seconds after the deadline for what makes the answer better without a search
_DEEPEST = 150  # decisions on top of each other: what lies deeper is bounded, not branched on

NONE = Found(0, 0, 0)


def bits(mask: int) -> Iterator[int]:
    """The places of the bits, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class Search:
    """One search, until it has proven its answer or the time is over."""

    def __init__(
        self,
        network: Network,
        deadline: float,
        spare: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`spare`: choices that are less than this behind the best are told apart, too."""
        self._network = network
        self._conflicts = network.conflicts
        self._deadline = deadline
        self._spare = spare
        self._clock = clock
        self._kinds = [0] * network.count
        self._cells: list[list[Cell]] = [[] for _ in range(network.count)]
        self._scope = [0] * network.count  # offers that share a cell with it
        for cell in network.cells:
            for offer in bits(cell.scope):
                self._cells[offer].append(cell)
                self._kinds[offer] |= cell.kinds
                self._scope[offer] |= cell.scope
        self._near = [
            (self._scope[offer] | network.conflicts[offer]) & ~(1 << offer) for offer in range(network.count)
        ]
        self._gains: dict[tuple[int, int], int | None] = {}
        self._mosts: dict[tuple[int, int], int | None] = {}
        self._solved: dict[tuple[int, int], Found] = {}
        self._late = False
        self._depth = 0
        self.nodes = 0

    def best(self, among: int) -> Found:
        """The best choice among these offers."""
        among, most = self._worthwhile(among, 0, {})
        if self._is_over():
            return Found(0, self._by_ceiling(most), max(0, self._bound(most)), 0)
        first = self._dive(among, 0, most)
        kept = self._hopeful(among, first.gain, most)
        found = self._solve(kept, 0, 0, most)
        if found.gain < first.gain:
            found = Found(first.gain, first.chosen, max(first.gain, found.most))
        return found

    def _is_over(self) -> bool:
        """Whether the time is over; once it is, it stays so."""
        if not self._late:
            self._late = self._clock() > self._deadline
        return self._late

    def _by_ceiling(self, most: dict[int, int]) -> int:
        """Offers that go together, by what they may gain at most: nothing is priced any more."""
        chosen = excluded = 0
        for offer in sorted(most, key=lambda one: (-most[one], one)):
            if not excluded >> offer & 1:
                chosen |= 1 << offer
                excluded |= self._conflicts[offer]
        return chosen

    # --- what one offer gains --------------------------------------------------------------------

    def gain(self, offer: int, chosen: int) -> int | None:
        """What it gains on top of a choice; None: it is not allowed there."""
        key = (offer, chosen & self._scope[offer])
        if key in self._gains:
            return self._gains[key]
        total = -1  # of equals, fewer offers
        bit = 1 << offer
        for cell in self._cells[offer]:
            before, after = cell.cost(chosen), cell.cost(chosen | bit)
            if after is None or before is None:
                self._gains[key] = None
                return None
            total += before - after
        self._gains[key] = total
        return total

    def _most(self, offer: int, chosen: int) -> int | None:
        """What it gains on top of a choice and others beside it at most, rounding aside; None: it is not allowed."""
        key = (offer, chosen & self._scope[offer])
        if key in self._mosts:
            return self._mosts[key]
        total = -1
        bit = 1 << offer
        for cell in self._cells[offer]:
            before, after = cell.cost(chosen), cell.cost(chosen | bit)
            if after is None or before is None:
                self._mosts[key] = None
                return None
            more = before - after + cell.loose(chosen | bit)
            if not cell.simple:
                alone, with_it = cell.cost(0), cell.cost(bit)
                if alone is not None and with_it is not None:
                    more = max(more, alone - with_it + cell.loose(bit))
            total += more
        self._mosts[key] = total
        return total

    def _slack(self, offer: int, among: int) -> int:
        """By how much rounding may make it gain more beside others."""
        others = among & ~self._conflicts[offer] & ~(1 << offer)
        return sum(cell.slack for cell in self._cells[offer] if cell.scope & others) * self._network.minor

    def _worthwhile(self, among: int, chosen: int, before: dict[int, int]) -> tuple[int, dict[int, int]]:
        """Those that may gain something on top of a choice, and what each gains at most.

        Of those that reach over many cells what was known `before`, of less that was chosen, is enough.
        """
        for offer in bits(chosen):
            among &= ~self._conflicts[offer]
        among &= ~chosen
        while True:
            most: dict[int, int] = {}
            left = 0
            for offer in bits(among):
                if offer in before and (self._late or len(self._cells[offer]) > _WIDE):
                    most[offer] = before[offer]
                    left |= 1 << offer
                    continue
                if self._is_over() and self._network.ceiling is not None:
                    most[offer] = self._network.ceiling(offer)
                    left |= 1 << offer
                    continue
                gain = self._most(offer, chosen)
                if gain is None:
                    continue
                gain += self._slack(offer, among)
                if gain > 0:
                    most[offer] = gain
                    left |= 1 << offer
            if left == among or self._late:
                return left, most
            among = left

    def _bound(self, most: dict[int, int]) -> int:
        """What they gain together at most: of rivals all of whom exclude each other, only the best."""
        left = 0
        for offer in most:
            left |= 1 << offer
        total = 0
        for offer in sorted(most, key=lambda one: (-most[one], one)):
            if self._late and self._clock() > self._deadline + _GRACE:
                return total + sum(most[one] for one in bits(left))
            if not left >> offer & 1:
                continue
            total += most[offer]
            left ^= 1 << offer
            rivals = self._conflicts[offer] & left
            while rivals:
                rival = (
                    max(bits(rivals), key=lambda one: most[one])
                    if rivals & (rivals - 1)
                    else (rivals.bit_length() - 1)
                )
                left ^= 1 << rival
                rivals &= self._conflicts[rival] & left
        return total

    # --- choices ---------------------------------------------------------------------------------

    def _dive(self, among: int, chosen: int, most: dict[int, int]) -> Found:
        """Always the one that gains most: a good choice to begin with, and all there is when time is over."""
        start, total = chosen, 0
        heap = [(-gain, offer) for offer, gain in most.items() if among >> offer & 1]
        heapify(heap)
        while heap:
            negative, offer = heappop(heap)
            if not among >> offer & 1:
                continue
            if self._is_over() and self._clock() > self._deadline + _GRACE:
                break
            gain = self.gain(offer, chosen)
            if gain is None or gain <= 0:
                continue
            if heap and gain < -heap[0][0] and gain < -negative:
                heappush(heap, (-gain, offer))
                continue
            total += gain
            chosen |= 1 << offer
            among &= ~self._conflicts[offer] & ~(1 << offer)
        return Found(total, chosen & ~start, total)

    def _hopeful(self, among: int, needed: int, most: dict[int, int]) -> int:
        """Without those that exclude so much that no choice with them gains what is already had."""
        most = dict(most)
        for offer in sorted(most, key=lambda one: most[one]):
            rivals = self._conflicts[offer] & among
            if rivals.bit_count() * 2 < among.bit_count():
                continue
            if self._is_over():
                break
            others = {one: gain for one, gain in most.items() if not rivals >> one & 1}
            if sum(others.values()) < needed - self._spare or self._bound(others) < needed - self._spare:
                among &= ~(1 << offer)
                del most[offer]
        return among

    def _certain(self, among: int) -> int:
        """Those that nothing speaks against: they exclude nobody, and having them never costs more."""
        certain = 0
        for offer in bits(among & ~self._network.whole):
            if not self._conflicts[offer] & among:
                certain |= 1 << offer
        return certain

    def _solve(self, among: int, chosen: int, needed: int, before: dict[int, int]) -> Found:
        """The most that these offers gain on top of a choice, where that is more than `needed`."""
        if self._is_over() and self._clock() > self._deadline + _GRACE:
            return Found(0, 0, sum(before[offer] for offer in bits(among) if offer in before), 0)
        among, most = self._worthwhile(among, chosen, before)
        if not among:
            return NONE
        parts = self._parts(among)
        if len(parts) == 1:
            return self._part(among, chosen, needed, most)
        bounds = [self._bound({offer: most[offer] for offer in bits(part)}) for part in parts]
        hope = sum(bounds)
        gain = picked = 0
        lead = _FAR
        for part, bound in zip(parts, bounds, strict=True):
            if hope <= needed - self._spare:
                return Found(gain, picked, hope, 0)
            found = self._part(part, chosen, needed - (hope - bound), {one: most[one] for one in bits(part)})
            gain += found.gain
            picked |= found.chosen
            lead = min(lead, found.lead)
            hope += min(found.most, bound) - bound
        return Found(gain, picked, hope, lead)

    def _parts(self, among: int) -> list[int]:
        """The offers, parted so that no part touches another."""
        parts: list[int] = []
        while among:
            part, edge = 0, among & -among
            while edge:
                part |= edge
                reach = 0
                for offer in bits(edge):
                    reach |= self._near[offer]
                edge = reach & among & ~part
            parts.append(part)
            among &= ~part
        return parts

    def _part(self, among: int, chosen: int, needed: int, most: dict[int, int]) -> Found:
        around = 0
        for offer in bits(among):
            around |= self._scope[offer]
        key = (among, chosen & around)
        known = self._solved.get(key)
        if known is not None and (known.proven or known.most <= needed - self._spare):
            return known
        found = self._branch(among, chosen, needed, most)
        if not self._late and (known is None or found.proven or found.most < known.most):
            self._solved[key] = found
        return found

    def _branch(self, among: int, chosen: int, needed: int, most: dict[int, int]) -> Found:
        if not among & (among - 1):
            offer = among.bit_length() - 1
            gain = self.gain(offer, chosen)
            hidden = sum(cell.loose(chosen | among) for cell in self._cells[offer])
            at_most = 0 if gain is None else max(0, gain + hidden)
            return Found(gain, among, at_most) if gain is not None and gain > 0 else Found(0, 0, at_most)
        self.nodes += 1
        bound = self._bound(most)
        if bound <= needed - self._spare:
            return Found(0, 0, bound, 0)
        if self._is_over() or self._depth > _DEEPEST:
            dived = self._dive(among, chosen, most)
            return Found(dived.gain, dived.chosen, max(bound, dived.gain), 0)
        self._depth += 1
        found = self._decide(among, chosen, needed, bound, most)
        self._depth -= 1
        return found

    def _decide(self, among: int, chosen: int, needed: int, bound: int, most: dict[int, int]) -> Found:
        """Take what is certain, or the better of taking an offer and leaving it."""
        certain = self._certain(among)
        if certain:
            return self._with(certain, among, chosen, needed, bound, most)
        while True:
            offer = max(most, key=lambda one: (most[one], -one))
            if len(self._cells[offer]) <= _WIDE:
                break
            now = self._most(offer, chosen)
            now = 0 if now is None else max(0, now + self._slack(offer, among))
            if now >= most[offer]:
                break
            most[offer] = now
            if not now:
                return self._solve(among & ~(1 << offer), chosen, needed, most)
        taken = self._with(1 << offer, among, chosen, needed, bound, most)
        best = taken.gain
        left = self._solve(among & ~(1 << offer), chosen, max(needed, best), most)
        winner, loser = (left, taken) if left.gain > taken.gain else (taken, left)
        kinds = 0
        for one in bits(among):
            kinds |= self._kinds[one]
        if not kinds & (kinds - 1):  # rounded as one sum: what is less before is not more after
            loser = Found(0, 0, winner.gain - _FAR)
        return Found(
            winner.gain,
            winner.chosen,
            max(winner.gain, min(bound, max(taken.most, left.most))),
            min(winner.lead, max(0, winner.gain - loser.most)),
        )

    def _with(
        self, taken: int, among: int, chosen: int, needed: int, bound: int, most: dict[int, int]
    ) -> Found:
        """The best that takes these."""
        gain = 0
        now = chosen
        for offer in bits(taken):
            if self._is_over() and self._clock() > self._deadline + _GRACE:
                return Found(gain, now & ~chosen, max(gain, bound), 0)
            more = self.gain(offer, now)
            if more is None:
                return NONE
            gain += more
            now |= 1 << offer
        rest = self._solve(among & ~taken, now, needed - gain, most)
        cells = {id(cell): cell for offer in bits(taken) for cell in self._cells[offer]}
        hidden = sum(cell.loose(now) for cell in cells.values())
        return Found(
            gain + rest.gain,
            taken | rest.chosen,
            max(gain + rest.gain, min(bound, gain + hidden + rest.most)),
            rest.lead,
        )
