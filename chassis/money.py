"""Money: an exact decimal amount in one currency. Never a float, never a silent mix of currencies."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from chassis.errors import InvalidArgument

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
