"""Products, price books and prices, to and from the protos."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import products_pb2 as pb

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.quotes.domain.prices import PriceBook, PriceBookEntry
from services.quotes.domain.products import Product


def product_to_proto(product: Product) -> pb.Product:
    """The resource."""
    result = pb.Product()
    convert.set_head(result, product)
    result.code = product.code
    result.name = product.name
    result.description = product.description
    result.family = product.family
    result.is_active = product.is_active
    return result


def list_price_of(message: pb.Product) -> Money | None:
    """The price that the product is to have in the standard price book; None where it is not said."""
    return (
        convert.money_of(message.list_price, "product.list_price") if message.HasField("list_price") else None
    )


# How each field that a client may set is read; the names are those of the update mask.
PRODUCT_FIELDS: Mapping[str, Callable[[pb.Product], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "code": lambda message: message.code,
    "name": lambda message: message.name,
    "description": lambda message: message.description,
    "family": lambda message: message.family,
    "is_active": lambda message: message.is_active if message.HasField("is_active") else True,
    "list_price": list_price_of,
}


def product_version_to_proto(version: Version) -> pb.ProductVersion:
    """One version."""
    assert isinstance(version.resource, pb.Product)
    return pb.ProductVersion(
        product=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def price_book_to_proto(book: PriceBook) -> pb.PriceBook:
    """The resource."""
    result = pb.PriceBook()
    convert.set_head(result, book)
    result.name = book.name
    result.description = book.description
    result.is_standard = book.is_standard
    return result


PRICE_BOOK_FIELDS: Mapping[str, Callable[[pb.PriceBook], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "description": lambda message: message.description,
}


def entry_to_proto(entry: PriceBookEntry) -> pb.PriceBookEntry:
    """The resource."""
    result = pb.PriceBookEntry()
    convert.set_head(result, entry)
    result.price_book_id = str(entry.price_book_id)
    result.product_id = str(entry.product_id)
    convert.set_money(result.unit_price, entry.unit_price)
    if entry.valid_from is not None:
        convert.set_date(result.valid_from, entry.valid_from)
    if entry.valid_to is not None:
        convert.set_date(result.valid_to, entry.valid_to)
    return result


def entry_of(message: pb.PriceBookEntry, book_id: UUID) -> PriceBookEntry:
    """The price that a row asks for; `book_id` is the standard price book's."""
    field = "price_book_entry"
    has = message.HasField
    return PriceBookEntry(
        price_book_id=convert.uuid_of(message.price_book_id) or book_id,
        product_id=UUID(message.product_id),
        unit_price=convert.money_of(message.unit_price, f"{field}.unit_price"),
        valid_from=convert.date_of(message.valid_from, f"{field}.valid_from") if has("valid_from") else None,
        valid_to=convert.date_of(message.valid_to, f"{field}.valid_to") if has("valid_to") else None,
        external_ids=convert.external_ids_of(message.external_ids),
    )
