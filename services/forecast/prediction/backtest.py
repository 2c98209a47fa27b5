"""Predicting the past without knowing it, beside naive baselines that are given the same, and scoring both.

The system and the baselines see what was known at the end of the day before the month. A baseline's
quantiles are its own past errors, as shares, of all nodes of the same level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.forecast.prediction.histories import (
    UNPRICED,
    Bools,
    Calendar,
    Floats,
    Histories,
    Longs,
    Status,
)
from services.forecast.prediction.learning import Learner
from services.forecast.prediction.model import Beliefs, Model
from services.forecast.prediction.places import Places
from services.forecast.prediction.prediction import Placing, Prediction, deal_chances, predict
from services.forecast.prediction.refusals import HistoryTooShort

LEVELS: Final = (0.1, 0.5, 0.9)
SYSTEM: Final = "system"
LAST_PERIOD: Final = "last period"
WEIGHTED_PIPELINE: Final = "weighted pipeline"
SAME_MONTH: Final = "same month of the last quarter"
BASELINES: Final = (LAST_PERIOD, WEIGHTED_PIPELINE, SAME_MONTH)


@dataclass(frozen=True, slots=True)
class Node:
    """What a backtest looks at: some members of a dimension."""

    name: str
    level: str
    dimension: str
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Forecasted:
    """One forecast of one node's month, or months, and what came."""

    method: str
    node: str
    level: str
    month: int
    quantiles: tuple[float, float, float]
    actual: float

    @property
    def error(self) -> float:
        """How far the median was off: more than came is positive."""
        return self.quantiles[1] - self.actual

    @property
    def pinball(self) -> tuple[float, float, float]:
        """The loss at each quantile."""
        p10, p50, p90 = (
            max(level * (self.actual - quantile), (level - 1) * (self.actual - quantile))
            for level, quantile in zip(LEVELS, self.quantiles, strict=True)
        )
        return p10, p50, p90

    @property
    def is_covered(self) -> bool:
        """Whether what came lies between P10 and P90."""
        return self.quantiles[0] <= self.actual <= self.quantiles[2]


@dataclass(frozen=True, slots=True)
class Score:
    """How one method did."""

    method: str
    level: str
    count: int
    error: float
    """The mean of the absolute errors, as a share of what came."""
    bias: float
    """All errors together, as a share of all that came."""
    pinball: tuple[float, float, float]
    """The mean loss at P10, P50 and P90."""
    coverage: float
    coverage_between: tuple[float, float]
    """Where the true coverage lies, with 95 % confidence."""

    @property
    def loss(self) -> float:
        """The mean over the three quantiles."""
        return sum(self.pinball) / 3


@dataclass(frozen=True, slots=True)
class Backtest:
    """All forecasts of all methods, and the months that were refused."""

    forecasts: tuple[Forecasted, ...]
    refused: Mapping[int, str]
    """The sentence, by month."""
    calendar: Calendar
    models: Mapping[int, Model] = field(default_factory=dict)
    """What was learnt before each month."""
    chance: Floats = field(default_factory=lambda: np.zeros(0))
    """How likely deals were won that closed in the months, as of the last day before."""
    won: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))

    def scores(self, level: str | None = None) -> list[Score]:
        """How each method did, the system first."""
        methods = list(dict.fromkeys(each.method for each in self.forecasts))
        return [
            score(method, level or "all", chosen)
            for method in methods
            if (
                chosen := [
                    each for each in self.forecasts if each.method == method and level in (None, each.level)
                ]
            )
        ]


def score(method: str, level: str, forecasts: Sequence[Forecasted]) -> Score:
    """How a method did in some forecasts."""
    actual = np.array([each.actual for each in forecasts])
    error = np.array([each.error for each in forecasts])
    losses = np.array([each.pinball for each in forecasts]).mean(axis=0)
    came = actual != 0
    covered = sum(each.is_covered for each in forecasts)
    return Score(
        method,
        level,
        len(forecasts),
        float(np.mean(np.abs(error[came]) / actual[came])) if came.any() else 0.0,
        float(error.sum() / actual.sum()) if actual.sum() else 0.0,
        (float(losses[0]), float(losses[1]), float(losses[2])),
        covered / len(forecasts),
        binomial_interval(covered, len(forecasts)),
    )


def binomial_interval(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a share."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return low, high


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was forecast of one month, and of the deals that closed in it."""

    month: int
    refused: str = ""
    forecasts: tuple[Forecasted, ...] = ()
    chance: Floats = field(default_factory=lambda: np.zeros(0))
    """How likely each deal was won, if it closed: those open before the month that closed in it."""
    won: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    constant: float = 0.0
    """The share of closed deals that were won so far."""
    model: Model | None = None


class Replay:
    """Forecasts months on the last day before each, by what was known then."""

    def __init__(
        self,
        histories: Histories,
        calendar: Calendar,
        nodes: Sequence[Node],
        placing: Placing,
        *,
        horizon: int = 1,
        beliefs: Beliefs | None = None,
        draws: int = 1000,
        seed: int = 0,
    ) -> None:
        self.histories, self.calendar, self.nodes, self.placing = histories, calendar, nodes, placing
        self.horizon, self.draws, self.seed = horizon, draws, seed
        self.truth = history_sums(histories, calendar, nodes, placing)
        self.naive = Naive(histories, calendar, nodes, placing, horizon)
        self.learner = Learner(histories, calendar, beliefs, seed)
        self.lives = histories.lives(int(histories.since.max(initial=0)))

    def month(self, month: int) -> Replayed:
        """Forecasts `horizon` months from one on; says why where that is refused."""
        day = int(self.calendar.starts[month]) - 1
        try:
            model = self.learner.learn(day)
        except HistoryTooShort as refusal:
            return Replayed(month, str(refusal))
        coming = self.calendar.slice(month, month + self.horizon - 1)
        prediction = predict(
            model, self.histories, coming, self.placing, draws=self.draws, seed=(self.seed,), workers=1
        )
        found = []
        for number, node in enumerate(self.nodes):
            worlds = prediction.outcomes(node.dimension, list(node.members), slice(0, self.horizon))
            low, middle, high = np.quantile(worlds, LEVELS).tolist()
            actual = float(self.truth[number, month : month + self.horizon].sum())
            found.append(Forecasted(SYSTEM, node.name, node.level, month, (low, middle, high), actual))
        found += self.naive.forecasts(month, self.truth)
        chance, won = self._deals(model, prediction, coming)
        closed = model.card["won"] + model.card["lost"]
        return Replayed(month, "", tuple(found), chance, won, model.card["won"] / closed, model)

    def _deals(self, model: Model, prediction: Prediction, months: Calendar) -> tuple[Floats, Bools]:
        known = self.histories.known(model.until)
        number = np.full(self.histories.deals, -1, np.int64)
        number[self.lives.histories.deal[self.lives.last]] = np.arange(len(self.lives))
        life = number[known.deal[prediction.rows]]
        closed = self.lives.closed[np.maximum(life, 0)]
        chosen = (life >= 0) & (closed > model.until) & (closed < months.starts[-1])
        chances = deal_chances(model, prediction.deals, months).win_if_closed
        return chances[chosen], self.lives.won[life[chosen]]


def backtest(
    histories: Histories,
    calendar: Calendar,
    months: Sequence[int],
    nodes: Sequence[Node],
    placing: Placing,
    *,
    horizon: int = 1,
    beliefs: Beliefs | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Backtest:
    """Forecasts `horizon` months from each of some months on, on the last day before it.

    Args:
        months: entries of the calendar.
    """
    replay = Replay(
        histories, calendar, nodes, placing, horizon=horizon, beliefs=beliefs, draws=draws, seed=seed
    )
    found = [replay.month(month) for month in months]
    return Backtest(
        tuple(each for one in found for each in one.forecasts),
        {one.month: one.refused for one in found if one.refused},
        calendar,
        {one.month: one.model for one in found if one.model},
        np.concatenate([one.chance for one in found]),
        np.concatenate([one.won for one in found]),
    )


def history_sums(histories: Histories, calendar: Calendar, nodes: Sequence[Node], placing: Placing) -> Floats:
    """[node, month]: what was won, as is known now."""
    day = int(histories.since.max())
    rows = histories.rows_at(day)
    won = rows[(histories.status[rows] == Status.WON) & (histories.amount[rows] != UNPRICED)]
    month = calendar.index(histories.closes_on[won])
    counted = (month >= 0) & (month < len(calendar))
    won, month = won[counted], month[counted]
    return _by_node(nodes, placing(histories, won, None), month, histories.amount[won], len(calendar))


def _by_node(
    nodes: Sequence[Node], places: Mapping[str, Places], column: Longs, amount: Longs, columns: int
) -> Floats:
    trees = {name: np.zeros((each.nodes, columns), np.int64) for name, each in places.items()}
    for name, each in places.items():
        each.add(trees[name], np.arange(len(amount)), column, amount)
    return np.array([trees[node.dimension][list(node.members)].sum(axis=0) for node in nodes], np.float64)


class Naive:
    """The baselines. Each has a point forecast, and gets its quantiles from its own past errors."""

    def __init__(
        self, histories: Histories, calendar: Calendar, nodes: Sequence[Node], placing: Placing, horizon: int
    ) -> None:
        self.nodes, self.horizon, self.calendar = nodes, horizon, calendar
        self.first = self._first(histories)
        self.pipeline = np.zeros((len(nodes), len(calendar)))
        for month in range(self.first + 1, len(calendar)):
            known = histories.known(int(calendar.starts[month]) - 1)
            self.pipeline[:, month] = self._weighted(known, month, placing)

    def _first(self, histories: Histories) -> int:
        won = histories.closes_on[histories.status == Status.WON]
        return int(self.calendar.index(won[won >= self.calendar.starts[0]]).min()) if len(won) else 0

    def _weighted(self, known: Histories, month: int, placing: Placing) -> Floats:
        """What is open, at the share of closed deals that were won so far; only what is due, where that is said."""
        day = int(self.calendar.starts[month]) - 1
        rows = known.rows_at(day)
        status = known.status[rows]
        closed = np.sum(status == Status.WON) + np.sum(status == Status.LOST)
        rate = np.sum(status == Status.WON) / max(closed, 1)
        open_rows = rows[(status == Status.OPEN) & (known.amount[rows] != UNPRICED)]
        due = known.closes_on[open_rows]
        if (due < self.calendar.starts[-1]).any():
            open_rows = open_rows[due < self.calendar.starts[min(month + self.horizon, len(self.calendar))]]
        column = np.zeros(len(open_rows), np.int64)
        places = placing(known, open_rows, None)
        return np.asarray(_by_node(self.nodes, places, column, known.amount[open_rows], 1)[:, 0] * rate)

    def point(self, method: str, month: int, truth: Floats) -> Floats | None:
        """What a baseline says of each node on the last day before a month; None where it can say nothing."""
        if method == WEIGHTED_PIPELINE:
            return self.pipeline[:, month] if month > self.first else None
        back = self.horizon if method == LAST_PERIOD else max(3, self.horizon)
        start = month - back
        if start < self.first:
            return None
        return np.asarray(truth[:, start : start + self.horizon].sum(axis=1))

    def forecasts(self, month: int, truth: Floats) -> list[Forecasted]:
        """What all baselines say of a month."""
        found = []
        actual = truth[:, month : month + self.horizon].sum(axis=1)
        for method in BASELINES:
            point = self.point(method, month, truth)
            if point is None:
                continue
            shares: dict[str, list[float]] = {}
            for past in range(self.first, month - self.horizon + 1):
                said = self.point(method, past, truth)
                if said is None:
                    continue
                came = truth[:, past : past + self.horizon].sum(axis=1)
                for number, node in enumerate(self.nodes):
                    if said[number] > 0:
                        shares.setdefault(node.level, []).append(came[number] / said[number])
            for number, node in enumerate(self.nodes):
                errors = shares.get(node.level)
                low, middle, high = (
                    np.quantile(errors, LEVELS) * point[number] if errors else (point[number],) * 3
                )
                found.append(
                    Forecasted(
                        method, node.name, node.level, month, (low, middle, high), float(actual[number])
                    )
                )
        return found


def brier(chance: Floats, won: Bools) -> float:
    """The mean squared error of probabilities."""
    return float(np.mean((chance - won) ** 2))
