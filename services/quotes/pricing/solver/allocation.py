"""Whose units they are: giving the units of connected lines to promotions that cannot have them all.

One promotion alone is settled by dynamic programming over its lines, rounding included. Several that want
the same units are settled by trying every way, as long as these are few; else one after another in the
orders that promise most, and how much better it could be at most is said. Units of one line are alike:
where there are many they are counted, not tried one by one. Whatever the quantities, nothing here runs on
after the deadline: what is not settled by then is left out, and what it may gain at most is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import prod

from services.quotes.pricing.grouping import (
    best_bought,
    bundle_fits,
    fewer,
    fixed_units,
    free_units_are_right,
    group_size,
    is_fixed,
    line_limit,
    most_repeats,
    reach_units,
)
from services.quotes.pricing.model import BundlePrice, BuyGet, Free, UsesUp
from services.quotes.pricing.problem import Kind, Offer, Problem
from services.quotes.pricing.solver.counting import ceiling_ticks, rewards_by_count, shares_by_count
from services.quotes.pricing.solver.lines import Lines, Part, Placed

_MOST_WAYS = 600
_MOST_STEPS = 20_000  # states times units that dynamic programming may look at; beyond, units are counted
_MOST_GROUPS = 120
_GRACE = 0.02  # seconds after the deadline for a first way to give out units
Way = tuple[dict[int, int], dict[int, int]]  # units rewarded and bought, by line


@dataclass(frozen=True, slots=True)
class Allocated:
    """The least cost found for lines, how, and by how much it may be too high."""

    cost: int
    loose: int
    parts: dict[int, tuple[Part, ...]]


def is_placed(offer: Offer) -> bool:
    """Whether it takes some units and not others, so that somebody must say which."""
    reach = getattr(offer.benefit, "reach", None)
    return offer.kind in (Kind.BUY_GET, Kind.BUNDLE, Kind.GROUP_AMOUNT) or (
        reach is not None and reach.is_limited
    )


def lines_of(offer: Offer) -> frozenset[int]:
    """The lines whose units it may reward or use up."""
    bought = offer.buys if offer.uses_up is UsesUp.ALL else ()
    return frozenset((*offer.targets, *bought))


class Allocation:
    """Allocations for one problem."""

    def __init__(
        self, lines: Lines, free: Sequence[int], price: Callable[[int, int], int], minor: int, deadline: float
    ) -> None:
        """`free` says by line which offers stand on whole lines or any units; `price` what an amount counts."""
        self._problem: Problem = lines.problem
        self._lines = lines
        self._free = free
        self._price = price
        self._minor = minor
        self._deadline = deadline
        self._alone: dict[tuple[int, int], Allocated | None] = {}
        self._repeats: dict[int, tuple[list[Way], int, bool]] = {}
        self._until = 0.0
        self._ceilings: dict[int, int] = {}

    def is_late(self) -> bool:
        """Whether the time is over: what is answered from now on is rough."""
        return time.perf_counter() > self._deadline

    def line(self, line: int, allowed: int, placed: Placed = ()) -> tuple[int, int, tuple[Part, ...]] | None:
        """Cost, looseness and parts of one line."""
        best = self._lines.best(line, allowed & self._free[line], placed)
        if best is None:
            return None
        cost = self._price(line, best.amount)
        loose = 0 if best.least == best.amount else cost - self._price(line, best.least)
        return cost, loose, best.parts

    def best(self, lines: Iterable[int], allowed: int, placed: Sequence[Offer]) -> Allocated | None:
        """The least that the lines come to when these offers may be placed on their units."""
        if self.is_late():
            return self.roughly(lines, allowed, placed)
        cost = loose = 0
        parts: dict[int, tuple[Part, ...]] = {}
        for group, offers in _connected(lines, placed):
            found = self._group(group, allowed, offers)
            if found is None:
                return None
            cost += found.cost
            loose += found.loose
            parts |= found.parts
        return Allocated(cost, loose, parts)

    def _group(self, lines: Sequence[int], allowed: int, offers: Sequence[Offer]) -> Allocated | None:
        if not offers:
            return self._settle(lines, allowed, [])
        if len(offers) == 1:
            return self._single(lines, allowed, offers[0])
        return self._several(lines, allowed, offers)

    # --- when the time is over ----------------------------------------------------------------------

    def roughly(
        self, lines: Iterable[int], allowed: int, placed: Sequence[Offer], *, greedily: bool = False
    ) -> Allocated | None:
        """None of the offers placed, or (`greedily`) one after another; how much they may gain is said."""
        lines = list(lines)
        without = self._settle(lines, allowed, [])
        if without is None:
            return None
        least = without.cost - without.loose - sum(self.ceiling(offer) for offer in placed)
        if greedily and placed:
            if not self._until:
                self._until = time.perf_counter() + _GRACE
            order = sorted(placed, key=lambda offer: (-self.ceiling(offer), offer.index))
            settled = self._settle(lines, allowed, self._in_order(order, until=self._until))
            if settled is not None and settled.cost < without.cost:
                return Allocated(settled.cost, max(0, settled.cost - least), settled.parts)
        return Allocated(without.cost, max(0, without.cost - least), without.parts)

    def ceiling(self, offer: Offer) -> int:
        """What an offer gains at most whatever else is chosen: its discount on prices as quoted, and rounding."""
        known = self._ceilings.get(offer.index)
        if known is None:
            tick = self._problem.tick
            by_line, anywhere = ceiling_ticks(self._problem, offer)
            known = (2 + len(self._problem.phases)) * self._minor * len(offer.targets)
            known += sum(self._price(line, ticks // tick + 1) for line, ticks in by_line.items())
            if anywhere:
                known += max(self._price(line, anywhere // tick + 1) for line in offer.targets)
            self._ceilings[offer.index] = known
        return known

    # --- what an allocation comes to ---------------------------------------------------------------

    def _settle(
        self,
        lines: Iterable[int],
        allowed: int,
        placed: Sequence[tuple[Offer, Way]],
        without: Allocated | None = None,
    ) -> Allocated | None:
        """Every line priced with the units it has to give; `without` says what all come to that give none."""
        by_line: dict[int, list[tuple[int, int, int]]] = {}
        spreads = False
        for offer, (rewarded, bought) in placed:
            spreads = spreads or offer.kind in (Kind.BUNDLE, Kind.GROUP_AMOUNT)
            for line in rewarded.keys() | bought.keys():
                units = (offer.index, rewarded.get(line, 0), bought.get(line, 0))
                by_line.setdefault(line, []).append(units)
        cost = loose = 0
        parts: dict[int, tuple[Part, ...]] = {}
        if without is not None:
            cost, loose, parts = without.cost, without.loose, dict(without.parts)
            lines = by_line
        for line in lines:
            if without is not None:
                former = self.line(line, allowed)
                if former is None:
                    return None
                cost -= former[0]
                loose -= former[1]
            if spreads and line in by_line:
                parts[line] = self._lines.parts(
                    line, allowed & self._free[line], tuple(sorted(by_line[line]))
                )
                continue
            found = self.line(line, allowed, tuple(sorted(by_line.get(line, ()))))
            if found is None:
                return None
            cost += found[0]
            loose += found[1]
            parts[line] = found[2]
        if not spreads:
            return Allocated(cost, loose, parts)
        amounts = self._lines.amounts({line: parts[line] for line in by_line})
        if amounts is None:
            return None
        cost += sum(self._price(line, amount) for line, amount in amounts.items())
        return Allocated(cost, loose, parts)

    # --- one offer alone ---------------------------------------------------------------------------

    def _single(self, lines: Sequence[int], allowed: int, offer: Offer) -> Allocated | None:
        around = 0
        for line in lines:
            around |= self._free[line]
        key = (offer.index, allowed & around)
        if key not in self._alone:
            if self.is_late():
                return self.roughly(lines, allowed, [offer])
            self._alone[key] = self._find_single(lines, allowed, offer)
        return self._alone[key]

    def _find_single(self, lines: Sequence[int], allowed: int, offer: Offer) -> Allocated | None:
        without = self._settle(lines, allowed, [])
        if without is None:
            return None
        best = without
        loose = 0
        fights = bool(allowed & self._lines.users)  # what is placed takes units from others
        surely: int | None = None  # no gain beyond this
        nested = False
        if is_fixed(self._problem, offer) or offer.kind in (Kind.BUNDLE, Kind.GROUP_AMOUNT):
            ways, loose, is_every = self._times(offer)
            nested = not fights and (
                offer.kind is Kind.BUY_GET  # in a fixed order: every repeat keeps the units of those before
                or all(len(part) == 1 for part in offer.parts or (offer.targets,))
            )
            surely = None if is_every else self.ceiling(offer)
        elif self._steps(offer) <= _MOST_STEPS:
            found = self._dynamic(lines, allowed, offer)
            ways = [] if found is None else [found]
        else:
            ways, surely = self._counted(lines, allowed, offer, without)
        for place, way in enumerate(ways):
            if self.is_late():
                surely = self.ceiling(offer)
                break
            settled = self._settle(lines, allowed, [(offer, way)], without)
            if settled is None:
                loose = max(loose, self._most(offer, way))  # fewer offers beside it might have let it be
            elif settled.cost < best.cost:
                best = settled
                if not place and nested and not settled.loose:
                    surely = None
                    break  # more repeats never cost more, and come first
        loose += best.loose
        if surely is not None:
            loose = max(loose, best.cost - (without.cost - without.loose - surely))
        return Allocated(best.cost, max(0, loose), best.parts)

    def _steps(self, offer: Offer) -> int:
        """How much work dynamic programming would be, about."""
        problem = self._problem
        deal = offer.benefit if isinstance(offer.benefit, BuyGet) else None
        whole = problem.quoted.whole
        most = (
            reach_units(problem, offer) if deal is None else most_repeats(problem, offer) * deal.get_quantity
        )
        states, work = 1, 0
        mixed = 0 < len(set(offer.targets) & set(offer.buys)) < len(offer.targets)
        for line in offer.targets:
            limit = min(most, line_limit(problem, offer, line) if deal is None else whole[line])
            work += (limit + 1) * states * (states if mixed else 1)
            states = min(most + 1, states + limit)
        return work

    def _counted(
        self, lines: Sequence[int], allowed: int, offer: Offer, without: Allocated
    ) -> tuple[list[Way], int | None]:
        """Many units: how many of each line, from what one is worth; and what no way gains more than.

        None instead of that where the first way is the best: more units never cost more.
        """
        problem = self._problem
        tick = problem.tick
        facts = problem.lines
        worth: dict[int, int] = {}
        is_linear = not without.loose
        is_exact = self._lines.sums and not allowed & self._lines.users
        for line in offer.targets:
            allowed_here = allowed & self._free[line]
            full = self._lines.parts(line, allowed_here, ())
            taken: tuple[Part, ...] = ()
            if facts[line].whole:
                taken = self._lines.parts(line, allowed_here, ((offer.index, 1, 0),))[:1]
            before = self._lines.unit(facts[line], full[0].offers) if full else None
            after = self._lines.unit(facts[line], taken[0].offers) if taken else None
            bit = 1 << offer.index
            if (
                before is None
                or after is None
                or taken[0].offers | bit != (full[0].offers & ~self._lines.users) | bit
                or without.parts.get(line) != full
            ):
                is_linear = False
                worth[line] = (offer.gains or {}).get(line, facts[line].unit)
            else:
                worth[line] = max(0, before - after)
                is_exact = is_exact and not full[0].offers & self._lines.shared
        deal = offer.benefit if isinstance(offer.benefit, BuyGet) else None
        value = {line: self._price(line, worth[line] * 1000) for line in worth}
        if deal is None:
            rewarded, best = shares_by_count(problem, offer, value)
            is_best = len(offer.targets) == 1 or sum(rewarded.values()) == sum(
                line_limit(problem, offer, line) for line in offer.targets
            )
            ways: list[Way] = [(rewarded, {})] if rewarded else []
        else:
            found, best, is_best = rewards_by_count(problem, offer, value)
            ways = [] if found is None else [(found[0], found[1] if offer.uses_up is UsesUp.ALL else {})]
            is_best = is_best and len(offer.targets) == 1
        if ways and is_best and is_linear and is_exact:
            settled = self._settle(lines, allowed, [(offer, ways[0])], without)
            if settled is not None and not settled.loose:
                return ways, None
        if not is_linear and deal is None and _step(offer) == 1:
            ways += [({line: units // 2 for line, units in way[0].items() if units > 1}, {}) for way in ways]
        most = (2 + len(problem.phases)) * self._minor * len(offer.targets)
        most += sum(
            self._price(line, worth[line] * units // tick + 1) for line, units in best.items() if units
        )
        return ways, most

    def _most(self, offer: Offer, way: Way) -> int:
        """What an offer may gain at most with these units."""
        facts = self._problem.lines
        return sum(
            self._price(line, -(-facts[line].unit * units // self._problem.tick))
            for line, units in way[0].items()
        )

    def _times(self, offer: Offer) -> tuple[list[Way], int, bool]:
        """Ways by number of repeats, the most first; by how much another may be better; whether it is every number."""
        if offer.index not in self._repeats:
            self._repeats[offer.index] = self._find_times(offer)
        return self._repeats[offer.index]

    def _find_times(self, offer: Offer) -> tuple[list[Way], int, bool]:
        most = most_repeats(self._problem, offer)
        if is_fixed(self._problem, offer) and offer.kind not in (Kind.BUY_GET, Kind.GROUP_AMOUNT):
            most = min(most, 1)
        numbers = list(fewer(most))
        is_every = len(numbers) == most
        if is_fixed(self._problem, offer):
            fixed = [fixed_units(self._problem, offer, times) for times in numbers]
            keep = offer.uses_up is UsesUp.ALL
            return [(way[0], way[1] if keep else {}) for way in fixed if way is not None], 0, is_every
        ways = [way for times in numbers if (way := self._dearest(offer, times)) is not None]
        is_plain = all(len(part) == 1 for part in offer.parts) if offer.parts else len(offer.targets) == 1
        if is_plain:
            return ways, 0, is_every
        every = self._groups_of(offer, most)
        if every is not None:
            return every, 0, True
        return ways, self._minor * (1 + len(offer.targets)) + self._between_rates(offer), is_every

    def _groups_of(self, offer: Offer, most: int) -> list[Way] | None:
        """Every way to make groups over several lines; None: they are too many."""
        size = group_size(offer)
        targets = self._by_worth(offer.targets)
        limits = [self._problem.quoted.whole[line] for line in targets]
        vectors = _vectors(targets, limits, most * size, size)
        if vectors is None or len(vectors) > _MOST_GROUPS:
            return None
        if offer.kind is Kind.BUNDLE:
            vectors = [units for units in vectors if bundle_fits(offer, units, sum(units.values()) // size)]
        return [(units, {}) for units in vectors]

    def _between_rates(self, offer: Offer) -> int:
        """What it may matter on which lines an amount falls: their taxes differ."""
        facts = self._problem.lines
        weights = [self._price(line, 1000) for line in offer.targets]
        if max(weights) - min(weights) < self._minor:
            return 0
        most = sum(facts[line].entry for line in offer.targets) // self._problem.tick
        return (max(weights) - min(weights)) * most // 1000

    def _dearest(self, offer: Offer, times: int) -> Way | None:
        facts = self._problem.lines
        left = {line: facts[line].whole for line in offer.targets}
        rewarded: dict[int, int] = {}
        benefit = offer.benefit
        if isinstance(benefit, BundlePrice):
            wanted = sorted(
                (
                    (part, component.quantity)
                    for part, component in zip(offer.parts, benefit.components, strict=True)
                ),
                key=lambda one: len(one[0]),
            )
        else:
            wanted = [(offer.targets, group_size(offer))]
        for part, quantity in wanted:
            missing = times * quantity
            for line in sorted(part, key=lambda i: (-facts[i].unit, facts[i].tie)):
                number = min(missing, left[line])
                if number:
                    rewarded[line] = rewarded.get(line, 0) + number
                    left[line] -= number
                    missing -= number
            if missing:
                return None
        return rewarded, {}

    def _dynamic(self, lines: Sequence[int], allowed: int, offer: Offer) -> Way | None:
        """The best units for an offer whose gain is the sum of what its units gain."""
        facts = self._problem.lines
        deal = offer.benefit if isinstance(offer.benefit, BuyGet) else None
        targets = set(offer.targets)
        buys = set(offer.buys)
        sign = -1 if deal is not None and deal.free is Free.DEAREST else 1
        order = sorted(targets, key=lambda i: (-sign * facts[i].unit, facts[i].tie))
        if deal is None:
            most = reach_units(self._problem, offer)
            step = offer.benefit.reach.step  # type: ignore[union-attr]  # placed: it has a reach
        else:
            most = most_repeats(self._problem, offer) * deal.get_quantity
            step = deal.get_quantity
        elsewhere = sum(facts[line].whole for line in buys - targets)
        available = sum(facts[line].whole for line in buys)
        states: dict[tuple[int, int], tuple[int, tuple[tuple[int, int], ...]]] = {(0, 0): (0, ())}
        above = 0
        for place, line in enumerate(order):
            limit = line_limit(self._problem, offer, line) if deal is None else facts[line].whole
            is_bought = line in buys
            above += facts[line].whole if is_bought else 0
            level_ends = place + 1 == len(order) or facts[order[place + 1]].unit != facts[line].unit
            base = self.line(line, allowed)
            if base is None or self.is_late():
                return None
            costs: list[int | None] = []
            for units in range(min(limit, most) + 1):
                found = self.line(line, allowed, ((offer.index, units, 0),)) if units else base
                costs.append(None if found is None else found[0] - base[0])
            further: dict[tuple[int, int], tuple[int, tuple[tuple[int, int], ...]]] = {}
            for (taken, among), (cost, how) in states.items():
                for units, more in enumerate(costs):
                    if more is None or taken + units > most:
                        continue
                    now = taken + units
                    both = among + units if is_bought else among
                    if deal is not None and level_ends and deal.free is not Free.ANY:
                        needed = deal.buy_quantity * -(-now // deal.get_quantity)
                        if elsewhere + above - both < needed:
                            continue
                    reached = further.get((now, both))
                    if reached is None or cost + more < reached[0]:
                        chosen = (*how, (line, units)) if units else how
                        further[now, both] = (cost + more, chosen)
            states = further
        best: tuple[int, int, Way] | None = None
        for (taken, among), (cost, how) in states.items():
            if not taken or taken % step or cost > 0:
                continue
            rewarded = dict(how)
            bought: dict[int, int] = {}
            if deal is not None:
                wanted = taken // step * deal.buy_quantity
                if available - among < wanted:
                    continue
                bought = best_bought(self._problem, offer, rewarded, wanted)
                if sum(bought.values()) != wanted or not free_units_are_right(
                    self._problem, offer, rewarded, bought
                ):
                    continue
                if offer.uses_up is not UsesUp.ALL:
                    bought = {}
            if best is None or (cost, taken) < best[:2]:
                best = (cost, taken, (rewarded, bought))
        return None if best is None else best[2]

    # --- several that want the same units ----------------------------------------------------------

    def _several(self, lines: Sequence[int], allowed: int, offers: Sequence[Offer]) -> Allocated | None:
        without = self._settle(lines, allowed, [])
        if without is None:
            return None
        singles: list[Allocated] = []
        for offer in offers:
            if self.is_late():
                return self.roughly(lines, allowed, offers)
            alone = self._single(lines, allowed, offer)
            if alone is None:
                return None
            singles.append(alone)
        least = without.cost - sum(without.cost - alone.cost + alone.loose for alone in singles)
        best = without
        spaces = [self._ways(offer) for offer in offers]
        count = 1
        for space in spaces:
            count *= 1 if space is None else len(space) + 1
        is_complete = None not in spaces and count <= _MOST_WAYS
        candidates = (
            self._most_hopeful(
                lines, allowed, without, self._every(offers, [space or [] for space in spaces])
            )
            if is_complete
            else (
                (placed, least)
                for placed in self._greedy(
                    lines, allowed, offers, [without.cost - alone.cost for alone in singles]
                )
            )
        )
        for placed, hoped in candidates:
            if hoped >= best.cost:
                break
            settled = self._settle(lines, allowed, placed, without)
            if settled is not None and settled.cost < best.cost:
                best = settled
            if best.cost <= least:
                break
            if self.is_late():
                is_complete = False
                break
        if not is_complete and best.cost > least:
            joint = self._joint_reach(lines, allowed, offers, without.cost, best)
            if joint is not None:
                return joint
        exact = is_complete and not any(alone.loose for alone in singles)
        overlap = any(offer.uses_up is UsesUp.NOTHING for offer in offers)
        if exact and not overlap:
            return best
        return Allocated(best.cost, max(best.loose, best.cost - least), best.parts)

    def _most_hopeful(
        self,
        lines: Sequence[int],
        allowed: int,
        without: Allocated,
        every: Iterable[list[tuple[Offer, Way]]],
    ) -> list[tuple[list[tuple[Offer, Way]], int]]:
        """Ways by what they come to at least: together they gain no more than each alone, rounding aside."""
        gains: dict[int, int] = {}

        def gain(placed: tuple[Offer, Way]) -> int:
            offer, way = placed
            if id(way) not in gains:
                alone = None if self.is_late() else self._settle(lines, allowed, [placed], without)
                if alone is None or alone.loose:
                    gains[id(way)] = self._most(offer, way)
                else:
                    rounding = self._minor * (len(way[0]) + len(way[1]))
                    gains[id(way)] = without.cost - without.loose - alone.cost + rounding
            return gains[id(way)]

        hopes = [(placed, without.cost - sum(map(gain, placed))) for placed in every]
        return sorted(hopes, key=lambda one: one[1])

    def _joint_reach(
        self, lines: Sequence[int], allowed: int, offers: Sequence[Offer], plain: int, known: Allocated
    ) -> Allocated | None:
        """Several offers of limited reach, by dynamic programming over lines; None: there are others among them."""
        kinds = (Kind.UNIT_PERCENT, Kind.UNIT_AMOUNT, Kind.UNIT_PRICE)
        problem = self._problem
        lines = self._by_worth(lines)
        if len(offers) > 3 or any(
            offer.kind not in kinds or is_fixed(problem, offer) or offer.uses_up is UsesUp.NOTHING
            for offer in offers
        ):
            return None
        most = [reach_units(problem, offer) for offer in offers]
        tables: list[dict[tuple[int, ...], int]] = []
        for line in lines:
            table = self._line_table(line, allowed, offers, most)
            if table is None:
                return None
            tables.append(table)
        # what a unit of each offer saves at most on the lines from here on
        best_of = [[0] * len(offers) for _ in range(len(lines) + 1)]
        for place in range(len(lines) - 1, -1, -1):
            for which in range(len(offers)):
                saved = [
                    -cost // sum(units)
                    for units, cost in tables[place].items()
                    if units[which] == sum(units) > 0
                ]
                best_of[place][which] = max([best_of[place + 1][which], *(one + 1 for one in saved)])
        target = known.cost - plain
        states: dict[tuple[int, ...], tuple[int, tuple[tuple[int, ...], ...]]] = {(0,) * len(offers): (0, ())}
        for place, table in enumerate(tables):
            further: dict[tuple[int, ...], tuple[int, tuple[tuple[int, ...], ...]]] = {}
            hope = best_of[place + 1]
            for taken, (cost, how) in states.items():
                if self.is_late():
                    return None
                for units, more in table.items():
                    now = tuple(map(sum, zip(taken, units, strict=True)))
                    if any(one > limit for one, limit in zip(now, most, strict=True)):
                        continue
                    total = cost + more
                    left = sum((limit - one) * each for one, limit, each in zip(now, most, hope, strict=True))
                    if total - left - self._minor * len(lines) > target:
                        continue
                    reached = further.get(now)
                    if reached is None or total < reached[0]:
                        further[now] = (total, (*how, units))
            states = further
            if len(states) > 4 * _MOST_WAYS:
                return None
        ends = [
            (cost, how)
            for taken, (cost, how) in states.items()
            if all(not one % _step(offer) for one, offer in zip(taken, offers, strict=True))
        ]
        if not ends:
            return known
        _, how = min(ends)
        ways: list[Way] = [({}, {}) for _ in offers]
        for line, units in zip(lines, how, strict=True):
            for which, number in enumerate(units):
                if number:
                    ways[which][0][line] = number
        settled = self._settle(lines, allowed, list(zip(offers, ways, strict=True)))
        return known if settled is None or settled.cost >= known.cost else settled

    def _line_table(
        self, line: int, allowed: int, offers: Sequence[Offer], most: Sequence[int]
    ) -> dict[tuple[int, ...], int] | None:
        """What a line costs more with so many units for each offer."""
        whole = self._problem.quoted.whole[line]
        base = self.line(line, allowed)
        if base is None:
            return None
        limits = [
            min(limit, line_limit(self._problem, offer, line)) if line in offer.targets else 0
            for offer, limit in zip(offers, most, strict=True)
        ]
        if prod(limit + 1 for limit in limits) > 20 * _MOST_WAYS or self.is_late():
            return None
        table: dict[tuple[int, ...], int] = {}
        for units in product(*(range(limit + 1) for limit in limits)):
            if sum(units) > whole:
                continue
            placed = tuple(
                (offer.index, number, 0) for offer, number in zip(offers, units, strict=True) if number
            )
            found = self.line(line, allowed, tuple(sorted(placed)))
            if found is not None:
                table[units] = found[0] - base[0]
            if len(table) > 2 * _MOST_WAYS:
                return None
        return table

    def _every(
        self, offers: Sequence[Offer], spaces: Sequence[list[Way]]
    ) -> Iterable[list[tuple[Offer, Way]]]:
        whole = self._problem.quoted.whole
        for chosen in product(*([None, *space] for space in spaces)):
            used: dict[int, int] = {}
            for way in chosen:
                if way is not None:
                    for side in way:
                        for line, units in side.items():
                            used[line] = used.get(line, 0) + units
            if all(units <= whole[line] for line, units in used.items()):
                yield [(offer, way) for offer, way in zip(offers, chosen, strict=True) if way is not None]

    def _ways(self, offer: Offer) -> list[Way] | None:
        """Every way to place an offer; None: they are too many."""
        problem = self._problem
        if is_fixed(problem, offer) or isinstance(offer.benefit, BundlePrice):
            ways, loose, is_every = self._times(offer)
            return ways if is_every and not loose else None
        whole = problem.quoted.whole
        benefit = offer.benefit
        targets = self._by_worth(offer.targets)
        buys = self._by_worth(offer.buys)
        if isinstance(benefit, BuyGet):
            most, step = most_repeats(problem, offer) * benefit.get_quantity, benefit.get_quantity
            limits = [whole[line] for line in targets]
        elif offer.kind is Kind.GROUP_AMOUNT:
            step = group_size(offer)
            most = most_repeats(problem, offer) * step
            limits = [whole[line] for line in targets]
        else:
            most, step = reach_units(problem, offer), benefit.reach.step  # type: ignore[union-attr]
            limits = [line_limit(problem, offer, line) for line in targets]
        rewards = _vectors(targets, limits, most, step)
        if rewards is None or not isinstance(benefit, BuyGet):
            return None if rewards is None else [(rewarded, {}) for rewarded in rewards]
        found: list[Way] = []
        for rewarded in rewards:
            wanted = sum(rewarded.values()) // step * benefit.buy_quantity
            if offer.uses_up is not UsesUp.ALL:
                bought = best_bought(problem, offer, rewarded, wanted)
                if sum(bought.values()) == wanted and free_units_are_right(problem, offer, rewarded, bought):
                    found.append((rewarded, {}))
                continue
            room = [whole[line] - rewarded.get(line, 0) for line in buys]
            choices = _vectors(buys, room, wanted, 1, exactly=wanted)
            if choices is None:
                return None
            found += [
                (rewarded, bought)
                for bought in choices
                if free_units_are_right(problem, offer, rewarded, bought)
            ]
            if len(found) > _MOST_WAYS:
                return None
        return found

    def _by_worth(self, lines: Iterable[int]) -> list[int]:
        """Lines in an order that does not depend on where they stand in the document."""
        return sorted(lines, key=lambda line: self._problem.lines[line].tie)

    def _greedy(
        self, lines: Sequence[int], allowed: int, offers: Sequence[Offer], gains: Sequence[int]
    ) -> Iterable[list[tuple[Offer, Way]]]:
        """One after another, each the most that is left for it, in several orders."""
        order = sorted(range(len(offers)), key=lambda place: (-gains[place], offers[place].index))
        orders: Iterable[tuple[int, ...]] = (
            permutations(order)
            if len(offers) <= 4
            else [tuple(order), *((first, *(one for one in order if one != first)) for first in order)]
        )
        for sequence in orders:
            yield self._in_order([offers[place] for place in sequence], until=self._deadline)

    def _in_order(self, offers: Sequence[Offer], until: float) -> list[tuple[Offer, Way]]:
        """Each the most that those before it leave; after `until` no more."""
        left = dict(enumerate(self._problem.quoted.whole))
        placed: list[tuple[Offer, Way]] = []
        for offer in offers:
            if time.perf_counter() > until:
                break
            way = self._most_of(offer, left)
            if way is not None:
                placed.append((offer, way))
                for side in way:
                    for line, units in side.items():
                        left[line] -= units
        return placed

    def _most_of(self, offer: Offer, left: dict[int, int]) -> Way | None:
        facts = self._problem.lines
        if is_fixed(self._problem, offer):
            return next((way for way in self._times(offer)[0] if _fits(way, left)), None)
        dearest = sorted(offer.targets, key=lambda i: (-facts[i].unit, facts[i].tie))
        benefit = offer.benefit
        if isinstance(benefit, BuyGet):
            return self._most_of_deal(offer, benefit, left, dearest)
        if isinstance(benefit, BundlePrice):
            return next((way for way in self._times(offer)[0] if _fits(way, left)), None)
        if offer.kind is Kind.GROUP_AMOUNT:
            size, many = group_size(offer), sum(left[line] for line in dearest)
            many = min(many // size, most_repeats(self._problem, offer)) * size
            limits = left
        else:
            limits = {line: min(left[line], line_limit(self._problem, offer, line)) for line in dearest}
            many = min(sum(limits.values()), reach_units(self._problem, offer))
            many -= many % benefit.reach.step  # type: ignore[union-attr]  # placed: it has a reach
        taken: dict[int, int] = {}
        for line in dearest:
            number = min(many, limits[line])
            if number:
                taken[line] = number
                many -= number
        return (taken, {}) if taken else None

    def _most_of_deal(
        self, offer: Offer, deal: BuyGet, left: dict[int, int], dearest: Sequence[int]
    ) -> Way | None:
        for times in fewer(most_repeats(self._problem, offer)):
            room = dict(left)
            wanted = times * deal.get_quantity
            rewarded: dict[int, int] = {}
            cheapest_first = dearest if set(offer.buys).isdisjoint(dearest) else list(reversed(dearest))
            for line in cheapest_first:
                number = min(wanted, room[line])
                if number:
                    rewarded[line] = number
                    room[line] -= number
                    wanted -= number
            if wanted:
                continue
            wanted = times * deal.buy_quantity
            bought: dict[int, int] = {}
            facts = self._problem.lines
            for line in sorted(offer.buys, key=lambda i: (i in offer.targets, -facts[i].unit, facts[i].tie)):
                number = min(wanted, room[line])
                if number:
                    bought[line] = number
                    wanted -= number
            if not wanted and free_units_are_right(self._problem, offer, rewarded, bought):
                return rewarded, bought if offer.uses_up is UsesUp.ALL else {}
        return None


def _step(offer: Offer) -> int:
    return int(offer.benefit.reach.step)  # type: ignore[union-attr]  # placed: it has a reach


def _fits(way: Way, left: dict[int, int]) -> bool:
    used: dict[int, int] = {}
    for side in way:
        for line, units in side.items():
            used[line] = used.get(line, 0) + units
    return all(units <= left[line] for line, units in used.items())


def _vectors(
    lines: Sequence[int], limits: Sequence[int], most: int, step: int, exactly: int | None = None
) -> list[dict[int, int]] | None:
    """Units by line that make complete steps, not none; None: they are too many."""
    widest = 20 * _MOST_WAYS if step > 1 or exactly is not None else _MOST_WAYS
    found: list[tuple[int, tuple[tuple[int, int], ...]]] = [(0, ())]
    for place, line in enumerate(lines):
        rest = sum(limits[place + 1 :])
        further: list[tuple[int, tuple[tuple[int, int], ...]]] = []
        for total, how in found:
            least = 0 if exactly is None else max(0, exactly - total - rest)
            if len(further) + min(limits[place], most - total) - least > widest:
                return None
            further += [
                (total + units, (*how, (line, units)) if units else how)
                for units in range(least, min(limits[place], most - total) + 1)
            ]
        found = further
    if exactly is not None:
        kept = [dict(how) for total, how in found if total == exactly]
    else:
        kept = [dict(how) for total, how in found if total and not total % step]
    return kept if len(kept) <= _MOST_WAYS else None


def _connected(lines: Iterable[int], placed: Sequence[Offer]) -> list[tuple[list[int], list[Offer]]]:
    """Lines and the offers to be placed on them, parted where no offer reaches over."""
    left = dict.fromkeys(sorted(lines))
    groups: list[tuple[set[int], list[Offer]]] = []
    for offer in placed:
        own = set(lines_of(offer)) & left.keys()
        offers = [offer]
        kept = []
        for group in groups:
            if group[0] & own:
                own |= group[0]
                offers += group[1]
            else:
                kept.append(group)
        groups = [*kept, (own, offers)]
    taken = {line for group, _ in groups for line in group}
    joined: list[tuple[list[int], list[Offer]]] = [([line], []) for line in left if line not in taken]
    joined += [(sorted(group), sorted(offers, key=lambda offer: offer.index)) for group, offers in groups]
    return joined
