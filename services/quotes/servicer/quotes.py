"""The quotes' RPCs."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import quotes_pb2 as pb

from chassis import sight
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money
from services.quotes import consequences, life
from services.quotes.domain.discounts import DiscountNegative
from services.quotes.domain.lines import LineDraft
from services.quotes.domain.products import FieldRequired
from services.quotes.domain.quotes import CurrencyUnknown, Quote, QuoteUndeleted
from services.quotes.opportunities import Opportunities
from services.quotes.quote_pricing import Priced, QuotePricing
from services.quotes.stock_check import shortages
from services.quotes.store import ExplanationStore, PriceBookStore, QuoteStore, next_number
from services.quotes.wire import differences
from services.quotes.wire import explanations as explanation_wire
from services.quotes.wire import quotes as wire


class QuoteServicer:
    """The quotes."""

    def __init__(self, opportunities: Opportunities, pricing: QuotePricing) -> None:
        self.opportunities = opportunities
        self.pricing = pricing

    async def CreateQuote(self, request: pb.CreateQuoteRequest, call: Call) -> pb.Quote:
        asked = request.quote
        if not asked.opportunity_id:
            raise FieldRequired("quote", "opportunity_id")
        effective_at = call.effective_at(request.effective_time)
        fields = fields_to_change(asked, None, wire.FIELDS)
        drafts = fields.pop("lines", ())
        deal = await self.opportunities.get(asked.opportunity_id)
        owner = fields.pop("owner_id", None) or uuid_of(deal.owner_id) or call.caller.user_id
        if owner is None:
            raise FieldRequired("quote", "owner_id")
        await sight.check_owner(call, owner, "quote.owner_id")
        currency = fields.pop("currency", "") or deal.amount.currency_code
        if not currency:
            raise CurrencyUnknown
        book = await PriceBookStore(call).named(fields.pop("price_book_id", None), "quote.price_book_id")
        day = (effective_at or call.now).date()
        quote = Quote(
            id=uuid_of(asked.id) or new_id(),
            number="",
            opportunity_id=UUID(deal.id),
            owner_id=owner,
            currency=currency,
            price_book_id=book.id,
            priced_on=day,
            **{
                "name": deal.name,
                "account_id": uuid_of(deal.account_id),
                **await self.pricing.defaults(call),
                **_with_discount(fields, currency),
            },
        )
        priced = await self.pricing.price(call, quote, drafts, day)
        quote.promotions = priced.promotions
        created = quote.create(priced.lines, priced.taxation)
        quote.number = await next_number(call, "quote", "Q")
        store = QuoteStore(call)
        if asked.is_primary:
            await life.make_primary(store, quote, effective_at or call.now)
        await store.add(quote, created, effective_at)
        if quote.lines:
            await ExplanationStore(call).keep(quote.id, quote.version, priced.explanation)
        return wire.quote_to_proto(quote)

    async def GetQuote(self, request: pb.GetQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Quote)
            return resource
        return wire.quote_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetQuotes(
        self, request: pb.BatchGetQuotesRequest, call: Call
    ) -> pb.BatchGetQuotesResponse:
        found = await QuoteStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetQuotesResponse(quotes=map(wire.quote_to_proto, found))

    async def ListQuotes(self, request: pb.ListQuotesRequest, call: Call) -> pb.ListQuotesResponse:
        page = await QuoteStore(call).page(request)
        return pb.ListQuotesResponse(
            quotes=map(wire.quote_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateQuote(self, request: pb.UpdateQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        fields = fields_to_change(request.quote, request.update_mask, wire.FIELDS)
        effective_at = call.effective_at(request.effective_time)
        for name in ("owner_id", "currency"):
            if name in fields and not fields[name]:
                raise FieldRequired("quote", name)
        if "owner_id" in fields:
            await sight.check_owner(call, fields["owner_id"], "quote.owner_id")
        quote = await store.get(request.id, request.etag)
        quote.must_be_draft()
        if "price_book_id" in fields:
            book = await PriceBookStore(call).named(fields["price_book_id"], "quote.price_book_id")
            fields["price_book_id"] = book.id
        drafts = fields.pop("lines", None)
        fields = _with_discount(fields, fields.get("currency", quote.currency))
        if fields.get("currency", quote.currency) != quote.currency and "discount_value" not in fields:
            quote.must_not_take_off_an_amount()
        if drafts is None and _REPRICING.isdisjoint(fields):
            await store.save(quote, quote.describe(fields), effective_at)
            return wire.quote_to_proto(quote)
        day = (effective_at or call.now).date()
        await self._reprice(call, store, quote, fields, drafts, day, effective_at)
        return wire.quote_to_proto(quote)

    async def RepriceQuote(self, request: pb.RepriceQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        quote.must_be_draft()
        await self._reprice(call, store, quote, {}, None, call.now.date(), None)
        return wire.quote_to_proto(quote)

    async def DeleteQuote(self, request: pb.DeleteQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, quote.delete(call.now))
        await consequences.given_up(call, quote)
        return wire.quote_to_proto(quote)

    async def UndeleteQuote(self, request: pb.UndeleteQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, deleted=True)
        quote.restore(call.now)
        await store.save(quote, QuoteUndeleted())
        return wire.quote_to_proto(quote)

    async def SubmitQuote(self, request: pb.SubmitQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        await life.submit(call, store, quote, request.comment)
        return wire.quote_to_proto(quote)

    async def RecallQuote(self, request: pb.RecallQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        await life.recall(call, store, quote)
        return wire.quote_to_proto(quote)

    async def SendQuote(self, request: pb.SendQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        quote.must_be_unsent()
        priced = await self._priced_again(call, quote, request.confirm, (effective_at or call.now).date())
        await life.send(call, store, quote, effective_at)
        if priced is not None:
            await ExplanationStore(call).keep(quote.id, quote.version, priced.explanation)
        return wire.quote_to_proto(quote)

    async def ViewQuote(self, request: pb.ViewQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, quote.view(effective_at or call.now), effective_at)
        return wire.quote_to_proto(quote)

    async def AcceptQuote(self, request: pb.AcceptQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await life.accept(
            call, store, quote, request.accepted_by, request.purchase_order_number, effective_at
        )
        return wire.quote_to_proto(quote)

    async def RejectQuote(self, request: pb.RejectQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await life.reject(call, store, quote, request.end_reason, effective_at)
        return wire.quote_to_proto(quote)

    async def CancelQuote(self, request: pb.CancelQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await life.cancel(call, store, quote, request.end_reason, effective_at)
        return wire.quote_to_proto(quote)

    async def MakeQuotePrimary(self, request: pb.MakeQuotePrimaryRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, await life.make_primary(store, quote, call.now))
        return wire.quote_to_proto(quote)

    async def ReviseQuote(self, request: pb.ReviseQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        return wire.quote_to_proto(await life.revise(call, store, quote))

    async def CloneQuote(self, request: pb.CloneQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        deal = await self.opportunities.get(request.opportunity_id) if request.opportunity_id else None
        quote = await store.get(request.id, request.etag)
        clone, created = quote.clone("", call.now.date(), UUID(deal.id) if deal is not None else None)
        if deal is not None and deal.account_id:
            clone.account_id = UUID(deal.account_id)
        priced = await self.pricing.again(call, clone, call.now.date())
        clone.take_over(clone.content_as(priced.lines, priced.taxation, priced.promotions))
        clone.number = await next_number(call, "quote", "Q")
        await store.add(clone, created)
        await ExplanationStore(call).keep(clone.id, clone.version, priced.explanation)
        return wire.quote_to_proto(clone)

    async def ExplainQuote(self, request: pb.ExplainQuoteRequest, call: Call) -> pb.ExplainQuoteResponse:
        quote = await QuoteStore(call).get(request.id, deleted=True)
        kept = await ExplanationStore(call).of(quote.id)
        return explanation_wire.explanation_to_proto(quote, kept)

    async def CompareQuotes(self, request: pb.CompareQuotesRequest, call: Call) -> pb.CompareQuotesResponse:
        store = QuoteStore(call)
        one = await self._version(store, request.id, request.etag)
        other = await self._version(store, request.other_id or request.id, request.other_etag)
        return differences.compare(one, other)

    async def ListQuoteVersions(
        self, request: pb.ListQuoteVersionsRequest, call: Call
    ) -> pb.ListQuoteVersionsResponse:
        versions, token = await QuoteStore(call).versions(UUID(request.id), request)
        return pb.ListQuoteVersionsResponse(
            versions=map(wire.quote_version_to_proto, versions), next_page_token=token
        )

    async def _reprice(
        self,
        call: Call,
        store: QuoteStore,
        quote: Quote,
        fields: Mapping[str, Any],
        drafts: Sequence[LineDraft] | None,
        day: date,
        effective_at: datetime | None,
    ) -> None:
        wanted = quote.as_if(fields)
        if drafts is None:
            drafts = [line.as_draft() for line in quote.lines]
        priced = await self.pricing.price(call, wanted, drafts, day, quote.lines)
        values = {**fields, "priced_on": day, "promotions": priced.promotions}
        if await store.save(quote, quote.change(values, priced.lines, priced.taxation), effective_at):
            await ExplanationStore(call).keep(quote.id, quote.version, priced.explanation)
            await consequences.changed(call, quote)

    async def _priced_again(self, call: Call, quote: Quote, confirm: str, day: date) -> Priced | None:
        """The quote priced as of now, if that differs and whoever sends it knows; None where it does not.

        Raises:
            QuoteChanged: it differs, or cannot be had in time, and nobody has confirmed just this.
        """
        priced = await self.pricing.again(call, quote, day)
        now = quote.content_as(priced.lines, priced.taxation, priced.promotions)
        short = await shortages(call, now)
        is_changed = quote.differs_in_price(now)
        if is_changed or short:
            differences.must_be_confirmed(quote, now, short, confirm)
        if not is_changed:
            return None
        quote.take_over(now)
        quote.priced_on = day
        return priced

    async def _version(self, store: QuoteStore, id: str, etag: str) -> pb.Quote:
        quote = await store.get(id, deleted=True)
        if not etag:
            return wire.quote_to_proto(quote)
        resource = await store.at_version(quote.id, etag)
        assert isinstance(resource, pb.Quote)
        return resource


_REPRICING = frozenset(
    {
        *("account_id", "owner_id", "currency", "price_book_id", "discount_percent", "discount_value"),
        *("tax_region", "prices_include_tax", "payment_schedule", "segments", "territories", "channel"),
        "coupon_codes",
    }
)
"""The fields whose change has the quote priced again."""


def _with_discount(fields: dict[str, Any], currency: str) -> dict[str, Any]:
    """The fields with the amount off the whole quote as a plain amount of the quote's currency."""
    if "discount_value" not in fields:
        return fields
    value: Money | None = fields["discount_value"]
    if value is not None and value.currency != currency:
        raise CurrenciesDiffer(value.currency, currency, field="quote.discount_value")
    if value is not None and value.amount < 0:
        raise DiscountNegative
    return {**fields, "discount_value": value.rounded().amount if value is not None else Decimal(0)}
