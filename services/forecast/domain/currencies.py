"""Amounts in one currency: which rate a deal is converted at, and what is said where there is none."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from chassis.money import minor_unit

FACTOR_DIGITS: Final = 12
"""Decimal places of a rate between two currencies that goes by way of the reporting currency."""


@dataclass(frozen=True, slots=True)
class Rate:
    """From a day on, one unit of `currency` is worth `rate` of `target`."""

    currency: str
    target: str
    valid_from: date
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Lacking:
    """A rate that some deals wait for: one that holds on a day."""

    currency: str
    day: date
    deals: int


class Rates:
    """The tenant's dated exchange rates."""

    def __init__(self, reporting_currency: str, rates: Iterable[Rate]) -> None:
        self.reporting_currency = reporting_currency
        self._by_pair: dict[tuple[str, str], tuple[list[date], list[Decimal]]] = {}
        for rate in sorted(rates, key=lambda rate: rate.valid_from):
            days, values = self._by_pair.setdefault((rate.currency, rate.target), ([], []))
            days.append(rate.valid_from)
            values.append(rate.rate)

    def on(self, currency: str, target: str, day: date) -> Decimal | None:
        """The latest rate of exactly these two on or before a day, as it was recorded."""
        days, values = self._by_pair.get((currency, target), ([], []))
        place = bisect_right(days, day)
        return values[place - 1] if place else None

    def factor(self, currency: str, target: str, day: date) -> Decimal | None:
        """What an amount is multiplied by; None where a rate is missing, and never 1 instead.

        The rate of the two on the day, else the one by way of the reporting currency.
        """
        if currency == target:
            return Decimal(1)
        if (direct := self.on(currency, target, day)) is not None:
            return direct
        rate, divisor = self._to_reporting(currency, day), self._to_reporting(target, day)
        if rate is None or not divisor:
            return None
        with localcontext(prec=60):
            return (rate / divisor).quantize(Decimal(1).scaleb(-FACTOR_DIGITS), ROUND_HALF_UP)

    def _to_reporting(self, currency: str, day: date) -> Decimal | None:
        if currency == self.reporting_currency:
            return Decimal(1)
        return self.on(currency, self.reporting_currency, day)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the currency's minor unit, half away from zero."""
    with localcontext(prec=60):
        return amount.quantize(minor_unit(currency), ROUND_HALF_UP)
