"""How a document speaks: labels in its language, and numbers, dates and amounts as its place writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_symbol

from chassis.errors import InvalidArgument
from chassis.money import Money, minor_unit

LANGUAGES = ("en", "de", "fr", "es", "ja", "ar")
"""The languages that there are labels in."""
_PRICE_DIGITS = 6
"""A unit price may have more digits than its currency."""


class LanguageUnknown(InvalidArgument):
    """There are no labels in this language."""

    def __init__(self, code: str, field: str) -> None:
        known = ", ".join(LANGUAGES)
        super().__init__(f"{code} is no language that documents are made in: {known}.", field=field)


@dataclass(frozen=True)
class Language:
    """One language, as one place speaks it: `de-CH`."""

    code: str
    locale: Locale
    labels: dict[str, str]

    @property
    def base(self) -> str:
        """Without the place: `de`."""
        return str(self.locale.language)

    @property
    def region(self) -> str:
        """The place: `CH`; empty where none is said."""
        return str(self.locale.territory or "")

    @property
    def is_right_to_left(self) -> bool:
        """Whether it is written from the right."""
        return bool(self.locale.text_direction == "rtl")

    def say(self, label: str, **facts: str) -> str:
        """A label, with what it speaks of put in. Facts are put in once and never read as patterns."""
        return self.labels[label].format(**facts) if facts else self.labels[label]

    def date(self, day: date) -> str:
        """`31. Januar 2026`."""
        return format_date(day, "long", locale=self.locale)

    def instant(self, at: datetime) -> str:
        """With the time, in UTC."""
        return f"{format_datetime(at.astimezone(UTC), 'medium', locale=self.locale)} UTC"

    def number(self, value: Decimal) -> str:
        """A quantity, with the digits that it has."""
        text = format_decimal(
            value.normalize() if value else Decimal(0), locale=self.locale, decimal_quantization=False,
            numbering_system="latn",
        )  # fmt: skip
        return str(text)

    def percent(self, value: Decimal) -> str:
        """A share of a hundred: `19 %`."""
        return str(
            format_percent(
                value.scaleb(-2).normalize(), locale=self.locale, decimal_quantization=False,
                numbering_system="latn",
            )
        )  # fmt: skip

    def money(self, money: Money) -> str:
        """An amount with its currency, and the digits that the currency has, more where it has more."""
        digits = -int(minor_unit(money.currency).as_tuple().exponent)
        own = max(0, -int(money.amount.normalize().as_tuple().exponent)) if money.amount else 0
        amount = money.amount.quantize(Decimal(1).scaleb(-min(max(digits, own), _PRICE_DIGITS)))
        places = -int(amount.as_tuple().exponent)
        pattern = _with_digits(self.locale.currency_formats["standard"].pattern, places)
        if get_currency_symbol(money.currency, self.locale)[-1:].isalpha():  # as CLDR asks: CHF 5, not CHF5
            pattern = pattern.replace("¤#", "¤\u00a0#")
        return str(
            format_currency(
                amount, money.currency, pattern, locale=self.locale, currency_digits=False,
                numbering_system="latn",
            )
        )  # fmt: skip


def _with_digits(pattern: str, places: int) -> str:
    """A CLDR pattern with a number of decimals: `#,##0.00 ¤` with none is `#,##0 ¤`."""
    fraction = f".{'0' * places}" if places else ""
    return ";".join(part.replace(".00", fraction) for part in pattern.split(";"))


@lru_cache(maxsize=100)
def language_of(code: str, field: str = "language") -> Language:
    """The language of a code such as `de` or `de-CH`.

    Raises:
        LanguageUnknown: there are no labels in it.
    """
    try:
        locale = Locale.parse(code, sep="-")
    except (UnknownLocaleError, ValueError, TypeError):
        raise LanguageUnknown(code, field) from None
    if locale.language not in LANGUAGES:
        raise LanguageUnknown(code, field)
    return Language(code, locale, _labels(locale.language))


@lru_cache
def _labels(language: str) -> dict[str, str]:
    file = resources.files("services.quotes.documents") / "labels" / f"{language}.json"
    labels: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return {name: str(text) for name, text in labels.items()}
