"""From what somebody asks for to a priced quote: list prices, promotions, what is given by hand, tax.

Pricing reads and reserves nothing. It may ask services outside, so it comes before the first write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from chassis.call import Call
from services.quotes.domain.explanations import Explanation, steps_of
from services.quotes.domain.lines import LineDraft, LineKind, QuoteLine, price
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.domain.taxation import UNTAXED, TaxableLine, Taxation, TaxQuestion
from services.quotes.domain.taxes import TaxSettings
from services.quotes.store import PriceStore, ProductStore, TaxSettingsStore
from services.quotes.tax_calculators import TaxCalculators


@dataclass(frozen=True, slots=True)
class Priced:
    """What a quote offers, as of a day, and how it came about."""

    lines: tuple[QuoteLine, ...]
    taxation: Taxation
    explanation: Explanation


class QuotePricing:
    """Prices quotes, as of a day."""

    def __init__(self, taxes: TaxCalculators) -> None:
        self.taxes = taxes

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
        price book, discounts); `standing` are those that it has."""
        ids = {draft.product_id for draft in drafts if draft.product_id is not None}
        products = await ProductStore(call).get_many(list(ids))
        list_prices = await PriceStore(call).list_prices(quote.price_book_id, ids, quote.currency, day)
        lines = price(drafts, quote.currency, products, list_prices, standing)
        # PROMOTIONS: the engine's outcome is put on the lines here
        taxation = await self._tax(call, quote.content_as(lines, UNTAXED), products, day)
        priced = quote.content_as(lines, taxation)
        steps = {line.id: steps_of(line, "List price", (), quote.prices_include_tax) for line in priced.lines}
        return Priced(lines, taxation, Explanation(steps))

    async def _tax(self, call: Call, quote: Quote, products: Mapping[UUID, Product], day: date) -> Taxation:
        """What is due on a quote that is priced but for the tax."""
        if not quote.tax_region or not quote.lines:
            return UNTAXED
        settings = await TaxSettingsStore(call).current()
        question = TaxQuestion(
            lines=tuple(
                TaxableLine(
                    line.id, line.total.amount, _tax_class(line, products, settings), line.product_id, index
                )
                for index, line in enumerate(quote.lines)
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


def _tax_class(line: QuoteLine, products: Mapping[UUID, Product], settings: TaxSettings) -> str:
    if line.tax_class:
        return line.tax_class
    product = products.get(line.product_id) if line.product_id is not None else None
    own = product.tax_class if product is not None else ""
    return own or (settings.freight_class if line.kind is LineKind.FREIGHT else settings.default_class)
