"""Orders: what customers have bought. An order is made by the acceptance of a quote, and by nothing else.
Where it stands follows from what the ERP says of it; until the ERP has confirmed it, it can be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID

from chassis.entity import Entity, Event, ExternalId
from chassis.errors import FailedPrecondition
from chassis.ids import new_id
from chassis.money import Money
from services.quotes.domain import fulfilment
from services.quotes.domain.fulfilment import Invoice, Item, Payment, Said, Shipment, Standing
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.payments import Instalment
from services.quotes.domain.quotes import Quote, QuoteAccepted
from services.quotes.domain.redemptions import AppliedPromotion
from services.quotes.domain.taxation import TaxAmount


class OrderState(Enum):
    """Where an order stands."""

    PLACED = "placed"
    CANCELLED = "cancelled"
    CONFIRMED = "confirmed"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    INVOICED = "invoiced"
    PAID = "paid"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class OrderPlaced(Event):
    """An order was placed by the acceptance of a quote."""


@dataclass(frozen=True, slots=True)
class OrderConfirmed(Event):
    """The ERP has booked an order."""


@dataclass(frozen=True, slots=True)
class OrderRejected(Event):
    """The ERP does not take an order."""


@dataclass(frozen=True, slots=True)
class OrderPartlyShipped(Event):
    """Some of an order is on its way."""


@dataclass(frozen=True, slots=True)
class OrderShipped(Event):
    """All of an order is on its way."""


@dataclass(frozen=True, slots=True)
class OrderInvoiced(Event):
    """All of an order is shipped and invoiced."""


@dataclass(frozen=True, slots=True)
class OrderPaid(Event):
    """An order is paid."""


@dataclass(frozen=True, slots=True)
class OrderUpdated(Event):
    """The ERP said something of an order that leaves it where it stands."""


@dataclass(frozen=True, slots=True)
class OrderCancelled(Event):
    """An order was cancelled."""


_EVENTS: Final[Mapping[OrderState, Callable[[], Event]]] = {
    OrderState.CONFIRMED: OrderConfirmed,
    OrderState.PARTLY_SHIPPED: OrderPartlyShipped,
    OrderState.SHIPPED: OrderShipped,
    OrderState.INVOICED: OrderInvoiced,
    OrderState.PAID: OrderPaid,
    OrderState.REJECTED: OrderRejected,
}


class OrderAlreadyCancelled(FailedPrecondition):
    """An order is cancelled once."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"Order {order.number} has been cancelled already.")


class OrderIsRejected(FailedPrecondition):
    """There is nothing to cancel of what the ERP does not take."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"Order {order.number} was rejected by the ERP: there is nothing to cancel.")


class OrderIsConfirmed(FailedPrecondition):
    """What the ERP has booked is cancelled there."""

    def __init__(self, order: Order) -> None:
        there = f" as {order.erp_order}" if order.erp_order else ""
        super().__init__(
            f"Order {order.number} is {order.state.value.replace('_', ' ')}: the ERP has booked it{there}. Have it"
            " cancelled there; when the ERP says that it is, it is cancelled here too.",
            erp_order=order.erp_order,
        )


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Where somebody is; `kind` as the contacts service has it: `MAIN`, `BILLING`, `SHIPPING` and so on."""

    kind: str = ""
    street: str = ""
    locality: str = ""
    administrative_area: str = ""
    postal_code: str = ""
    country_code: str = ""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who has ordered, as the contacts service knew the account then."""

    name: str = ""
    external_ids: tuple[ExternalId, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()

    def address(self, *kinds: str) -> PostalAddress | None:
        """The first address of the first of the kinds that there is one of, else the first of any."""
        for kind in kinds:
            for address in self.addresses:
                if address.kind == kind:
                    return address
        return self.addresses[0] if self.addresses else None


@dataclass(slots=True, kw_only=True)
class Order(Entity):
    """What a customer has bought: the quote as it was accepted, and what the ERP has made of it."""

    number: str
    quote_id: UUID
    quote_number: str = ""
    quote_revision: int = 1
    opportunity_id: UUID
    account_id: UUID | None = None
    contact_id: UUID | None = None
    owner_id: UUID
    customer: Customer = Customer()
    state: OrderState = OrderState.PLACED
    currency: str
    lines: tuple[QuoteLine, ...]
    items: tuple[Item, ...] = ()
    subtotal: Decimal
    total: Decimal
    discount_percent: Decimal = Decimal(0)
    discount_value: Decimal = Decimal(0)
    prices_include_tax: bool = False
    tax_region: str = ""
    tax_total: Decimal = Decimal(0)
    payable_total: Decimal = Decimal(0)
    promotions: tuple[AppliedPromotion, ...] = ()
    taxes: tuple[TaxAmount, ...] = ()
    is_tax_exempt: bool = False
    payment_days: int = 0
    payment_schedule: tuple[Instalment, ...] = ()
    terms: str = ""
    exchange_rate: Decimal | None = None
    exchange_currency: str = ""
    exchange_date: date | None = None
    requested_date: date | None = None
    purchase_order_number: str = ""
    placed_at: datetime
    cancelled_at: datetime | None = None
    cancel_reason: str = ""
    standing: Standing | None = None
    shipments: tuple[Shipment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    payments: tuple[Payment, ...] = ()
    attention: str = ""

    def cancel(self, at: datetime, reason: str) -> OrderCancelled:
        """The customer will not have it, and the ERP has not booked it.

        Raises:
            OrderAlreadyCancelled: it was cancelled before.
            OrderIsRejected, OrderIsConfirmed: the ERP has decided on it.
        """
        if self.state is OrderState.CANCELLED:
            raise OrderAlreadyCancelled(self)
        if self.state is OrderState.REJECTED:
            raise OrderIsRejected(self)
        if self.state is not OrderState.PLACED:
            raise OrderIsConfirmed(self)
        self.state, self.cancelled_at, self.cancel_reason = OrderState.CANCELLED, at, reason
        return OrderCancelled()

    def take(self, said: Said) -> Event | None:
        """What the ERP has said of it, all together; None where that is known.

        What was cancelled here stays so, and asks for attention where the ERP goes on with it.
        """
        before = self.standing, self.shipments, self.invoices, self.payments, self.items
        former = self.state
        self.standing, self.shipments = said.standing, said.shipments
        self.invoices, self.payments = said.invoices, said.payments
        self.items = fulfilment.delivered(self.items, said)
        if before == (self.standing, self.shipments, self.invoices, self.payments, self.items):
            return None
        self.state = self._standing()
        self.attention = self._attention()
        return OrderUpdated() if self.state is former else _EVENTS.get(self.state, OrderUpdated)()

    @property
    def erp_order(self) -> str:
        """What the ERP calls it."""
        return self.standing.erp_order if self.standing is not None else ""

    @property
    def is_rejected(self) -> bool:
        """Whether the ERP does not take it."""
        return self.standing is not None and self.standing.is_rejection

    @property
    def invoiced_total(self) -> Decimal:
        """What was invoiced."""
        return sum((invoice.total for invoice in self.invoices), Decimal(0))

    @property
    def paid_total(self) -> Decimal:
        """What was paid."""
        return sum((payment.amount for payment in self.payments), Decimal(0))

    @property
    def discount_total(self) -> Decimal:
        """What the discounts took off."""
        return self.subtotal - self.total

    def money(self, amount: Decimal) -> Money:
        """An amount in the order's currency."""
        return Money(amount, self.currency)

    @property
    def _is_under_way(self) -> bool:
        """Whether goods left, or an invoice stands: then the ERP has booked it, whatever else it said."""
        return any(shipment.products for shipment in self.shipments) or self.invoiced_total > 0

    def _standing(self) -> OrderState:
        if self.cancelled_at is not None:
            return OrderState.CANCELLED
        if self.is_rejected:
            return OrderState.REJECTED
        is_shipped = fulfilment.has_shipped_all(self.items)
        is_delivered = is_shipped or not (fulfilment.has_goods(self.items) or self._has_shipped_something)
        if is_delivered and self.invoices and self.invoiced_total >= self.payable_total:
            is_paid = self.paid_total >= self.invoiced_total
            return OrderState.PAID if is_paid else OrderState.INVOICED
        if is_shipped:
            return OrderState.SHIPPED
        if self._has_shipped_something:
            return OrderState.PARTLY_SHIPPED
        return OrderState.CONFIRMED if self.standing is not None or self._is_under_way else OrderState.PLACED

    @property
    def _has_shipped_something(self) -> bool:
        return any(shipment.products for shipment in self.shipments)

    def _attention(self) -> str:
        if self.cancelled_at is not None and not self.is_rejected and (self.standing or self._is_under_way):
            return "It was cancelled here, and the ERP goes on with it: have it cancelled there."
        if self.is_rejected and self._is_under_way:
            return "The ERP has rejected it, and has shipped or invoiced of it: ask there."
        return ""


def order_by_accepting(
    quote: Quote,
    number: str,
    at: datetime,
    accepted_by: str = "",
    purchase_order_number: str = "",
    customer: Customer = Customer(),
) -> tuple[QuoteAccepted, Order, OrderPlaced]:
    """Accepts the quote, and places the order that this makes: the lines that the customer has chosen.

    Raises:
        QuoteNotSent, QuoteOutOfDate: it cannot be accepted.
    """
    order_id = new_id()
    accepted = quote.accept(at, order_id, accepted_by, purchase_order_number)
    taken_over = {name: getattr(quote, name) for name in _TAKEN_OVER}
    order = Order(
        id=order_id,
        number=number,
        quote_id=quote.id,
        quote_number=quote.number,
        quote_revision=quote.revision,
        customer=customer,
        lines=tuple(line for line in quote.lines if line.counts),
        purchase_order_number=purchase_order_number,
        placed_at=at,
        **taken_over,
    )
    return accepted, order, OrderPlaced()


_TAKEN_OVER: Final = (
    *("opportunity_id", "account_id", "contact_id", "owner_id", "currency", "subtotal", "total"),
    *("discount_percent", "discount_value", "prices_include_tax", "tax_region", "tax_total", "payable_total"),
    *("promotions", "taxes", "is_tax_exempt", "payment_days", "payment_schedule", "terms"),
    *("exchange_rate", "exchange_currency", "exchange_date", "requested_date"),
)
