"""One prediction: what is won already, what is open, what is to come; and quantiles of sums of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.forecast.prediction.expectation import expected_amounts
from services.forecast.prediction.histories import (
    UNPRICED,
    Calendar,
    Floats,
    Histories,
    Ints,
    Longs,
    Status,
)
from services.forecast.prediction.model import Model
from services.forecast.prediction.places import Places
from services.forecast.prediction.simulation import RESPONSE, Newcomers, OpenDeals, Worlds, simulate

_STEPS: Final = 6
_MOST: Final = 1.5

Placing = Callable[[Histories, Longs, Ints | None], Mapping[str, Places]]
"""In which nodes of each tree deals count that are in these states; or would, if others had opened them."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What each node will have won in each month: what it has, and the worlds of what is to come."""

    won_already: Mapping[str, Longs]
    """[node, month] of each dimension."""
    worlds: Worlds
    deals: OpenDeals
    rows: Longs
    """The states of the open deals."""

    def outcomes(self, dimension: str, nodes: Sequence[int] | slice, months: slice) -> Longs:
        """[draw]: what some nodes together will have won in some months, in each world."""
        future = self.worlds.won[dimension][nodes, months]
        past = self.won_already[dimension][nodes, months].sum()
        return np.asarray(future.sum(axis=(0, 1)) + past)


def predict(
    model: Model,
    histories: Histories,
    months: Calendar,
    placing: Placing,
    *,
    draws: int | None = None,
    seed: Sequence[int] = (0,),
    workers: int = 2,
) -> Prediction:
    """Predicts from the state at the end of the day that the model was learnt up to."""
    known = histories.known(model.until)
    rows = known.rows_at(model.until)
    open_rows = rows[known.status[rows] == Status.OPEN]
    first = np.full(known.deals, 0, np.int32)
    changes = np.flatnonzero(np.diff(known.deal, prepend=-1))
    first[known.deal[changes]] = known.since[changes]
    places = placing(known, open_rows, None)
    deals = OpenDeals(
        first[known.deal[open_rows]],
        known.amount[open_rows],
        model.codes(known, open_rows, model.until),
        places,
    )
    newcomers = _newcomers(model, known, placing)
    shift = pace_shift(model, known, months)
    worlds = simulate(model, deals, newcomers, months, shift=shift, draws=draws, seed=seed, workers=workers)
    return Prediction(won_already(known, rows, months, placing), worlds, deals, open_rows)


def pace_shift(model: Model, known: Histories, months: Calendar) -> Floats:
    """By how much deals close faster in each month than the model alone says: what its own record asks for."""
    if not model.track.model:
        return np.zeros(len(months))
    expected = expected_amounts(model, known, months)
    left = months.starts[1:] - np.maximum(months.starts[:-1], model.until + 1)
    target = np.log(np.maximum(expected, 1.0))
    target += model.track.shift(months, expected * np.diff(months.starts) / np.maximum(left, 1))
    shift = np.zeros(len(months))
    for _ in range(_STEPS):  # what closes in one month cannot close in the next
        reached = expected_amounts(model, known, months, np.exp(shift))
        shift = np.clip(shift + (target - np.log(np.maximum(reached, 1.0))) / RESPONSE, -_MOST, _MOST)
    return shift


def _newcomers(model: Model, known: Histories, placing: Placing) -> Newcomers:
    lives = known.lives(model.until)
    rows = lives.first[model.arrivals.like]
    codes = model.codes(lives.histories, rows, lives.opened[model.arrivals.like].astype(np.int64) - 1)
    codes["owner"] = model.arrivals.owner
    last = lives.last[model.arrivals.like]
    places = placing(lives.histories, last, model.arrivals.owner)
    return Newcomers(codes, lives.histories.amount[rows], places)


def won_already(known: Histories, rows: Longs, months: Calendar, placing: Placing) -> dict[str, Longs]:
    """[node, month] of each tree: what is won in each month, of some states."""
    won = rows[known.status[rows] == Status.WON]
    month = months.index(known.closes_on[won])
    counted = (month >= 0) & (month < len(months)) & (known.amount[won] != UNPRICED)
    won, month = won[counted], month[counted]
    found = {}
    for name, each in placing(known, won, None).items():
        sums = np.zeros((each.nodes, len(months)), np.int64)
        each.add(sums, np.arange(len(won)), month, known.amount[won])
        found[name] = sums
    return found


def deal_chances(model: Model, deals: OpenDeals, months: Calendar) -> DealChances:
    """When each open deal closes, and how; without the accidents of months, which it shares with all others."""
    hazard = model.hazards(deals.opened, deals.codes, model.until, months)
    before = np.cumsum(hazard, axis=1) - hazard
    closes = np.exp(-before) * -np.expm1(-hazard)
    chance = 1 / (1 + np.exp(-model.logits(deals.opened, deals.codes, months)))
    return DealChances(closes * chance, closes * (1 - chance))


@dataclass(frozen=True, slots=True)
class DealChances:
    """[deal, month]: how likely each is won, and lost, in each month. What is left is still open then."""

    won: Floats
    lost: Floats

    @property
    def still_open(self) -> Floats:
        """How likely each is open after the last month."""
        return np.asarray(1 - self.won.sum(axis=1) - self.lost.sum(axis=1))

    @property
    def win_if_closed(self) -> Floats:
        """How likely each is won, provided that it closes in these months."""
        won, lost = self.won.sum(axis=1), self.lost.sum(axis=1)
        return np.asarray(won / np.maximum(won + lost, 1e-12))
