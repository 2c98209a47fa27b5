"""Deals that nobody has opened yet: how many each owner will open, and what they will be like.

How many follows the months on record, by their phase and with an accident of each month; whose they are
follows each owner's own record, drawn towards the colleagues' where it is short; what they are like is that of
deals opened before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.linear_model import PoissonRegressor

from services.forecast.prediction.clock import PHASES, Season, season_spread
from services.forecast.prediction.histories import Bools, Calendar, Floats, Ints, Lives, Longs

_PHASE_SPREAD: Final = 0.3
_ROUNDS: Final = 3
_PRIOR_MONTHS: Final = 3.0
_CREDIBLE: Final = 8.0
"""The arrivals after which an owner's own record counts as much as the colleagues' together."""
_ACTIVE_DAYS: Final = 92
_PER_OWNER: Final = 40
_MOST: Final = 60_000


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What is opened from now on."""

    daily: Floats
    """By phase: how many a day, of all owners together."""
    season: Season
    restless: float
    """The variance of one owner's month beside the company's, as a share of its mean squared."""
    like: Longs
    """Deals of the record that new ones are like: entries of `Lives`."""
    owner: Ints
    """Who opens it: not always who opened the one that it is like."""
    share: Floats
    """How many of all arrivals are like this one; together 1."""


def fit_arrivals(
    lives: Lives, months: Calendar, weight: Floats, complete: int, prior: float, rng: np.random.Generator
) -> Arrivals:
    """The rate and the likeness of what is opened.

    Args:
        months: from the first on record; `complete` of them are over.
        weight: how much each counts.
    """
    month = months.index(lives.opened)
    counted = (month >= 0) & (month < complete)
    opened = np.bincount(month[counted], minlength=complete).astype(np.float64)
    days = np.diff(months.starts)[:complete].astype(np.float64)
    phase, weight = months.phase[:complete].astype(int), weight[:complete]
    seen = np.bincount(phase, weight, minlength=PHASES).astype(np.float64)
    spread, rows = prior, np.arange(complete)
    regression = PoissonRegressor(
        alpha=1 / float(np.sum(days * weight)), max_iter=200, tol=1e-7, solver="newton-cholesky"
    )
    for _ in range(_ROUNDS):
        design = np.zeros((complete, PHASES + complete))
        design[rows, phase] = _PHASE_SPREAD
        design[rows, PHASES + rows] = spread
        regression.fit(design, opened / days, sample_weight=days * weight)
        mean = days * weight * regression.predict(design)
        spread = season_spread(
            regression.coef_[PHASES:] * spread, 1 / (mean + 1 / spread**2), weight, seen, prior
        )
    grid = np.zeros((PHASES, PHASES + complete))
    grid[np.arange(PHASES), np.arange(PHASES)] = _PHASE_SPREAD
    season = Season(spread, _PRIOR_MONTHS + max(float(weight.sum()) - int((seen > 0).sum()), 0), seen)
    like, owner, share = _likeness(lives, counted, weight[np.where(counted, month, 0)], rng)
    return Arrivals(
        regression.predict(grid), season, _restlessness(lives, month, counted, opened), like, owner, share
    )


def _likeness(
    lives: Lives, counted: Bools, weight: Floats, rng: np.random.Generator
) -> tuple[Longs, Ints, Floats]:
    owners = lives.histories.features["owner"][lives.last]
    record = np.flatnonzero(counted)
    lately = np.isin(owners[record], owners[lives.opened > lives.until - _ACTIVE_DAYS])
    record = record[lately] if lately.any() else record
    if not len(record):
        return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
    chance = weight[record] / weight[record].sum()
    if len(record) > _MOST:
        record = np.sort(rng.choice(record, _MOST, p=chance))
        chance = np.full(_MOST, 1 / _MOST)
    people, place = np.unique(owners[record], return_inverse=True)
    own = np.bincount(place, chance)
    opened = np.bincount(place)
    believed = opened / (opened + _CREDIBLE)
    rate = believed * own + (1 - believed) / len(people)
    each = int(np.clip(_MOST // len(people), 4, _PER_OWNER))
    lent = rng.choice(len(record), each * len(people), p=chance)
    share = np.concatenate(
        [(rate * believed / own)[place] * chance, np.repeat(rate * (1 - believed) / each, each)]
    )
    return (
        np.concatenate([record, record[lent]]),
        np.concatenate([owners[record], np.repeat(people, each)]).astype(np.int32),
        share / share.sum(),
    )


def _restlessness(lives: Lives, month: Longs, counted: Bools, opened: Floats) -> float:
    """How much more an owner's months differ than chance and the company's months say."""
    owners = lives.histories.features["owner"][lives.last]
    chosen = counted & (owners >= 0)
    if not chosen.any() or len(opened) < 2:
        return 0.0
    width = int(owners.max()) + 1
    table = np.bincount(owners[chosen] * len(opened) + month[chosen], minlength=width * len(opened))
    table = table.reshape(width, len(opened)).astype(np.float64)
    table = table[table.sum(axis=1) >= len(opened)]
    if not len(table):
        return 0.0
    mean = table.sum(axis=1, keepdims=True) * opened / max(opened.sum(), 1)
    freedom = (len(opened) - 1) / len(opened)
    return float(np.clip(np.sum((table - mean) ** 2 / freedom - mean) / np.sum(mean**2), 0, 1))
