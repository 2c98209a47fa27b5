"""The model's own record: what it would have said of past months, beside what came, and beside the run rate.

A model of deals errs in one direction where something it does not see drifts (portfolios silt up, people have
only so many hours). Two remedies, both as old as forecasting: what it was off by lately is made good in part,
and it is averaged with a forecast that looks at nothing but what past months of the same kind brought, each
counting by how well it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.forecast.prediction.histories import Calendar, Floats, Lives

_PHASES: Final = 3
MOST_MONTHS: Final = 12
"""How many past months are looked at."""
_BELIEF_MONTHS: Final = 1.5
"""After how many months half of what it was off by on average is made good: the variance of one month's error,
about 0.12 squared, over that of a lasting one, about 0.10 squared."""
_LASTING: Final = 0.10
_PHASE_MONTHS: Final = 0.16
"""The same for how a month of the quarter differs from the others: 0.12 squared over 0.30 squared."""
_PRIOR_MONTHS: Final = 2.0
_MODEL_ERROR: Final = 0.12
_RUN_RATE_ERROR: Final = 0.15
"""What each is believed to be off by, before it has a record."""
_HALF_LIFE: Final = 12.0
_MOST: Final = 1.0


@dataclass(frozen=True, slots=True)
class RunRate:
    """What a month of each phase brings."""

    level: Floats
    """By phase; logarithms."""

    def at(self, months: Calendar) -> Floats:
        """What each month brings, as logarithms."""
        return self.level[months.phase]


def fit_run_rate(lives: Lives, months: Calendar) -> RunRate | None:
    """From what was won in each of some whole months; None where some brought nothing."""
    won = lives.won & lives.is_closed
    amount = np.maximum(lives.histories.amount[lives.last[won]], 0)
    month = months.index(lives.closed[won])
    within = (month >= 0) & (month < len(months))
    sums = np.bincount(month[within], amount[within], minlength=len(months))
    if not len(sums) or (sums <= 0).any():
        return None
    weight = 0.5 ** ((len(months) - 1 - np.arange(len(months))) / _HALF_LIFE)
    logs = np.log(sums)
    phase = months.phase.astype(int)
    count = np.bincount(phase, weight, minlength=_PHASES)
    mean = np.bincount(phase, weight * logs, minlength=_PHASES) / np.maximum(count, 1e-9)
    whole = float(np.average(mean[count > 0]))
    return RunRate(whole + count / (count + _PHASE_MONTHS) * np.where(count > 0, mean - whole, 0.0))


@dataclass(frozen=True, slots=True)
class Track:
    """What the two forecasts were off by: came ÷ said, as logarithms, a month each."""

    model: tuple[float, ...] = ()
    run_rate: tuple[float, ...] = ()
    rate: RunRate | None = None

    def shift(self, months: Calendar, expected: Floats) -> Floats:
        """By how much the model's expectation of each whole month is moved, on the log scale."""
        if self.rate is None or not len(self.model):
            return np.zeros(len(months))
        said = np.log(np.maximum(expected, 1.0))
        mended = said + _lasting(self.model)
        other = self.rate.at(months) + _lasting(self.run_rate)
        trusted = self.trust
        return np.clip(trusted * mended + (1 - trusted) * other - said, -_MOST, _MOST)

    @property
    def unknown(self) -> float:
        """The standard deviation of what the model is off by lastingly, after what its record tells of that."""
        return _LASTING / float(np.sqrt(1 + len(self.model) / _BELIEF_MONTHS))

    @property
    def trust(self) -> float:
        """How much the model counts beside the run rate: by the squares of what each was off by.

        Squared once more, since both are off in the same months, so that the worse one adds little.
        """
        model, run_rate = (
            (sum(error**2 for error in errors) + _PRIOR_MONTHS * prior**2) / (len(errors) + _PRIOR_MONTHS)
            for errors, prior in ((self.model, _MODEL_ERROR), (self.run_rate, _RUN_RATE_ERROR))
        )
        return float(run_rate**2 / (run_rate**2 + model**2))


def _lasting(errors: tuple[float, ...]) -> float:
    return float(np.sum(errors) / (len(errors) + _BELIEF_MONTHS))
