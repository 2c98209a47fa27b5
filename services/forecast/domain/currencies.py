"""Amounts in one currency: which rate a deal is converted at, and what is said where there is none."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from chassis.money import minor_unit

FACTOR_DIGITS: Final = 12
"""Decimal places of a rate between two currencies that goes by way of the reporting currency."""


@dataclass(frozen=True, slots=True)
class Rate:
    """From a day on, one unit of a currency is worth `rate` of the tenant's reporting currency."""

    currency: str
    valid_from: date
    rate: Decimal


class Rates:
    """The tenant's dated exchange rates to its reporting currency."""

    def __init__(self, reporting_currency: str, rates: Iterable[Rate]) -> None:
        self.reporting_currency = reporting_currency
        self._by_currency: dict[str, tuple[list[date], list[Decimal]]] = {}
        for rate in sorted(rates, key=lambda rate: rate.valid_from):
            days, values = self._by_currency.setdefault(rate.currency, ([], []))
            days.append(rate.valid_from)
            values.append(rate.rate)

    def on(self, currency: str, day: date) -> Decimal | None:
        """The latest rate on or before a day; None where there is none, and never 1 instead."""
        if currency == self.reporting_currency:
            return Decimal(1)
        days, values = self._by_currency.get(currency, ([], []))
        place = bisect_right(days, day)
        return values[place - 1] if place else None

    def factor(self, currency: str, target: str, day: date) -> Decimal | None:
        """What an amount is multiplied by, from one currency to another; None where a rate is missing."""
        if currency == target:
            return Decimal(1)
        rate, divisor = self.on(currency, day), self.on(target, day)
        if rate is None or divisor is None:
            return None
        if target == self.reporting_currency:
            return rate
        with localcontext(prec=60):
            return (rate / divisor).quantize(
                Decimal(1).scaleb(-FACTOR_DIGITS), ROUND_HALF_UP
            )

    def lacking(self, currency: str, target: str, day: date) -> tuple[str, ...]:
        """The currencies whose rate is missing for a conversion."""
        if currency == target:
            return ()
        return tuple(code for code in (currency, target) if self.on(code, day) is None)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the currency's minor unit, half away from zero."""
    with localcontext(prec=60):
        return amount.quantize(minor_unit(currency), ROUND_HALF_UP)


def shares(
    amount: Decimal, weights: Mapping[str, Decimal], currency: str
) -> dict[str, Decimal]:
    """An amount shared out by weight, in whole minor units by the largest remainder.

    The shares add up to `amount` exactly; what is less than a minor unit goes to the first. Without
    any weight, all are equal. The order of equal remainders is that of the keys, so that everybody
    who computes this gets the same.
    """
    if not weights:
        return {}
    if not any(weights.values()):
        weights = dict.fromkeys(weights, Decimal(1))
    with localcontext(prec=60):
        unit, total = minor_unit(currency), sum(weights.values(), Decimal(0))
        units = int(abs(amount) / unit)
        exact = {key: units * weight / total for key, weight in weights.items()}
        whole = {key: int(value) for key, value in exact.items()}
        left = units - sum(whole.values())
        for key in sorted(exact, key=lambda key: (whole[key] - exact[key], key))[:left]:
            whole[key] += 1
        sign = -1 if amount < 0 else 1
        result = {key: sign * count * unit for key, count in whole.items()}
        first = next(iter(result))
        result[first] += amount - sum(result.values(), Decimal(0))
        return result
