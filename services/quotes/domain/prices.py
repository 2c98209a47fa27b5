"""Price books and the prices in them: whom a price is for, from when to when, in which quantities.

Which of several prices of a product wins is said by `price_resolution`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument
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
class PriceBookDeleted(Event):
    """A price book was deleted; its prices no longer count."""


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


class StandardPriceBook(FailedPrecondition):
    """There is always a standard price book, for everybody and for good."""

    def __init__(self, field: str | None = None) -> None:
        super().__init__("The standard price book is for everybody and for good.", field=field)


class PriceTaken(AlreadyExists):
    """Two prices of a product begin on the same day, in one price book, currency and unit, for the
    same customers."""

    def __init__(self) -> None:
        super().__init__(
            "Another price of this product begins on this day, in this price book, currency and unit.",
            field="price_book_entry.valid_from",
        )


class NegativePrice(InvalidArgument):
    """A price is below zero."""

    def __init__(self, field: str = "price_book_entry.unit_price") -> None:
        super().__init__("A price must be zero or more.", field=field)


class ValidityReversed(InvalidArgument):
    """A price would end before it begins."""

    def __init__(self, kind: str = "price_book_entry") -> None:
        super().__init__("valid_to must not be before valid_from.", field=f"{kind}.valid_to")


class TiersNotSensible(InvalidArgument):
    """Tiers do not rise, one begins at nothing, or one is in another currency."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Tiers begin above zero, each above the one before, with prices of zero or more in the "
            "price's own currency.",
            field=f"price_book_entry.tiers[{index}]",
        )


class NegativeQuantity(InvalidArgument):
    """A least quantity is below zero."""

    def __init__(self) -> None:
        super().__init__(
            "The least quantity must be zero or more.", field="price_book_entry.minimum_quantity"
        )


class CurrencyNotOfBook(FailedPrecondition):
    """A price would be in another currency than its price book."""

    def __init__(self, book: PriceBook) -> None:
        super().__init__(
            f"The price book {book.name} has prices in {book.currency} only.",
            field="price_book_entry.unit_price.currency_code",
        )


class IncrementNotSensible(InvalidArgument):
    """A price increment is below zero."""

    def __init__(self) -> None:
        super().__init__("A price increment must be zero or more.", field="price_book.price_increment")


class TierMode(Enum):
    """What a quantity costs that reaches a tier."""

    VOLUME = "volume"
    """All of it has the price of the tier that it reaches."""
    GRADUATED = "graduated"
    """Each part of it has the price of the tier that it lies in."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The price from a quantity on, in the unit of the price."""

    from_quantity: Decimal
    unit_price: Money


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of a quantity, in the unit of the price, and what one of it costs."""

    quantity: Fraction
    unit_price: Money


@dataclass(slots=True, kw_only=True)
class PriceBook(Entity):
    """A list of prices; a tenant has one standard one, which quotes use unless they name another.

    Segments, territories and channels say whom its prices are for: one of each that is not empty must
    fit. The prices of an automatic book compete by themselves, others only where a quote names the book.
    """

    name: str
    description: str = ""
    is_standard: bool = False
    is_automatic: bool = False
    currency: str = ""
    """The only one that its prices may have; empty for any."""
    segments: tuple[str, ...] = ()
    territories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    priority: int = 0
    price_increment: Decimal | None = None
    """What a price is a multiple of that was converted from another unit; None for nine digits."""

    def create(self) -> PriceBookCreated:
        """Makes it known.

        Raises:
            FieldRequired: it has no name; or another refusal of this module.
        """
        self._check()
        return PriceBookCreated()

    def change(self, values: Mapping[str, Any]) -> PriceBookUpdated:
        """Sets the fields that `values` names.

        Raises:
            FieldRequired: the name would be empty; or another refusal of this module.
        """
        for field, value in values.items():
            setattr(self, field, value)
        self._check()
        return PriceBookUpdated()

    def covers(self, day: date) -> bool:
        """Whether it is valid on the day."""
        return (self.valid_from or day) <= day <= (self.valid_to or day)

    def must_take(self, currency: str) -> None:
        """Raises CurrencyNotOfBook where it has no prices in the currency."""
        if self.currency and self.currency != currency:
            raise CurrencyNotOfBook(self)

    def must_not_be_standard(self) -> None:
        """Raises StandardPriceBook where it is."""
        if self.is_standard:
            raise StandardPriceBook

    def _check(self) -> None:
        if not self.name:
            raise FieldRequired("price book", "name")
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValidityReversed("price_book")
        if self.price_increment is not None and self.price_increment < 0:
            raise IncrementNotSensible
        if self.is_standard:
            for field in ("currency", "segments", "territories", "channels", "valid_from", "valid_to"):
                if getattr(self, field):
                    raise StandardPriceBook(f"price_book.{field}")


_Key = tuple[UUID, UUID, str, date | None, str, UUID | None]


@dataclass(slots=True, kw_only=True)
class PriceBookEntry(Entity):
    """What a product costs in one price book and currency, from one day to another.

    Known by price book, product, currency, `valid_from`, unit and account. An open end is None, the
    base unit an empty text. With an account it is a contract price: for that customer alone, and before
    all others. Above `unit_price` stand the tiers that larger quantities reach.
    """

    price_book_id: UUID
    product_id: UUID
    unit_price: Money
    valid_from: date | None = None
    valid_to: date | None = None
    unit: str = ""
    account_id: UUID | None = None
    minimum_quantity: Decimal | None = None
    """The least that it is given for, in its unit."""
    tier_mode: TierMode = TierMode.VOLUME
    tiers: tuple[Tier, ...] = ()

    @property
    def key(self) -> _Key:
        """What tells it from every other price."""
        return (
            *(self.price_book_id, self.product_id, self.unit_price.currency),
            *(self.valid_from, self.unit, self.account_id),
        )

    @property
    def is_plain(self) -> bool:
        """Whether it is a list price: of the base unit, for every customer."""
        return not self.unit and self.account_id is None

    def covers(self, day: date) -> bool:
        """Whether it is valid on the day."""
        return (self.valid_from or day) <= day <= (self.valid_to or day)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        """What a quantity, in the unit of the price, is made of at which prices: in volume tiers one
        portion, in graduated ones one for each tier that it reaches into."""
        if not self.tiers:
            return (Portion(quantity, self.unit_price),)
        steps = [(Fraction(0), self.unit_price)]
        steps += [(Fraction(tier.from_quantity), tier.unit_price) for tier in self.tiers]
        if self.tier_mode is TierMode.VOLUME:
            reached = [price for begins, price in steps if begins <= quantity]
            return (Portion(quantity, reached[-1] if reached else self.unit_price),)
        ends = [begins for begins, _ in steps[1:]]
        return tuple(
            Portion((quantity if end is None else min(quantity, end)) - begins, price)
            for (begins, price), end in zip(steps, [*ends, None], strict=True)
            if begins < quantity
        )

    def create(self) -> PriceBookEntryChanged:
        """Makes it known.

        Raises:
            NegativePrice, ValidityReversed, TiersNotSensible, NegativeQuantity: it makes no sense.
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

    def become(self, other: PriceBookEntry) -> PriceBookEntryChanged:
        """Takes over all that the other says; the two have one key.

        Raises:
            NegativePrice, ValidityReversed, TiersNotSensible, NegativeQuantity: it makes no sense.
        """
        self.minimum_quantity, self.tier_mode, self.tiers = (
            other.minimum_quantity,
            other.tier_mode,
            other.tiers,
        )
        return self.change(other.unit_price, other.valid_to)

    def _check(self) -> None:
        if self.unit_price.amount < 0:
            raise NegativePrice
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValidityReversed
        if self.minimum_quantity is not None and self.minimum_quantity < 0:
            raise NegativeQuantity
        begins = Decimal(0)
        for index, tier in enumerate(self.tiers):
            price = tier.unit_price
            if tier.from_quantity <= begins or price.amount < 0 or price.currency != self.unit_price.currency:
                raise TiersNotSensible(index)
            begins = tier.from_quantity


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
    entries = [entry for entry in entries if entry.is_plain]
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
