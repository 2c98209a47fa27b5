"""From what somebody asks for to a priced quote: list prices, promotions, what is given by hand, tax.

Pricing reads and reserves nothing. It may ask services outside, so it comes before the first write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from chassis.call import Call
from services.quotes.domain.explanations import Explanation, steps_of
from services.quotes.domain.lines import LineDraft, QuoteLine, price
from services.quotes.domain.quotes import Quote
from services.quotes.domain.taxation import UNTAXED, Taxation
from services.quotes.store import PriceStore, ProductStore


@dataclass(frozen=True, slots=True)
class Priced:
    """What a quote offers, as of a day, and how it came about."""

    lines: tuple[QuoteLine, ...]
    taxation: Taxation
    explanation: Explanation


class QuotePricing:
    """Prices quotes, as of a day."""

    async def defaults(self, call: Call) -> dict[str, Any]:
        """What a new quote has where nobody says otherwise."""
        return {}

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
        priced = quote.content_as(lines, UNTAXED)
        taxation = UNTAXED
        if taxation is not UNTAXED:
            priced = quote.content_as(lines, taxation)
        steps = {line.id: steps_of(line, "List price", (), quote.prices_include_tax) for line in priced.lines}
        return Priced(lines, taxation, Explanation(steps))
