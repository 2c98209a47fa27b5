"""Quotes and their lines, to and from the protos."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import quotes_pb2 as pb

from chassis import convert
from chassis.history import Version
from services.quotes.domain.lines import LineDraft, QuoteLine
from services.quotes.domain.quotes import Quote, QuoteState

_STATES = {state: pb.Quote.State.Value(state.name) for state in QuoteState}


def quote_to_proto(quote: Quote) -> pb.Quote:
    """The resource."""
    result = pb.Quote()
    convert.set_head(result, quote)
    for name in ("number", "revision", "name", "currency", "is_primary", "terms", "description"):
        setattr(result, name, getattr(quote, name))
    result.accepted_by = quote.accepted_by
    result.purchase_order_number = quote.purchase_order_number
    result.end_reason = quote.end_reason
    result.state = _STATES[quote.state]
    result.opportunity_id = str(quote.opportunity_id)
    result.owner_id = str(quote.owner_id)
    result.price_book_id = str(quote.price_book_id)
    for name in ("account_id", "contact_id", "order_id", "revised_from_id", "revised_by_id"):
        if (id := getattr(quote, name)) is not None:
            setattr(result, name, str(id))
    if quote.valid_until is not None:
        convert.set_date(result.valid_until, quote.valid_until)
    set_lines(result.lines, quote.lines)
    convert.set_money(result.subtotal, quote.money(quote.subtotal))
    convert.set_money(result.discount_total, quote.money(quote.discount_total))
    convert.set_money(result.total, quote.money(quote.total))
    for field, at in (
        ("primary_time", quote.primary_at),
        ("send_time", quote.sent_at),
        ("accept_time", quote.accepted_at),
        ("end_time", quote.ended_at),
    ):
        if at is not None:
            convert.set_timestamp(getattr(result, field), at)
    return result


def set_lines(target: Any, lines: Iterable[QuoteLine]) -> None:
    """Writes lines into a repeated field, each with its figures."""
    for line in lines:
        item = target.add(
            id=str(line.id),
            product_id=str(line.product_id),
            description=line.description,
            quantity=convert.decimal_text(line.quantity),
            discount_percent=convert.decimal_text(line.discount_percent),
        )
        convert.set_money(item.unit_price, line.unit_price)
        if line.list_price is not None:
            convert.set_money(item.list_price, line.list_price)
        convert.set_money(item.subtotal, line.subtotal)
        convert.set_money(item.discount_amount, line.discount_amount)
        convert.set_money(item.total, line.total)


def drafts_of(message: pb.Quote) -> tuple[LineDraft, ...]:
    """The lines as the client asks for them."""
    return tuple(_draft(index, line) for index, line in enumerate(message.lines))


def _draft(index: int, line: pb.QuoteLine) -> LineDraft:
    field = f"quote.lines[{index}]"
    return LineDraft(
        id=convert.uuid_of(line.id),
        product_id=UUID(line.product_id),
        description=line.description,
        quantity=convert.decimal_of(line.quantity, f"{field}.quantity"),
        unit_price=convert.money_of(line.unit_price, f"{field}.unit_price")
        if line.HasField("unit_price")
        else None,
        discount_percent=Decimal(line.discount_percent or 0),
    )


# How each field of a draft that a client may set is read; the names are those of the update mask.
FIELDS: Mapping[str, Callable[[pb.Quote], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "account_id": lambda message: convert.uuid_of(message.account_id),
    "contact_id": lambda message: convert.uuid_of(message.contact_id),
    "owner_id": lambda message: convert.uuid_of(message.owner_id),
    "currency": lambda message: message.currency,
    "price_book_id": lambda message: convert.uuid_of(message.price_book_id),
    "valid_until": lambda message: (
        convert.date_of(message.valid_until, "quote.valid_until") if message.HasField("valid_until") else None
    ),
    "lines": drafts_of,
    "terms": lambda message: message.terms,
    "description": lambda message: message.description,
}


def quote_version_to_proto(version: Version) -> pb.QuoteVersion:
    """One version."""
    assert isinstance(version.resource, pb.Quote)
    return pb.QuoteVersion(
        quote=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
