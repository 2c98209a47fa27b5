"""Quote lines: what is offered, and how a price comes from list to total, to the last minor unit.

A line rounds twice from the same exact product, half up: before discount and after. Everything else
is a sum or a difference of these, so that every figure of a quote adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from uuid import UUID

from chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, minor_unit
from services.quotes.domain.prices import NegativePrice
from services.quotes.domain.products import Product

MAX_AMOUNT = Decimal(10) ** 15
_EXACT = Context(prec=80)  # 18 digits of quantity times 24 of price times 7 of discount fit


class QuantityMissing(InvalidArgument):
    """A line offers nothing."""

    def __init__(self, index: int) -> None:
        super().__init__("A quantity must be above zero.", field=f"quote.lines[{index}].quantity")


class AmountTooLarge(InvalidArgument):
    """An amount is beyond what can be kept."""

    def __init__(self, field: str) -> None:
        super().__init__("The amount must be below 10^15.", field=field)


class LineRepeated(InvalidArgument):
    """Two lines have one id."""

    def __init__(self, index: int) -> None:
        super().__init__("Every line needs an id of its own.", field=f"quote.lines[{index}].id")


class ProductNotFound(NotFound):
    """A line names a product that is not in the catalogue."""

    def __init__(self, index: int) -> None:
        super().__init__("There is no such product.", field=f"quote.lines[{index}].product_id")


class ProductNotActive(FailedPrecondition):
    """A new line names a product that is no longer sold."""

    def __init__(self, index: int, product: Product) -> None:
        super().__init__(f"{product.name} is not sold any more.", field=f"quote.lines[{index}].product_id")


class PriceNotFound(FailedPrecondition):
    """A line states no price, and the price book has none either."""

    def __init__(self, index: int, currency: str) -> None:
        super().__init__(
            f"The price book has no price for this product in {currency}: state a unit price.",
            field=f"quote.lines[{index}].unit_price",
        )


@dataclass(frozen=True, slots=True)
class LineDraft:
    """A line as somebody asks for it: what is None is filled in."""

    product_id: UUID
    quantity: Decimal
    unit_price: Money | None = None
    description: str = ""
    discount_percent: Decimal = Decimal(0)
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One product in a quote, in the quote's currency."""

    id: UUID
    product_id: UUID
    description: str
    quantity: Decimal
    unit_price: Money
    list_price: Money | None
    discount_percent: Decimal

    @property
    def subtotal(self) -> Money:
        """Before discount."""
        return _rounded(_EXACT.multiply(self.unit_price.amount, self.quantity), self.unit_price.currency)

    @property
    def total(self) -> Money:
        """After discount."""
        full = _EXACT.multiply(self.unit_price.amount, self.quantity)
        share = _EXACT.subtract(Decimal(100), self.discount_percent).scaleb(-2, _EXACT)
        return _rounded(_EXACT.multiply(full, share), self.unit_price.currency)

    @property
    def discount_amount(self) -> Money:
        """What the discount takes off."""
        return self.subtotal - self.total

    def as_draft(self) -> LineDraft:
        """The same line, to be priced again."""
        return LineDraft(
            id=self.id,
            product_id=self.product_id,
            description=self.description,
            quantity=self.quantity,
            unit_price=self.unit_price,
            discount_percent=self.discount_percent,
        )


def _rounded(amount: Decimal, currency: str) -> Money:
    return Money(amount.quantize(minor_unit(currency), ROUND_HALF_UP, _EXACT), currency)


def price(
    drafts: Sequence[LineDraft],
    currency: str,
    products: Mapping[UUID, Product],
    list_prices: Mapping[UUID, Money],
    standing: Sequence[QuoteLine] = (),
) -> tuple[QuoteLine, ...]:
    """The lines of a quote as asked for, with what was left out filled in.

    `standing` are the lines that it has: one that keeps its product keeps its id, and may keep a
    product that is no longer sold.

    Raises:
        ProductNotFound, ProductNotActive, PriceNotFound, NegativePrice, CurrenciesDiffer,
        QuantityMissing, AmountTooLarge, LineRepeated: naming the line.
    """
    kept = {line.id: line for line in standing}
    lines: list[QuoteLine] = []
    seen: set[UUID] = set()
    for index, draft in enumerate(drafts):
        place = standing[index] if index < len(standing) else None
        if draft.id is None and place is not None and place.product_id == draft.product_id:
            identity = place.id
        else:
            identity = draft.id or new_id()
        if identity in seen:
            raise LineRepeated(index)
        seen.add(identity)
        former = kept.get(identity)
        is_new = former is None or former.product_id != draft.product_id
        lines.append(_line(index, draft, identity, is_new, currency, products, list_prices))
    return tuple(lines)


def _line(
    index: int,
    draft: LineDraft,
    identity: UUID,
    is_new: bool,
    currency: str,
    products: Mapping[UUID, Product],
    list_prices: Mapping[UUID, Money],
) -> QuoteLine:
    product = products.get(draft.product_id)
    if product is None:
        raise ProductNotFound(index)
    if is_new and not product.can_be_quoted:
        raise ProductNotActive(index, product)
    list_price = list_prices.get(draft.product_id)
    unit_price = draft.unit_price if draft.unit_price is not None else list_price
    if unit_price is None:
        raise PriceNotFound(index, currency)
    if unit_price.currency != currency:
        raise CurrenciesDiffer(unit_price.currency, currency, field=f"quote.lines[{index}].unit_price")
    if unit_price.amount < 0:
        raise NegativePrice(f"quote.lines[{index}].unit_price")
    if draft.quantity <= 0:
        raise QuantityMissing(index)
    line = QuoteLine(
        id=identity,
        product_id=draft.product_id,
        description=draft.description or product.name,
        quantity=draft.quantity,
        unit_price=unit_price,
        list_price=list_price,
        discount_percent=draft.discount_percent,
    )
    if line.subtotal.amount >= MAX_AMOUNT:
        raise AmountTooLarge(f"quote.lines[{index}].quantity")
    return line
