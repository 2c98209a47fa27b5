"""What a model expects, without drawing worlds: enough to compare it with what came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from services.forecast.prediction.histories import UNPRICED, Calendar, Floats, Histories
from services.forecast.prediction.simulation import expected_wins

if TYPE_CHECKING:
    from services.forecast.prediction.model import Model


def expected_amounts(
    model: Model, histories: Histories, months: Calendar, faster: Floats | None = None
) -> Floats:
    """[month]: what all deals, open and to come, are expected to bring; optionally with rates of closing multiplied."""
    lives = histories.lives(model.until)
    still = np.flatnonzero(~lives.is_closed)
    rows = lives.last[still]
    known = lives.histories
    codes = model.codes(known, rows, model.until)
    hazard = model.hazards(lives.opened[still], codes, model.until, months)
    if faster is not None:
        hazard = hazard * faster
    before = np.cumsum(hazard, axis=1) - hazard
    wins = (
        np.exp(-before) * -np.expm1(-hazard) / (1 + np.exp(-model.logits(lives.opened[still], codes, months)))
    )
    typical = float(model.amounts.unpriced.mean())
    amount = np.where(
        known.amount[rows] == UNPRICED, typical, known.amount[rows] * model.amounts.later.mean()
    )
    found = amount @ wins
    if len(model.arrivals.like):
        opened = lives.first[model.arrivals.like]
        new = model.codes(known, opened, lives.opened[model.arrivals.like].astype(np.int64) - 1)
        new["owner"] = model.arrivals.owner
        worth = np.where(
            known.amount[opened] == UNPRICED, typical, known.amount[opened] * model.amounts.at_opening.mean()
        )
        found = found + worth @ expected_wins(model, new, months, faster).sum(axis=1)
    return np.asarray(found)


def won_in(histories: Histories, start: int, end: int) -> float:
    """What was won from a day to the one before another, as known in the end."""
    lives = histories.lives(int(histories.since.max(initial=0)))
    won = (lives.closed >= start) & (lives.closed < end) & lives.won
    return float(np.maximum(lives.histories.amount[lives.last[won]], 0).sum())
