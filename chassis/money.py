"""Money: an exact decimal amount in one currency. Never a float, never a silent mix of currencies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from math import floor
from typing import TypeVar

from chassis.errors import InvalidArgument

Key = TypeVar("Key")

# ISO 4217 exponents that are not 2.
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


class CurrenciesDiffer(InvalidArgument):
    """Amounts in different currencies were about to be added or compared."""

    def __init__(self, one: str, other: str, field: str | None = None) -> None:
        super().__init__(f"{one} and {other} cannot be combined; convert one of them first.", field=field)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency (ISO 4217, upper case)."""

    amount: Decimal
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrenciesDiffer(self.currency, other.currency)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return self + Money(-other.amount, other.currency)

    def __mul__(self, factor: Decimal | int) -> "Money":
        return Money(self.amount * factor, self.currency)

    def rounded(self) -> "Money":
        """To the currency's minor unit, half away from zero."""
        return Money(self.amount.quantize(minor_unit(self.currency), ROUND_HALF_UP), self.currency)


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of the currency: 0.01 for EUR, 1 for JPY, 0.001 for KWD (ISO 4217)."""
    return Decimal(1).scaleb(-_EXPONENTS.get(currency, 2))


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum, zero of `currency` where there are none."""
    result = Money(Decimal(0), currency)
    for amount in amounts:
        result += amount
    return result


def shares(amount: Decimal, weights: Mapping[Key, Decimal], currency: str) -> dict[Key, Decimal]:
    """An amount shared out by weight, in whole minor units by the largest remainder.

    The shares add up to `amount` exactly; what is less than a minor unit goes to the first. Where the
    weights come to nothing, all are equal. Equal remainders go by the key's text, so that everybody who
    computes this gets the same.
    """
    if len(weights) <= 1:
        return dict.fromkeys(weights, amount)
    if not sum(weights.values()):
        weights = dict.fromkeys(weights, Decimal(1))
    with localcontext(prec=60):
        unit, whole = minor_unit(currency), sum(map(Fraction, weights.values()))
        units = int(abs(amount) / unit)
        exact = {key: units * Fraction(weights[key]) / whole for key in sorted(weights, key=str)}
        parts = {key: floor(share) for key, share in exact.items()}
        left = units - sum(parts.values())
        for key in sorted(exact, key=lambda key: parts[key] - exact[key])[:left]:
            parts[key] += 1
        sign = -1 if amount < 0 else 1
        result = {key: sign * parts[key] * unit for key in weights}
        result[next(iter(weights))] += amount - sum(result.values(), Decimal(0))
        return result
