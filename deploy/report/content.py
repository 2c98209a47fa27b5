"""What stands in a report, ready to be drawn: amounts in one currency, names, days. No HTML, no requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the roll-up. Amounts are cumulative, as categories are; what is not known is None."""

    name: str
    depth: int
    closed: Decimal
    commit: Decimal
    best_case: Decimal
    pipeline: Decimal
    weighted: Decimal
    judged: Decimal | None = None
    """What people say of commit."""
    quota: Decimal | None = None
    attainment: str = ""
    """As a part of the quota: `0.8342`."""
    gap: Decimal | None = None
    coverage: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of the waterfall: what stood there, or by how much one reason changed it."""

    label: str
    amount: Decimal
    deals: int = 0
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the one instant to the other."""

    opening: str
    closing: str
    bars: Sequence[Bar]
    """The opening first, the closing last; what is between adds up to the difference."""


@dataclass(frozen=True, slots=True)
class Band:
    """What is expected to be won up to and on a day: quantiles, each by itself."""

    day: date
    p10: Decimal
    p50: Decimal
    p90: Decimal


@dataclass(frozen=True, slots=True)
class Fan:
    """A period as it was predicted on a day, and how it went."""

    start: date
    end: date
    made_on: date
    bands: Sequence[Band]
    actual: Sequence[tuple[date, Decimal]]
    """What was won up to and on a day, as far as that is known."""
    quota: Decimal | None = None
    probability_of_quota: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """Deals that were given about the same probability, and how many of them were won."""

    low: float
    high: float
    predicted: float
    observed: float
    deals: int
    interval: tuple[float, float]
    """Between which the share lies if the probability is right; binomial, 90 %."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether what is called 70 % happens in 70 of 100 cases."""

    bins: Sequence[Bin]
    brier: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """How well one way to predict did."""

    method: str
    cells: Sequence[str]
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Backtest:
    """What would have been predicted at past instants, against what came."""

    headings: Sequence[str]
    scores: Sequence[Score]
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A number that is looked at first."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole page. Parts that there is nothing to say about are None, with the reason beside."""

    title: str
    subtitle: str
    currency: str
    group_by: str
    cards: Sequence[Card]
    rows: Sequence[Row]
    waterfall: Waterfall | None = None
    fan: Fan | None = None
    calibration: Calibration | None = None
    backtest: Backtest | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """Why a part is left out, by its name."""
    warning: str = ""
    """What has to be known before anything is read."""
    remarks: Sequence[str] = ()
