"""Which of several prices of a product wins, and why: a pure function of a line and its candidates.

First whoever does not fit is out, for one reason each. Of those that remain the first that is ahead in
this order wins:

1. a contract price of this customer before every list price;
2. the price book of the higher priority;
3. the book that says more of segment, territory and channel; of as many, segment counts before
   territory, and territory before channel;
4. any book before the standard one;
5. the variant's own price before that of its parent;
6. a price stated in the line's unit before one converted from another;
7. the price that begins last: one for a season stands before the one that is always valid;
8. the lower price, and where that is equal too, the smaller id.

Nothing depends on the order of the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from chassis.money import Money
from services.quotes.domain.prices import Portion, PriceBook, PriceBookEntry
from services.quotes.domain.products import Product
from services.quotes.domain.units import Unit, UnitUnknown

PRICE_DIGITS: Final = 9
"""After the point of a unit price: what a Money can carry."""
_ONE: Final = Fraction(1)
_WIDE: Final = Context(prec=80, rounding=ROUND_HALF_UP)


class Why(Enum):
    """Why a price was not taken."""

    OTHER_PRODUCT = "other_product"
    OTHER_CURRENCY = "other_currency"
    OTHER_ACCOUNT = "other_account"
    BOOK_NOT_NAMED = "book_not_named"
    """The quote names another book, or names none and this one is not automatic."""
    DELETED = "deleted"
    OTHER_SEGMENT = "other_segment"
    OTHER_TERRITORY = "other_territory"
    OTHER_CHANNEL = "other_channel"
    NOT_YET_VALID = "not_yet_valid"
    NO_LONGER_VALID = "no_longer_valid"
    UNIT_UNKNOWN = "unit_unknown"
    QUANTITY_TOO_SMALL = "quantity_too_small"
    # it fits, and another is ahead
    CONTRACT_AHEAD = "contract_ahead"
    PRIORITY_LOWER = "priority_lower"
    LESS_SPECIFIC = "less_specific"
    STANDARD_BOOK = "standard_book"
    OF_PARENT = "of_parent"
    CONVERTED = "converted"
    BEGINS_EARLIER = "begins_earlier"
    HIGHER_PRICE = "higher_price"
    SAME_PRICE = "same_price"

    @property
    def fits(self) -> bool:
        """Whether the price was possible, and only another was ahead of it."""
        return _ALL_WHYS.index(self) >= _ALL_WHYS.index(Why.CONTRACT_AHEAD)


_ALL_WHYS: Final = tuple(Why)


@dataclass(frozen=True, slots=True)
class PriceContext:
    """What the lines of a quote have in common, as far as their prices depend on it.

    `segments` and `territories` are all that the customer is in, a territory with those above it.
    `price_book_id` is the book that the quote names; None where all that are automatic compete.
    """

    day: date
    currency: str
    account_id: UUID | None = None
    segments: frozenset[str] = frozenset()
    territories: frozenset[str] = frozenset()
    channel: str = ""
    price_book_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PriceLine:
    """What a price is asked for. The quantity is in the unit; an empty one is the product's base unit."""

    product: Product
    quantity: Decimal = Decimal(1)
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A price with the book that it stands in."""

    entry: PriceBookEntry
    book: PriceBook


@dataclass(frozen=True, slots=True)
class Lost:
    """A price that was not taken, and why.

    Where the quantity is too small, `missing` says how much more of the line's unit would be enough.
    """

    candidate: Candidate
    why: Why
    missing: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Won:
    """The price of a line.

    `unit_price` is for one of the line's unit, to nine digits; over graduated tiers it is the average.
    `amount` is what the whole quantity costs, exact wherever the unit price is and rounded half up to
    18 digits where it is not; `portions` say how it comes about, in the line's unit.
    """

    candidate: Candidate
    unit_price: Money
    amount: Money
    portions: tuple[Portion, ...]
    is_converted: bool
    is_of_parent: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which price won, where there is one, and why each other did not."""

    won: Won | None
    lost: tuple[Lost, ...]

    @property
    def unit_price(self) -> Money | None:
        """What one of the line's unit costs; None where there is no price."""
        return self.won.unit_price if self.won is not None else None


def resolve(line: PriceLine, context: PriceContext, candidates: Iterable[Candidate]) -> Resolution:
    """The price of a line out of those that there are.

    Raises:
        UnitUnknown: the product is not sold in the line's unit.
    """
    wanted = line.product.unit(line.unit)
    fitting: list[tuple[tuple[Any, ...], Candidate, Unit]] = []
    lost: list[Lost] = []
    for candidate in candidates:
        own = _unit_of(candidate.entry, line, wanted)
        refused = _refused(line, context, candidate, wanted, own)
        if refused is not None or own is None:
            lost.append(refused or Lost(candidate, Why.UNIT_UNKNOWN))
        else:
            fitting.append((_rank(candidate, line, wanted, own), candidate, own))
    if not fitting:
        return Resolution(None, _in_order(lost))
    best = min(rank for rank, _, _ in fitting)
    lost += [Lost(candidate, _behind(rank, best)) for rank, candidate, _ in fitting if rank != best]
    # only where all else is equal the amounts decide, and only there all are reckoned
    equal = [_priced(line, candidate, wanted, own) for rank, candidate, own in fitting if rank == best]
    winner = min(equal, key=lambda won: (won.amount.amount, won.candidate.entry.id.int))
    for won in equal:
        if won is not winner:
            is_dearer = won.amount.amount != winner.amount.amount
            lost.append(Lost(won.candidate, Why.HIGHER_PRICE if is_dearer else Why.SAME_PRICE))
    return Resolution(winner, _in_order(lost))


def _unit_of(entry: PriceBookEntry, line: PriceLine, wanted: Unit) -> Unit | None:
    """The unit that the price is stated for; None where the product is not sold in it."""
    if entry.unit == line.unit:
        return wanted
    try:
        return line.product.unit(entry.unit)
    except UnitUnknown:
        return None


def _in_order(lost: list[Lost]) -> tuple[Lost, ...]:
    """The nearest first: those that fitted, from the last comparison up, then those that did not."""
    return tuple(sorted(lost, key=lambda each: (-_ALL_WHYS.index(each.why), each.candidate.entry.id)))


def _refused(
    line: PriceLine, context: PriceContext, candidate: Candidate, wanted: Unit, own: Unit | None
) -> Lost | None:
    entry, book = candidate.entry, candidate.book
    for why, is_so in _MISFITS:
        if is_so(line.product, context, entry, book):
            return Lost(candidate, why)
    if own is not None and entry.minimum_quantity is not None:
        missing = Fraction(entry.minimum_quantity) * own.factor / wanted.factor - Fraction(line.quantity)
        if missing > 0:
            return Lost(candidate, Why.QUANTITY_TOO_SMALL, _at_least(missing))
    return None


_Misfit = Callable[[Product, PriceContext, PriceBookEntry, PriceBook], bool]


def _is_not_named(_: Product, context: PriceContext, entry: PriceBookEntry, book: PriceBook) -> bool:
    if entry.account_id is not None:
        return False
    if context.price_book_id is not None:
        return book.id != context.price_book_id
    return not (book.is_standard or book.is_automatic)


def _is_over(_: Product, context: PriceContext, entry: PriceBookEntry, book: PriceBook) -> bool:
    return any(each.valid_to is not None and each.valid_to < context.day for each in (entry, book))


def _is_ahead(_: Product, context: PriceContext, entry: PriceBookEntry, book: PriceBook) -> bool:
    return any(each.valid_from is not None and each.valid_from > context.day for each in (entry, book))


_MISFITS: Final[tuple[tuple[Why, _Misfit], ...]] = (
    (
        Why.OTHER_PRODUCT,
        lambda product, _, entry, __: entry.product_id not in (product.id, product.parent_id),
    ),
    (Why.DELETED, lambda _, __, entry, book: bool(entry.deleted_at or book.deleted_at)),
    (
        Why.OTHER_CURRENCY,
        lambda _, context, entry, book: (
            context.currency != entry.unit_price.currency or book.currency not in ("", context.currency)
        ),
    ),
    (
        Why.OTHER_ACCOUNT,
        lambda _, context, entry, __: entry.account_id not in (None, context.account_id),
    ),
    (Why.BOOK_NOT_NAMED, _is_not_named),
    (
        Why.OTHER_SEGMENT,
        lambda _, context, __, book: bool(book.segments) and context.segments.isdisjoint(book.segments),
    ),
    (
        Why.OTHER_TERRITORY,
        lambda _, context, __, book: (
            bool(book.territories) and context.territories.isdisjoint(book.territories)
        ),
    ),
    (
        Why.OTHER_CHANNEL,
        lambda _, context, __, book: bool(book.channels) and context.channel not in book.channels,
    ),
    (Why.NOT_YET_VALID, _is_ahead),
    (Why.NO_LONGER_VALID, _is_over),
)

# What the places of a rank say of the one that is behind there.
_RANKS: Final = (
    Why.CONTRACT_AHEAD,
    Why.PRIORITY_LOWER,
    Why.LESS_SPECIFIC,
    Why.LESS_SPECIFIC,
    Why.STANDARD_BOOK,
    Why.OF_PARENT,
    Why.CONVERTED,
    Why.BEGINS_EARLIER,
)


def _rank(candidate: Candidate, line: PriceLine, wanted: Unit, own: Unit) -> tuple[Any, ...]:
    """The smallest wins; its places are those of `_RANKS`."""
    entry, book = candidate.entry, candidate.book
    says = (bool(book.segments), bool(book.territories), bool(book.channels))
    return (
        entry.account_id is None,
        -book.priority,
        -sum(says),
        tuple(not each for each in says),
        book.is_standard,
        entry.product_id != line.product.id,
        own is not wanted and own.factor != wanted.factor,
        -(entry.valid_from or date.min).toordinal(),
    )


def _behind(rank: tuple[Any, ...], best: tuple[Any, ...]) -> Why:
    return next(why for why, own, its in zip(_RANKS, rank, best, strict=True) if own != its)


def _priced(line: PriceLine, candidate: Candidate, wanted: Unit, own: Unit) -> Won:
    """What the line costs by this price: looked up in the price's unit, and said in the line's."""
    entry, book = candidate.entry, candidate.book
    quantity = Fraction(line.quantity)
    ratio = _ONE if own is wanted else own.factor / wanted.factor
    is_converted = ratio is not _ONE and ratio != 1
    portions = entry.portions(quantity / ratio if is_converted else quantity)
    if is_converted:
        portions = tuple(
            Portion(portion.quantity * ratio, _converted(portion.unit_price, ratio, book.price_increment))
            for portion in portions
        )
    currency = entry.unit_price.currency
    if len(portions) == 1:
        unit_price = portions[0].unit_price
        amount = _WIDE.multiply(unit_price.amount, line.quantity)
    else:
        exact = sum(
            (portion.quantity * Fraction(portion.unit_price.amount) for portion in portions), Fraction(0)
        )
        unit_price = Money(decimal_of(exact / quantity) if quantity else Decimal(0), currency)
        amount = decimal_of(exact, 2 * PRICE_DIGITS)
    return Won(
        candidate=candidate,
        unit_price=unit_price,
        amount=Money(amount, currency),
        portions=portions,
        is_converted=is_converted,
        is_of_parent=entry.product_id != line.product.id,
    )


def _converted(price: Money, ratio: Fraction, increment: Decimal | None) -> Money:
    """The price of another unit, of which so many as `ratio` are one of the price's own."""
    exact = Fraction(price.amount) / ratio
    if not increment:
        return Money(decimal_of(exact, PRICE_DIGITS), price.currency)
    steps = decimal_of(exact / Fraction(increment), 0)
    return Money(_WIDE.multiply(steps, increment), price.currency)


def decimal_of(value: Fraction, digits: int = PRICE_DIGITS) -> Decimal:
    """Half away from zero at so many digits after the point."""
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return _short(Decimal(whole if value >= 0 else -whole).scaleb(-digits, _WIDE))


def _at_least(value: Fraction) -> Decimal:
    """To nine digits, up: so much is enough."""
    scaled = value * 10**PRICE_DIGITS
    return _short(Decimal(-(-scaled.numerator // scaled.denominator)).scaleb(-PRICE_DIGITS, _WIDE))


def _short(value: Decimal) -> Decimal:
    """Without zeros at its end, and without an exponent."""
    short = value.normalize(_WIDE)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short
