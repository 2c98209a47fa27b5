"""Units of measure: a product is kept in its base unit and sold in others, such as boxes and pallets.

A factor says how many base units one unit is. It is an exact rational, so that converting there and
back is the same quantity: a third of a roll is a third, not 0.333. A quantity is rounded by its
unit's own rule and only where somebody enters it; conversion never rounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

from chassis.errors import FailedPrecondition, InvalidArgument

BASE_UNIT = "piece"
"""The base unit of a product that does not say."""
_EXACT = Context(prec=60)


class Rounding(Enum):
    """What becomes of a quantity between two multiples of a unit's step."""

    UP = "up"
    DOWN = "down"
    NEAREST = "nearest"
    REFUSE = "refuse"


class UnitUnknown(InvalidArgument):
    """A product is asked for in a unit that it is not sold in."""

    def __init__(self, unit: str, field: str = "unit") -> None:
        super().__init__(f"The product is not sold by the {unit}.", field=field)


class UnitNotSensible(InvalidArgument):
    """A unit's factor or step is zero or less, or the factor of the base unit is not one."""

    def __init__(self, unit: str, field: str) -> None:
        super().__init__(
            f"Factor and step of the unit {unit} must be above zero, and the factor of the base unit one.",
            field=field,
        )


class UnitRepeated(InvalidArgument):
    """A product has two units of one code."""

    def __init__(self, unit: str, field: str) -> None:
        super().__init__(f"The unit {unit} is there twice.", field=field)


class QuantityNotInSteps(FailedPrecondition):
    """A unit is sold in whole steps only."""

    def __init__(self, unit: Unit, quantity: Decimal, field: str = "quantity") -> None:
        super().__init__(f"{quantity} is not a multiple of {unit.step} {unit.code}.", field=field)


@dataclass(frozen=True, slots=True)
class Unit:
    """One of the units that a product is sold in: `numerator / denominator` base units.

    `step` is the quantity that it is sold in multiples of; None where any quantity will do.
    """

    code: str
    numerator: int = 1
    denominator: int = 1
    step: Decimal | None = None
    rounding: Rounding = Rounding.UP

    @property
    def factor(self) -> Fraction:
        """How many base units it is."""
        return _factor(self.numerator, self.denominator)

    def rounded(self, quantity: Decimal, field: str = "quantity") -> Decimal:
        """The quantity that is sold where this one is asked for.

        Raises:
            QuantityNotInSteps: the rule is to refuse what is no multiple of the step.
        """
        if self.step is None:
            return quantity
        steps = Fraction(quantity) / Fraction(self.step)
        if steps.denominator == 1:
            return quantity
        if self.rounding is Rounding.REFUSE:
            raise QuantityNotInSteps(self, quantity, field)
        return _EXACT.multiply(self.step, Decimal(_whole(steps, self.rounding)))


# Fractions are dear to make, and a catalogue has few factors.
_factor = lru_cache(maxsize=1024)(Fraction)


def _whole(steps: Fraction, rounding: Rounding) -> int:
    """The steps as a whole number; half of one is away from zero where the nearest is wanted."""
    if rounding is Rounding.UP:
        return ceil(steps)
    if rounding is Rounding.DOWN:
        return floor(steps)
    away = floor(abs(steps) + Fraction(1, 2))
    return away if steps >= 0 else -away


def check(base: str, units: Iterable[Unit], field: str = "product.units") -> None:
    """Whether the units make sense together.

    Raises:
        UnitNotSensible, UnitRepeated: naming the unit. The base unit may stand among them, to have a
            step; its factor is one.
    """
    seen: set[str] = set()
    for index, unit in enumerate(units):
        path = f"{field}[{index}]"
        if unit.code in seen:
            raise UnitRepeated(unit.code, f"{path}.code")
        seen.add(unit.code)
        if unit.step is not None and unit.step <= 0:
            raise UnitNotSensible(unit.code, f"{path}.step")
        if unit.numerator <= 0 or unit.denominator <= 0 or (unit.code == base and unit.factor != 1):
            raise UnitNotSensible(unit.code, f"{path}.numerator")
