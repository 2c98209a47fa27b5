"""Which step changes a figure by how much: the rule of the waterfall, on plain arrays.

A deal goes from its opening to its closing standing in the order of `Step`, and each step is what the
measure differs by when that one thing changes, at the standing that the step before left. So the steps
of a deal add up to closing less opening whatever happened. One step is out of its place: a lost deal
counts at its last open amount, so where a deal is lost, the changes of its amount come before that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.forecast.book.exact import Amounts, sums
from services.forecast.domain.figures import Category, State
from services.forecast.waterfall.reasons import Step

Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
Codes = NDArray[np.int32]
Small = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Standing:
    """How each deal stands: one entry per pair of standings that are compared."""

    counted: Bools
    """It is there: neither deleted nor still to come."""
    in_period: Bools
    state: Small
    category: Small
    """What it counts as; of one that is not there, what it would."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The standings that are compared: a deal's opening and closing, or those before and after an event."""

    deal: Codes
    """The deal that each pair is of."""
    opening: Standing
    closing: Standing
    known: Bools
    """It had been heard of at the opening, though perhaps deleted by then."""
    merged: Bools
    """It is gone at the closing because it went into another deal."""
    split_off: Bools
    """It was no deal of its own at the opening, but a part of another one."""


@dataclass(frozen=True, slots=True)
class Portions:
    """What places have of the pairs: one entry per pair and place that had or has a share of it.

    The amounts are those of the share when ever more has changed: `opening`; at the closing's rate;
    where the deal stands in the tree at the closing; as the credit is split at the closing, after deals
    were split; after deals were merged; `closing`. They are 0 where the place has no share.
    """

    pair: Codes
    place: Codes
    opening: Amounts
    at_rate: Amounts
    moved: Amounts
    split: Amounts
    merged: Amounts
    closing: Amounts
    was_there: Bools
    """The place has a share at the opening."""
    came: Bools
    """It has one after the deal stands in the tree as it does at the closing."""
    is_there: Bools
    """It has one at the closing."""

    def __len__(self) -> int:
        return len(self.pair)


@dataclass(frozen=True, slots=True)
class Change:
    """What one step does, to those of the portions that it may concern."""

    step: Step
    rows: Rows
    """Which of the portions; all that follows has one entry for each of these."""
    open: Amounts
    """What it adds to the measure's open deals."""
    closed: Amounts
    """What it adds to the measure's won deals."""
    total: Amounts
    """What it adds to the measure; lost deals are in neither of the other two."""
    gated: Bools
    """It lets the share in or out, if only one of a deal without an amount."""
    comes: Bools | None = None
    """It lets it in rather than out; where that is not said, what makes more comes in."""
    had: Bools | None = None
    """The place had a share before, where it is shares that change hands."""
    has: Bools | None = None
    """The place has one after that."""

    @property
    def touched(self) -> Bools:
        """Which of them it does concern."""
        touched: Bools = self.gated | (self.open != 0) | (self.closed != 0) | (self.total != 0)
        return touched if self.had is None or self.has is None else touched | (self.had != self.has)

    def grows(self) -> Bools:
        """Which it brings in or makes more."""
        more: Bools = self.total > 0
        if self.had is not None and self.has is not None:
            return np.where(self.had != self.has, self.has, more)
        return more if self.comes is None else self.comes


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether each share is in the measure: in its open deals, in its won ones, at all."""

    open: Bools
    closed: Bools
    total: Bools

    def differs(self, other: "Gate") -> Bools:
        """Which shares this gate treats otherwise."""
        differs: Bools = (
            (self.open != other.open) | (self.closed != other.closed) | (self.total != other.total)
        )
        return differs


@dataclass(frozen=True, slots=True)
class Measure:
    """The chosen categories, as a table by category."""

    chosen: Bools

    @classmethod
    def of(cls, categories: frozenset[Category]) -> "Measure":
        """The measure of some categories."""
        chosen = np.zeros(max(Category) + 1, dtype=bool)
        chosen[list(categories)] = True
        return cls(chosen)

    def gate(self, standing: Standing, pairs: Codes) -> Gate:
        """Which shares are in the measure: one entry for each of `pairs`."""
        state = standing.state[pairs]
        inside = standing.counted[pairs] & standing.in_period[pairs] & self.chosen[standing.category[pairs]]
        return Gate(inside & (state == State.OPEN), inside & (state == State.WON), inside)


def attributed(pairs: Pairs, portions: Portions, categories: frozenset[Category]) -> Iterator[Change]:
    """The steps in their order; those of a share add up to its closing less its opening measure."""
    measure = Measure.of(categories)
    walk = _Walk(measure, portions, pairs.opening)
    after, is_new_loss = pairs.closing, pairs.closing.state == State.LOST
    is_new_loss &= pairs.opening.state != State.LOST

    yield walk.worth(Step.CURRENCY, portions.opening, portions.at_rate)
    yield walk.worth(Step.REASSIGNED, portions.at_rate, portions.moved, portions.was_there, portions.came)

    yield walk.to(
        Step.PERIOD, replace(walk.standing, in_period=after.in_period), portions.moved, portions.came
    )
    yield walk.to(Step.WON, _in_state(walk.standing, after, State.WON), portions.moved, portions.came)

    # what was lost has changed its amount before that, and not after it
    lost = is_new_loss[portions.pair]
    early = walk.early(lost)
    yield walk.to(Step.LOST, _in_state(walk.standing, after, State.LOST), portions.closing, portions.is_there)
    yield walk.to(Step.REOPENED, _in_state(walk.standing, after, State.OPEN), portions.moved, portions.came)
    yield walk.to(
        Step.CATEGORY, replace(walk.standing, category=after.category), portions.moved, portions.came
    )

    moved, split, merged = portions.moved, portions.split, portions.merged
    if lost.any():
        moved, split, merged = (np.where(lost, portions.closing, each) for each in (moved, split, merged))
    shared = walk.worth(Step.SPLIT, moved, split, portions.came, portions.is_there)
    begun = replace(walk.standing, counted=walk.standing.counted | pairs.split_off)
    yield _together(
        shared,
        early.worth(Step.SPLIT, portions.moved, portions.split, portions.came, portions.is_there),
        walk.to(Step.SPLIT, begun, split, portions.is_there),
    )
    joined = walk.worth(Step.MERGED, split, merged)
    gone = replace(walk.standing, counted=walk.standing.counted & ~pairs.merged)
    yield _together(
        joined,
        early.worth(Step.MERGED, portions.split, portions.merged),
        walk.to(Step.MERGED, gone, merged, portions.is_there),
    )

    existed = pairs.known | pairs.split_off
    kept = replace(walk.standing, counted=np.where(existed, after.counted, walk.standing.counted))
    yield walk.to(Step.DELETED, kept, merged, portions.is_there)
    yield _together(
        walk.worth(Step.AMOUNT, merged, portions.closing),
        early.worth(Step.AMOUNT, portions.merged, portions.closing),
    )
    yield walk.to(Step.NEW, after, portions.closing, portions.is_there)


@dataclass(slots=True)
class _Walk:
    """The pairs on their way: each step looks only at what it changes."""

    measure: Measure
    portions: Portions
    standing: Standing
    only: Bools | None = None
    """Which of the portions are on the way; all where it is None."""

    def early(self, which: Bools) -> "_Walk":
        """Some of the portions, as they stand now."""
        return _Walk(self.measure, self.portions, self.standing, which)

    def worth(
        self, step: Step, before: Amounts, now: Amounts, had: Bools | None = None, has: Bools | None = None
    ) -> Change:
        """A step that makes shares of what is in the measure more or less, or hands them over."""
        concerned = before != now
        if had is not None and has is not None:
            concerned |= had != has
            if concerned.any():  # who has a share is asked of all that a node has of the pair
                pairs = np.zeros(len(self.standing.state), bool)
                pairs[self.portions.pair[concerned]] = True
                concerned = pairs[self.portions.pair]
        if self.only is not None:
            concerned &= self.only
        rows = np.flatnonzero(concerned)
        gate = self.measure.gate(self.standing, self.portions.pair[rows])
        change = now[rows] - before[rows]
        nothing = np.zeros(len(rows), bool)
        made = Change(step, rows, change * gate.open, change * gate.closed, change * gate.total, nothing)
        if had is None or has is None:
            return made
        return replace(made, had=had[rows] & gate.total, has=has[rows] & gate.total)

    def to(self, step: Step, standing: Standing, amounts: Amounts, there: Bools) -> Change:
        """A step that lets deals in or out, at the amount that they have."""
        differs = np.zeros(len(standing.state), bool)
        for each in ("counted", "in_period", "state", "category"):
            now, past = getattr(standing, each), getattr(self.standing, each)
            if now is not past:
                differs |= now != past
        rows = np.flatnonzero(differs[self.portions.pair])
        pairs, amount = self.portions.pair[rows], amounts[rows]
        now, before = self.measure.gate(standing, pairs), self.measure.gate(self.standing, pairs)
        self.standing = standing
        return Change(
            step,
            rows,
            amount * now.open - amount * before.open,
            amount * now.closed - amount * before.closed,
            amount * now.total - amount * before.total,
            now.differs(before) & there[rows],
            now.total > before.total,
        )


def _in_state(standing: Standing, after: Standing, state: State) -> Standing:
    """With the deals that are in this state now, and were not, in it, and counting as they do in it."""
    become = (after.state == state) & (standing.state != state)
    if not become.any():
        return standing
    return replace(
        standing,
        state=np.where(become, after.state, standing.state),
        category=np.where(become, after.category, standing.category),
    )


def _together(*changes: Change) -> Change:
    """What one step does in several ways: one entry for each portion that any of them concerns."""
    some = [change for change in changes if len(change.rows)]
    if len(some) < 2:
        return some[0] if some else changes[0]
    rows, inverse = np.unique(np.concatenate([change.rows for change in some]), return_inverse=True)

    def added(name: str) -> Amounts:
        return sums(inverse, np.concatenate([getattr(change, name) for change in some]), len(rows))

    def any_of(flags: list[Bools]) -> Bools:
        found = np.zeros(len(rows), bool)
        found[inverse[np.concatenate(flags)]] = True
        return found

    def handed(name: str) -> Bools | None:
        flags = [getattr(change, name) for change in some]
        if all(each is None for each in flags):
            return None
        return any_of(
            [
                np.zeros(len(change.rows), bool) if each is None else each
                for each, change in zip(flags, some, strict=True)
            ]
        )

    return Change(
        some[0].step,
        rows,
        added("open"),
        added("closed"),
        added("total"),
        any_of([change.gated for change in some]),
        had=handed("had"),
        has=handed("has"),
    )
