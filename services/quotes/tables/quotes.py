"""Quotes."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import events_pb2
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, Numeric, Table, Text, Uuid, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from chassis.columns import array, enumerated, listed, money_of
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.payments import Instalment
from services.quotes.domain.quotes import OPEN, Quote, QuoteState
from services.quotes.domain.redemptions import AppliedPromotion
from services.quotes.domain.taxation import TaxAmount
from services.quotes.tables.base import metadata
from services.quotes.tables.lines import LINES
from services.quotes.wire import quotes as wire

quotes = entity_table(
    "quotes",
    metadata,
    Column("number", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("opportunity_id", Uuid, nullable=False),
    Column("account_id", Uuid),
    Column("contact_id", Uuid),
    Column("owner_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price_book_id", Uuid, nullable=False),
    Column("valid_until", Date),
    Column("lines", JSONB),
    Column("subtotal", Numeric, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("is_primary", Boolean, nullable=False),
    timestamp_column("primary_at"),
    Column("terms", Text),
    Column("description", Text),
    timestamp_column("sent_at"),
    timestamp_column("accepted_at"),
    Column("accepted_by", Text),
    Column("purchase_order_number", Text),
    Column("order_id", Uuid),
    timestamp_column("ended_at"),
    Column("end_reason", Text),
    Column("revised_from_id", Uuid),
    Column("revised_by_id", Uuid),
    Column("cloned_from_id", Uuid),
    Column("discount_percent", Numeric),
    Column("discount_value", Numeric),
    Column("tax_region", Text),
    Column("prices_include_tax", Boolean),
    Column("tax_total", Numeric),
    Column("payable_total", Numeric, nullable=False),
    Column("taxes", JSONB),
    Column("is_tax_exempt", Boolean),
    Column("payment_days", Integer),
    Column("payment_schedule", JSONB),
    Column("priced_on", Date),
    Column("exchange_rate", Numeric),
    Column("exchange_currency", Text),
    Column("exchange_date", Date),
    timestamp_column("submitted_at"),
    timestamp_column("approved_at"),
    timestamp_column("viewed_at"),
    Column("segments", ARRAY(Text)),
    Column("territories", ARRAY(Text)),
    Column("channel", Text),
    Column("coupon_codes", ARRAY(Text)),
    Column("promotions", JSONB),
    Column("requested_date", Date),
    Column("credit_warnings", ARRAY(Text)),
)

explanations = Table(
    "quote_explanations",
    metadata,
    Column("tenant_id", Uuid),
    Column("quote_id", Uuid, primary_key=True),
    Column("version", BigInteger),
    Column("explanation", JSONB),
)
"""How the prices of each quote came about when it was last priced."""


def _tax(item: dict[str, Any]) -> TaxAmount:
    numbers = (Decimal(item[name]) for name in ("percent", "base", "amount"))
    return TaxAmount(item["name"], *numbers)


def _instalment(item: dict[str, Any]) -> Instalment:
    return Instalment(item["label"], Decimal(item["percent"]), item["days"], Decimal(item["amount"]))


def promotion_of(item: dict[str, Any]) -> AppliedPromotion:
    """A promotion in the price, out of jsonb."""
    discount, coupon_id = money_of(item["discount"]), item["coupon_id"]
    assert discount is not None
    return AppliedPromotion(
        promotion_id=UUID(item["promotion_id"]),
        code=item["code"],
        name=item["name"],
        discount=discount,
        count=item["count"],
        coupon_id=UUID(coupon_id) if coupon_id else None,
        coupon_code=item["coupon_code"],
    )


_OPEN = [state.value for state in sorted(OPEN, key=lambda state: state.value)]

QUOTE = EntityType(
    name="quote",
    cls=Quote,
    table=quotes,
    to_proto=wire.quote_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: table.c.state == any_(literal(_OPEN, ARRAY(Text))),
    fields={
        "number": Field.of(quotes.c.number, sortable=True),
        "name": Field.of(quotes.c.name, sortable=True),
        "opportunity_id": Field.of(quotes.c.opportunity_id),
        "account_id": Field.of(quotes.c.account_id),
        "contact_id": Field.of(quotes.c.contact_id),
        "owner_id": Field.of(quotes.c.owner_id),
        "state": Field.of(quotes.c.state, names={state.name: state.value for state in QuoteState}),
        "currency": Field.of(quotes.c.currency),
        "valid_until": Field.of(quotes.c.valid_until, sortable=True),
        "lines.product_id": Field(quotes.c.lines, FieldType.UUID, repeated=True, path=("product_id",)),
        "total": Field.of(quotes.c.total, currency=quotes.c.currency, sortable=True),
        "is_primary": Field.of(quotes.c.is_primary),
        "send_time": Field.of(quotes.c.sent_at),
        "accept_time": Field.of(quotes.c.accepted_at),
        "order_id": Field.of(quotes.c.order_id),
        "payable_total": Field.of(quotes.c.payable_total, currency=quotes.c.currency, sortable=True),
        "cloned_from_id": Field.of(quotes.c.cloned_from_id),
    },
    searched=("number", "name"),
    codecs={
        "state": enumerated(QuoteState),
        "lines": LINES,
        "taxes": listed(TaxAmount, _tax),
        "payment_schedule": listed(Instalment, _instalment),
        "segments": array(),
        "territories": array(),
        "coupon_codes": array(),
        "promotions": listed(AppliedPromotion, promotion_of),
        "credit_warnings": array(),
    },
)
