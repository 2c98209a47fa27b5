"""Price books and the prices in them."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Date, Numeric, Text, Uuid

from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.prices import PriceBook, PriceBookEntry, PriceBookNameTaken, PriceTaken
from services.quotes.tables.base import metadata
from services.quotes.wire import products as wire

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

PRICE_BOOK = EntityType(
    name="price_book",
    cls=PriceBook,
    table=price_books,
    to_proto=wire.price_book_to_proto,
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
    },
    money={"unit_price": ("unit_price", "currency")},
    unique={"price_book_entries_key": PriceTaken},
)
