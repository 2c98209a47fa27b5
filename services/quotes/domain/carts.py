"""Carts: what somebody wants to know the price of, before there is a quote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from typing import Final
from uuid import UUID

from chassis.errors import FailedPrecondition, InvalidArgument
from chassis.money import CurrenciesDiffer, Money, minor_unit
from services.quotes.domain.lines import MAX_AMOUNT
from services.quotes.domain.pricing_settings import PricingSettings
from services.quotes.domain.products import Product
from services.quotes.pricing import model

_ZERO: Final = Decimal(0)
_EXACT: Final = Context(prec=80)


class CartQuantityMissing(InvalidArgument):
    """A line has nothing in it."""

    def __init__(self, index: int) -> None:
        super().__init__("A quantity must be above zero.", field=f"cart.lines[{index}].quantity")


class CartKeyRepeated(InvalidArgument):
    """Lines or charges that cannot be told apart."""

    def __init__(self, field: str) -> None:
        super().__init__("Every line and every charge needs a key of its own.", field=field)


class CartAmountNegative(InvalidArgument):
    """An amount is below zero."""

    def __init__(self, field: str) -> None:
        super().__init__("An amount must be zero or more.", field=field)


class CartTooLarge(InvalidArgument):
    """An amount is beyond what can be kept."""

    def __init__(self, field: str) -> None:
        super().__init__("All of it together must cost less than 10^15.", field=field)


class CartPriceNotFound(FailedPrecondition):
    """A line states no price, and no price book has one either."""

    def __init__(self, index: int, currency: str) -> None:
        super().__init__(
            f"There is no price for this product in {currency}: state a unit price.",
            field=f"cart.lines[{index}].unit_price",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CartLine:
    """Something wanted; what is None is filled in or unknown."""

    key: str
    product_id: UUID
    quantity: Decimal
    unit_price: Money | None = None
    unit_cost: Money | None = None
    price_floor: Money | None = None
    tax_percent: Decimal = _ZERO
    discount_percent: Decimal = _ZERO
    is_discountable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CartCharge:
    """Freight or a surcharge."""

    key: str
    amount: Money
    kind: model.ChargeKind = model.ChargeKind.FREIGHT
    tax_percent: Decimal = _ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart:
    """What is to be priced, for whom, on which day."""

    currency: str
    day: date
    lines: tuple[CartLine, ...]
    charges: tuple[CartCharge, ...] = ()
    account_id: UUID | None = None
    segments: frozenset[str] = frozenset()
    territories: frozenset[str] = frozenset()
    channel: str = ""
    rep_id: UUID | None = None
    price_book_id: UUID | None = None
    coupon_codes: tuple[str, ...] = ()
    prices_include_tax: bool = False
    discount_percent: Decimal = _ZERO

    def check(self) -> None:
        """Refuses what cannot be priced.

        Raises:
            CartQuantityMissing, CartKeyRepeated, CartAmountNegative, CurrenciesDiffer: naming the field.
        """
        keys: set[str] = set()
        for index, line in enumerate(self.lines):
            where = f"cart.lines[{index}]"
            if line.quantity <= 0:
                raise CartQuantityMissing(index)
            for name in ("unit_price", "unit_cost", "price_floor"):
                self._check_amount(getattr(line, name), f"{where}.{name}")
            self._check_key(keys, line.key, f"{where}.key")
        for index, charge in enumerate(self.charges):
            self._check_amount(charge.amount, f"cart.charges[{index}].amount")
            self._check_key(keys, charge.key, f"cart.charges[{index}].key")

    def _check_amount(self, amount: Money | None, field: str) -> None:
        if amount is None:
            return
        if amount.currency != self.currency:
            raise CurrenciesDiffer(amount.currency, self.currency, field=field)
        if amount.amount < 0:
            raise CartAmountNegative(field)

    def _check_key(self, keys: set[str], key: str, field: str) -> None:
        if key in keys:
            raise CartKeyRepeated(field)
        keys.add(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the catalogue knows of the products in a cart: their prices by the cart's lines, the rest by
    product; costs are of one base unit."""

    products: Mapping[UUID, Product]
    prices: Sequence[Money | None]
    costs: Mapping[UUID, Money]
    families: Mapping[str, frozenset[str]]
    """Each family with all above it."""


def document_of(
    cart: Cart,
    found: Found,
    settings: PricingSettings,
    *,
    coupons: frozenset[str],
    first_order: bool,
    budget_ms: int,
) -> model.Document:
    """The cart as pricing reads it.

    Raises:
        CartPriceNotFound: a line has no price.
        CartTooLarge: it cannot be added up.
    """
    lines = tuple(_line(index, line, cart, found, settings) for index, line in enumerate(cart.lines))
    worth = sum((_EXACT.multiply(line.unit_price, line.quantity) for line in lines), _ZERO)
    if worth + sum((charge.amount.amount for charge in cart.charges), _ZERO) >= MAX_AMOUNT:
        raise CartTooLarge("cart.lines")
    return model.Document(
        currency=cart.currency,
        exponent=-int(minor_unit(cart.currency).as_tuple().exponent),
        day=cart.day,
        lines=lines,
        charges=tuple(
            model.Charge(
                key=charge.key, amount=charge.amount.amount, kind=charge.kind, tax_rate=charge.tax_percent
            )
            for charge in cart.charges
        ),
        customer=str(cart.account_id or ""),
        segments=cart.segments,
        territories=cart.territories,
        channel=cart.channel,
        rep=str(cart.rep_id or ""),
        first_order=first_order,
        coupons=coupons,
        prices_include_tax=cart.prices_include_tax,
        manual=model.ManualDiscount(cart.discount_percent),
        margin_floor=settings.document_margin_floor,
        settings=settings.priced(budget_ms),
    )


def _line(index: int, line: CartLine, cart: Cart, found: Found, settings: PricingSettings) -> model.Line:
    product = found.products[line.product_id]
    listed = found.prices[index]
    price = line.unit_price or listed
    if price is None:
        raise CartPriceNotFound(index, cart.currency)
    cost = line.unit_cost or found.costs.get(line.product_id)
    families = (
        found.families.get(product.family, frozenset({product.family})) if product.family else frozenset()
    )
    return model.Line(
        key=line.key,
        product=str(line.product_id),
        parent=str(product.parent_id or ""),
        families=families,
        quantity=line.quantity,
        unit_price=price.amount,
        list_price=listed.amount if listed is not None else None,
        cost=cost.amount if cost is not None else None,
        price_floor=line.price_floor.amount if line.price_floor is not None else None,
        margin_floor=settings.line_margin_floor,
        tax_rate=line.tax_percent,
        discountable=line.is_discountable,
        manual=model.ManualDiscount(line.discount_percent),
        description=product.name,
    )
