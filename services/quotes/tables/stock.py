"""Warehouses, stock items, the settings of holds, and what is promised."""

from uuid import UUID

from sfa.quotes.v1 import events_pb2
from sqlalchemy import BigInteger, Boolean, Column, Date, Double, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import listed
from chassis.fields import Field
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.quotes import QuoteState
from services.quotes.domain.stock import StockItem
from services.quotes.domain.stock_settings import HoldRule, StockSettings
from services.quotes.domain.warehouses import Warehouse, WarehouseCodeTaken
from services.quotes.tables.base import metadata
from services.quotes.wire import stock as wire

warehouses = entity_table(
    "warehouses",
    metadata,
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("is_active", Boolean, nullable=False),
)

stock_items = entity_table(
    "stock_items",
    metadata,
    Column("warehouse_id", Uuid, nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("level_version", BigInteger, nullable=False),
    Column("on_hand", Numeric, nullable=False),
    Column("safety_stock", Numeric, nullable=False),
    Column("safety_version", BigInteger, nullable=False),
    Column("shipped", Numeric, nullable=False),
    Column("incoming", Numeric, nullable=False),
    Column("shortfall", Numeric, nullable=False),
)

stock_settings = entity_table("stock_settings", metadata, Column("hold_rules", JSONB, nullable=False))

stock_promises = Table(
    "stock_promises",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text),
    Column("product_id", Uuid),
    Column("warehouse_id", Uuid),
    Column("quantity", Numeric),
    Column("shipped", Numeric),
    Column("due_on", Date),
    timestamp_column("created_at"),
    timestamp_column("expires_at"),
    Column("quote_id", Uuid),
    Column("line_id", Uuid),
    Column("order_number", Text),
)
"""Holds and reservations that have not been let go; expired holds stand here until they are swept."""

WAREHOUSE = EntityType(
    name="warehouse",
    cls=Warehouse,
    table=warehouses,
    to_proto=wire.warehouse_to_proto,
    events=events_pb2,
    fields={
        "code": Field.of(warehouses.c.code, sortable=True),
        "name": Field.of(warehouses.c.name, sortable=True),
        "country": Field.of(warehouses.c.country, sortable=True),
        "is_active": Field.of(warehouses.c.is_active),
    },
    searched=("name", "code"),
    unique={"warehouses_code": WarehouseCodeTaken},
)

STOCK_ITEM = EntityType(
    name="stock_item",
    cls=StockItem,
    table=stock_items,
    to_proto=wire.stock_item_to_proto,
    events=events_pb2,
    fields={
        "warehouse_id": Field.of(stock_items.c.warehouse_id),
        "product_id": Field.of(stock_items.c.product_id),
        "on_hand": Field.of(stock_items.c.on_hand, sortable=True),
        "incoming": Field.of(stock_items.c.incoming),
        "shortfall": Field.of(stock_items.c.shortfall, sortable=True),
    },
)


def _rule(item: dict[str, str | int | None]) -> HoldRule:
    state, account, hours = item["state"], item["account_id"], item["hours"]
    return HoldRule(
        state=QuoteState(state) if state else None,
        account_id=UUID(str(account)) if account else None,
        hours=int(hours) if hours is not None else None,
    )


STOCK_SETTINGS = EntityType(
    name="stock_settings",
    cls=StockSettings,
    table=stock_settings,
    to_proto=wire.stock_settings_to_proto,
    events=events_pb2,
    codecs={"hold_rules": listed(HoldRule, _rule)},
)
