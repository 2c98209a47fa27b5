"""Orders."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Column, Numeric, Text, Uuid, false
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import enumerated
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.orders import Order, OrderState
from services.quotes.tables.base import metadata
from services.quotes.tables.lines import LINES
from services.quotes.wire import orders as wire

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
        "place_time": Field.of(orders.c.placed_at, sortable=True),
        "purchase_order_number": Field.of(orders.c.purchase_order_number),
    },
    searched=("number",),
    codecs={"state": enumerated(OrderState), "lines": LINES},
)
