"""The parts of a report that are about what is to come, and about how well that was predicted before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from deploy.importing.client import Api
from deploy.report.content import Backtest, Band, Calibration, Fan

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """A period and what was won in it by each day, as is known `today`; seen from the day `at`."""

    start: date
    end: date
    at: date
    won: Sequence[tuple[date, Decimal]]
    quota: Decimal | None
    today: date

    def fan(self, bands: Sequence[Band] = (), probability_of_quota: str = "") -> Fan:
        """The course, with what was expected of it."""
        path = [(day, amount) for day, amount in self.won if self.start <= day <= self.end]
        last = path[-1][1] if path else Decimal(0)
        until = max(self.start, min(self.end, self.today))
        actual = [(self.start, Decimal(0)), *path]
        if actual[-1][0] < until:
            actual.append((until, last))
        return Fan(self.start, self.end, self.at, bands, actual, self.quota, probability_of_quota)


@dataclass(slots=True)
class Prediction:
    """What there is of it; why the rest is missing, by the name of the part."""

    fan: Fan | None = None
    calibration: Calibration | None = None
    backtest: Backtest | None = None
    missing: dict[str, str] = field(default_factory=dict)


async def prediction(
    api: Api,
    parameters: Mapping[str, str],
    period: str,
    course: Course,
    backtest: Document | None,
) -> Prediction:
    """Asks for the prediction; what is refused is left out, with the reason."""
    return Prediction(fan=course.fan())
