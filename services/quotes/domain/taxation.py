"""What tax is due on the lines of a quote: the question, the answer, and how the built-in calculator comes
from rates to amounts.

Tax is rounded per line, or once per document for each set of rates, whose tax is then shared out over its
lines by the largest remainder. Either way the lines' taxes add up to the document's, and so do the parts of
the several rates of one class (a state's and a city's).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID

from services.quotes.domain.apportionment import apportion, half_away

if TYPE_CHECKING:
    from services.quotes.domain.lines import QuoteLine


class TaxRounding(Enum):
    """Where tax is rounded to the minor unit."""

    PER_LINE = "per_line"
    PER_DOCUMENT = "per_document"


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """What is to be taxed: an amount as quoted, after all discounts."""

    id: UUID
    amount: Decimal
    tax_class: str
    product_id: UUID | None = None
    index: int = 0
    """Its place in the quote."""


@dataclass(frozen=True, slots=True)
class TaxQuestion:
    """All that a calculator has to know."""

    lines: tuple[TaxableLine, ...]
    currency: str
    region: str
    day: date
    account_id: UUID | None = None
    prices_include_tax: bool = False
    rounding: TaxRounding = TaxRounding.PER_LINE


@dataclass(frozen=True, slots=True)
class RatePart:
    """One of the rates that are due on a tax class; several of one class are added up."""

    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class TaxAmount:
    """What is due by one rate: `amount` on `base`, which is without the tax."""

    name: str
    percent: Decimal
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class LineTax:
    """What is due on one line, by all its rates together."""

    percent: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Taxation:
    """A calculator's answer."""

    lines: Mapping[UUID, LineTax] = field(default_factory=dict)
    taxes: tuple[TaxAmount, ...] = ()
    is_exempt: bool = False


UNTAXED = Taxation()
"""Where nobody has said where tax is due."""


def taxed(lines: Sequence[QuoteLine], taxation: Taxation) -> tuple[QuoteLine, ...]:
    """The lines with what is due on them."""
    result = []
    for line in lines:
        due = taxation.lines.get(line.id) if line.counts else None
        rate, amount = (due.percent, due.amount) if due is not None else (None, Decimal(0))
        same = line.tax_rate == rate and line.tax == amount
        result.append(line if same else replace(line, tax_rate=rate, tax=amount))
    return tuple(result)


def tax_by_rates(question: TaxQuestion, rates: Mapping[str, Sequence[RatePart]]) -> Taxation:
    """The tax by the rates of each line's class."""
    groups: dict[tuple[RatePart, ...], list[TaxableLine]] = defaultdict(list)
    for line in question.lines:
        groups[tuple(rates[line.tax_class])].append(line)
    by_line: dict[UUID, LineTax] = {}
    amounts: list[TaxAmount] = []
    for parts, lines in groups.items():
        percent = sum((part.percent for part in parts), Decimal(0))
        taxes = _rounded(question, lines, percent)
        for line, tax in zip(lines, taxes, strict=True):
            by_line[line.id] = LineTax(percent, tax)
        due = sum(taxes, Decimal(0))
        base = sum((line.amount for line in lines), Decimal(0)) - (due if question.prices_include_tax else 0)
        shares = apportion(due, [part.percent for part in parts], question.currency)
        amounts += [
            TaxAmount(part.name, part.percent, base, share) for part, share in zip(parts, shares, strict=True)
        ]
    return Taxation(by_line, _merged(amounts))


def _rounded(question: TaxQuestion, lines: Sequence[TaxableLine], percent: Decimal) -> list[Decimal]:
    whole = Fraction(percent) + 100 if question.prices_include_tax else Fraction(100)
    exact = [Fraction(line.amount) * Fraction(percent) / whole for line in lines]
    if question.rounding is TaxRounding.PER_LINE:
        return [half_away(amount, question.currency) for amount in exact]
    return apportion(half_away(sum(exact, Fraction(0)), question.currency), exact, question.currency)


def _merged(amounts: Sequence[TaxAmount]) -> tuple[TaxAmount, ...]:
    """One amount for each rate, also where several classes have it; the highest rates first."""
    merged: dict[tuple[str, Decimal], TaxAmount] = {}
    for tax in amounts:
        former = merged.get((tax.name, tax.percent))
        merged[tax.name, tax.percent] = (
            tax if former is None
            else TaxAmount(tax.name, tax.percent, former.base + tax.base, former.amount + tax.amount)
        )  # fmt: skip
    return tuple(sorted(merged.values(), key=lambda tax: (-tax.percent, tax.name)))
