"""A quote as approvals look at it: each line at list price, at what the customer pays, and at cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from chassis.call import Call
from chassis.money import Money
from services.quotes.domain.approval_reasons import Offer, OfferedLine
from services.quotes.domain.families import ProductFamily
from services.quotes.domain.lines import LineKind, QuoteLine
from services.quotes.domain.pricing_settings import PricingSettings
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.store.costs import CostStore
from services.quotes.store.families import FamilyStore
from services.quotes.store.products import ProductStore
from services.quotes.store.promotions import PricingSettingsStore


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """What is known of the products."""

    products: Mapping[UUID, Product]
    costs: Mapping[UUID, Money]
    lineages: Mapping[str, tuple[str, ...]]
    settings: PricingSettings


async def offer_of(call: Call, quote: Quote) -> Offer:
    """The quote's items, net of tax. Freight and surcharges count in the total alone."""
    items = [line for line in quote.lines if line.kind is LineKind.ITEM]
    catalogue = await _catalogue(call, quote, items)
    lines = tuple(_line(quote, line, catalogue) for line in items)
    tax = quote.tax_total if quote.prices_include_tax else Decimal(0)
    floor = catalogue.settings.document_margin_floor
    counted = [line for line in lines if line.counts]
    known = floor is not None and all(line.cost is not None for line in counted)
    net = sum((line.net for line in counted), Decimal(0))
    cost = sum((line.cost or Decimal(0) for line in counted), Decimal(0))
    return Offer(
        currency=quote.currency,
        total=quote.total - tax,
        lines=lines,
        payment_days=quote.payment_days,
        is_below_floor=known and _is_below(net, cost, floor),
    )


async def _catalogue(call: Call, quote: Quote, items: list[QuoteLine]) -> _Catalogue:
    ids = {line.product_id for line in items if line.product_id is not None}
    products = await ProductStore(call).get_many(sorted(ids))
    lineages: Mapping[str, tuple[ProductFamily, ...]] = await FamilyStore(call).lineages() if products else {}
    return _Catalogue(
        products=products,
        costs=await CostStore(call).on(products, quote.currency, call.now.date()),
        lineages={name: tuple(each.name for each in above) for name, above in lineages.items()},
        settings=await PricingSettingsStore(call).current(),
    )


def _line(quote: Quote, line: QuoteLine, catalogue: _Catalogue) -> OfferedLine:
    product = catalogue.products.get(line.product_id) if line.product_id is not None else None
    family = product.family if product is not None else ""
    tax = line.tax if quote.prices_include_tax else Decimal(0)
    full = line.subtotal.amount
    if line.list_price is not None and line.list_price.amount > line.unit_price.amount:
        full = (line.list_price * line.quantity).rounded().amount  # a lower price by hand is a discount too
    net, cost = line.total.amount - tax, _cost(line, product, catalogue.costs)
    floor = catalogue.settings.line_margin_floor
    return OfferedLine(
        id=line.id,
        families=tuple(dict.fromkeys((family, *catalogue.lineages.get(family, ())))),
        full=full,
        net=net,
        manual=max(full - line.promotion - line.total.amount, Decimal(0)),
        cost=cost,
        is_gift=line.is_gift,
        is_below_floor=cost is not None and not line.is_gift and _is_below(net, cost, floor),
        counts=line.counts,
    )


def _cost(line: QuoteLine, product: Product | None, costs: Mapping[UUID, Money]) -> Decimal | None:
    """What the line costs us; None where that is not known."""
    if product is None or product.id not in costs:
        return None
    count = product.in_base_units(line.quantity, line.unit)
    return costs[product.id].amount * count.numerator / count.denominator


def _is_below(net: Decimal, cost: Decimal, floor: Decimal | None) -> bool:
    """Whether the margin is less than the floor says, exactly."""
    return floor is not None and (net - cost) * 100 < net * floor
