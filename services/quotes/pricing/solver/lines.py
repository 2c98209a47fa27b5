"""What one line comes to at best under the offers that are allowed, its units given out by who calls.

Every unit carries all that is allowed and lawful, since one more discount never makes a unit dearer; only
where a floor or zero stands in the way is there something to choose inside a line. Prices come from the
same phases and floors that evaluate a selection.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.floors import least_subtotal
from services.quotes.pricing.model import Combine, RoundAt, UsesUp
from services.quotes.pricing.phases import Phases
from services.quotes.pricing.pieces import Choice, Piece, size_of
from services.quotes.pricing.problem import (
    ON_UNITS,
    Kind,
    LineFacts,
    Offer,
    Problem,
    after_manual,
    gain,
    rounded,
)
from services.quotes.pricing.settlement import _floored
from services.quotes.pricing.solver.search import bits

_MOST_MIXES = 400
_MOST_PAIRS = 24  # offers of which every two are left out together


@dataclass(frozen=True, slots=True)
class Part:
    """Units of a line that are treated alike; `offers` are bits."""

    units: int
    offers: int
    bought_for: int = -1
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class Best:
    """The least amount found for a line, how, and below what nothing is."""

    amount: int
    least: int
    parts: tuple[Part, ...]


Placed = tuple[tuple[int, int, int], ...]  # offer, units rewarded, units bought


class Lines:
    """Lines priced one by one, each question answered once."""

    def __init__(self, problem: Problem, spread: dict[int, Offer], deadline: float = inf) -> None:
        """`spread` has offers on the document whose shares by line are known, as amounts on lines."""
        self.problem = problem
        self._deadline = deadline
        self.offers = [spread.get(offer.index, offer) for offer in problem.offers]
        self.offers = [
            replace(offer, kind=Kind.UNIT_PERCENT) if offer.kind is Kind.DOCUMENT_PERCENT else offer
            for offer in self.offers
        ]
        self._known: dict[tuple[int, int, Placed], Best | None] = {}
        self._units: dict[tuple[int, int], int | None] = {}
        self.sums = problem.document.settings.round_at is RoundAt.LINE
        masks: dict[tuple[int, int], int] = {}
        compound = problem.document.settings.combine is Combine.COMPOUND
        for offer in self.offers:
            stage = (offer.phase, offer.index if compound else 0)
            masks[stage] = masks.get(stage, 0) | 1 << offer.index
        self._phases = [masks[stage] for stage in sorted(masks)]
        self.users = sum(
            1 << offer.index
            for offer in problem.offers
            if offer.uses_up is not UsesUp.NOTHING and offer.kind in ON_UNITS and offer.index not in spread
        )
        self.forced = sum(
            1 << offer.index
            for offer in self.offers
            if offer.index in spread or problem.offers[offer.index].kind is Kind.DOCUMENT_PERCENT
        )

        self.shared = sum(
            1 << offer.index
            for offer in self.offers
            if offer.kind in (Kind.LINE_AMOUNT, Kind.GROUP_AMOUNT, Kind.BUNDLE)
        )
        self.whole = sum(1 << offer.index for offer in self.offers if offer.kind is Kind.LINE_AMOUNT)

    def best(self, line: int, allowed: int, placed: Placed = ()) -> Best | None:
        """The least that the line comes to; None: what is forced on it is not lawful."""
        key = (line, allowed, placed)
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = self._best(self.problem.lines[line], allowed, placed)
            return found

    def parts(self, line: int, allowed: int, placed: Placed) -> tuple[Part, ...]:
        """The line's units, all with all offers that are lawful."""
        return self._parts(self.problem.lines[line], allowed, placed)

    def _best(self, facts: LineFacts, allowed: int, placed: Placed) -> Best | None:
        parts = self._parts(facts, allowed, placed)
        amount = self.amount(facts, parts)
        if amount is not None:
            return Best(amount, amount, parts)
        return self._within(facts, allowed, placed)

    def _parts(self, facts: LineFacts, offers: int, placed: Placed) -> tuple[Part, ...]:
        """Every unit with all offers, of which at most one uses it up."""
        parts: list[Part] = []
        plain, used = offers & ~self.users, offers & self.users
        free = facts.whole
        for offer, rewarded, bought in placed:
            if rewarded:
                parts.append(Part(rewarded, self._lawful(facts, plain, 1 << offer)))
            if bought:
                parts.append(Part(bought, plain, offer))
            free -= rewarded + bought
        best = 0
        if used:
            best = min(
                (1 << offer for offer in bits(used)),
                key=lambda bit: (_or_dear(self.unit(facts, plain | bit)), bit),
            )
        if free:
            parts.append(Part(free, plain | best))
        if facts.rest_size:
            parts.append(Part(0, plain | best, is_rest=True))
        return tuple(parts)

    def _lawful(self, facts: LineFacts, plain: int, bit: int) -> int:
        """The most offers that a rewarded unit can carry beside its reward without costing less than nothing."""
        if self.unit(facts, plain | bit) is not None:
            return plain | bit
        bit |= plain & (self.forced | self.whole)
        best, least = plain | bit, 1 << 200
        for place, subset in enumerate(_subsets(plain & ~bit)):
            if place and self._is_late():
                return bit if best == plain | bit else best
            price = self.unit(facts, subset | bit)
            if price is not None and (price, subset.bit_count()) < (least, best.bit_count()):
                best, least = subset | bit, price
        return best

    def _stages(self, offers: int) -> list[list[Offer]]:
        """These offers, those together that are computed on the same price."""
        stages = ([self.offers[index] for index in bits(offers & phase)] for phase in self._phases)
        return [stage for stage in stages if stage]

    def unit(self, facts: LineFacts, offers: int) -> int | None:
        """What a whole unit costs with these offers, in ticks, line amounts aside; None: below zero."""
        key = (facts.index, offers)
        if key not in self._units:
            self._units[key] = self._unit(facts, offers)
        return self._units[key]

    def _unit(self, facts: LineFacts, offers: int) -> int | None:
        now = facts.unit
        for phase in self._phases:
            mask = offers & phase
            if not mask:
                continue
            off = 0
            cut = 0
            for index in bits(mask):
                offer = self.offers[index]
                more = self._off(offer, now)
                off += more
                if offer.truncatable:
                    cut += more
            if off > now:
                if off - cut > now:
                    return None
                off = now
            now -= off
        return now

    @staticmethod
    def _off(offer: Offer, now: int) -> int:
        if offer.kind in (Kind.LINE_AMOUNT, Kind.GROUP_AMOUNT, Kind.BUNDLE):
            return 0
        return gain(offer, now)

    # --- what parts come to ------------------------------------------------------------------------

    def amount(self, facts: LineFacts, parts: Sequence[Part]) -> int | None:
        """Minor units after floors and manual discounts; None: it is not lawful."""
        if self.sums and self._is_uniform(parts):
            return self.uniform(facts, parts[0].offers if parts else 0)
        if self.sums and not facts.rest_size:
            summed = self._summed(facts, parts)
            if summed is not None:
                return summed
        found = self.amounts({facts.index: parts})
        return None if found is None else found[facts.index]

    @staticmethod
    def _is_uniform(parts: Sequence[Part]) -> bool:
        first = parts[0].offers if parts else 0
        return all(part.offers == first for part in parts)

    def _summed(self, facts: LineFacts, parts: Sequence[Part]) -> int | None:
        """Parts that do not touch each other, well above every floor; None: look closer."""
        now = 0
        for part in parts:
            if part.offers & self.shared:
                return None
            price = self.unit(facts, part.offers)
            if price is None:
                return None
            now += price * part.units
        amount = rounded(self.problem, facts, after_manual(self.problem, facts, now))
        return amount if amount >= facts.least else None

    def uniform(self, facts: LineFacts, offers: int) -> int | None:
        """What the line comes to when every unit of it carries these offers; None: it is not lawful."""
        problem = self.problem
        if not offers:
            return facts.plain
        now = facts.entry
        whole = facts.whole
        may_cut = 0
        for phase in self._phases:
            mask = offers & phase
            if not mask:
                continue
            off = cut = 0
            while mask:
                low = mask & -mask
                mask ^= low
                offer = self.offers[low.bit_length() - 1]
                kind = offer.kind
                if kind is Kind.UNIT_PERCENT or kind is Kind.BUY_GET:
                    more = now * offer.percent[0] // offer.percent[1]
                elif kind is Kind.LINE_AMOUNT:
                    more = offer.line_amounts.get(facts.index, 0)
                else:
                    size = offer.amount * whole
                    if facts.rest_size:
                        size += size_of(facts, Piece(facts.index, 0, True, (), -1), offer.amount)
                    more = size if kind is Kind.UNIT_AMOUNT else max(0, now - size)
                off += more
                if offer.truncatable:
                    cut += more
            if off > now:
                if off - cut > now:
                    return None
                cut -= off - now
                off = now
            now -= off
            may_cut += cut
        amount = rounded(problem, facts, after_manual(problem, facts, now))
        if amount >= facts.least:
            return amount
        if facts.least == 1 and not facts.floor:
            gifts = [offer for offer in bits(offers) if self.offers[offer].kind is Kind.BUY_GET]
            if any(self.offers[offer].percent[0] == self.offers[offer].percent[1] for offer in gifts):
                return amount
        short = least_subtotal(problem, facts, facts.least) * problem.tick - now
        if may_cut < short:
            return None
        return rounded(problem, facts, after_manual(problem, facts, now + short))

    def amounts(self, by_line: dict[int, Sequence[Part]]) -> dict[int, int] | None:
        """The same for lines that share groups of units."""
        problem = self.problem
        choice = Choice([], defaultdict(list), {}, {}, (), ())  # type: ignore[arg-type]  # lines by number
        selected = 0
        for line, parts in by_line.items():
            facts = problem.lines[line]
            for part in parts:
                place = len(choice.pieces)
                now = facts.rest if part.is_rest else facts.unit * part.units
                offers = tuple(bits(part.offers))
                choice.pieces.append(Piece(line, part.units, part.is_rest, offers, part.bought_for, now))
                choice.by_line[line].append(place)
                selected |= part.offers
                for offer in offers:
                    choice.by_offer.setdefault(offer, []).append(place)
        done = Computed(problem, choice)
        phases = Phases(done)
        for stage in self._stages(selected):
            phases.stage(stage)
        found: dict[int, int] = {}
        for line in by_line:
            facts = problem.lines[line]
            now = sum(choice.pieces[place].now for place in choice.by_line[line])
            touched = {index: taken[line] for index, taken in sorted(done.taken.items()) if taken.get(line)}
            now += _floored(done, facts, now, touched)
            found[line] = rounded(problem, facts, after_manual(problem, facts, now))
        return None if done.broken else found

    # --- where a floor stands in the way -----------------------------------------------------------

    def _within(self, facts: LineFacts, allowed: int, placed: Placed) -> Best | None:
        """Fewer offers, or on fewer units, so that the line keeps its floor."""
        forced = allowed & self.forced
        if self._is_late():
            return self._soon(facts, allowed & ~self.forced, forced, placed)
        subsets = [subset | forced for subset in _subsets(allowed & ~self.forced)]
        best: tuple[int, tuple[Part, ...]] | None = None
        for subset in subsets:
            if self._is_late():
                soon = self._soon(facts, allowed & ~self.forced, forced, placed)
                if best is None or (soon is not None and soon.amount < best[0]):
                    return soon
                return Best(best[0], self._surely(facts, best[0]), best[1])
            parts = self._parts(facts, subset, placed)
            amount = self.amount(facts, parts)
            if amount is not None and (best is None or amount < best[0]):
                best = (amount, parts)
        if best is None:
            return None
        free = facts.whole - sum(rewarded + bought for _, rewarded, bought in placed)
        if best[0] > facts.least and free > 1:
            best = self._mixed(facts, subsets, placed, free, best)
        few = (allowed & ~self.forced & ~self.whole).bit_count()
        is_least = best[0] <= facts.least or (free <= 1 and few <= 6) or (few <= 1 and not placed)
        return Best(best[0], best[0] if is_least else facts.least, best[1])

    def _is_late(self) -> bool:
        return time.perf_counter() > self._deadline

    @staticmethod
    def _surely(facts: LineFacts, amount: int) -> int:
        """What the line comes to at least, nothing known of it but its floor."""
        return min(amount, facts.least if facts.floor else 0)

    def _soon(self, facts: LineFacts, offers: int, forced: int, placed: Placed) -> Best | None:
        """As many offers, by their numbers, as the floor allows together: found in a few steps."""
        places = list(bits(offers))
        low, high = -1, len(places)
        best: tuple[int, tuple[Part, ...]] | None = None
        while low < high:
            middle = (low + high + 1) // 2
            subset = forced | sum(1 << one for one in places[:middle])
            parts = self._parts(facts, subset, placed)
            amount = self.amount(facts, parts)
            if amount is None:
                high = middle - 1
            else:
                low, best = middle, (amount, parts)
        return None if best is None else Best(best[0], self._surely(facts, best[0]), best[1])

    def _mixed(
        self,
        facts: LineFacts,
        subsets: Sequence[int],
        placed: Placed,
        free: int,
        best: tuple[int, tuple[Part, ...]],
    ) -> tuple[int, tuple[Part, ...]]:
        """Some units with these offers, the others with those."""
        tried = 0
        for more in subsets:
            for less in subsets:
                if more == less or (more ^ less) & self.whole:
                    continue
                low, high = 0, free
                while low < high:  # the most units that carry `more`
                    middle = (low + high + 1) // 2
                    tried += 1
                    if self._is_late():
                        return best
                    parts = self._two(facts, more, less, placed, middle)
                    amount = self.amount(facts, parts)
                    if amount is None:
                        high = middle - 1
                    else:
                        low = middle
                        if amount < best[0]:
                            best = (amount, parts)
                if best[0] <= facts.least or tried > _MOST_MIXES:
                    return best
        return best

    def _two(self, facts: LineFacts, more: int, less: int, placed: Placed, many: int) -> tuple[Part, ...]:
        parts: list[Part] = []
        for part in self._parts(facts, less, placed):
            if part.units and part.bought_for < 0 and not any(part.offers >> one & 1 for one, _, _ in placed):
                carried = self._parts(facts, more, ())[0].offers
                parts.append(Part(many, carried))
                if part.units > many:
                    parts.append(Part(part.units - many, part.offers))
            else:
                parts.append(part)
        return tuple(parts)


def _or_dear(price: int | None) -> int:
    return 1 << 200 if price is None else price


def _subsets(mask: int) -> Iterator[int]:
    """Subsets, the largest first; of many offers only those that leave few out."""
    if mask.bit_count() <= 6:
        subset = mask
        while True:
            yield subset
            if not subset:
                return
            subset = (subset - 1) & mask
    places = list(bits(mask))
    for one in places:
        yield mask & ~(1 << one)
    for one in places[:_MOST_PAIRS]:
        for other in places[:_MOST_PAIRS]:
            if other > one:
                yield mask & ~(1 << one) & ~(1 << other)
    growing = 0
    for one in places:
        growing |= 1 << one
        yield growing
    yield 0


def as_line_amounts(offer: Offer, shares: dict[int, int]) -> Offer:
    """An offer on the document whose shares are known, as one with an amount for each line."""
    return replace(offer, kind=Kind.LINE_AMOUNT, line_amounts=shares)
