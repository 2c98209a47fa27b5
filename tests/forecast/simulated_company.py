"""A company whose laws are known: how deals come, advance, close and are won, drawn from one seed.

Deals are opened at random, more in some months; have a hidden quality that makes them advance and win;
close at a daily rate that depends on age, the month of the quarter and the rep; and every month has
accidents of its own that all deals share.
"""

from dataclasses import dataclass

import numpy as np

from services.forecast.prediction.histories import (
    NEVER,
    Calendar,
    Histories,
    Ints,
    Longs,
    Status,
    calendar_months,
)
from services.forecast.prediction.places import Places


@dataclass(frozen=True, slots=True)
class Laws:
    """How the company works."""

    reps: int = 24
    managers: int = 6
    arrivals: float = 16.0
    """A rep's in a month."""
    arrivals_by_phase: tuple[float, float, float] = (0.10, 0.0, -0.10)
    speed_by_phase: tuple[float, float, float] = (-0.25, -0.05, 0.30)
    odds_by_phase: tuple[float, float, float] = (-0.15, 0.0, 0.15)
    win: float = 0.1
    month_arrivals: float = 0.10
    month_speed: float = 0.08
    month_odds: float = 0.12
    rep_arrivals: float = 0.25
    rep_speed: float = 0.15
    rep_odds: float = 0.3
    quality: float = 0.8
    size: float = 0.5
    """The spread of amounts, on the log scale."""
    discount: float = 0.08
    longest: int = 420


class SimulatedCompany:
    """The histories, the tree, and what only the laws know."""

    def __init__(self, seed: int, last: str, first: str = "2010-01", laws: Laws | None = None) -> None:
        law = self.laws = laws or Laws()
        rng = np.random.default_rng(seed)
        self.calendar: Calendar = calendar_months(first, last)
        count = len(self.calendar)
        self.manager = np.arange(law.reps, dtype=np.int32) % law.managers
        phase = self.calendar.phase
        shock = {
            "arrivals": rng.normal(0, law.month_arrivals, count) + np.array(law.arrivals_by_phase)[phase],
            "speed": rng.normal(0, law.month_speed, count) + np.array(law.speed_by_phase)[phase],
            "odds": rng.normal(0, law.month_odds, count) + np.array(law.odds_by_phase)[phase],
        }
        rep_arrivals = np.exp(rng.normal(0, law.rep_arrivals, law.reps))
        rep_speed = rng.normal(0, law.rep_speed, law.reps)
        rep_odds = rng.normal(0, law.rep_odds, law.reps)
        opened = rng.poisson(law.arrivals * rep_arrivals[:, None] * np.exp(shock["arrivals"]))
        cell = np.repeat(np.arange(opened.size), opened.ravel())
        owner, month = np.divmod(cell, count)
        length = np.diff(self.calendar.starts)
        day = self.calendar.starts[month] + (rng.random(len(cell)) * length[month]).astype(np.int64)
        quality = rng.normal(0, law.quality, len(cell))
        product = rng.integers(0, 4, len(cell))
        amount = np.rint(np.exp(rng.normal(8.0 + 0.4 * product, law.size)) * 100).astype(np.int64)
        ages = np.arange(law.longest)
        by_age = 0.001 + 0.022 * np.exp(-((np.log(ages + 1) - np.log(35)) ** 2) / 0.9)
        end = int(self.calendar.starts[-1])
        closed = np.full(len(cell), NEVER, np.int64)
        for low in range(0, len(cell), 20_000):
            part = slice(low, low + 20_000)
            days = day[part, None] + ages
            of = np.minimum(self.calendar.index(days.astype(np.int32)), count - 1)
            rate = by_age * np.exp(shock["speed"][of] + rep_speed[owner[part], None])
            passed = np.cumsum(rate, axis=1) > rng.standard_exponential(len(days))[:, None]
            age = np.argmax(passed, axis=1)
            ended = passed[np.arange(len(days)), age] & (day[part] + age < end)
            closed[part] = np.where(ended, day[part] + age, NEVER)
        is_closed = closed != NEVER
        closing = np.minimum(self.calendar.index(np.where(is_closed, closed, 0).astype(np.int32)), count - 1)
        logit = law.win + quality + rep_odds[owner] + 0.2 * (product - 1.5) + shock["odds"][closing]
        won = is_closed & (rng.random(len(cell)) < 1 / (1 + np.exp(-logit)))
        final = np.rint(amount * np.exp(rng.normal(-law.discount, law.discount, len(cell)))).astype(np.int64)
        advanced = day + 1 + np.rint(rng.exponential(30 * np.exp(-quality))).astype(np.int64)
        advances = (advanced < np.minimum(closed, end)) & (advanced > day)
        everyone = np.arange(len(cell))
        number = np.concatenate([everyone, everyone[advances], everyone[is_closed]])
        since = np.concatenate([day, advanced[advances], closed[is_closed]])
        rank = np.concatenate([np.zeros(len(cell)), np.ones(advances.sum()), np.full(is_closed.sum(), 2.0)])
        order = np.lexsort((rank, since, number))
        ended = rank == 2
        status = np.where(ended, np.where(won[number], Status.WON, Status.LOST), Status.OPEN)
        stage = np.where(advances & (advanced < closed), 1, 0)[number]
        stage = np.where(rank == 0, 0, stage)
        self.histories = Histories(
            number[order].astype(np.int32),
            since[order].astype(np.int32),
            status[order].astype(np.int8),
            np.where(ended & won[number], final[number], amount[number])[order],
            np.where(ended, closed[number], NEVER)[order].astype(np.int32),
            {
                "owner": owner[number][order].astype(np.int32),
                "product": product[number][order].astype(np.int32),
                "stage": stage[order].astype(np.int32),
            },
            len(cell),
        )

    def placing(self, histories: Histories, rows: Longs, owners: Ints | None) -> dict[str, Places]:
        """By rep."""
        owners = histories.features["owner"][rows] if owners is None else owners
        return {"rep": Places.whole(owners, self.laws.reps)}
