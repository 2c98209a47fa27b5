"""Learning from histories: when deals close, whether they are won, at what amount, and what is still opened.

Closing and winning are taken apart: `clock` and `speed` say when a deal closes at all (won and lost
are competing, and a deal that never closes stays open), `odds` say whether it is won when it does. What a deal
was like is looked at as it stood on past days (landmarks: each month's beginning, and its opening), never as
it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from services.forecast.prediction import effects as fitting
from services.forecast.prediction.arrivals import Arrivals, fit_arrivals
from services.forecast.prediction.clock import PHASES, Clock, Season, exposure, fit_clock, season_spread
from services.forecast.prediction.effects import Block, Effects
from services.forecast.prediction.histories import (
    NEVER,
    UNPRICED,
    Bools,
    Calendar,
    Floats,
    Histories,
    Ints,
    Lives,
    Longs,
    Status,
)
from services.forecast.prediction.pace import Pace, fit_pace
from services.forecast.prediction.refusals import HistoryTooShort
from services.forecast.prediction.track import Track

STATIC: Final = ("owner", "product", "segment", "pipeline", "size")
DYNAMIC: Final = ("stage", "due")
LAGS: Final = 3
_LAG_OF_MONTH: Final = np.array([0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], np.int8)
_FOLLOWED_MONTHS: Final = 9
_SIZES: Final = 5
BUCKETS_PER_AGE: Final = 4
"""The odds to win change more slowly with age than the rate of closing."""
_MOST_ROWS: Final = 200_000
_RATIOS: Final = 1024


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What is believed before anything is known of a tenant; chosen on simulated companies."""

    month_speed: float = 0.08
    """How widely months differ in how fast deals close, on the log scale."""
    month_odds: float = 0.12
    """… in the odds to win."""
    month_arrivals: float = 0.10
    """… in how much is opened."""
    restless: float = 0.02
    """The least variance of what an owner closes in a month, beside the company's, as a share of its mean
    squared: for what no feature tells."""
    caution: float = 1.1
    """By how much wider months are drawn than they were seen: their spread is known from few of them."""
    half_life: float = 18.0
    """After how many months a month counts half."""
    window: int = 36
    """How many months are looked at."""
    least_months: int = 3
    """How many whole months of closes it takes: a quarter, so that each of its months was seen."""
    least_won: int = 25
    least_lost: int = 25


@dataclass(frozen=True, slots=True)
class Amounts:
    """What won deals came to, as shares of what was known before; and what deals without an amount came to."""

    at_opening: Floats
    later: Floats
    unpriced: Longs


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt up to a day."""

    until: int
    first_day: int
    clock: Clock
    speed: Effects
    odds: Effects
    odds_season: Season
    amounts: Amounts
    arrivals: Arrivals
    restless: float
    """The variance of one owner's closing speed in a month, beside the company's."""
    sizes: Floats
    """The amounts that part deals into bands."""
    pace: Pace
    caution: float = 1.0
    track: Track = field(default_factory=Track)
    """What it would have said of past months."""
    card: Mapping[str, float] = field(default_factory=dict)
    """What it was learnt from, in numbers."""

    def codes(self, histories: Histories, rows: Longs, day: Ints | Longs | int) -> dict[str, Ints]:
        """What deals are like in some states, seen on a day."""
        return features(histories, rows, day, self.sizes)

    def hazards(self, opened: Ints, codes: Mapping[str, Ints], day: int, months: Calendar) -> Floats:
        """[deal, month]: the rate at which open deals close in each coming month, added up over its days."""
        found = np.empty((len(opened), len(months)))
        scores = [self.speed_at(codes, lag) for lag in range(LAGS)]
        for month in range(len(months)):
            base = self.clock.hazard(
                opened,
                max(int(months.starts[month]), day + 1),
                months.starts[month + 1],
                int(months.phase[month]),
            )
            found[:, month] = base * scores[lag_of(month)]
        return found

    def speed_at(self, codes: Mapping[str, Ints], lag: int) -> Floats:
        """By what the rate of closing is multiplied for each deal, so long after it was looked at."""
        return self.pace.of(codes["owner"]) * np.exp(
            np.clip(self.speed.intercept + self.speed.score(lagged(codes, lag)), -4, 4)
        )

    def logits(self, opened: Ints, codes: Mapping[str, Ints], months: Calendar) -> Floats:
        """[deal, month]: the log odds to be won, if it closes in that month."""
        found = np.empty((len(opened), len(months)))
        scores = [self.odds.intercept + self.odds.score(lagged(codes, lag)) for lag in range(LAGS)]
        phases = self.odds.of("phase", np.arange(PHASES, dtype=np.int32))
        for month in range(len(months)):
            middle = (int(months.starts[month]) + int(months.starts[month + 1])) // 2
            ages = self.odds.of("age", age_bands(self.clock, np.maximum(middle - opened, 0)))
            found[:, month] = scores[lag_of(month)] + phases[months.phase[month]] + ages
        return found


def lag_of(month: int) -> int:
    """Which group of coming months the n-th is in: the first, the two after it, all later ones."""
    return int(_LAG_OF_MONTH[min(month, len(_LAG_OF_MONTH) - 1)])


def age_bands(clock: Clock, age: Ints) -> Ints:
    """The band that each age is in, for the odds to win."""
    return clock.bucket(age) // BUCKETS_PER_AGE


def lagged(codes: Mapping[str, Ints], lag: int) -> dict[str, Ints]:
    """What changes in a deal's life counts for less and less: its codes apart for each lag."""
    return {
        name: np.where(each >= 0, each * LAGS + lag, each) if name in DYNAMIC else each
        for name, each in codes.items()
    }


def features(histories: Histories, rows: Longs, day: Ints | Longs | int, sizes: Floats) -> dict[str, Ints]:
    """The codes of all features of some states, as they looked on a day."""
    codes = {name: each[rows] for name, each in histories.features.items() if name in STATIC + DYNAMIC}
    amount = histories.amount[rows]
    codes["size"] = np.where(amount == UNPRICED, _SIZES, np.searchsorted(sizes, amount)).astype(np.int32)
    ahead = histories.closes_on[rows].astype(np.int64) - day
    due = np.searchsorted(np.array([-30, 0, 31, 62, 92, 184]), ahead, side="right")
    codes["due"] = np.where(histories.closes_on[rows] == NEVER, 7, due).astype(np.int32)
    return codes


def learn(
    histories: Histories, calendar: Calendar, day: int, beliefs: Beliefs | None = None, seed: int = 0
) -> Model:
    """Learns from what was known at the end of a day; nothing later is looked at.

    Raises:
        HistoryTooShort: there is too little to learn from.
    """
    with threadpool_limits(1):  # small matrices: more threads only wait for each other
        return _learn(histories, calendar, day, beliefs or Beliefs(), seed)


def _learn(histories: Histories, calendar: Calendar, day: int, believed: Beliefs, seed: int) -> Model:
    rng = np.random.default_rng([seed, day])
    lives = histories.lives(day)
    first_day, months, complete = _record(lives, calendar, day, believed)
    ago = len(months) - 1 - np.arange(len(months))
    weight = 0.5 ** (ago / believed.half_life)
    at_risk, closes = exposure(lives, months, first_day)
    clock = fit_clock(at_risk, closes, months, weight, believed.month_speed)
    sizes = _bands(lives)
    panel = Panel.of(lives, months, first_day, clock, sizes, rng)
    speed, restless, pace = _speed(panel, clock, weight)
    restless = max(restless, believed.restless)
    odds, odds_season = _odds(panel, months, weight, believed)
    whole = Calendar(months.starts, months.phase)
    arrivals = fit_arrivals(lives, whole, weight, complete, believed.month_arrivals, rng)
    done = lives.closed >= first_day
    card = {
        "won": float(np.sum(lives.won & lives.is_closed & done)),
        "lost": float(np.sum(~lives.won & lives.is_closed & done)),
        "open": float(np.sum(~lives.is_closed)),
        "months": float(complete),
        "pace": pace.company,
        "month_speed": clock.season.spread,
        "month_odds": odds_season.spread,
        "month_arrivals": arrivals.season.spread,
    }
    return Model(
        day,
        first_day,
        clock,
        speed,
        odds,
        odds_season,
        _amounts(panel),
        arrivals,
        restless,
        sizes,
        pace,
        caution=believed.caution,
        card=card,
    )


def _record(lives: Lives, calendar: Calendar, day: int, believed: Beliefs) -> tuple[int, Calendar, int]:
    """The first day that counts, the months from then on, and how many of them are over."""
    if not lives.is_closed.any():
        raise HistoryTooShort("no deal has been won or lost yet.")
    now = int(calendar.index(np.array([day], np.int32))[0])
    first_day = int(lives.closed.min())
    start = int(calendar.index(np.array([first_day], np.int32))[0])
    if first_day > calendar.starts[start] + 7:
        start += 1  # a month that began without us is no month of the record
    start = max(start, now - believed.window + 1, 0)
    first_day = max(first_day, int(calendar.starts[min(start, now)]))
    over = now + 1 if day + 1 >= calendar.starts[now + 1] else now
    if over - start < believed.least_months:
        raise HistoryTooShort(
            f"{max(over - start, 0)} whole months with closed deals are on record, "
            f"{believed.least_months} are needed, one of each month of a quarter."
        )
    won = int(np.sum(lives.won & (lives.closed >= first_day) & lives.is_closed))
    lost = int(np.sum(~lives.won & (lives.closed >= first_day) & lives.is_closed))
    if won < believed.least_won or lost < believed.least_lost:
        raise HistoryTooShort(
            f"{won} won and {lost} lost deals are on record, "
            f"{believed.least_won} and {believed.least_lost} are needed."
        )
    return first_day, calendar.slice(start, now), over - start


def _bands(lives: Lives) -> Floats:
    amounts = lives.histories.amount[lives.first]
    amounts = amounts[amounts != UNPRICED]
    if not len(amounts):
        return np.zeros(0)
    return np.unique(np.quantile(amounts, np.arange(1, _SIZES) / _SIZES))


@dataclass(frozen=True, slots=True)
class Panel:
    """Deals as they looked on past days, and what became of them: a row for each deal and landmark."""

    lives: Lives
    life: Longs
    """The deal: an entry of `lives`."""
    row: Longs
    """Its state then: an entry of the histories."""
    month: Longs
    """The month that the row begins in."""
    is_opening: Bools
    weight: float
    """1 over the rows that a deal has on average: a deal that is looked at often is still one deal."""
    codes: Mapping[str, Ints]
    expected: Floats
    """[row, lag]: the rate of closing by the clock alone, while the deal was open."""
    closed_lag: Ints
    """The lag in which it closed; LAGS where it did not."""
    closed_month: Longs
    closed_bucket: Ints
    first_expected: Floats
    """The same in the first month alone."""
    first_closed: Bools

    @classmethod
    def of(
        cls,
        lives: Lives,
        months: Calendar,
        first_day: int,
        clock: Clock,
        sizes: Floats,
        rng: np.random.Generator,
    ) -> Panel:
        """All landmarks of the record, or as many as there is time for."""
        histories = lives.histories
        number = np.full(histories.deals, -1, np.int64)
        number[histories.deal[lives.last]] = np.arange(len(lives))
        lifes, rows, days, starts = [], [], [], []
        opened = np.flatnonzero(lives.opened >= first_day)
        lifes.append(opened)
        rows.append(lives.first[opened])
        days.append(lives.opened[opened].astype(np.int64) - 1)
        starts.append(months.index(lives.opened[opened]))
        most = max(_MOST_ROWS // (len(months) + 1), 1000)
        for month in range(len(months)):
            day = int(months.starts[month]) - 1
            if day < first_day - 31:
                continue
            state = histories.rows_at(day)
            life = number[histories.deal[state]]
            kept = (histories.status[state] == Status.OPEN) & (life >= 0)
            kept &= lives.closed[np.maximum(life, 0)] > day
            state, life = state[kept], life[kept]
            if len(state) > most:
                few = np.sort(rng.choice(len(state), most, replace=False))
                state, life = state[few], life[few]
            lifes.append(life)
            rows.append(state)
            days.append(np.full(len(state), day, np.int64))
            starts.append(np.full(len(state), month, np.int64))
        if len(opened) > _MOST_ROWS:
            few = np.sort(rng.choice(len(opened), _MOST_ROWS, replace=False))
            lifes[0], rows[0], days[0], starts[0] = (each[0][few] for each in (lifes, rows, days, starts))
        is_opening = np.arange(sum(map(len, rows))) < len(rows[0])
        life, row, day_of, month_of = map(np.concatenate, (lifes, rows, days, starts))
        expected = np.zeros((len(life), LAGS))
        first_expected = np.zeros(len(life))
        begun, ended = lives.opened[life], np.minimum(lives.closed[life], lives.until).astype(np.int64) + 1
        for offset in range(_FOLLOWED_MONTHS):
            at = month_of + offset
            within = at < len(months)
            at = np.minimum(at, len(months) - 1)
            start = np.maximum(np.maximum(day_of + 1, months.starts[at]), first_day)
            end = np.minimum(months.starts[at + 1], ended)
            rate = clock.hazard(begun, start, np.maximum(end, start), months.phase[at].astype(int))
            rate = np.where(within, rate, 0.0)
            expected[:, lag_of(offset)] += rate
            if offset == 0:
                first_expected = rate
        closed = lives.closed[life]
        is_closed = closed != NEVER
        closed_month = months.index(np.where(is_closed, closed, 0).astype(np.int32))
        offset_closed = closed_month - month_of
        followed = is_closed & (offset_closed >= 0) & (offset_closed < _FOLLOWED_MONTHS)
        lag = np.where(followed, _LAG_OF_MONTH[np.clip(offset_closed, 0, _FOLLOWED_MONTHS - 1)], LAGS)
        age = np.where(is_closed, closed, 0) - np.where(is_closed, begun, 0)
        return cls(
            lives, life, row, month_of, is_opening, len(np.unique(life)) / max(len(life), 1),
            features(histories, row, day_of, sizes), expected, lag.astype(np.int32), closed_month,
            clock.bucket(age), first_expected, followed & (offset_closed == 0),
        )  # fmt: skip


def _blocks(codes: Mapping[str, Ints], lags: int, spread: float) -> list[Block]:
    """A block for each feature that tells deals apart at all."""
    blocks = []
    for name, each in codes.items():
        seen = np.unique(each)
        if len(seen[seen >= 0]) > 1:
            size = int(each.max()) + 1
            blocks.append(Block(name, size * lags if name in DYNAMIC else size, spread))
    return blocks


def _speed(panel: Panel, clock: Clock, weight: Floats) -> tuple[Effects, float, Pace]:
    blocks = _blocks(panel.codes, LAGS, 0.3)
    counts = panel.weight * weight[panel.month]
    if blocks:
        stacked = {
            block.name: np.concatenate([lagged(panel.codes, lag)[block.name] for lag in range(LAGS)])
            for block in blocks
        }
        happened = np.concatenate([(panel.closed_lag == lag) * counts for lag in range(LAGS)])
        effects = fitting.fit_rates(
            blocks, stacked, (panel.expected * counts[:, None]).T.ravel(), happened.astype(np.float64)
        )
    else:
        effects = Effects(0.0, {})
    owners = panel.codes["owner"]
    score = np.exp(effects.intercept + effects.score(lagged(panel.codes, 0))) if blocks else 1.0
    cell = (owners.astype(np.int64) + 1) * (int(panel.month.max()) + 1) + panel.month
    expected = np.bincount(cell, panel.first_expected * score)
    happened = np.bincount(cell, panel.first_closed)
    company_expected = np.bincount(panel.month, panel.first_expected * score)
    company = np.bincount(panel.month, panel.first_closed) / np.maximum(company_expected, 1e-9)
    expected = expected * np.resize(company, len(expected))
    big = expected > 0
    excess = np.sum((happened[big] - expected[big]) ** 2 - expected[big]) / max(
        np.sum(expected[big] ** 2), 1e-9
    )
    rate = panel.first_expected * score
    pace = fit_pace(owners, panel.month, len(weight), rate, panel.first_closed, clock.season.spread)
    return effects, float(np.clip(excess, 0, 0.5)), pace


def _odds(panel: Panel, months: Calendar, weight: Floats, believed: Beliefs) -> tuple[Effects, Season]:
    chosen = panel.closed_lag < LAGS
    month = panel.closed_month[chosen]
    lag = panel.closed_lag[chosen]
    codes = {name: each[chosen] for name, each in panel.codes.items()}
    blocks = _blocks(codes, LAGS, 0.3)
    used = {
        name: np.where(codes[name] >= 0, codes[name] * LAGS + lag, codes[name]).astype(np.int32)
        if name in DYNAMIC
        else codes[name]
        for name in (block.name for block in blocks)
    }
    used["phase"] = months.phase[month].astype(np.int32)
    used["age"] = panel.closed_bucket[chosen] // BUCKETS_PER_AGE
    blocks += [
        Block("phase", PHASES, 0.5, is_fixed=True),
        Block("age", int(used["age"].max()) + 1, 0.2),
    ]
    counts = panel.weight * weight[month]
    won = panel.lives.won[panel.life[chosen]]
    effects = fitting.fit_odds(blocks, used, won, counts)
    chance = 1 / (1 + np.exp(-(effects.intercept + effects.score(used))))
    unlike = np.bincount(month, counts * (won - chance), minlength=len(months))
    information = np.bincount(month, counts * chance * (1 - chance), minlength=len(months))
    seen = np.bincount(months.phase, weight, minlength=PHASES).astype(np.float64)
    spread = believed.month_odds
    for _ in range(3):
        variance = 1 / (information + 1 / spread**2)
        spread = season_spread(unlike * variance, variance, weight, seen, believed.month_odds)
    freedom = 3.0 + max(float(weight.sum()) - int((seen > 0).sum()), 0.0)
    return effects, Season(spread, freedom, seen)


def _amounts(panel: Panel) -> Amounts:
    lives, histories = panel.lives, panel.lives.histories
    won = lives.won[panel.life]
    before = histories.amount[panel.row]
    final = histories.amount[lives.last[panel.life]]
    fine = won & (before > 0) & (final >= 0)
    ratio = np.where(fine, final, 0) / np.where(fine, before, 1)
    grid = (np.arange(_RATIOS) + 0.5) / _RATIOS

    def pool(chosen: Bools) -> Floats:
        if chosen.sum() < 20:
            chosen = fine
        if chosen.sum() < 20:
            return np.ones(1)
        return np.quantile(ratio[chosen], grid)

    all_won = histories.amount[lives.last[lives.won & lives.is_closed]]
    all_won = np.sort(all_won[all_won >= 0])
    unpriced = all_won[(grid * len(all_won)).astype(int)] if len(all_won) else np.zeros(1, np.int64)
    return Amounts(pool(fine & panel.is_opening), pool(fine & ~panel.is_opening), unpriced)
