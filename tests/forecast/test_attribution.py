"""The waterfall's rule on arrays, held against a slow one that takes one deal after the other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.forecast.domain.figures import Category, State
from services.forecast.waterfall.attribution import Pairs, Portions, Standing, attributed
from services.forecast.waterfall.bars import Bars, Within, added_up, opened
from services.forecast.waterfall.reasons import Reason

NODES = {"root": {0, 1, 2, 3}, "left": {0, 1}, "right": {2, 3}, "leaf": {0}}
NAMES = list(NODES)
WITHIN = Within(
    np.array([[i if place in NODES[n] else -1 for i, n in enumerate(NAMES)] for place in range(4)], np.int32),
    len(NAMES),
)


@dataclass(frozen=True)
class Now:
    """How a deal stands; what each step takes over from the closing is one of the fields."""

    rate: Decimal
    places: tuple[int, ...]
    weights: tuple[int, ...]
    in_period: bool
    state: State
    category: Category
    is_there: bool
    amount: Decimal

    def measures(self, chosen: frozenset[Category]) -> dict[int, Decimal]:
        if not (self.is_there and self.in_period and self.category in chosen):
            return {}
        return self.worth()

    def worth(self) -> dict[int, Decimal]:
        ends: dict[int, Decimal] = defaultdict(Decimal)
        whole, so_far, before = sum(self.weights), 0, Decimal(0)
        for place, weight in zip(self.places, self.weights, strict=True):
            so_far += weight
            end = Decimal(int(self.amount * self.rate * so_far / whole))
            ends[place] += end - before
            before = end
        return dict(ends)


@dataclass(frozen=True)
class Life:
    """A deal at both ends."""

    opening: Now
    closing: Now
    known: bool = True
    merged: bool = False
    split_off: bool = False
    parted: Decimal = Decimal(0)
    """What the deal's amount changed by where deals were split."""
    joined: Decimal = Decimal(0)

    def steps(self) -> list[tuple[str, Now]]:
        """The standings on the way, one after each step, as the definition says it."""
        now, end = self.opening, self.closing
        path: list[tuple[str, Now]] = []

        def go(step: str, **changes: object) -> None:
            nonlocal now
            now = replace(now, **changes)  # type: ignore[arg-type]
            path.append((step, now))

        go("CURRENCY", rate=end.rate)
        go("REASSIGNED", places=self.places_after)
        go("PERIOD", in_period=end.in_period)
        if end.state is State.WON and now.state is not State.WON:
            go("WON", state=State.WON, category=Category.CLOSED)
        if end.state is State.LOST and now.state is not State.LOST:
            go("SPLIT", places=end.places, weights=end.weights, amount=now.amount + self.parted)
            go("MERGED", amount=now.amount + self.joined)
            go("AMOUNT", amount=end.amount)
            go("LOST", state=State.LOST, category=Category.OMITTED)
        else:
            if end.state is State.OPEN and now.state is not State.OPEN:
                go("REOPENED", state=State.OPEN, category=end.category)
            go("CATEGORY", category=end.category)
            go("SPLIT", places=end.places, weights=end.weights, amount=now.amount + self.parted)
        go("SPLIT", is_there=now.is_there or self.split_off)
        if end.state is not State.LOST or self.opening.state is State.LOST:
            go("MERGED", amount=now.amount + self.joined)
        go("MERGED", is_there=now.is_there and not self.merged)
        if self.known or self.split_off:
            go("DELETED", is_there=end.is_there)
        go("AMOUNT", amount=end.amount)
        go("NEW", is_there=end.is_there)
        assert now == end
        return path

    @property
    def places_after(self) -> tuple[int, ...]:
        """The credit of the opening, where it stands at the closing: the first place is the owner's."""
        return (self.closing.places[0], *self.opening.places[1:])


def slowly(lives: list[Life], chosen: frozenset[Category]) -> dict[tuple[str, str], Decimal]:
    """The change of each node in each step, deal by deal."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for life in lives:
        before = life.opening.measures(chosen)
        for step, now in life.steps():
            after = now.measures(chosen)
            for node, places in NODES.items():
                found[node, step] += sum((after.get(p, Decimal(0)) for p in places), Decimal(0))
                found[node, step] -= sum((before.get(p, Decimal(0)) for p in places), Decimal(0))
            before = after
    return {key: value for key, value in found.items() if value}


def arrays(lives: list[Life]) -> tuple[Pairs, Portions]:
    """The same as the waterfall takes it."""

    def standing(all: list[Now]) -> Standing:
        return Standing(
            np.array([each.is_there for each in all], bool),
            np.array([each.in_period for each in all], bool),
            np.array([each.state for each in all], np.int8),
            np.array([each.category for each in all], np.int8),
        )

    pairs = Pairs(
        np.arange(len(lives), dtype=np.int32),
        standing([life.opening for life in lives]),
        standing([life.closing for life in lives]),
        np.array([life.known for life in lives], bool),
        np.array([life.merged for life in lives], bool),
        np.array([life.split_off for life in lives], bool),
    )
    rows: list[tuple[int, ...]] = []
    for number, life in enumerate(lives):
        opening, closing = life.opening, life.closing
        at_rate = replace(opening, rate=closing.rate)
        moved = replace(at_rate, places=life.places_after)
        split = replace(
            moved, places=closing.places, weights=closing.weights, amount=opening.amount + life.parted
        )
        merged = replace(split, amount=split.amount + life.joined)
        worths = [each.worth() for each in (opening, at_rate, moved, split, merged, closing)]
        for place in sorted({place for worth in worths for place in worth}):
            there = [place in worths[0], place in worths[2], place in worths[5]]
            rows.append((number, place, *(int(worth.get(place, 0)) for worth in worths), *there))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    kinds = [np.int32] * 2 + [np.int64] * 6 + [np.bool_] * 3
    typed: list[Any] = [column.astype(kind) for column, kind in zip(columns, kinds, strict=True)]
    return pairs, Portions(*typed)


amounts = st.integers(-500, 5000).map(Decimal)
rates = st.sampled_from([Decimal(1), Decimal("0.9"), Decimal("1.37"), Decimal(0)])
standings = st.sampled_from(
    [(State.WON, Category.CLOSED), (State.LOST, Category.OMITTED)]
    + [(State.OPEN, category) for category in Category if category is not Category.CLOSED]
)
credits = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=3, unique_by=lambda each: each[0]
)


@st.composite
def nows(draw: st.DrawFn) -> Now:
    state, category = draw(standings)
    credit = draw(credits)
    places, weights = zip(*credit, strict=True)
    return Now(
        draw(rates), places, weights, draw(st.booleans()), state, category, draw(st.booleans()), draw(amounts)
    )


@st.composite
def lives(draw: st.DrawFn) -> Life:
    opening, closing = draw(nows()), draw(nows())
    kind = draw(st.sampled_from(["plain", "plain", "plain", "new", "merged", "part", "parts"]))
    if opening.places[0] not in closing.places and closing.places[0] in opening.places:
        closing = replace(closing, places=opening.places, weights=opening.weights)
    match kind:
        case "new":
            return Life(replace(opening, is_there=False), closing, known=False)
        case "merged":
            return Life(opening, replace(closing, is_there=False), merged=True)
        case "part":
            return Life(replace(opening, is_there=False), closing, known=False, split_off=True)
        case "parts":
            return Life(opening, closing, parted=draw(amounts), joined=draw(amounts))
        case _:
            return Life(opening, closing)


choices = st.sets(st.sampled_from(list(Category)), min_size=1).map(frozenset)
STEPS = {
    Reason.REASSIGNED_IN: "REASSIGNED", Reason.REASSIGNED_OUT: "REASSIGNED", Reason.PULLED_IN: "PERIOD",
    Reason.PUSHED_OUT: "PERIOD", Reason.CATEGORY_IN: "CATEGORY", Reason.CATEGORY_OUT: "CATEGORY",
    Reason.RESTORED: "DELETED", Reason.AMOUNT_UP: "AMOUNT", Reason.AMOUNT_DOWN: "AMOUNT",
}  # fmt: skip


def by_step(bars: Bars) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for reason, bar in bars.by_reason.items():
        for name, amount in zip(NAMES, bar.total.tolist(), strict=True):
            found[name, STEPS.get(reason, reason.name)] += amount
    return {key: value for key, value in found.items() if value}


@settings(max_examples=80, deadline=None)
@given(st.lists(lives(), min_size=1, max_size=8), choices)
def test_every_step_of_every_node_is_what_the_definition_says(
    all: list[Life], chosen: frozenset[Category]
) -> None:
    pairs, portions = arrays(all)
    bars = added_up(attributed(pairs, portions, chosen), pairs, portions, WITHIN)
    assert by_step(bars) == slowly(all, chosen)


@settings(max_examples=40, deadline=None)
@given(st.lists(lives(), min_size=1, max_size=8), choices)
def test_bars_add_up_and_open_down_to_their_deals(all: list[Life], chosen: frozenset[Category]) -> None:
    pairs, portions = arrays(all)
    bars = added_up(attributed(pairs, portions, chosen), pairs, portions, WITHIN)
    for place, node in enumerate(NAMES):
        opening = sum(sum(v for p, v in x.opening.measures(chosen).items() if p in NODES[node]) for x in all)
        closing = sum(sum(v for p, v in x.closing.measures(chosen).items() if p in NODES[node]) for x in all)
        assert opening + sum(int(bar.total[place]) for bar in bars.by_reason.values()) == closing
        alone = Within(WITHIN.nodes[:, [place]], 1)
        alone.nodes[alone.nodes >= 0] = 0
        amounts: dict[Reason, int] = defaultdict(int)
        deals: dict[Reason, set[int]] = defaultdict(set)
        for part in opened(attributed(pairs, portions, chosen), pairs, portions, alone):
            amounts[part.reason] += int(part.total.sum())
            deals[part.reason] |= set(part.deal.tolist())
        for reason, bar in bars.by_reason.items():
            assert amounts[reason] == bar.total[place]
            assert len(deals[reason]) == bar.deals[place]


def one(opening: Now, closing: Now, chosen: frozenset[Category] = frozenset(Category)) -> dict[str, int]:
    """The bars of the root for a single deal."""
    pairs, portions = arrays([Life(opening, closing)])
    bars = added_up(attributed(pairs, portions, chosen), pairs, portions, WITHIN)
    return {reason.name: int(bar.total[0]) for reason, bar in bars.by_reason.items() if bar.deals[0]}


DEAL = Now(Decimal(1), (0,), (1,), True, State.OPEN, Category.COMMIT, True, Decimal(100))
OPEN = frozenset({Category.PIPELINE, Category.BEST_CASE, Category.COMMIT})


def test_a_won_deal_moves_from_open_to_closed_and_is_no_loss() -> None:
    won = replace(DEAL, state=State.WON, category=Category.CLOSED)
    pairs, portions = arrays([Life(DEAL, won)])
    bars = added_up(attributed(pairs, portions, OPEN | {Category.CLOSED}), pairs, portions, WITHIN)
    bar = bars.by_reason[Reason.WON]
    assert (bar.total[0], bar.open[0], bar.closed[0], bar.deals[0]) == (0, -100, 100, 1)
    assert one(DEAL, won, OPEN) == {"WON": -100}


def test_a_lost_deal_counts_at_its_last_open_amount() -> None:
    lost = replace(DEAL, state=State.LOST, category=Category.OMITTED, amount=Decimal(120))
    assert one(DEAL, lost, OPEN) == {"AMOUNT_UP": 20, "LOST": -120}


def test_what_happens_together_is_attributed_in_order() -> None:
    closing = replace(
        DEAL, rate=Decimal(2), places=(2,), state=State.WON, category=Category.CLOSED, amount=Decimal(150)
    )
    everything = one(replace(DEAL, in_period=False), closing)
    assert everything == {"PULLED_IN": 200, "WON": 0, "AMOUNT_UP": 100}
    assert one(DEAL, replace(closing, in_period=False)) == {"CURRENCY": 100, "PUSHED_OUT": -200}


def test_what_moves_within_a_node_has_not_come_to_it() -> None:
    pairs, portions = arrays([Life(DEAL, replace(DEAL, places=(1,))), Life(DEAL, replace(DEAL, places=(2,)))])
    bars = added_up(attributed(pairs, portions, OPEN), pairs, portions, WITHIN)
    gone, come = bars.by_reason[Reason.REASSIGNED_OUT], bars.by_reason[Reason.REASSIGNED_IN]
    assert gone.total.tolist() == [0, -100, 0, -200]
    assert come.total.tolist() == [0, 0, 100, 0]
    assert gone.deals.tolist() == [0, 1, 0, 2]
