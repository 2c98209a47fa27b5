"""Price books and the prices in them."""

from decimal import Decimal
from typing import Any

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Date, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from chassis.columns import array, enumerated, listed, money_of
from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.prices import (
    PriceBook,
    PriceBookEntry,
    PriceBookNameTaken,
    PriceTaken,
    Tier,
    TierMode,
)
from services.quotes.tables.base import metadata
from services.quotes.wire import prices as wire

price_books = entity_table(
    "price_books",
    metadata,
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("is_standard", Boolean, nullable=False),
    Column("is_automatic", Boolean, nullable=False),
    Column("currency", Text, nullable=False),
    Column("segments", ARRAY(Text), nullable=False),
    Column("territories", ARRAY(Text), nullable=False),
    Column("channels", ARRAY(Text), nullable=False),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("priority", Integer, nullable=False),
    Column("price_increment", Numeric),
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
    Column("unit", Text, nullable=False),
    Column("account_id", Uuid),
    Column("minimum_quantity", Numeric),
    Column("tier_mode", Text, nullable=False),
    Column("tiers", JSONB, nullable=False),
)


def _tier(item: dict[str, Any]) -> Tier:
    price = money_of(item["unit_price"])
    assert price is not None
    return Tier(Decimal(item["from_quantity"]), price)


PRICE_BOOK = EntityType(
    name="price_book",
    cls=PriceBook,
    table=price_books,
    to_proto=wire.price_book_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(price_books.c.name, sortable=True),
        "is_standard": Field.of(price_books.c.is_standard),
        "is_automatic": Field.of(price_books.c.is_automatic),
        "currency": Field.of(price_books.c.currency),
        "segments": Field.of(price_books.c.segments),
        "territories": Field.of(price_books.c.territories),
        "channels": Field.of(price_books.c.channels),
        "valid_from": Field.of(price_books.c.valid_from),
        "valid_to": Field.of(price_books.c.valid_to),
        "priority": Field.of(price_books.c.priority),
    },
    searched=("name",),
    codecs={"segments": array(), "territories": array(), "channels": array()},
    unique={"price_books_name": PriceBookNameTaken},
)

PRICE_BOOK_ENTRY = EntityType(
    name="price_book_entry",
    cls=PriceBookEntry,
    table=price_book_entries,
    to_proto=wire.entry_to_proto,
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
        "unit": Field.of(price_book_entries.c.unit),
        "account_id": Field.of(price_book_entries.c.account_id),
    },
    codecs={"tier_mode": enumerated(TierMode), "tiers": listed(Tier, _tier)},
    money={"unit_price": ("unit_price", "currency")},
    unique={"price_book_entries_key": PriceTaken},
)
