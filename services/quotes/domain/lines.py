"""Quote lines: what is offered, and how a price comes from list to total, to the last minor unit.

A line rounds twice from the same exact product, half up: before discount and after. Everything else
is a sum or a difference of these, so that every figure of a quote adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import Enum
from uuid import UUID

from chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, minor_unit
from services.quotes.domain.prices import NegativePrice
from services.quotes.domain.products import Product

MAX_AMOUNT = Decimal(10) ** 15
_EXACT = Context(prec=80)  # 18 digits of quantity times 24 of price times 7 of discount fit


class LineKind(Enum):
    """What a line charges for."""

    ITEM = "item"
    FREIGHT = "freight"
    SURCHARGE = "surcharge"


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
    """A new line names a product that is not sold: not yet, not any more, or by its variants only."""

    def __init__(self, index: int, product: Product) -> None:
        super().__init__(f"{product.name} is not sold.", field=f"quote.lines[{index}].product_id")


class PriceNotFound(FailedPrecondition):
    """A line states no price, and the price book has none either."""

    def __init__(self, index: int, currency: str) -> None:
        super().__init__(
            f"The price book has no price for this product in {currency}: state a unit price.",
            field=f"quote.lines[{index}].unit_price",
        )


class DescriptionMissing(InvalidArgument):
    """A line without a product does not say what it is."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "A line without a product needs a description.", field=f"quote.lines[{index}].description"
        )


class LineDiscountTwice(InvalidArgument):
    """A line's discount is a percentage or an amount."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Give the discount in percent or as an amount, not both.",
            field=f"quote.lines[{index}].discount_value",
        )


class LineDiscountTooLarge(InvalidArgument):
    """A line's discount takes off more than it costs, or less than nothing."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "The discount must be zero or more, and not more than the line costs.",
            field=f"quote.lines[{index}].discount_value",
        )


@dataclass(frozen=True, slots=True)
class LineDraft:
    """A line as somebody asks for it: what is None is filled in."""

    product_id: UUID | None
    quantity: Decimal
    unit_price: Money | None = None
    description: str = ""
    discount_percent: Decimal = Decimal(0)
    id: UUID | None = None
    kind: LineKind = LineKind.ITEM
    is_optional: bool = False
    alternative_group: str = ""
    is_chosen: bool = False
    discount_value: Money | None = None
    tax_class: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One product, one-off item, freight or surcharge in a quote, in the quote's currency.

    `promotion`, `discount_share` and `tax` are what promotions take off, its share of the discount of the
    whole, and what is due on it: amounts in whole minor units. So is `manual`, what its own discount takes
    off, where that was rounded together with promotions; None where it follows from the line alone.
    """

    id: UUID
    product_id: UUID | None
    description: str
    quantity: Decimal
    unit_price: Money
    list_price: Money | None
    discount_percent: Decimal
    kind: LineKind = LineKind.ITEM
    is_price_manual: bool = False
    is_optional: bool = False
    alternative_group: str = ""
    is_chosen: bool = False
    discount_value: Money | None = None
    tax_class: str = ""
    unit: str = ""
    promotion: Decimal = Decimal(0)
    discount_share: Decimal = Decimal(0)
    tax_rate: Decimal | None = None
    tax: Decimal = Decimal(0)
    is_gift: bool = False
    manual: Decimal | None = None

    @property
    def counts(self) -> bool:
        """Whether it is part of the sums: options and alternatives are where they are chosen."""
        return self.is_chosen or not (self.is_optional or self.alternative_group)

    @property
    def subtotal(self) -> Money:
        """Before discount."""
        return _rounded(_EXACT.multiply(self.unit_price.amount, self.quantity), self.unit_price.currency)

    @property
    def total_before_share(self) -> Decimal:
        """After promotions and after the line's own discount."""
        currency = self.unit_price.currency
        if self.manual is not None:
            return self.subtotal.amount - self.promotion - self.manual
        if self.promotion:
            full = self.subtotal.amount - self.promotion
        else:
            full = _EXACT.multiply(self.unit_price.amount, self.quantity)
        share = _EXACT.subtract(Decimal(100), self.discount_percent).scaleb(-2, _EXACT)
        net = _rounded(_EXACT.multiply(full, share), currency).amount
        return net if self.discount_value is None else net - self.discount_value.amount

    @property
    def total(self) -> Money:
        """After all discounts, before tax unless prices include it."""
        return Money(self.total_before_share - self.discount_share, self.unit_price.currency)

    @property
    def discount_amount(self) -> Money:
        """What all discounts take off."""
        return self.subtotal - self.total

    def as_draft(self) -> LineDraft:
        """The same line, to be priced again: a price that was not given by hand is looked up again."""
        return LineDraft(
            id=self.id,
            product_id=self.product_id,
            description=self.description,
            quantity=self.quantity,
            unit_price=self.unit_price if self.is_price_manual else None,
            discount_percent=self.discount_percent,
            kind=self.kind,
            is_optional=self.is_optional,
            alternative_group=self.alternative_group,
            is_chosen=self.is_chosen,
            discount_value=self.discount_value,
            tax_class=self.tax_class,
            unit=self.unit,
        )


def _rounded(amount: Decimal, currency: str) -> Money:
    return Money(amount.quantize(minor_unit(currency), ROUND_HALF_UP, _EXACT), currency)


def price(
    drafts: Sequence[LineDraft],
    currency: str,
    products: Mapping[UUID, Product],
    list_prices: Mapping[UUID, Money],
    standing: Sequence[QuoteLine] = (),
    by_line: Sequence[Money | None] | None = None,
    day: date | None = None,
) -> tuple[QuoteLine, ...]:
    """The lines of a quote as asked for, with what was left out filled in.

    `list_prices` are the products' list prices, or `by_line` those of each draft; on the `day`, where
    one is given, new products must be sold.

    `standing` are the lines that it has: one that keeps its product keeps its id, and may keep a
    product that is no longer sold. A price that is asked for and is the list price, or the one that the
    line had from there, follows the list price; any other is given by hand.

    Raises:
        ProductNotFound, ProductNotActive, PriceNotFound, NegativePrice, CurrenciesDiffer,
        QuantityMissing, AmountTooLarge, LineRepeated, DescriptionMissing, LineDiscountTwice,
        LineDiscountTooLarge: naming the line.
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
        if former is not None and former.product_id != draft.product_id:
            former = None
        if draft.product_id is None:
            lines.append(_one_off(index, draft, identity, currency))
            continue
        product = products.get(draft.product_id)
        if product is None:
            raise ProductNotFound(index)
        is_sold = product.can_be_quoted if day is None else product.can_be_quoted_on(day)
        if former is None and not is_sold:
            raise ProductNotActive(index, product)
        list_price = by_line[index] if by_line is not None else list_prices.get(draft.product_id)
        lines.append(_of_product(index, draft, identity, former, currency, product, list_price))
    return tuple(lines)


def must_not_be_negative(lines: Sequence[QuoteLine]) -> None:
    """Raises LineDiscountTooLarge where a discount given by hand is more than promotions leave."""
    for index, line in enumerate(lines):
        if line.total_before_share < 0:
            raise LineDiscountTooLarge(index)


def _of_product(
    index: int,
    draft: LineDraft,
    identity: UUID,
    former: QuoteLine | None,
    currency: str,
    product: Product,
    list_price: Money | None,
) -> QuoteLine:
    asked = draft.unit_price
    if asked is not None and former is not None and not former.is_price_manual:
        asked = None if asked == former.unit_price and list_price is not None else asked
    unit_price = asked if asked is not None else list_price
    if unit_price is None:
        raise PriceNotFound(index, currency)
    is_manual = asked is not None and asked != list_price
    return _line(
        index, draft, identity, currency, draft.description or product.name, unit_price, list_price, is_manual
    )


def _one_off(index: int, draft: LineDraft, identity: UUID, currency: str) -> QuoteLine:
    if not draft.description:
        raise DescriptionMissing(index)
    if draft.unit_price is None:
        raise PriceNotFound(index, currency)
    return _line(index, draft, identity, currency, draft.description, draft.unit_price, None, True)


def _line(
    index: int,
    draft: LineDraft,
    identity: UUID,
    currency: str,
    description: str,
    unit_price: Money,
    list_price: Money | None,
    is_manual: bool,
) -> QuoteLine:
    for field, amount in (("unit_price", unit_price), ("discount_value", draft.discount_value)):
        if amount is not None and amount.currency != currency:
            raise CurrenciesDiffer(amount.currency, currency, field=f"quote.lines[{index}].{field}")
    if unit_price.amount < 0:
        raise NegativePrice(f"quote.lines[{index}].unit_price")
    if draft.quantity <= 0:
        raise QuantityMissing(index)
    discount = draft.discount_value
    if discount is not None and not discount.amount:
        discount = None
    if discount is not None and draft.discount_percent:
        raise LineDiscountTwice(index)
    line = QuoteLine(
        id=identity,
        product_id=draft.product_id,
        description=description,
        quantity=draft.quantity,
        unit_price=unit_price,
        list_price=list_price,
        discount_percent=draft.discount_percent,
        kind=draft.kind,
        is_price_manual=is_manual,
        is_optional=draft.is_optional,
        alternative_group=draft.alternative_group,
        is_chosen=draft.is_chosen and bool(draft.is_optional or draft.alternative_group),
        discount_value=discount.rounded() if discount is not None else None,
        tax_class=draft.tax_class,
        unit=draft.unit,
    )
    if line.subtotal.amount >= MAX_AMOUNT:
        raise AmountTooLarge(f"quote.lines[{index}].quantity")
    if discount is not None and not 0 <= discount.amount <= line.subtotal.amount:
        raise LineDiscountTooLarge(index)
    return line
