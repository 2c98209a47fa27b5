"""Reading the API's documents: amounts of money and days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

Document = Mapping[str, Any]


def amount_of(money: Document | None) -> Decimal:
    """An amount of money; 0 where there is none."""
    if not money:
        return Decimal(0)
    return int(money.get("units", 0)) + Decimal(money.get("nanos", 0)) / 10**9


def day_of(document: Document) -> date:
    """A date."""
    return date(document["year"], document["month"], document["day"])
