"""Exchange rates: what one unit of a currency is worth in another, from a day on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument, NotFound


class RateImpossible(InvalidArgument):
    """The rate makes no sense."""


class ExchangeRateMissing(NotFound):
    """Nobody recorded a rate that holds on the day. It is never taken as 1."""

    def __init__(self, from_currency: str, to_currency: str, on: date) -> None:
        super().__init__(
            f"There is no exchange rate from {from_currency} to {to_currency} on or before {on}: record one.",
            from_currency=from_currency,
            to_currency=to_currency,
            date=on.isoformat(),
        )


@dataclass(frozen=True, slots=True)
class ExchangeRateRecorded(Event):
    """A rate was recorded or corrected."""


@dataclass(slots=True, kw_only=True)
class ExchangeRate(Entity):
    """What one of `from_currency` is worth in `to_currency`, from `date` until the next rate's."""

    from_currency: str
    to_currency: str
    date: date
    rate: Decimal

    def record(self) -> ExchangeRateRecorded:
        """Checks that it can be a rate.

        Raises:
            RateImpossible: it cannot.
        """
        if self.from_currency == self.to_currency:
            raise RateImpossible("The two currencies are the same.", field="exchange_rate.to_currency")
        if self.rate <= 0:
            raise RateImpossible("A rate is greater than zero.", field="exchange_rate.rate")
        return ExchangeRateRecorded()


def rate_on(rates: Iterable[ExchangeRate], from_currency: str, to_currency: str, on: date) -> ExchangeRate:
    """The rate that holds on a day: the latest on or before it.

    Raises:
        ExchangeRateMissing: there is none.
    """
    holding = [
        rate
        for rate in rates
        if (rate.from_currency, rate.to_currency) == (from_currency, to_currency) and rate.date <= on
    ]
    if not holding:
        raise ExchangeRateMissing(from_currency, to_currency, on)
    return max(holding, key=lambda rate: rate.date)
