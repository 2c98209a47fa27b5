"""From what somebody asks for to a priced quote: list prices, promotions, what is given by hand, tax.

Pricing reads and reserves nothing. It may ask services outside, so it comes before the first write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from chassis.call import Call
from services.quotes.domain.explanations import Explanation, steps_of
from services.quotes.domain.lines import LineDraft, LineKind, QuoteLine, price
from services.quotes.domain.price_resolution import PriceContext, PriceLine, Resolution
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.domain.redemptions import AppliedPromotion
from services.quotes.domain.taxation import UNTAXED, TaxableLine, Taxation, TaxQuestion
from services.quotes.domain.taxes import TaxSettings
from services.quotes.quote_promotions import QuotePromotions
from services.quotes.store import FamilyStore, PriceBookStore, PriceStore, ProductStore, TaxSettingsStore
from services.quotes.tax_calculators import TaxCalculators


@dataclass(frozen=True, slots=True)
class Priced:
    """What a quote offers, as of a day, and how it came about."""

    lines: tuple[QuoteLine, ...]
    taxation: Taxation
    promotions: tuple[AppliedPromotion, ...]
    explanation: Explanation


class QuotePricing:
    """Prices quotes, as of a day."""

    def __init__(self, taxes: TaxCalculators, promotions: QuotePromotions) -> None:
        self.taxes = taxes
        self.promotions = promotions

    async def defaults(self, call: Call) -> dict[str, Any]:
        """What a new quote has where nobody says otherwise."""
        settings = await TaxSettingsStore(call).current()
        return {"tax_region": settings.default_region, "prices_include_tax": settings.prices_include_tax}

    async def again(self, call: Call, quote: Quote, day: date) -> Priced:
        """The quote as it is, as of a day."""
        return await self.price(call, quote, [line.as_draft() for line in quote.lines], day, quote.lines)

    async def price(
        self,
        call: Call,
        quote: Quote,
        drafts: Sequence[LineDraft],
        day: date,
        standing: Sequence[QuoteLine] = (),
    ) -> Priced:
        """The lines that `drafts` ask for, priced for the quote as it is to be (customer, currency,
        price book, discounts); `standing` are those that it has.

        Raises:
            UnitUnknown, QuantityNotInSteps: a product is not sold so.
            ProductNotFound and others as `domain.lines.price`; those of the tax calculator.
        """
        gifts = {line.id for line in standing if line.is_gift}
        drafts = [draft for draft in drafts if draft.id not in gifts]  # they come anew with their promotions
        standing = [line for line in standing if not line.is_gift]
        if not drafts:
            return Priced((), UNTAXED, (), Explanation())
        ids = {draft.product_id for draft in drafts if draft.product_id is not None}
        products = await ProductStore(call).get_many(list(ids))
        if quote.tax_region:
            products = await FamilyStore(call).with_tax_classes(products)
        drafts = [_in_steps(index, draft, products) for index, draft in enumerate(drafts)]
        context = await self._context(call, quote, day)
        found = await self._list_prices(call, drafts, products, context)
        prices = [None if each is None else each.unit_price for each in found]
        lines = price(drafts, quote.currency, products, {}, standing, prices, day)
        settings = await TaxSettingsStore(call).current()
        offers = await self.promotions.offers(call, quote, day)
        rates: dict[UUID, Decimal] = {}
        if offers.promotions and self.taxes[settings.calculator].is_local:
            before = await self._tax(call, quote, lines, products, settings, day)
            rates = {id: due.percent for id, due in before.lines.items()}
        promoted = await self.promotions.apply(
            call, quote, lines, offers, rates, settings.rounding, products, context
        )
        offered = quote.content_as(promoted.lines, UNTAXED)
        taxation = await self._tax(call, quote, offered.lines, products, settings, day)
        priced = quote.content_as(promoted.lines, taxation)
        texts = [_where_from(each) for each in found] + ["Gift"] * (len(promoted.lines) - len(lines))
        steps = {
            line.id: steps_of(line, text, promoted.steps.get(line.id, ()), quote.prices_include_tax)
            for line, text in zip(priced.lines, texts, strict=True)
        }
        explanation = Explanation(steps, promoted.unused, promoted.next, promoted.gap)
        return Priced(promoted.lines, taxation, promoted.applied, explanation)

    async def _context(self, call: Call, quote: Quote, day: date) -> PriceContext:
        """What the prices of all lines depend on."""
        book = await PriceBookStore(call).find(quote.price_book_id)
        return PriceContext(
            day=day,
            currency=quote.currency,
            account_id=quote.account_id,
            segments=frozenset(quote.segments),
            territories=frozenset(quote.territories),
            channel=quote.channel,
            price_book_id=quote.price_book_id if book is not None and not book.is_standard else None,
        )

    async def _list_prices(
        self, call: Call, drafts: Sequence[LineDraft], products: Mapping[UUID, Product], context: PriceContext
    ) -> list[Resolution | None]:
        """Which list price wins for each line, and why; None for what is in no catalogue."""
        asked: dict[int, PriceLine] = {}
        for index, draft in enumerate(drafts):
            product = products.get(draft.product_id) if draft.product_id is not None else None
            if product is not None:
                asked[index] = PriceLine(product, draft.quantity, draft.unit)
        if not asked:
            return [None] * len(drafts)
        resolutions = await PriceStore(call).resolve(list(asked.values()), context)
        by_index = dict(zip(asked, resolutions, strict=True))
        return [by_index.get(index) for index in range(len(drafts))]

    async def _tax(
        self,
        call: Call,
        quote: Quote,
        lines: Sequence[QuoteLine],
        products: Mapping[UUID, Product],
        settings: TaxSettings,
        day: date,
    ) -> Taxation:
        """What is due on lines that are priced but for the tax."""
        if not quote.tax_region or not lines:
            return UNTAXED
        question = TaxQuestion(
            lines=tuple(
                TaxableLine(
                    line.id, line.total.amount, _tax_class(line, products, settings), line.product_id, index
                )
                for index, line in enumerate(lines)
                if line.counts
            ),
            currency=quote.currency,
            region=quote.tax_region,
            day=day,
            account_id=quote.account_id,
            prices_include_tax=quote.prices_include_tax,
            rounding=settings.rounding,
        )
        return await self.taxes[settings.calculator].calculate(call, question)


def _in_steps(index: int, draft: LineDraft, products: Mapping[UUID, Product]) -> LineDraft:
    """The line with the quantity that its unit is sold in: by its rule up, down, or refused."""
    product = products.get(draft.product_id) if draft.product_id is not None else None
    if product is None:
        return draft
    unit = product.unit(draft.unit, f"quote.lines[{index}].unit")
    quantity = unit.rounded(draft.quantity, f"quote.lines[{index}].quantity")
    return draft if quantity == draft.quantity else replace(draft, quantity=quantity)


def _where_from(found: Resolution | None) -> str:
    """In words, where a line's list price comes from."""
    if found is None:
        return "Price of a line without a product"
    if found.won is None:
        return "Price given by hand; there is no list price"
    won = found.won
    said = [
        f"Contract price, {won.candidate.book.name}"
        if won.candidate.entry.account_id
        else won.candidate.book.name
    ]
    if len(won.portions) > 1:
        said.append("graduated tiers")
    if won.is_of_parent:
        said.append("price of the product that it is a variant of")
    if won.is_converted:
        said.append("converted from another unit")
    return f"List price ({', '.join(said)})"


def _tax_class(line: QuoteLine, products: Mapping[UUID, Product], settings: TaxSettings) -> str:
    if line.tax_class:
        return line.tax_class
    product = products.get(line.product_id) if line.product_id is not None else None
    own = product.tax_class if product is not None else ""
    return own or (settings.freight_class if line.kind is LineKind.FREIGHT else settings.default_class)
