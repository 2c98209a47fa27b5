"""Worlds: in each, every open deal closes or not, new deals come, and months have their accidents.

Draw k is one world. All amounts in it are whole minor units of whole deals, so that in every tree what the
nodes own adds up to the root in each draw. Quantiles are taken from the sums, never summed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.forecast.prediction.clock import PHASES, Season
from services.forecast.prediction.histories import UNPRICED, Calendar, Floats, Ints, Longs
from services.forecast.prediction.model import Model, lag_of
from services.forecast.prediction.places import Places

MOST_DRAWS: Final = 1000
LEAST_DRAWS: Final = 128
_PAIRS: Final = 1.28e8
"""How many deals times draws are worth waiting for."""
_CELLS: Final = 8.0e6
"""How many nodes times months times draws are held in memory, for each tree."""
RESPONSE: Final = 0.8
"""How much more is won in a month for each rise of the rates of closing, about."""
_CHUNK: Final = 1 << 18
_FLUSH: Final = 1 << 22
_QUADRATURE: Final = (0.125, 0.375, 0.625, 0.875)


@dataclass(frozen=True, slots=True)
class OpenDeals:
    """What is open on the day of the prediction."""

    opened: Ints
    amount: Longs
    """In minor units; UNPRICED where nobody said."""
    codes: Mapping[str, Ints]
    """The features, as the model wants them; `owner` is among them."""
    places: Mapping[str, Places]
    """For each tree, in which of its nodes they count."""

    def __len__(self) -> int:
        return len(self.opened)


@dataclass(frozen=True, slots=True)
class Newcomers:
    """What deals like those of the record count in: for each entry of the model's arrivals."""

    opened_codes: Mapping[str, Ints]
    amount: Longs
    places: Mapping[str, Places]


@dataclass(frozen=True, slots=True)
class Shocks:
    """What is drawn for the company as a whole, and for each month: [month, draw], on the log scale."""

    speed: Floats
    odds: Floats
    arrivals: Floats

    @classmethod
    def drawn(
        cls, model: Model, months: Calendar, draws: int, rng: np.random.Generator, shift: Floats
    ) -> Shocks:
        """An accident for each coming month, and what is not known of each month of the quarter."""

        def one(season: Season) -> Floats:
            # how widely months differ is itself known from few of them: hence the wider tails
            scale = np.sqrt(season.freedom / rng.chisquare(season.freedom, draws))
            accident = rng.standard_normal((len(months), draws)) * season.spread
            unknown = rng.standard_normal((PHASES, draws))
            unknown *= season.uncertainty(np.arange(PHASES, dtype=np.int32))[:, None]
            return (accident + unknown[months.phase]) * scale * model.caution

        lasting = np.hypot(model.pace.unknown, model.track.unknown / RESPONSE)
        speed = one(model.clock.season) + lasting * rng.standard_normal(draws)
        odds, arrivals = one(model.odds_season), one(model.arrivals.season)
        return cls(_neutral(speed) + shift[:, None], odds, _neutral(arrivals))


@dataclass(frozen=True, slots=True)
class Worlds:
    """What is won in each world: for each tree, of the node itself, [node, month, draw], in minor units."""

    won: Mapping[str, Longs]
    from_open: Mapping[str, Longs]
    """How much of it comes from deals that are open now."""
    months: Calendar

    @property
    def draws(self) -> int:
        """How many worlds there are."""
        return int(next(iter(self.won.values())).shape[-1])


def _neutral(shocks: Floats) -> Floats:
    """The same, moved so that the mean of what they multiply by is one: accidents move no mean."""
    return np.asarray(shocks - np.log(np.mean(np.exp(shocks), axis=1, keepdims=True)))


def draws_for(deals: int, cells: int) -> int:
    """How many worlds are drawn: a thousand, fewer where there are very many deals or nodes.

    Args:
        cells: nodes times months.
    """
    most = min(_PAIRS / max(deals, 1), _CELLS / max(cells, 1))
    return int(np.clip(most, LEAST_DRAWS, MOST_DRAWS)) // 8 * 8


def simulate(
    model: Model,
    deals: OpenDeals,
    newcomers: Newcomers,
    months: Calendar,
    *,
    shift: Floats | None = None,
    draws: int | None = None,
    seed: Sequence[int] = (0,),
    workers: int = 2,
) -> Worlds:
    """Draws worlds from the day that the model was learnt up to.

    Args:
        months: those to predict; the first is the one that has the next day.
        shift: by how much deals close faster in each month than the model says, on the log scale.
        seed: the same worlds come of the same seed.
    """
    nodes = max((each.nodes for each in deals.places.values()), default=0)
    count = draws or draws_for(len(deals), nodes * len(months))
    root = np.random.SeedSequence([*seed, model.until])
    first, *others = root.spawn(2 + max(workers, 1))
    rng = np.random.default_rng(first)
    shocks = Shocks.drawn(model, months, count, rng, np.zeros(len(months)) if shift is None else shift)
    won = {name: np.zeros((each.nodes, len(months), count), np.int64) for name, each in deals.places.items()}
    if len(deals):
        _open_deals(model, deals, months, shocks, won, others[1:], workers)
    from_open = {name: each.copy() for name, each in won.items()}
    if len(model.arrivals.like):
        _new_deals(model, newcomers, months, shocks, won, np.random.default_rng(others[0]))
    return Worlds(won, from_open, months)


def _open_deals(
    model: Model,
    deals: OpenDeals,
    months: Calendar,
    shocks: Shocks,
    won: Mapping[str, Longs],
    seeds: Sequence[np.random.SeedSequence],
    workers: int,
) -> None:
    draws = shocks.speed.shape[1]
    owner = deals.codes["owner"]
    order = np.argsort(owner, kind="stable")
    place = np.unique(owner[order], return_inverse=True)[1]
    hazard = model.hazards(deals.opened, deals.codes, model.until, months)[order].astype(np.float32)
    logit = model.logits(deals.opened, deals.codes, months)[order].astype(np.float32)
    amount = deals.amount[order]
    places = {name: each.take(order) for name, each in deals.places.items()}
    speed = np.exp(shocks.speed).astype(np.float32)
    odds = shocks.odds.astype(np.float32)
    later = model.amounts.later
    exact = bool(np.all(later == 1.0))
    rows = max(_CHUNK // draws, 1)
    bounds = np.linspace(0, len(order), max(workers, 1) + 1).astype(int)

    def part(number: int) -> dict[str, Longs]:
        rng = np.random.default_rng(seeds[number])
        sums = {name: np.zeros(each.shape, np.int64) for name, each in won.items()}
        waiting = Waiting(sums, places, len(months), draws)
        first, last = bounds[number], bounds[number + 1]
        restless: dict[int, NDArray[np.float32]] = {}
        for low in range(first, last, rows):
            high = min(low + rows, last)
            left = rng.standard_exponential((high - low, draws), np.float32)
            owners = place[low:high]
            for one in range(int(owners[0]), int(owners[-1]) + 1):
                if one not in restless:
                    restless[one] = _gamma(rng, model.restless, (len(months), draws))
            for gone in [each for each in restless if each < owners[0]]:
                del restless[gone]
            alone = owners[0] == owners[-1]
            pace_of = None if alone else np.stack([restless[one] for one in range(owners[0], owners[-1] + 1)])
            for month in range(len(months)):
                if pace_of is None:
                    pace = hazard[low:high, month, None] * (restless[int(owners[0])][month] * speed[month])
                else:
                    pace = (pace_of[:, month] * speed[month])[owners - owners[0]]
                    pace *= hazard[low:high, month, None]
                left -= pace
                hit = np.flatnonzero(left.ravel() < 0)
                if not len(hit):
                    continue
                left.ravel()[hit] = np.inf
                hit = hit.astype(np.int32)
                row = hit // np.int32(draws)
                draw = hit - row * np.int32(draws)
                chance = 1 / (1 + np.exp(-(logit[low:high, month][row] + odds[month][draw])))
                wins = rng.random(len(hit), np.float32) < chance
                row, draw = row[wins] + low, draw[wins]
                value = amount[row]
                if not exact:
                    share = later[rng.integers(0, len(later), len(row))]
                    value = np.where(value > 0, np.rint(value * share), value)
                unpriced = value == UNPRICED
                if unpriced.any():
                    pool = model.amounts.unpriced
                    value = np.where(unpriced, pool[rng.integers(0, len(pool), len(row))], value)
                waiting.add(month, row, draw, value)
        waiting.flush()
        return sums

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for sums in pool.map(part, range(max(workers, 1))):
            for name, each in sums.items():
                won[name] += each


class Waiting:
    """Wins that are added up many at a time."""

    def __init__(
        self, sums: Mapping[str, Longs], places: Mapping[str, Places], months: int, draws: int
    ) -> None:
        self.sums, self.places, self.draws = sums, places, draws
        self._rows: list[list[Ints]] = [[] for _ in range(months)]
        self._draws: list[list[Ints]] = [[] for _ in range(months)]
        self._values: list[list[Floats | Longs]] = [[] for _ in range(months)]
        self._count = 0

    def add(self, month: int, row: Ints, draw: Ints, value: Floats | Longs) -> None:
        """Some wins of one month."""
        self._rows[month].append(row)
        self._draws[month].append(draw)
        self._values[month].append(value)
        self._count += len(row)
        if self._count > _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Adds up what is waiting."""
        for month in range(len(self._rows)):
            if not self._rows[month]:
                continue
            row, draw = np.concatenate(self._rows[month]), np.concatenate(self._draws[month])
            value = np.concatenate(self._values[month], dtype=np.float64)
            for name, sums in self.sums.items():
                more = np.zeros((len(sums), self.draws), np.int64)
                self.places[name].add(more, row, draw, value)
                sums[:, month] += more
            self._rows[month], self._draws[month], self._values[month] = [], [], []
        self._count = 0


def _gamma(rng: np.random.Generator, variance: float, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Factors with mean one."""
    if variance < 1e-4:
        return np.ones(shape, np.float32)
    return (rng.standard_gamma(1 / variance, shape, np.float32) * np.float32(variance)).astype(np.float32)


def _new_deals(
    model: Model,
    newcomers: Newcomers,
    months: Calendar,
    shocks: Shocks,
    won: Mapping[str, Longs],
    rng: np.random.Generator,
) -> None:
    """Only what is won is drawn: wins of Poisson arrivals are Poisson, by month of opening and of winning."""
    arrivals, draws, count = model.arrivals, shocks.speed.shape[1], len(months)
    people, place = np.unique(arrivals.owner, return_inverse=True)
    order = np.argsort(place, kind="stable")
    place = place[order]
    expected = expected_wins(model, newcomers.opened_codes, months)[order]  # [like, opened, won]
    factor = _shocked(model, months, shocks)  # [opened, won, draw]
    coming = _gamma(rng, arrivals.restless, (len(people), count, draws))
    closing = _gamma(rng, model.restless, (len(people), count, draws))
    amount = newcomers.amount[order]
    places = {name: each.take(order) for name, each in newcomers.places.items()}
    starts = np.searchsorted(place, np.arange(len(people)))
    by_owner = np.add.reduceat(expected, starts, axis=0)
    ratios, pool = model.amounts.at_opening, model.amounts.unpriced
    exact = bool(np.all(ratios == 1.0))
    waiting = Waiting(won, places, count, draws)
    for month in range(count):
        mean = np.zeros((len(people), draws))
        for opened in range(month + 1):
            mean += by_owner[:, opened, month, None] * (coming[:, opened] * factor[opened, month])
        wins = rng.poisson(mean * closing[:, month])
        cell = np.repeat(np.arange(wins.size), wins.ravel())
        who, draw = np.divmod(cell, draws)
        reached = np.cumsum(expected[:, : month + 1, month].sum(axis=1))
        below = np.concatenate([[0.0], reached])[starts]
        above = np.append(below[1:], reached[-1])
        at = below[who] + rng.random(len(who)) * (above - below)[who]
        like = np.minimum(np.searchsorted(reached, at, side="right"), len(reached) - 1)
        like = np.clip(like, starts[who], np.append(starts[1:], len(place))[who] - 1)
        value: Floats | Longs = amount[like]
        if not exact:
            share = ratios[rng.integers(0, len(ratios), len(like))]
            value = np.where(value > 0, np.rint(value * share), value)
        value = np.where(value == UNPRICED, pool[rng.integers(0, len(pool), len(like))], value)
        waiting.add(month, like.astype(np.int32), draw.astype(np.int32), value)
    waiting.flush()


def expected_wins(
    model: Model, codes: Mapping[str, Ints], months: Calendar, faster: Floats | None = None
) -> Floats:
    """[like, opened, won]: how many deals like each are opened in one month and won in another, without accidents."""
    arrivals, count = model.arrivals, len(months)
    likes = len(arrivals.like)
    expected = np.zeros((likes, count, count))
    speeds = [model.speed_at(codes, lag) for lag in range(3)]
    often = np.ones(count) if faster is None else faster
    for opened in range(count):
        begin = max(int(months.starts[opened]), model.until + 1)
        days = max(int(months.starts[opened + 1]) - begin, 0)
        many = arrivals.share * arrivals.daily[months.phase[opened]] * days
        rest = Calendar(months.starts[opened:], months.phase[opened:])
        for share in _QUADRATURE:
            day = np.array([begin + int(share * days)], np.int32)
            left = np.zeros(likes)
            logit = model.logits(np.full(likes, day[0], np.int32), codes, rest)
            for ahead in range(count - opened):
                rate = model.clock.hazard(
                    day, int(rest.starts[ahead]), int(rest.starts[ahead + 1]), int(rest.phase[ahead])
                )[0]
                pace = rate * often[opened + ahead] * speeds[lag_of(ahead)]
                closes = np.exp(-left) * -np.expm1(-pace)
                left += pace
                chance = 1 / (1 + np.exp(-logit[:, ahead]))
                expected[:, opened, opened + ahead] += many * closes * chance / len(_QUADRATURE)
    return expected


def _shocked(model: Model, months: Calendar, shocks: Shocks) -> Floats:
    """[opened, won, draw]: by what the accidents multiply the wins of a month from those opened in another."""
    count, draws = len(months), shocks.speed.shape[1]
    factor = np.zeros((count, count, draws))
    speed = np.exp(shocks.speed)
    phase = model.odds.of("phase", np.arange(PHASES, dtype=np.int32))[months.phase]
    base = model.odds.intercept + phase
    chance = 1 / (1 + np.exp(-base))
    odds = 1 / (1 + np.exp(-(base[:, None] + shocks.odds))) / chance[:, None]
    for opened in range(count):
        begin = max(int(months.starts[opened]), model.until + 1)
        days = max(int(months.starts[opened + 1]) - begin, 0)
        plain = np.zeros(count)
        for share in _QUADRATURE:
            day = np.array([begin + int(share * days)], np.int32)
            before, shocked = 0.0, np.zeros(draws)
            for month in range(opened, count):
                rate = model.clock.hazard(
                    day, int(months.starts[month]), int(months.starts[month + 1]), int(months.phase[month])
                )[0]
                plain[month] += np.exp(-before) * -np.expm1(-rate)
                factor[opened, month] += np.exp(-shocked) * -np.expm1(-rate * speed[month])
                before += rate
                shocked += rate * speed[month]
        factor[opened, opened:] /= np.maximum(plain[opened:, None], 1e-12)
        factor[opened] *= odds * np.exp(shocks.arrivals[opened])
    return factor
