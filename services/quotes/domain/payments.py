"""By what instalments a quote is paid: shares in percent, whose amounts add up to what is to be paid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from chassis.errors import InvalidArgument
from services.quotes.domain.apportionment import apportion


class InstalmentsIncomplete(InvalidArgument):
    """The instalments are less, or more, than the whole."""

    def __init__(self, percent: Decimal) -> None:
        super().__init__(
            f"The instalments add up to {percent:f} percent; it must be 100.", field="quote.payment_schedule"
        )


@dataclass(frozen=True, slots=True)
class Instalment:
    """One payment; `days` after the order is placed."""

    label: str
    percent: Decimal
    days: int = 0
    amount: Decimal = Decimal(0)


def scheduled(instalments: Sequence[Instalment], payable: Decimal, currency: str) -> tuple[Instalment, ...]:
    """The instalments with their amounts, to the last minor unit.

    Raises:
        InstalmentsIncomplete: they are not 100 percent.
    """
    if not instalments:
        return ()
    percents = [instalment.percent for instalment in instalments]
    if sum(percents) != 100:
        raise InstalmentsIncomplete(sum(percents, Decimal(0)))
    amounts = apportion(payable, percents, currency)
    return tuple(
        replace(instalment, amount=amount) for instalment, amount in zip(instalments, amounts, strict=True)
    )
