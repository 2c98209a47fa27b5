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

from services.forecast.book.exact import Amounts
from services.forecast.domain.figures import Category, State
from services.forecast.waterfall.reasons import Step

Bools = NDArray[np.bool_]
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
    """What one step does to the shares, one entry each."""

    step: Step
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
        """Which shares it concerns."""
        touched: Bools = self.gated | (self.open != 0) | (self.closed != 0) | (self.total != 0)
        return touched if self.had is None or self.has is None else touched | (self.had != self.has)

    def grows(self) -> Bools:
        """Which shares it brings in or makes more."""
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

    def of(self, amounts: Amounts, other: "Gate", before: Amounts) -> tuple[Amounts, Amounts, Amounts]:
        """What the measure is by this gate and these amounts, less what it was."""
        return (
            amounts * self.open - before * other.open,
            amounts * self.closed - before * other.closed,
            amounts * self.total - before * other.total,
        )

    def differs(self, other: "Gate") -> Bools:
        """Which shares this gate treats otherwise."""
        differs: Bools = (
            (self.open != other.open) | (self.closed != other.closed) | (self.total != other.total)
        )
        return differs

    def where(self, condition: Bools) -> "Gate":
        """The same for some shares; the others are not in the measure."""
        return Gate(self.open & condition, self.closed & condition, self.total & condition)


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

    def gate(self, standing: Standing, of: Codes) -> Gate:
        """Which shares are in the measure, with their pairs in some standing."""
        inside = standing.counted & standing.in_period & self.chosen[standing.category]
        return Gate(
            (inside & (standing.state == State.OPEN))[of],
            (inside & (standing.state == State.WON))[of],
            inside[of],
        )


def attributed(pairs: Pairs, portions: Portions, categories: frozenset[Category]) -> Iterator[Change]:
    """The steps in their order; those of a share add up to its closing less its opening measure."""
    measure, of = Measure.of(categories), portions.pair
    before, after = pairs.opening, pairs.closing
    was = measure.gate(before, of)

    yield _change(Step.CURRENCY, was, portions.at_rate, was, portions.opening)

    entered = _change(Step.REASSIGNED, was, portions.moved, was, portions.at_rate)
    yield replace(entered, had=portions.was_there & was.total, has=portions.came & was.total)

    standing = replace(before, in_period=after.in_period)
    dated = measure.gate(standing, of)
    yield _gated(Step.PERIOD, dated, was, portions.moved, portions.came)

    standing = _in_state(standing, after, State.WON)
    won = measure.gate(standing, of)
    yield _gated(Step.WON, won, dated, portions.moved, portions.came)

    lost_now = ((after.state == State.LOST) & (before.state != State.LOST))[of]
    standing = _in_state(standing, after, State.LOST)
    lost = measure.gate(standing, of)
    yield _gated(Step.LOST, lost, won, portions.closing, portions.is_there)

    standing = _in_state(standing, after, State.OPEN)
    reopened = measure.gate(standing, of)
    yield _gated(Step.REOPENED, reopened, lost, portions.moved, portions.came)

    standing = replace(standing, category=after.category)
    put = measure.gate(standing, of)
    yield _gated(Step.CATEGORY, put, reopened, portions.moved, portions.came)

    # what was lost has changed its amount before that, and not after it
    early = won.where(lost_now)
    moved, split, merged = (
        np.where(lost_now, portions.closing, amounts)
        for amounts in (portions.moved, portions.split, portions.merged)
    )
    standing = replace(standing, counted=before.counted | (pairs.split_off & ~before.counted))
    parted = measure.gate(standing, of)
    there_at_all = put.total | early.total
    yield replace(
        _together(
            _change(Step.SPLIT, early, portions.split, early, portions.moved),
            _change(Step.SPLIT, parted, split, put, moved),
            parted.differs(put) & portions.is_there,
        ),
        had=portions.came & there_at_all,
        has=portions.is_there & there_at_all,
    )

    standing = replace(standing, counted=standing.counted & ~pairs.merged)
    joined = measure.gate(standing, of)
    yield _together(
        _change(Step.MERGED, early, portions.merged, early, portions.split),
        _change(Step.MERGED, joined, merged, parted, split),
        joined.differs(parted) & portions.is_there,
    )

    existed = pairs.known | pairs.split_off
    standing = replace(standing, counted=np.where(existed, after.counted, standing.counted))
    kept = measure.gate(standing, of)
    yield _gated(Step.DELETED, kept, joined, merged, portions.is_there)

    yield _together(
        _change(Step.AMOUNT, early, portions.closing, early, portions.merged),
        _change(Step.AMOUNT, kept, portions.closing, kept, merged),
        np.zeros(len(portions), bool),
    )

    there = measure.gate(after, of)
    yield _gated(Step.NEW, there, kept, portions.closing, portions.is_there)


def _in_state(standing: Standing, after: Standing, state: State) -> Standing:
    """With the deals that are in this state now, and were not, in it, and counting as they do in it."""
    become = (after.state == state) & (standing.state != state)
    return replace(
        standing,
        state=np.where(become, after.state, standing.state),
        category=np.where(become, after.category, standing.category),
    )


def _change(step: Step, now: Gate, amounts: Amounts, before: Gate, past: Amounts) -> Change:
    opened, closed, total = now.of(amounts, before, past)
    return Change(step, opened, closed, total, np.zeros(len(total), bool))


def _gated(step: Step, now: Gate, before: Gate, amounts: Amounts, there: Bools) -> Change:
    """A step that lets deals in or out, at the amount that they have."""
    change = _change(step, now, amounts, before, amounts)
    return replace(change, gated=now.differs(before) & there, comes=now.total > before.total)


def _together(one: Change, other: Change, gated: Bools) -> Change:
    return Change(
        one.step,
        one.open + other.open,
        one.closed + other.closed,
        one.total + other.total,
        gated,
    )
