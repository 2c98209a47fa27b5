"""How fast deals close by their age and by the month of the quarter, learnt from open deals as well as closed ones.

A deal is at risk on each day from its opening to its close or to today: what has not closed yet counts for
as long as it was seen (censoring), and what was opened before the first close on record only from there on
(delayed entry). Each month has an accident of its own, so that one good month is not taken for a season.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.linear_model import PoissonRegressor

from services.forecast.prediction.histories import Calendar, Floats, Ints, Lives, Longs

PHASES: Final = 3
OLDEST: Final = 1460
"""Deals older than this many days are as those of this age."""
MOST_BUCKETS: Final = 16
_CLOSES_PER_BUCKET: Final = 30

_AGE_SPREAD, _PHASE_SPREAD, _BOTH_SPREAD = 2.0, 0.5, 1.0
_PRIOR_MONTHS: Final = 3.0
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Season:
    """How months differ from what their phase says, and how well their phases are known."""

    spread: float
    """The standard deviation of a month's own accident, on the log scale."""
    freedom: float
    """How many months that is known from, the prior's included."""
    seen: Floats
    """The weight of the months of each phase."""

    def uncertainty(self, phase: Ints) -> Floats:
        """The standard deviation of what is not known of a phase itself, on the log scale."""
        return self.spread / np.sqrt(self.seen[phase] + 0.5)


@dataclass(frozen=True, slots=True)
class Clock:
    """The daily rate of closing, by phase and age."""

    cumulative: Floats
    """[phase, age]: the rates of all younger ages, added."""
    edges: Longs
    """Where the buckets of ages begin."""
    season: Season

    def hazard(self, opened: Ints, start: Ints | int, end: Ints | int, phase: Ints | int) -> Floats:
        """The rate of closing from a day to the one before another, added up; nothing before the opening."""
        young = np.maximum(np.asarray(start) - opened, 0)
        old = np.maximum(np.asarray(end) - opened, young)
        return np.asarray(self._upto(phase, old) - self._upto(phase, young))

    def bucket(self, age: Ints) -> Ints:
        """The bucket of each age."""
        return (np.searchsorted(self.edges, np.maximum(age, 0), side="right") - 1).astype(np.int32)

    def _upto(self, phase: Ints | int, age: Longs) -> Floats:
        within = np.minimum(age, OLDEST)
        beyond = age - within
        last = self.cumulative[phase, OLDEST] - self.cumulative[phase, OLDEST - 1]
        return np.asarray(self.cumulative[phase, within] + beyond * last)


def exposure(lives: Lives, months: Calendar, since: int) -> tuple[Floats, Floats]:
    """[month, age]: on how many days deals of an age were at risk, and how many of them closed.

    Days before `since` do not count; months begin with the one that has it.
    """
    start = np.maximum(lives.opened, since)
    end = np.minimum(lives.closed, lives.until)
    seen = end >= start
    opened, start, end = lives.opened[seen], start[seen], end[seen]
    closed = lives.is_closed[seen]
    first, last = months.index(start), months.index(end)
    number = np.repeat(np.arange(len(opened)), last - first + 1)
    offset = np.arange(len(number)) - np.repeat(
        np.cumsum(last - first + 1) - (last - first + 1), last - first + 1
    )
    month = first[number] + offset
    young = np.maximum(start[number], months.starts[month]) - opened[number]
    old = np.minimum(end[number] + 1, months.starts[month + 1]) - opened[number]
    young, old = np.minimum(young, OLDEST + 1), np.minimum(old, OLDEST + 1)
    width = OLDEST + 2
    steps = np.bincount(month * width + young, minlength=len(months) * width).astype(np.float64)
    steps -= np.bincount(month * width + old, minlength=len(months) * width)
    at_risk = np.cumsum(steps.reshape(len(months), width), axis=1)
    age = np.minimum(end[closed] - opened[closed], OLDEST)
    closes = np.bincount(last[closed] * width + age, minlength=len(months) * width)
    return at_risk[:, : OLDEST + 1], closes.reshape(len(months), width)[:, : OLDEST + 1].astype(np.float64)


def fit_clock(at_risk: Floats, closes: Floats, months: Calendar, weight: Floats, prior: float) -> Clock:
    """The rates that explain which deals at risk closed.

    Args:
        at_risk, closes: by month and age, as `exposure` says.
        weight: how much each month counts.
        prior: the spread of months where the data do not say.
    """
    edges = _edges(closes.sum(axis=0))
    spans = np.add.reduceat(at_risk, edges, axis=1), np.add.reduceat(closes, edges, axis=1)
    buckets, count = len(edges), len(months)
    phase = months.phase.astype(int)
    month, bucket = np.repeat(np.arange(count), buckets), np.tile(np.arange(buckets), count)
    days, ended = (each.ravel() * np.repeat(weight, buckets) for each in spans)
    chosen = days > 0
    month, bucket, days, ended = month[chosen], bucket[chosen], days[chosen], ended[chosen]
    columns = (bucket, buckets + phase[month], buckets + PHASES + phase[month] * buckets + bucket)
    shared = buckets + PHASES + PHASES * buckets
    design = np.zeros((len(month), shared + count))
    rows = np.arange(len(month))
    spread = prior
    seen = np.bincount(phase, weight, minlength=PHASES).astype(np.float64)
    regression = PoissonRegressor(alpha=1 / days.sum(), max_iter=200, tol=1e-6, solver="newton-cholesky")
    for _ in range(_ROUNDS):
        design[rows, columns[0]] = _AGE_SPREAD
        design[rows, columns[1]] = _PHASE_SPREAD
        design[rows, columns[2]] = _BOTH_SPREAD
        design[rows, shared + month] = spread
        regression.fit(design, ended / days, sample_weight=days)
        accidents = regression.coef_[shared:] * spread
        mean = days * regression.predict(design)
        variance = 1 / (np.bincount(month, mean, minlength=count) + 1 / spread**2)
        spread = season_spread(accidents, variance, weight, seen, prior)
    grid = np.zeros((PHASES * buckets, shared + count))
    each_phase, each_bucket = np.repeat(np.arange(PHASES), buckets), np.tile(np.arange(buckets), PHASES)
    cells = np.arange(PHASES * buckets)
    grid[cells, each_bucket] = _AGE_SPREAD
    grid[cells, buckets + each_phase] = _PHASE_SPREAD
    grid[cells, buckets + PHASES + cells] = _BOTH_SPREAD
    share = np.minimum(regression.predict(grid), 0.95).reshape(PHASES, buckets)
    rates = np.repeat(-np.log1p(-share), np.diff(np.append(edges, OLDEST + 1)), axis=1)
    cumulative = np.concatenate([np.zeros((PHASES, 1)), np.cumsum(rates, axis=1)], axis=1)
    freedom = _PRIOR_MONTHS + max(float(weight.sum()) - int((seen > 0).sum()), 0)
    return Clock(cumulative[:, : OLDEST + 1], edges, Season(spread, freedom, seen))


def season_spread(accidents: Floats, variance: Floats, weight: Floats, seen: Floats, prior: float) -> float:
    """How widely months differ, from what is known of those on record and a prior worth a few months."""
    free = max(float(weight.sum()) - int((seen > 0).sum()), 0.0)
    scale = free / max(float(weight.sum()), 1e-9)
    found = float(np.sum(weight * accidents**2)) + scale * float(np.sum(weight * variance))
    return float(np.sqrt((_PRIOR_MONTHS * prior**2 + found) / (_PRIOR_MONTHS + free)))


def _edges(closes: Floats) -> Longs:
    """Ages that part the closes evenly; the last bucket is what is older than any close."""
    total = closes.sum()
    count = int(np.clip(total // _CLOSES_PER_BUCKET, 1, MOST_BUCKETS))
    reached = np.cumsum(closes)
    edges = [0]
    for share in range(1, count):
        age = int(np.searchsorted(reached, total * share / count)) + 1
        if age > edges[-1]:
            edges.append(age)
    after = int(np.flatnonzero(closes)[-1]) + 1 if total else OLDEST
    if edges[-1] < after <= OLDEST:
        edges.append(after)
    return np.array(edges, np.int64)
