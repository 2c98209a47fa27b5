"""The discount that is given by hand on a quote as a whole: it comes after everything else, and is spread
over the items by what they cost until then, before tax."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from chassis.errors import InvalidArgument
from services.quotes.domain.apportionment import apportion, half_away
from services.quotes.domain.lines import LineKind, QuoteLine


class DiscountTwice(InvalidArgument):
    """A discount is a percentage or an amount."""

    def __init__(self, field: str) -> None:
        super().__init__("Give the discount in percent or as an amount, not both.", field=field)


class DiscountTooLarge(InvalidArgument):
    """A discount takes off more than there is."""

    def __init__(self, field: str) -> None:
        super().__init__("The discount is more than what it is taken off.", field=field)


class DiscountNegative(InvalidArgument):
    """A discount would make a quote dearer."""

    def __init__(self) -> None:
        super().__init__("The discount must be zero or more.", field="quote.discount_value")


class DiscountInFormerCurrency(InvalidArgument):
    """A quote is to be in another currency, and what is taken off it is not."""

    def __init__(self, currency: str) -> None:
        super().__init__(
            f"The discount is an amount in {currency}: say what it is in the new currency, or that there is none.",
            field="quote.discount_value",
        )


def spread_discount(
    lines: tuple[QuoteLine, ...], percent: Decimal, value: Decimal, currency: str
) -> tuple[QuoteLine, ...]:
    """The lines with their shares of the whole quote's discount; freight and surcharges have none.

    Lines that were priced together with promotions have their shares from there, and keep them.

    Raises:
        DiscountTwice: both ways are given.
        DiscountTooLarge: the amount is more than all items cost.
    """
    if percent and value:
        raise DiscountTwice("quote.discount_value")
    items = [line for line in lines if line.counts and line.kind is LineKind.ITEM]
    costs = [line.total_before_share for line in items]
    whole = sum(costs, Decimal(0))
    amount = value or half_away(Fraction(whole) * Fraction(percent) / 100, currency)
    if amount > whole:
        raise DiscountTooLarge("quote.discount_value")
    if any(line.manual is not None for line in items):
        return lines
    shares = dict(zip((line.id for line in items), apportion(amount, costs, currency), strict=True))
    none = Decimal(0)
    return tuple(
        line if line.discount_share == shares.get(line.id, none)
        else replace(line, discount_share=shares.get(line.id, none))
        for line in lines
    )  # fmt: skip
