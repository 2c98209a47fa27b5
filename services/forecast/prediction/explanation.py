"""Why a deal is predicted as it is, and what moves a total.

Effects add up on the log scale: what one feature does is told beside the average open deal, with all other
features as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.forecast.prediction.clock import PHASES
from services.forecast.prediction.histories import Calendar, Floats, Longs
from services.forecast.prediction.model import Model, age_bands, lagged
from services.forecast.prediction.simulation import OpenDeals


@dataclass(frozen=True, slots=True)
class Reasons:
    """What each feature does, for each deal: by name, [deal]."""

    win_points: Mapping[str, Floats]
    """By how much it raises the probability to be won in the first month, if the deal closes then."""
    speed: Mapping[str, Floats]
    """By what it multiplies the rate of closing in the first month."""


def reasons(model: Model, deals: OpenDeals, months: Calendar) -> Reasons:
    """What moves each deal, in the first of some months."""
    codes = lagged(deals.codes, 0)
    logit = model.logits(deals.opened, deals.codes, months.slice(0, 0))[:, 0]
    chance = 1 / (1 + np.exp(-logit))
    of_odds = {name: model.odds.of(name, codes[name]) for name in model.odds.blocks if name in codes}
    middle = (int(months.starts[0]) + int(months.starts[1])) // 2
    of_odds["age"] = model.odds.of("age", age_bands(model.clock, np.maximum(middle - deals.opened, 0)))
    phases = model.odds.of("phase", np.arange(PHASES, dtype=np.int32))
    points = {}
    for name, effect in of_odds.items():
        beside = effect - (effect.mean() if len(effect) else 0.0)
        points[name] = chance - 1 / (1 + np.exp(-(logit - beside)))
    season = float(phases[months.phase[0]] - phases.mean())
    points["phase"] = chance - 1 / (1 + np.exp(-(logit - season)))
    of_speed = {name: model.speed.of(name, codes[name]) for name in model.speed.blocks if name in codes}
    of_speed["owner"] = of_speed.get("owner", np.zeros(len(deals))) + np.log(model.pace.of(codes["owner"]))
    rate = model.clock.hazard(deals.opened, model.until + 1, months.starts[1], int(months.phase[0]))
    of_speed["age"] = np.log(np.maximum(rate, 1e-9))
    speed = {
        name: np.exp(np.clip(effect - (effect.mean() if len(effect) else 0.0), -3, 3))
        for name, effect in of_speed.items()
    }
    return Reasons(points, speed)


def shares_of_variance(parts: Mapping[str, Longs]) -> dict[str, float]:
    """How much of the variance of a total each part of it brings, its share in what they have in common included.

    Args:
        parts: [draw] each.
    """
    total = sum(np.asarray(each, np.float64) for each in parts.values())
    variance = float(np.var(total))
    if not variance:
        return dict.fromkeys(parts, 0.0)
    return {
        name: float(np.mean((each - np.mean(each)) * (total - np.mean(total)))) / variance
        for name, each in parts.items()
    }
