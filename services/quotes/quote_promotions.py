"""Promotions on a quote: the quote as pricing reads it, the best combination, and what that makes of its
lines."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

from chassis.call import Call
from chassis.money import Money, minor_unit
from services.quotes.best_offer import best_offer
from services.quotes.domain.explanations import PromotionStep, Unused
from services.quotes.domain.families import ProductFamily
from services.quotes.domain.lines import LineKind, QuoteLine
from services.quotes.domain.price_resolution import PriceContext, PriceLine
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.domain.redemptions import AppliedPromotion
from services.quotes.domain.taxation import TaxRounding
from services.quotes.live_promotions import LivePromotions, Offers
from services.quotes.pricing import model
from services.quotes.store import CostStore, FamilyStore, PriceStore, ProductStore

_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHARGES = {LineKind.FREIGHT: model.ChargeKind.FREIGHT, LineKind.SURCHARGE: model.ChargeKind.SURCHARGE}
_TAX_ROUNDINGS = {
    TaxRounding.PER_LINE: model.TaxRounding.LINE,
    TaxRounding.PER_DOCUMENT: model.TaxRounding.DOCUMENT,
}


@dataclass(frozen=True, slots=True)
class Promoted:
    """The lines with what promotions take off them, gifts added, and why."""

    lines: tuple[QuoteLine, ...]
    applied: tuple[AppliedPromotion, ...] = ()
    steps: Mapping[UUID, Sequence[PromotionStep]] = field(default_factory=dict)
    unused: tuple[Unused, ...] = ()
    next: tuple[str, ...] = ()
    gap: Decimal = Decimal(0)


class QuotePromotions:
    """The best combination of promotions for a quote."""

    def __init__(self, live: LivePromotions) -> None:
        self.live = live

    async def offers(self, call: Call, quote: Quote, day: date) -> Offers:
        """What the quote may be priced with."""
        return await self.live.offers(
            call, day=day, account_id=quote.account_id, coupon_codes=quote.coupon_codes
        )

    async def apply(
        self,
        call: Call,
        quote: Quote,
        lines: tuple[QuoteLine, ...],
        offers: Offers,
        tax_rates: Mapping[UUID, Decimal],
        tax_rounding: TaxRounding,
        products: Mapping[UUID, Product],
        context: PriceContext,
    ) -> Promoted:
        """The lines under the best combination of `offers`, and with the discount of the whole, which is
        rounded together with them. Lines that do not count stay as they are."""
        if not offers.promotions and not (quote.discount_percent or quote.discount_value):
            return Promoted(lines)
        costs: Mapping[UUID, Money] = {}
        lineages: Mapping[str, Sequence[ProductFamily]] = {}
        if offers.promotions:
            gifts = await ProductStore(call).get_many(list(offers.gifts - products.keys()))
            products = {**products, **gifts}
            offers = await self._with_gifts_worth(call, offers, products, context)
            costs = await CostStore(call).on(products, quote.currency, context.day)
            lineages = await FamilyStore(call).lineages()
        settings = offers.settings.priced(tax_rounding=_TAX_ROUNDINGS[tax_rounding])
        document = model.Document(
            currency=quote.currency,
            exponent=-int(minor_unit(quote.currency).as_tuple().exponent),
            day=context.day,
            lines=tuple(
                _line(line, products, costs, lineages, tax_rates, offers)
                for line in lines
                if line.counts and line.kind is LineKind.ITEM
            ),
            charges=tuple(
                model.Charge(
                    key=str(line.id),
                    amount=line.subtotal.amount,
                    kind=_CHARGES[line.kind],
                    tax_rate=tax_rates.get(line.id, Decimal(0)),
                )
                for line in lines
                if line.counts and line.kind is not LineKind.ITEM
            ),
            customer=str(quote.account_id or ""),
            segments=frozenset(quote.segments),
            territories=frozenset(quote.territories),
            channel=quote.channel,
            rep=str(quote.owner_id),
            first_order=offers.is_first_order,
            coupons=offers.coupon_codes,
            prices_include_tax=quote.prices_include_tax,
            manual=model.ManualDiscount(quote.discount_percent, quote.discount_value),
            margin_floor=offers.settings.document_margin_floor,
            settings=settings,
        )
        result = await best_offer(document, offers.promotions, (call.caller.tenant, quote.id))
        if missing := list(_mentioned(result) - products.keys()):
            products = {**products, **await ProductStore(call).get_many(missing)}
        return _promoted(quote, lines, result, offers, products)

    async def _with_gifts_worth(
        self, call: Call, offers: Offers, products: Mapping[UUID, Product], context: PriceContext
    ) -> Offers:
        """The offers with what gifts are worth, and are called, whose promotions do not say."""
        gifts = [products[id] for id in offers.gifts_to_value if id in products]
        found = await PriceStore(call).resolve([PriceLine(each) for each in gifts], context) if gifts else []
        worth = {
            gift.id: each.unit_price
            for gift, each in zip(gifts, found, strict=True)
            if each.unit_price is not None
        }
        return offers.with_gifts_worth(worth, {id: product.name for id, product in products.items()})


def _line(
    line: QuoteLine,
    products: Mapping[UUID, Product],
    costs: Mapping[UUID, Money],
    lineages: Mapping[str, Sequence[ProductFamily]],
    tax_rates: Mapping[UUID, Decimal],
    offers: Offers,
) -> model.Line:
    product = products.get(line.product_id) if line.product_id is not None else None
    return model.Line(
        key=str(line.id),
        product=str(line.product_id) if line.product_id is not None else f"line:{line.id}",
        parent=str(product.parent_id) if product is not None and product.parent_id else "",
        families=_families(product, lineages),
        quantity=line.quantity,
        unit_price=line.unit_price.amount,
        list_price=line.list_price.amount if line.list_price is not None else None,
        cost=_unit_cost(line, product, costs),
        margin_floor=offers.settings.line_margin_floor,
        tax_rate=tax_rates.get(line.id, Decimal(0)),
        manual=model.ManualDiscount(
            line.discount_percent, line.discount_value.amount if line.discount_value else Decimal(0)
        ),
        description=line.description,
    )


def _promoted(
    quote: Quote,
    lines: tuple[QuoteLine, ...],
    result: model.Result,
    offers: Offers,
    products: Mapping[UUID, Product],
) -> Promoted:
    unit = minor_unit(quote.currency)
    priced = {line.key: line for line in result.lines}
    charged = {charge.key: charge for charge in result.charges}
    promoted = [_with(line, priced.get(str(line.id)), charged.get(str(line.id)), unit) for line in lines]
    promoted += [_gift(quote, line, unit, products) for line in result.lines if line.is_gift]
    steps: dict[UUID, list[PromotionStep]] = defaultdict(list)
    for applied in result.applied:
        promotion = offers.by_code[applied.code]
        text = f"{promotion.name or promotion.code} ({promotion.code})"
        for key, discount in applied.by_line.items():
            line_id = _gift_id(quote, key) if key.startswith("gift:") else UUID(key)
            steps[line_id].append(PromotionStep(str(promotion.id), text, discount * unit))

    def named(sentence: str) -> str:
        return _ID.sub(
            lambda found: products[UUID(found[0])].name if UUID(found[0]) in products else found[0], sentence
        )

    return Promoted(
        lines=tuple(promoted),
        applied=offers.applied(result, quote.currency),
        steps=steps,
        unused=tuple(_unused(each, offers, named) for each in result.unused),
        next=(*(named(each.message) for each in result.thresholds), *map(named, result.notes)),
        gap=(result.gap or 0) * unit,
    )


def _with(
    line: QuoteLine, priced: model.PricedLine | None, charged: model.PricedCharge | None, unit: Decimal
) -> QuoteLine:
    """A line with what pricing took off it. What was given by hand is rounded there too, once for all."""
    if charged is not None:
        return replace(line, promotion=charged.promotions * unit)
    if priced is None:
        return line
    by_kind: Counter[model.StepKind] = Counter()
    for step in priced.steps:
        by_kind[step.kind] -= step.change
    return replace(
        line,
        promotion=priced.promotions * unit,
        manual=by_kind[model.StepKind.MANUAL] * unit,
        discount_share=by_kind[model.StepKind.DOCUMENT_MANUAL] * unit,
    )


def _unused(unused: model.Unused, offers: Offers, named: Callable[[str], str]) -> Unused:
    promotion = offers.by_code[unused.code]
    reasons = " ".join(named(reason.message) for reason in unused.reasons)
    return Unused(str(promotion.id), promotion.name or promotion.code, reasons)


def _gift(quote: Quote, gift: model.PricedLine, unit: Decimal, products: Mapping[UUID, Product]) -> QuoteLine:
    product_id = UUID(gift.product)
    product = products.get(product_id)
    worth = gift.gift_value * unit / gift.quantity if gift.quantity else Decimal(0)
    return QuoteLine(
        id=_gift_id(quote, gift.key),
        product_id=product_id,
        description=product.name if product is not None else gift.key,
        quantity=gift.quantity,
        unit_price=quote.money(Decimal(0)),
        list_price=quote.money(round(worth, 9)) if worth else None,
        discount_percent=Decimal(0),
        is_gift=True,
    )


def _mentioned(result: model.Result) -> set[UUID]:
    """The products that the explanation's sentences name, by their ids."""
    sentences = [reason.message for each in result.unused for reason in each.reasons]
    sentences += [each.message for each in result.thresholds] + list(result.notes)
    return {UUID(found) for sentence in sentences for found in _ID.findall(sentence)}


def _gift_id(quote: Quote, key: str) -> UUID:
    """The same for the same promotion, however often the quote is priced."""
    return uuid5(quote.id, key)


def _families(product: Product | None, lineages: Mapping[str, Sequence[ProductFamily]]) -> frozenset[str]:
    """The product's family and all above it, by name and by id."""
    if product is None or not product.family:
        return frozenset()
    lineage = lineages.get(product.family, ())
    return frozenset([product.family, *(each.name for each in lineage), *(str(each.id) for each in lineage)])


def _unit_cost(line: QuoteLine, product: Product | None, costs: Mapping[UUID, Money]) -> Decimal | None:
    """What one of the line's unit costs the seller; None where nobody knows."""
    cost = costs.get(product.id) if product is not None else None
    if product is None or cost is None:
        return None
    factor = product.in_base_units(Decimal(1), line.unit)
    return cost.amount * factor.numerator / factor.denominator
