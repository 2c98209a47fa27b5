"""The parts of a report that are about what is to come, and about how well that was predicted before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from deploy.importing.client import Api
from deploy.report.content import Backtest, Calibration, Fan

Document = Mapping[str, Any]


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
    forecast: Document,
    attained: Document,
    won: Sequence[tuple[date, Decimal]],
    backtest: Document | None,
) -> Prediction:
    """Asks for the prediction; what is refused is left out, with the reason."""
    return Prediction()
