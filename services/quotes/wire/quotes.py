"""Quotes and their lines, to and from the protos."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from sfa.quotes.v1 import quotes_pb2 as pb

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.quotes.domain.coupons import normalized
from services.quotes.domain.lines import LineDraft, LineKind, QuoteLine
from services.quotes.domain.payments import Instalment
from services.quotes.domain.quotes import Quote, QuoteState

_STATES = {state: pb.Quote.State.Value(state.name) for state in QuoteState}
_KINDS = {kind: pb.QuoteLine.Kind.Value(kind.name) for kind in LineKind}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}


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
    for name in (
        *("account_id", "contact_id", "order_id", "revised_from_id", "revised_by_id"),
        "cloned_from_id",
    ):
        if (id := getattr(quote, name)) is not None:
            setattr(result, name, str(id))
    if quote.valid_until is not None:
        convert.set_date(result.valid_until, quote.valid_until)
    if quote.requested_date is not None:
        convert.set_date(result.requested_date, quote.requested_date)
    result.credit_warnings.extend(quote.credit_warnings)
    set_lines(result.lines, quote.lines)
    convert.set_money(result.subtotal, quote.money(quote.subtotal))
    convert.set_money(result.discount_total, quote.money(quote.discount_total))
    convert.set_money(result.total, quote.money(quote.total))
    _set_conditions(result, quote)
    _set_taxes(result, quote)
    for applied in quote.promotions:
        promotion = result.promotions.add(
            promotion_id=str(applied.promotion_id),
            code=applied.code,
            name=applied.name,
            count=applied.count,
            coupon_code=applied.coupon_code,
        )
        convert.set_money(promotion.discount, applied.discount)
    for field, at in (
        ("primary_time", quote.primary_at),
        ("submit_time", quote.submitted_at),
        ("approve_time", quote.approved_at),
        ("send_time", quote.sent_at),
        ("view_time", quote.viewed_at),
        ("accept_time", quote.accepted_at),
        ("end_time", quote.ended_at),
    ):
        if at is not None:
            convert.set_timestamp(getattr(result, field), at)
    return result


def _set_conditions(result: pb.Quote, quote: Quote) -> None:
    if quote.discount_percent:
        result.discount_percent = convert.decimal_text(quote.discount_percent)
    if quote.discount_value:
        convert.set_money(result.discount_value, quote.money(quote.discount_value))
    result.segments.extend(quote.segments)
    result.territories.extend(quote.territories)
    result.channel = quote.channel
    result.coupon_codes.extend(quote.coupon_codes)
    result.payment_days = quote.payment_days
    for instalment in quote.payment_schedule:
        item = result.payment_schedule.add(
            label=instalment.label, percent=convert.decimal_text(instalment.percent), days=instalment.days
        )
        convert.set_money(item.amount, quote.money(instalment.amount))
    if quote.priced_on is not None:
        convert.set_date(result.price_date, quote.priced_on)
    if quote.exchange_rate is not None:
        result.exchange_rate = convert.decimal_text(quote.exchange_rate)
    result.exchange_currency = quote.exchange_currency
    if quote.exchange_date is not None:
        convert.set_date(result.exchange_date, quote.exchange_date)


def _set_taxes(result: pb.Quote, quote: Quote) -> None:
    result.tax_region = quote.tax_region
    result.prices_include_tax = quote.prices_include_tax
    result.is_tax_exempt = quote.is_tax_exempt
    convert.set_money(result.tax_total, quote.money(quote.tax_total))
    convert.set_money(result.payable_total, quote.money(quote.payable_total))
    for tax in quote.taxes:
        item = result.taxes.add(name=tax.name, percent=convert.decimal_text(tax.percent))
        convert.set_money(item.base, quote.money(tax.base))
        convert.set_money(item.amount, quote.money(tax.amount))


def set_lines(target: Any, lines: Iterable[QuoteLine]) -> None:
    """Writes lines into a repeated field, each with its figures."""
    for line in lines:
        item = target.add(
            id=str(line.id),
            product_id=str(line.product_id) if line.product_id is not None else "",
            description=line.description,
            quantity=convert.decimal_text(line.quantity),
            discount_percent=convert.decimal_text(line.discount_percent),
            kind=_KINDS[line.kind],
            is_price_manual=line.is_price_manual,
            is_optional=line.is_optional,
            alternative_group=line.alternative_group,
            is_chosen=line.is_chosen,
            is_gift=line.is_gift,
            tax_class=line.tax_class,
            unit=line.unit,
            tax_rate=convert.decimal_text(line.tax_rate) if line.tax_rate is not None else "",
        )
        convert.set_money(item.unit_price, line.unit_price)
        if line.list_price is not None:
            convert.set_money(item.list_price, line.list_price)
        convert.set_money(item.subtotal, line.subtotal)
        convert.set_money(item.discount_amount, line.discount_amount)
        convert.set_money(item.total, line.total)
        if line.discount_value is not None:
            convert.set_money(item.discount_value, line.discount_value)
        currency = line.unit_price.currency
        for field, amount in (
            ("tax_amount", line.tax if line.tax_rate is not None else None),
            ("discount_share", line.discount_share or None),
            ("promotion_amount", line.promotion or None),
        ):
            if amount is not None:
                convert.set_money(getattr(item, field), Money(amount, currency))


def drafts_of(message: pb.Quote) -> tuple[LineDraft, ...]:
    """The lines as the client asks for them. Gifts come and go with their promotions; nobody asks for them."""
    return tuple(_draft(index, line) for index, line in enumerate(message.lines) if not line.is_gift)


def _draft(index: int, line: pb.QuoteLine) -> LineDraft:
    field = f"quote.lines[{index}]"
    return LineDraft(
        id=convert.uuid_of(line.id),
        product_id=convert.uuid_of(line.product_id),
        description=line.description,
        quantity=convert.decimal_of(line.quantity, f"{field}.quantity"),
        unit_price=convert.money_of(line.unit_price, f"{field}.unit_price")
        if line.HasField("unit_price")
        else None,
        discount_percent=Decimal(line.discount_percent or 0),
        kind=_KIND_OF.get(line.kind, LineKind.ITEM),
        is_optional=line.is_optional,
        alternative_group=line.alternative_group,
        is_chosen=line.is_chosen,
        discount_value=convert.money_of(line.discount_value, f"{field}.discount_value")
        if line.HasField("discount_value")
        else None,
        tax_class=line.tax_class,
        unit=line.unit,
    )


def _discount_value(message: pb.Quote) -> Money | None:
    if not message.HasField("discount_value"):
        return None
    return convert.money_of(message.discount_value, "quote.discount_value")


def _schedule(message: pb.Quote) -> tuple[Instalment, ...]:
    return tuple(
        Instalment(instalment.label, Decimal(instalment.percent or 0), instalment.days)
        for instalment in message.payment_schedule
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
    "requested_date": lambda message: (
        convert.date_of(message.requested_date, "quote.requested_date")
        if message.HasField("requested_date")
        else None
    ),
    "lines": drafts_of,
    "terms": lambda message: message.terms,
    "description": lambda message: message.description,
    "segments": lambda message: tuple(sorted(message.segments)),
    "territories": lambda message: tuple(message.territories),
    "channel": lambda message: message.channel,
    "coupon_codes": lambda message: tuple(dict.fromkeys(normalized(code) for code in message.coupon_codes)),
    "discount_percent": lambda message: Decimal(message.discount_percent or 0),
    "discount_value": _discount_value,
    "tax_region": lambda message: message.tax_region,
    "prices_include_tax": lambda message: message.prices_include_tax,
    "payment_days": lambda message: message.payment_days,
    "payment_schedule": _schedule,
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
