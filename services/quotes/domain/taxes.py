"""Tax as the tenant keeps it: rates by region, class and day, who is exempt, and how it is calculated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from services.quotes.domain.products import FieldRequired
from services.quotes.domain.taxation import (
    RatePart,
    TaxableLine,
    Taxation,
    TaxQuestion,
    TaxRounding,
    tax_by_rates,
)

STANDARD = "standard"
MAX_PERCENT = Decimal(1000)


class Calculator(Enum):
    """Who calculates tax."""

    BUILT_IN = "built_in"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class TaxRateChanged(Event):
    """A rate was made or changed."""


@dataclass(frozen=True, slots=True)
class TaxRateDeleted(Event):
    """A rate was deleted."""


@dataclass(frozen=True, slots=True)
class TaxExemptionChanged(Event):
    """An exemption was made or changed."""


@dataclass(frozen=True, slots=True)
class TaxExemptionDeleted(Event):
    """An exemption was deleted."""


@dataclass(frozen=True, slots=True)
class TaxSettingsUpdated(Event):
    """How tax is calculated was changed."""


class TaxRateTaken(AlreadyExists):
    """Two rates of one region, class and name begin on the same day."""

    def __init__(self) -> None:
        super().__init__(
            "Another rate of this region, class and name begins on this day.", field="tax_rate.valid_from"
        )


class TaxValidityReversed(InvalidArgument):
    """It would end before it begins."""

    def __init__(self, kind: str) -> None:
        super().__init__("valid_to must not be before valid_from.", field=f"{kind}.valid_to")


class TaxPercentTooHigh(InvalidArgument):
    """No tax is that high."""

    def __init__(self) -> None:
        super().__init__("The rate must be below 1000 percent.", field="tax_rate.percent")


class TaxRateMissing(FailedPrecondition):
    """No rate says what is due. A missing rate is reported, never taken as zero."""

    def __init__(self, line: TaxableLine, question: TaxQuestion) -> None:
        super().__init__(
            f"There is no rate of tax on class {line.tax_class} in {question.region} on {question.day}.",
            field=f"quote.lines[{line.index}].tax_class",
        )


@dataclass(slots=True, kw_only=True)
class TaxRate(Entity):
    """A rate on a class of goods in a region. An open end is None."""

    region: str
    tax_class: str = STANDARD
    name: str = "VAT"
    percent: Decimal
    valid_from: date | None = None
    valid_to: date | None = None

    def covers(self, day: date) -> bool:
        """Whether it holds on the day."""
        return _covers(self, day)

    def change(self, values: Mapping[str, Any]) -> TaxRateChanged:
        """Sets the fields that `values` names.

        Raises:
            FieldRequired, TaxPercentTooHigh, TaxValidityReversed: it makes no sense.
        """
        for field, value in values.items():
            setattr(self, field, value)
        self.tax_class, self.name = self.tax_class or STANDARD, self.name or "VAT"
        if not self.region:
            raise FieldRequired("tax rate", "region")
        if self.percent >= MAX_PERCENT:
            raise TaxPercentTooHigh
        _check_validity(self, "tax_rate")
        return TaxRateChanged()


@dataclass(slots=True, kw_only=True)
class TaxExemption(Entity):
    """A customer who pays no tax; an empty region or class means all."""

    account_id: UUID | None
    region: str = ""
    tax_class: str = ""
    certificate: str = ""
    valid_from: date | None = None
    valid_to: date | None = None

    def covers(self, region: str, tax_class: str, day: date) -> bool:
        """Whether nothing is due in the region, on the class, on the day."""
        here = self.region in ("", region) and self.tax_class in ("", tax_class)
        return here and _covers(self, day)

    def change(self, values: Mapping[str, Any]) -> TaxExemptionChanged:
        """Sets the fields that `values` names.

        Raises:
            FieldRequired, TaxValidityReversed: it makes no sense.
        """
        for field, value in values.items():
            setattr(self, field, value)
        if self.account_id is None:
            raise FieldRequired("tax exemption", "account_id")
        _check_validity(self, "tax_exemption")
        return TaxExemptionChanged()


@dataclass(slots=True, kw_only=True)
class TaxSettings(Entity):
    """How tax is calculated: one per tenant."""

    calculator: Calculator = Calculator.BUILT_IN
    rounding: TaxRounding = TaxRounding.PER_LINE
    default_region: str = ""
    default_class: str = STANDARD
    freight_class: str = STANDARD
    prices_include_tax: bool = False

    def change(self, values: Mapping[str, Any]) -> TaxSettingsUpdated:
        """Sets the fields that `values` names."""
        for field, value in values.items():
            setattr(self, field, value)
        self.default_class = self.default_class or STANDARD
        self.freight_class = self.freight_class or STANDARD
        return TaxSettingsUpdated()


def built_in_tax(
    question: TaxQuestion, rates: Iterable[TaxRate], exemptions: Sequence[TaxExemption]
) -> Taxation:
    """What is due by the tenant's own rates and exemptions.

    Where prices include tax, an exempt customer pays them as they are quoted.

    Raises:
        TaxRateMissing: naming the first line that no rate covers.
    """
    in_force = parts_in_force(rates, question.region, question.day)
    by_class: dict[str, tuple[RatePart, ...]] = {}
    is_exempt = False
    for line in question.lines:
        if line.tax_class in by_class:
            continue
        if any(each.covers(question.region, line.tax_class, question.day) for each in exemptions):
            by_class[line.tax_class], is_exempt = (), True
        elif line.tax_class in in_force:
            by_class[line.tax_class] = in_force[line.tax_class]
        else:
            raise TaxRateMissing(line, question)
    answer = tax_by_rates(question, by_class)
    return Taxation(answer.lines, answer.taxes, is_exempt)


def parts_in_force(rates: Iterable[TaxRate], region: str, day: date) -> dict[str, tuple[RatePart, ...]]:
    """The rates of each class in a region on a day: of each name the one that begins last."""
    latest: dict[tuple[str, str], TaxRate] = {}
    for rate in rates:
        if rate.region != region or not rate.covers(day):
            continue
        key = rate.tax_class, rate.name
        former = latest.get(key)
        if former is None or (rate.valid_from or date.min) > (former.valid_from or date.min):
            latest[key] = rate
    parts: dict[str, list[RatePart]] = defaultdict(list)
    for (tax_class, name), rate in sorted(latest.items()):
        parts[tax_class].append(RatePart(name, rate.percent))
    return {tax_class: tuple(found) for tax_class, found in parts.items()}


def _covers(validity: TaxRate | TaxExemption, day: date) -> bool:
    return (validity.valid_from or day) <= day <= (validity.valid_to or day)


def _check_validity(validity: TaxRate | TaxExemption, kind: str) -> None:
    if validity.valid_from and validity.valid_to and validity.valid_to < validity.valid_from:
        raise TaxValidityReversed(kind)
