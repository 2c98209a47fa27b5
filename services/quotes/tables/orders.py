"""Orders."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Date, Integer, Numeric, Text, Uuid, false
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import document, enumerated, listed
from chassis.entity import ExternalId
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.fulfilment import (
    ConfirmedLine,
    Invoice,
    Item,
    Part,
    Payment,
    Reserved,
    Shipment,
    ShippedProduct,
    Standing,
)
from services.quotes.domain.orders import Customer, Order, OrderState, PostalAddress
from services.quotes.domain.payments import Instalment
from services.quotes.domain.redemptions import AppliedPromotion
from services.quotes.domain.taxation import TaxAmount
from services.quotes.tables.base import metadata
from services.quotes.tables.lines import LINES
from services.quotes.tables.quotes import promotion_of
from services.quotes.wire import orders as wire

orders = entity_table(
    "orders",
    metadata,
    Column("number", Text, nullable=False),
    Column("quote_id", Uuid, nullable=False),
    Column("quote_number", Text),
    Column("quote_revision", Integer),
    Column("opportunity_id", Uuid, nullable=False),
    Column("account_id", Uuid),
    Column("contact_id", Uuid),
    Column("owner_id", Uuid, nullable=False),
    Column("customer", JSONB),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB),
    Column("items", JSONB),
    Column("subtotal", Numeric, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("discount_percent", Numeric),
    Column("discount_value", Numeric),
    Column("prices_include_tax", Boolean),
    Column("tax_region", Text),
    Column("tax_total", Numeric),
    Column("payable_total", Numeric, nullable=False),
    Column("promotions", JSONB),
    Column("taxes", JSONB),
    Column("is_tax_exempt", Boolean),
    Column("payment_days", Integer),
    Column("payment_schedule", JSONB),
    Column("terms", Text),
    Column("exchange_rate", Numeric),
    Column("exchange_currency", Text),
    Column("exchange_date", Date),
    Column("requested_date", Date),
    Column("purchase_order_number", Text),
    timestamp_column("placed_at"),
    timestamp_column("cancelled_at"),
    Column("cancel_reason", Text),
    Column("standing", JSONB),
    Column("shipments", JSONB),
    Column("invoices", JSONB),
    Column("payments", JSONB),
    Column("attention", Text),
)


def day_of(text: str | None) -> date | None:
    """A date out of jsonb."""
    return date.fromisoformat(text) if text else None


def instant_of(text: str | None) -> datetime | None:
    """An instant out of jsonb."""
    return datetime.fromisoformat(text) if text else None


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def customer_of(item: dict[str, Any]) -> Customer:
    """A customer, out of jsonb."""
    return Customer(
        item["name"],
        tuple(ExternalId(**each) for each in item["external_ids"]),
        tuple(PostalAddress(**each) for each in item["addresses"]),
    )


def _item(item: dict[str, Any]) -> Item:
    return Item(
        line_id=UUID(item["line_id"]),
        product_code=item["product_code"],
        product_external_ids=tuple(ExternalId(**each) for each in item["product_external_ids"]),
        unit=item["unit"],
        ordered=Decimal(item["ordered"]),
        ships=item["ships"],
        parts=tuple(
            Part(UUID(part["product_id"]), part["code"], Decimal(part["quantity"])) for part in item["parts"]
        ),
        reserved=tuple(
            Reserved(
                each["warehouse"],
                each["product"],
                Decimal(each["quantity"]),
                date.fromisoformat(each["due_on"]),
            )
            for each in item["reserved"]
        ),
        confirmed=_number(item["confirmed"]),
        backordered=Decimal(item["backordered"]),
        delivery_on=day_of(item["delivery_on"]),
        shipped=Decimal(item["shipped"]),
    )


def standing_of(item: dict[str, Any]) -> Standing:
    """What the ERP last said of an order as a whole, out of jsonb."""
    lines = tuple(
        ConfirmedLine(
            UUID(line["line_id"]),
            Decimal(line["confirmed"]),
            Decimal(line["backordered"]),
            day_of(line["delivery_on"]),
        )
        for line in item["lines"]
    )
    at = datetime.fromisoformat(item["at"])
    return Standing(item["is_rejection"], at, item["erp_order"], item["reason"], lines)


def shipment_of(item: dict[str, Any]) -> Shipment:
    """A shipment, out of jsonb."""
    products = tuple(
        ShippedProduct(
            UUID(each["product_id"]) if each["product_id"] else None, each["code"], Decimal(each["quantity"])
        )
        for each in item["products"]
    )
    return Shipment(
        item["number"],
        item["warehouse"],
        products,
        instant_of(item["shipped_at"]),
        item["tracking_number"],
        item["tracking_url"],
    )


def invoice_of(item: dict[str, Any]) -> Invoice:
    """An invoice, out of jsonb."""
    return Invoice(item["number"], Decimal(item["total"]), day_of(item["issued_on"]), day_of(item["due_on"]))


def payment_of(item: dict[str, Any]) -> Payment:
    """A payment, out of jsonb."""
    return Payment(item["number"], Decimal(item["amount"]), item["invoice"], day_of(item["received_on"]))


def _tax(item: dict[str, Any]) -> TaxAmount:
    numbers = (Decimal(item[name]) for name in ("percent", "base", "amount"))
    return TaxAmount(item["name"], *numbers)


def _instalment(item: dict[str, Any]) -> Instalment:
    return Instalment(item["label"], Decimal(item["percent"]), item["days"], Decimal(item["amount"]))


ORDER = EntityType(
    name="order",
    cls=Order,
    table=orders,
    to_proto=wire.order_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda _: false(),  # an order stays with the rep who won it
    fields={
        "number": Field.of(orders.c.number, sortable=True),
        "quote_id": Field.of(orders.c.quote_id),
        "opportunity_id": Field.of(orders.c.opportunity_id),
        "account_id": Field.of(orders.c.account_id),
        "owner_id": Field.of(orders.c.owner_id),
        "state": Field.of(orders.c.state, names={state.name: state.value for state in OrderState}),
        "currency": Field.of(orders.c.currency),
        "lines.product_id": Field(orders.c.lines, FieldType.UUID, repeated=True, path=("product_id",)),
        "total": Field.of(orders.c.total, currency=orders.c.currency, sortable=True),
        "payable_total": Field.of(orders.c.payable_total, currency=orders.c.currency, sortable=True),
        "place_time": Field.of(orders.c.placed_at, sortable=True),
        "purchase_order_number": Field.of(orders.c.purchase_order_number),
        "requested_date": Field.of(orders.c.requested_date),
        "attention": Field.of(orders.c.attention),
    },
    searched=("number",),
    codecs={
        "state": enumerated(OrderState),
        "customer": document(customer_of),
        "lines": LINES,
        "items": listed(Item, _item),
        "promotions": listed(AppliedPromotion, promotion_of),
        "taxes": listed(TaxAmount, _tax),
        "payment_schedule": listed(Instalment, _instalment),
        "standing": document(standing_of),
        "shipments": listed(Shipment, shipment_of),
        "invoices": listed(Invoice, invoice_of),
        "payments": listed(Payment, payment_of),
    },
)
