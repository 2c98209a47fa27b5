"""Whose credit a deal is: revenue splits, which add up to the deal, and overlay splits, which stand beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from uuid import UUID

from chassis.errors import InvalidArgument
from chassis.money import Money, minor_unit

WHOLE = Decimal(100)


class SplitType(Enum):
    """What a share counts for."""

    REVENUE = "REVENUE"
    OVERLAY = "OVERLAY"


class RevenueSplitsIncomplete(InvalidArgument):
    """The revenue splits are more or less than the deal."""

    def __init__(self, percent: Decimal) -> None:
        super().__init__(
            f"The revenue splits add up to {percent.normalize():f} %; all of them together are 100 %.",
            field="opportunity.splits",
        )


class SplitTwice(InvalidArgument):
    """A user has two shares of one type."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "A user has one revenue split and one overlay split at the most.",
            field=f"opportunity.splits[{index}].user_id",
        )


class SplitOutOfRange(InvalidArgument):
    """A share is below nothing or above everything."""

    def __init__(self, index: int) -> None:
        super().__init__("A split is 0 to 100 %.", field=f"opportunity.splits[{index}].percent")


@dataclass(frozen=True, slots=True)
class Split:
    """A user's share of the credit for a deal, in percent."""

    user_id: UUID
    type: SplitType
    percent: Decimal


def check_splits(splits: Sequence[Split]) -> None:
    """Whether these can be the splits of a deal.

    Raises:
        SplitOutOfRange, SplitTwice: one of them cannot be.
        RevenueSplitsIncomplete: there are revenue splits, and they are not 100 %.
    """
    seen = set()
    for index, split in enumerate(splits):
        if not 0 <= split.percent <= WHOLE:
            raise SplitOutOfRange(index)
        if (split.user_id, split.type) in seen:
            raise SplitTwice(index)
        seen.add((split.user_id, split.type))
    revenue = [split.percent for split in splits if split.type is SplitType.REVENUE]
    if revenue and sum(revenue) != WHOLE:
        raise RevenueSplitsIncomplete(sum(revenue, Decimal(0)))


def shares(amount: Money, percents: Sequence[Decimal]) -> list[Money]:
    """The parts of an amount, to the minor unit of its currency, in the order of the percentages.

    By largest remainder: each part is rounded down, and the units that are left go to those that lost
    most, the earlier first among equals. So the parts add up to the percentages' sum of the amount,
    which where they are 100 % is the amount itself, to its minor unit.
    """
    unit = minor_unit(amount.currency)
    whole = int(amount.rounded().amount / unit)
    sign = -1 if whole < 0 else 1
    exact = [Fraction(percent) * abs(whole) / 100 for percent in percents]
    parts = [int(part) for part in exact]
    # the sum rounded half up, as amounts are
    left = int(sum(exact, Fraction(1, 2))) - sum(parts)
    for index in sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])[:left]:
        parts[index] += 1
    return [Money(sign * part * unit, amount.currency) for part in parts]


def amounts_of(splits: Sequence[Split], amount: Money) -> list[Money]:
    """What each split is worth; revenue and overlay splits are parted each for themselves."""
    result = [amount] * len(splits)
    for kind in SplitType:
        places = [index for index, split in enumerate(splits) if split.type is kind]
        parts = shares(amount, [splits[index].percent for index in places])
        for index, part in zip(places, parts, strict=True):
            result[index] = part
    return result
