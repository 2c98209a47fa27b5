"""The tables, and which domain class a row becomes."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import events_pb2
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, MetaData, Numeric, Table, Text, Uuid, false
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import enumerated, listed, money_of
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.orders import Order, OrderState
from services.quotes.domain.prices import PriceBook, PriceBookEntry, PriceBookNameTaken, PriceTaken
from services.quotes.domain.products import CodeTaken, Product
from services.quotes.domain.quotes import Quote, QuoteState
from services.quotes.wire import orders as orders_wire
from services.quotes.wire import products as products_wire
from services.quotes.wire import quotes as quotes_wire

metadata = MetaData()

products = entity_table(
    "products",
    metadata,
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("family", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
)

price_books = entity_table(
    "price_books",
    metadata,
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("is_standard", Boolean, nullable=False),
)

price_book_entries = entity_table(
    "price_book_entries",
    metadata,
    Column("price_book_id", Uuid, nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("unit_price", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("valid_from", Date),
    Column("valid_to", Date),
)

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
)

orders = entity_table(
    "orders",
    metadata,
    Column("number", Text, nullable=False),
    Column("quote_id", Uuid, nullable=False),
    Column("opportunity_id", Uuid, nullable=False),
    Column("account_id", Uuid),
    Column("contact_id", Uuid),
    Column("owner_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("lines", JSONB),
    Column("subtotal", Numeric, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("purchase_order_number", Text),
    timestamp_column("placed_at"),
    timestamp_column("cancelled_at"),
    Column("cancel_reason", Text),
)

numbers = Table(
    "numbers",
    metadata,
    Column("tenant_id", Uuid),
    Column("kind", Text, primary_key=True),
    Column("last", BigInteger),
)
"""The last number given to each kind of paper."""


def _line(item: dict[str, Any]) -> QuoteLine:
    unit_price = money_of(item["unit_price"])
    assert unit_price is not None
    return QuoteLine(
        id=UUID(item["id"]),
        product_id=UUID(item["product_id"]),
        description=item["description"],
        quantity=Decimal(item["quantity"]),
        unit_price=unit_price,
        list_price=money_of(item["list_price"]),
        discount_percent=Decimal(item["discount_percent"]),
    )


_lines = listed(QuoteLine, _line)

PRODUCT = EntityType(
    name="product",
    cls=Product,
    table=products,
    to_proto=products_wire.product_to_proto,
    events=events_pb2,
    fields={
        "code": Field.of(products.c.code, sortable=True),
        "name": Field.of(products.c.name, sortable=True),
        "family": Field.of(products.c.family, sortable=True),
        "is_active": Field.of(products.c.is_active),
    },
    searched=("name", "code"),
    unique={"products_code": CodeTaken},
)

PRICE_BOOK = EntityType(
    name="price_book",
    cls=PriceBook,
    table=price_books,
    to_proto=products_wire.price_book_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(price_books.c.name, sortable=True),
        "is_standard": Field.of(price_books.c.is_standard),
    },
    searched=("name",),
    unique={"price_books_name": PriceBookNameTaken},
)

PRICE_BOOK_ENTRY = EntityType(
    name="price_book_entry",
    cls=PriceBookEntry,
    table=price_book_entries,
    to_proto=products_wire.entry_to_proto,
    events=events_pb2,
    fields={
        "price_book_id": Field.of(price_book_entries.c.price_book_id),
        "product_id": Field.of(price_book_entries.c.product_id),
        "unit_price": Field.of(
            price_book_entries.c.unit_price, currency=price_book_entries.c.currency, sortable=True
        ),
        "currency": Field.of(price_book_entries.c.currency),
        "valid_from": Field.of(price_book_entries.c.valid_from, sortable=True),
        "valid_to": Field.of(price_book_entries.c.valid_to, sortable=True),
    },
    money={"unit_price": ("unit_price", "currency")},
    unique={"price_book_entries_key": PriceTaken},
)

QUOTE = EntityType(
    name="quote",
    cls=Quote,
    table=quotes,
    to_proto=quotes_wire.quote_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: (
        (table.c.state == QuoteState.DRAFT.value) | (table.c.state == QuoteState.SENT.value)
    ),
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
    },
    searched=("number", "name"),
    codecs={"state": enumerated(QuoteState), "lines": _lines},
)

ORDER = EntityType(
    name="order",
    cls=Order,
    table=orders,
    to_proto=orders_wire.order_to_proto,
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
        "place_time": Field.of(orders.c.placed_at, sortable=True),
        "purchase_order_number": Field.of(orders.c.purchase_order_number),
    },
    searched=("number",),
    codecs={"state": enumerated(OrderState), "lines": _lines},
)
