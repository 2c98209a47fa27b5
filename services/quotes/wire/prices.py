"""Price books, prices, and which price won, to and from the protos."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from sfa.quotes.v1 import products_pb2 as pb

from chassis import convert
from chassis.history import Version
from services.quotes.domain.price_resolution import Lost, PriceLine, Resolution, Why, decimal_of
from services.quotes.domain.prices import PriceBook, PriceBookEntry, Tier, TierMode

MOST_LOST = 50
"""How many of the prices that lost are named."""
_MODES = {mode: pb.PriceBookEntry.TierMode.Value(mode.name) for mode in TierMode}
_MODE_OF = {number: mode for mode, number in _MODES.items()}
_REASONS = {why: pb.PriceResolution.Reason.Value(why.name) for why in Why}


def price_book_to_proto(book: PriceBook) -> pb.PriceBook:
    """The resource."""
    result = pb.PriceBook()
    convert.set_head(result, book)
    for name in ("name", "description", "is_standard", "is_automatic", "currency", "priority"):
        setattr(result, name, getattr(book, name))
    for name in ("segments", "territories", "channels"):
        getattr(result, name).extend(getattr(book, name))
    for name in ("valid_from", "valid_to"):
        if (day := getattr(book, name)) is not None:
            convert.set_date(getattr(result, name), day)
    if book.price_increment is not None:
        result.price_increment = convert.decimal_text(book.price_increment)
    return result


def _date(name: Literal["valid_from", "valid_to"]) -> Callable[[pb.PriceBook], Any]:
    return lambda message: (
        convert.date_of(getattr(message, name), f"price_book.{name}") if message.HasField(name) else None
    )


# How each field that a client may set is read; the names are those of the update mask.
PRICE_BOOK_FIELDS: Mapping[str, Callable[[pb.PriceBook], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "description": lambda message: message.description,
    "is_automatic": lambda message: message.is_automatic,
    "currency": lambda message: message.currency,
    "segments": lambda message: tuple(message.segments),
    "territories": lambda message: tuple(message.territories),
    "channels": lambda message: tuple(message.channels),
    "valid_from": _date("valid_from"),
    "valid_to": _date("valid_to"),
    "priority": lambda message: message.priority,
    "price_increment": lambda message: Decimal(message.price_increment) if message.price_increment else None,
}


def price_book_version_to_proto(version: Version) -> pb.PriceBookVersion:
    """One version."""
    assert isinstance(version.resource, pb.PriceBook)
    return pb.PriceBookVersion(
        price_book=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


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
    result.unit = entry.unit
    if entry.account_id is not None:
        result.account_id = str(entry.account_id)
    if entry.minimum_quantity is not None:
        result.minimum_quantity = convert.decimal_text(entry.minimum_quantity)
    result.tier_mode = _MODES[entry.tier_mode]
    for tier in entry.tiers:
        item = result.tiers.add(from_quantity=convert.decimal_text(tier.from_quantity))
        convert.set_money(item.unit_price, tier.unit_price)
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
        unit=message.unit,
        account_id=convert.uuid_of(message.account_id),
        minimum_quantity=Decimal(message.minimum_quantity) if message.minimum_quantity else None,
        tier_mode=_MODE_OF.get(message.tier_mode, TierMode.VOLUME),
        tiers=tuple(
            Tier(
                Decimal(tier.from_quantity),
                convert.money_of(tier.unit_price, f"{field}.tiers[{index}].unit_price"),
            )
            for index, tier in enumerate(message.tiers)
        ),
        external_ids=convert.external_ids_of(message.external_ids),
    )


def entry_version_to_proto(version: Version) -> pb.PriceBookEntryVersion:
    """One version."""
    assert isinstance(version.resource, pb.PriceBookEntry)
    return pb.PriceBookEntryVersion(
        price_book_entry=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def resolution_to_proto(line: PriceLine, resolution: Resolution) -> pb.PriceResolution:
    """Which price won, and why the others did not."""
    result = pb.PriceResolution(
        product_id=str(line.product.id),
        quantity=convert.decimal_text(line.quantity),
        unit=line.unit or line.product.base_unit,
        lost=map(_lost, resolution.lost[:MOST_LOST]),
    )
    if (won := resolution.won) is not None:
        convert.set_money(result.unit_price, won.unit_price)
        convert.set_money(result.amount, won.amount)
        result.price_book_entry.CopyFrom(entry_to_proto(won.candidate.entry))
        result.price_book_name = won.candidate.book.name
        result.is_converted = won.is_converted
        result.is_of_parent = won.is_of_parent
        for portion in won.portions:
            part = result.portions.add(quantity=convert.decimal_text(decimal_of(portion.quantity)))
            convert.set_money(part.unit_price, portion.unit_price)
    return result


def _lost(lost: Lost) -> pb.PriceResolution.Lost:
    return pb.PriceResolution.Lost(
        price_book_entry=entry_to_proto(lost.candidate.entry),
        price_book_name=lost.candidate.book.name,
        reason=_REASONS[lost.why],
        missing_quantity="" if lost.missing is None else convert.decimal_text(lost.missing),
    )
