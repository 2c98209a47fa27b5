"""Orders: what customers have bought. An order is made by the acceptance of a quote, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition
from chassis.ids import new_id
from chassis.money import Money
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.quotes import Quote, QuoteAccepted


class OrderState(Enum):
    """Where an order stands."""

    PLACED = "placed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OrderPlaced(Event):
    """An order was placed by the acceptance of a quote."""


@dataclass(frozen=True, slots=True)
class OrderCancelled(Event):
    """An order was cancelled."""


class OrderAlreadyCancelled(FailedPrecondition):
    """An order is cancelled once."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"Order {order.number} has been cancelled already.")


@dataclass(slots=True, kw_only=True)
class Order(Entity):
    """What a customer has bought: the quote as it was accepted."""

    number: str
    quote_id: UUID
    opportunity_id: UUID
    account_id: UUID | None = None
    contact_id: UUID | None = None
    owner_id: UUID
    state: OrderState = OrderState.PLACED
    currency: str
    lines: tuple[QuoteLine, ...]
    subtotal: Decimal
    total: Decimal
    purchase_order_number: str = ""
    placed_at: datetime
    cancelled_at: datetime | None = None
    cancel_reason: str = ""

    def cancel(self, at: datetime, reason: str) -> OrderCancelled:
        """The customer will not have it.

        Raises:
            OrderAlreadyCancelled: it was cancelled before.
        """
        if self.state is OrderState.CANCELLED:
            raise OrderAlreadyCancelled(self)
        self.state, self.cancelled_at, self.cancel_reason = OrderState.CANCELLED, at, reason
        return OrderCancelled()

    @property
    def discount_total(self) -> Decimal:
        """What the discounts took off."""
        return self.subtotal - self.total

    def money(self, amount: Decimal) -> Money:
        """An amount in the order's currency."""
        return Money(amount, self.currency)


def order_by_accepting(
    quote: Quote, number: str, at: datetime, accepted_by: str = "", purchase_order_number: str = ""
) -> tuple[QuoteAccepted, Order, OrderPlaced]:
    """Accepts the quote, and places the order that this makes.

    Raises:
        QuoteNotSent, QuoteOutOfDate: it cannot be accepted.
    """
    order_id = new_id()
    accepted = quote.accept(at, order_id, accepted_by, purchase_order_number)
    order = Order(
        id=order_id,
        number=number,
        quote_id=quote.id,
        opportunity_id=quote.opportunity_id,
        account_id=quote.account_id,
        contact_id=quote.contact_id,
        owner_id=quote.owner_id,
        currency=quote.currency,
        lines=quote.lines,
        subtotal=quote.subtotal,
        total=quote.total,
        purchase_order_number=purchase_order_number,
        placed_at=at,
    )
    return accepted, order, OrderPlaced()
