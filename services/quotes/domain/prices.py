"""Price books and the prices in them: which price of a product is in force on a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, InvalidArgument
from chassis.money import CurrenciesDiffer, Money
from services.quotes.domain.products import FieldRequired

STANDARD_NAME = "Standard"


@dataclass(frozen=True, slots=True)
class PriceBookCreated(Event):
    """A price book was made."""


@dataclass(frozen=True, slots=True)
class PriceBookUpdated(Event):
    """A price book was changed."""


@dataclass(frozen=True, slots=True)
class PriceBookEntryChanged(Event):
    """A price was set or changed."""


@dataclass(frozen=True, slots=True)
class PriceBookEntryDeleted(Event):
    """A price was deleted."""


class PriceBookNameTaken(AlreadyExists):
    """Two price books cannot share a name."""

    def __init__(self) -> None:
        super().__init__("Another price book has this name already.", field="price_book.name")


class PriceTaken(AlreadyExists):
    """Two prices of a product begin on the same day in one price book and currency."""

    def __init__(self) -> None:
        super().__init__(
            "Another price of this product begins on this day, in this price book and currency.",
            field="price_book_entry.valid_from",
        )


class NegativePrice(InvalidArgument):
    """A price is below zero."""

    def __init__(self, field: str = "price_book_entry.unit_price") -> None:
        super().__init__("A price must be zero or more.", field=field)


class ValidityReversed(InvalidArgument):
    """A price would end before it begins."""

    def __init__(self) -> None:
        super().__init__("valid_to must not be before valid_from.", field="price_book_entry.valid_to")


@dataclass(slots=True, kw_only=True)
class PriceBook(Entity):
    """A list of prices; a tenant has one standard one, which quotes use unless they name another."""

    name: str
    description: str = ""
    is_standard: bool = False

    def create(self) -> PriceBookCreated:
        """Makes it known.

        Raises:
            FieldRequired: it has no name.
        """
        self._check()
        return PriceBookCreated()

    def change(self, values: Mapping[str, Any]) -> PriceBookUpdated:
        """Sets the fields that `values` names.

        Raises:
            FieldRequired: the name would be empty.
        """
        for field, value in values.items():
            setattr(self, field, value)
        self._check()
        return PriceBookUpdated()

    def _check(self) -> None:
        if not self.name:
            raise FieldRequired("price book", "name")


@dataclass(slots=True, kw_only=True)
class PriceBookEntry(Entity):
    """What a product costs in one price book and currency, from one day to another.

    Known by price book, product, currency and `valid_from`. An open end is None.
    """

    price_book_id: UUID
    product_id: UUID
    unit_price: Money
    valid_from: date | None = None
    valid_to: date | None = None

    @property
    def key(self) -> tuple[UUID, UUID, str, date | None]:
        """What tells it from every other price."""
        return self.price_book_id, self.product_id, self.unit_price.currency, self.valid_from

    def covers(self, day: date) -> bool:
        """Whether it is valid on the day."""
        return (self.valid_from or day) <= day <= (self.valid_to or day)

    def create(self) -> PriceBookEntryChanged:
        """Makes it known.

        Raises:
            NegativePrice, ValidityReversed: it makes no sense.
        """
        self._check()
        return PriceBookEntryChanged()

    def change(self, unit_price: Money, valid_to: date | None) -> PriceBookEntryChanged:
        """Sets another price, or another end.

        Raises:
            CurrenciesDiffer: the price would be in another currency.
            NegativePrice, ValidityReversed: it makes no sense.
        """
        if unit_price.currency != self.unit_price.currency:
            raise CurrenciesDiffer(
                self.unit_price.currency, unit_price.currency, field="price_book_entry.unit_price"
            )
        self.unit_price, self.valid_to = unit_price, valid_to
        self._check()
        return PriceBookEntryChanged()

    def _check(self) -> None:
        if self.unit_price.amount < 0:
            raise NegativePrice
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValidityReversed


def in_force(entries: Iterable[PriceBookEntry], day: date) -> PriceBookEntry | None:
    """The price of one product on a day: of those that cover it the one that begins last."""
    covering = (entry for entry in entries if entry.covers(day))
    return max(covering, key=lambda entry: entry.valid_from or date.min, default=None)


def reprice(
    entries: Iterable[PriceBookEntry], book_id: UUID, product_id: UUID, price: Money, day: date
) -> PriceBookEntry | None:
    """Makes `price` the product's price from a day on; `entries` are those it has in book and currency.

    The first price in a currency holds for all time. Answers with the entry that was made or changed;
    None where the price in force is this one already.

    Raises:
        NegativePrice: the price is below zero.
    """
    if price.amount < 0:
        raise NegativePrice("product.list_price")
    entries = list(entries)
    current = in_force(entries, day)
    if current is not None and current.unit_price == price:
        return None
    if current is not None and current.valid_from == day:
        current.change(price, current.valid_to)
        return current
    entry = PriceBookEntry(
        price_book_id=book_id, product_id=product_id, unit_price=price, valid_from=day if entries else None
    )
    entry.create()
    return entry
