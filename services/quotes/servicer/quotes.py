"""The quotes' RPCs."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sfa.quotes.v1 import quotes_pb2 as pb

from chassis import due, sight
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.ids import new_id
from services.quotes.domain.lines import LineDraft, QuoteLine, price
from services.quotes.domain.orders import order_by_accepting
from services.quotes.domain.products import FieldRequired
from services.quotes.domain.quotes import CurrencyUnknown, Quote, QuoteMadePrimary, QuoteUndeleted
from services.quotes.expiry import EXPIRY, expires_at
from services.quotes.opportunities import Opportunities
from services.quotes.store import (
    ASIDE,
    OrderStore,
    PriceBookStore,
    PriceStore,
    ProductStore,
    QuoteStore,
    next_number,
)
from services.quotes.wire import quotes as wire


class QuoteServicer:
    """The quotes."""

    def __init__(self, opportunities: Opportunities) -> None:
        self.opportunities = opportunities

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
        lines = await _priced(call, drafts, currency, book.id, day)
        quote = Quote(
            id=uuid_of(asked.id) or new_id(),
            number=await next_number(call, "quote", "Q"),
            opportunity_id=UUID(deal.id),
            owner_id=owner,
            currency=currency,
            price_book_id=book.id,
            **{"name": deal.name, "account_id": uuid_of(deal.account_id), **fields},
        )
        created = quote.create(lines)
        store = QuoteStore(call)
        if asked.is_primary:
            await _make_primary(store, quote, effective_at or call.now)
        await store.add(quote, created, effective_at)
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
        drafts = fields.pop("lines", None)
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
            drafts = [line.as_draft() for line in quote.lines] if drafts is None else drafts
        lines = None
        if drafts is not None:
            currency, book_id = (
                fields.get("currency", quote.currency),
                fields.get("price_book_id", quote.price_book_id),
            )
            day = (effective_at or call.now).date()
            lines = await _priced(call, drafts, currency, book_id, day, quote.lines)
        await store.save(quote, quote.change(fields, lines), effective_at)
        return wire.quote_to_proto(quote)

    async def DeleteQuote(self, request: pb.DeleteQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, quote.delete(call.now))
        return wire.quote_to_proto(quote)

    async def UndeleteQuote(self, request: pb.UndeleteQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, deleted=True)
        quote.restore(call.now)
        await store.save(quote, QuoteUndeleted())
        return wire.quote_to_proto(quote)

    async def SendQuote(self, request: pb.SendQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, quote.send(effective_at or call.now), effective_at)
        await due.schedule(call, EXPIRY, str(quote.id), expires_at(quote))
        return wire.quote_to_proto(quote)

    async def AcceptQuote(self, request: pb.AcceptQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        at = effective_at or call.now
        quote = await store.get(request.id, request.etag)
        number = await next_number(call, "order", "O")
        accepted, order, placed = order_by_accepting(
            quote, number, at, request.accepted_by, request.purchase_order_number
        )
        if not quote.is_primary and not await store.has_accepted_primary(quote.opportunity_id):
            await _make_primary(store, quote, at)
        await store.save(quote, accepted, effective_at)
        await OrderStore(call).add(order, placed, effective_at)
        return wire.quote_to_proto(quote)

    async def RejectQuote(self, request: pb.RejectQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, quote.reject(effective_at or call.now, request.end_reason), effective_at)
        return wire.quote_to_proto(quote)

    async def CancelQuote(self, request: pb.CancelQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        effective_at = call.effective_at(request.effective_time)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, quote.cancel(effective_at or call.now, request.end_reason), effective_at)
        return wire.quote_to_proto(quote)

    async def MakeQuotePrimary(self, request: pb.MakeQuotePrimaryRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        await store.save(quote, await _make_primary(store, quote, call.now))
        return wire.quote_to_proto(quote)

    async def ReviseQuote(self, request: pb.ReviseQuoteRequest, call: Call) -> pb.Quote:
        store = QuoteStore(call)
        quote = await store.get(request.id, request.etag)
        revision, event = quote.revise(call.now)
        store.stage(quote, event, ordinal=ASIDE)
        await store.flush()  # before the revision, of which there is one primary too
        await store.add(revision, revision.create(revision.lines))
        return wire.quote_to_proto(revision)

    async def ListQuoteVersions(
        self, request: pb.ListQuoteVersionsRequest, call: Call
    ) -> pb.ListQuoteVersionsResponse:
        versions, token = await QuoteStore(call).versions(UUID(request.id), request)
        return pb.ListQuoteVersionsResponse(
            versions=map(wire.quote_version_to_proto, versions), next_page_token=token
        )


async def _priced(
    call: Call,
    drafts: Sequence[LineDraft],
    currency: str,
    book_id: UUID,
    day: date,
    standing: Sequence[QuoteLine] = (),
) -> tuple[QuoteLine, ...]:
    ids = {draft.product_id for draft in drafts}
    products = await ProductStore(call).get_many(list(ids))
    list_prices = await PriceStore(call).list_prices(book_id, ids, currency, day)
    return price(drafts, currency, products, list_prices, standing)


async def _make_primary(store: QuoteStore, quote: Quote, at: datetime) -> QuoteMadePrimary:
    """Makes the quote primary; the one that was gives way first, as there can be only one."""
    former = await store.primary_of(quote.opportunity_id)
    event = quote.make_primary(at, former, await store.latest_primary(quote.opportunity_id))
    if former is not None and former.id != quote.id:
        store.stage(former, former.give_way(), ordinal=ASIDE)
        await store.flush()
    return event
