"""How fast the company and each owner close lately, beside what the whole record says.

The pace drifts: portfolios silt up, people change. So the last quarter counts as much as all before it, and
each is drawn towards what the record as a whole expects, the more the less there is of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.forecast.prediction.histories import Bools, Floats, Ints, Longs

HALF_LIFE: Final = 3.0
"""After how many months a month counts half."""
_COMPANY_SPREAD: Final = 0.15
"""How widely a company's pace is believed to drift, on the log scale."""
_OWNER_CLOSES: Final = 16.0
"""After how many closes an owner's own pace counts as much as the record's."""


@dataclass(frozen=True, slots=True)
class Pace:
    """By what the rates of closing are multiplied."""

    company: float
    unknown: float
    """The standard deviation of the company's, on the log scale."""
    owners: Floats

    def of(self, owners: Ints) -> Floats:
        """The pace of the owner of each deal, the company's included."""
        known = (owners >= 0) & (owners < len(self.owners))
        return self.company * np.where(known, self.owners[np.where(known, owners, 0)], 1.0)


def fit_pace(owners: Ints, month: Longs, months: int, expected: Floats, closed: Bools, spread: float) -> Pace:
    """The pace of late.

    Args:
        owners, month, expected, closed: of deals at risk in each month: how many closes the record as a
            whole expects of each, and whether it closed.
        months: how many there are; the last is the latest.
        spread: how widely single months differ.
    """
    lately = 0.5 ** ((months - 1 - np.arange(months)) / HALF_LIFE)
    came, due = (np.bincount(month, each, minlength=months) for each in (closed, expected))
    used = due > 1
    if not used.any():
        return Pace(1.0, 0.0, np.ones(0))
    effective = float(lately[used].sum()) ** 2 / float(np.sum(lately[used] ** 2))
    noise = spread**2 / effective
    believed = _COMPANY_SPREAD**2 / (_COMPANY_SPREAD**2 + noise)
    company = float(np.exp(believed * np.log(max(float(lately @ came), 1.0) / float(lately @ due))))
    known = owners >= 0
    width = int(owners.max(initial=-1)) + 1
    counts = lately[month[known]]
    own_came = np.bincount(owners[known], counts * closed[known], minlength=width)
    own_due = np.bincount(owners[known], counts * expected[known], minlength=width) * company
    return Pace(
        company, float(np.sqrt(believed * noise)), (own_came + _OWNER_CLOSES) / (own_due + _OWNER_CLOSES)
    )
