"""How the prices of a quote came about: the steps of each line, and what was not used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from services.quotes.domain.lines import QuoteLine


@dataclass(frozen=True, slots=True)
class Step:
    """From one amount to the next, in the quote's currency; `amount` is below zero where it takes off."""

    kind: str
    text: str
    amount: Decimal
    after: Decimal
    promotion_id: str = ""


@dataclass(frozen=True, slots=True)
class Unused:
    """A promotion that was not used, and why."""

    promotion_id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PromotionStep:
    """What one promotion takes off one line."""

    promotion_id: str
    text: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole of it."""

    lines: dict[UUID, tuple[Step, ...]] = field(default_factory=dict)
    unused: tuple[Unused, ...] = ()
    next: tuple[str, ...] = ()
    gap: Decimal = Decimal(0)


def steps_of(
    line: QuoteLine, price_text: str, promotions: Sequence[PromotionStep], includes_tax: bool
) -> tuple[Step, ...]:
    """The steps of one line from list to what the customer pays for it; their amounts add up to that.

    `price_text` says where its list price comes from.
    """
    steps: list[Step] = []
    after = Decimal(0)

    def add(kind: str, text: str, amount: Decimal, promotion_id: str = "") -> None:
        nonlocal after
        after += amount
        steps.append(Step(kind, text, amount, after, promotion_id))

    subtotal = line.subtotal.amount
    if line.list_price is not None and line.is_price_manual:
        listed = (line.list_price * line.quantity).rounded().amount
        add("list", price_text, listed)
        add("manual_price", f"Unit price {line.unit_price.amount:f} given by hand", subtotal - listed)
    else:
        add("manual_price" if line.is_price_manual else "list", price_text, subtotal)
    for promotion in promotions:
        add("promotion", promotion.text, -promotion.amount, promotion.promotion_id)
    manual = subtotal - line.promotion - line.total_before_share
    if manual or line.discount_percent or line.discount_value:
        how = f"{line.discount_percent.normalize():f} percent" if line.discount_percent else "an amount"
        add("manual_discount", f"Discount given by hand: {how}", -manual)
    if line.discount_share:
        add("quote_discount", "Share of the discount on the whole quote", -line.discount_share)
    if line.tax_rate is not None:
        rate = f"{line.tax_rate.normalize():f} percent"
        if includes_tax:
            add("tax", f"Tax of {rate} is in the price: {line.tax:f}", Decimal(0))
        else:
            add("tax", f"Tax of {rate}", line.tax)
    return tuple(steps)
