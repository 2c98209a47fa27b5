"""Quotes and orders over gRPC, on real databases, with the opportunities service beside them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.quotes.v1 import events_pb2, orders_pb2, products_pb2
from sfa.quotes.v1 import quotes_pb2 as pb

from chassis.ids import new_id
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

Code = grpc.StatusCode
DRAFT, SENT, ACCEPTED, EXPIRED, CANCELLED, SUPERSEDED = (
    pb.Quote.DRAFT,
    pb.Quote.SENT,
    pb.Quote.ACCEPTED,
    pb.Quote.EXPIRED,
    pb.Quote.CANCELLED,
    pb.Quote.SUPERSEDED,
)


async def accept(shop: Shop, quote: pb.Quote, **fields: str) -> pb.Quote:
    return await shop.quotes.AcceptQuote(pb.AcceptQuoteRequest(id=quote.id, **fields))  # type: ignore[arg-type]


async def read(shop: Shop, id: str) -> pb.Quote:
    return await shop.quotes.GetQuote(pb.GetQuoteRequest(id=id))


async def orders(shop: Shop) -> list[orders_pb2.Order]:
    return list((await shop.orders.ListOrders(orders_pb2.ListOrdersRequest())).orders)


async def published(stack: Stack, kind: str) -> int:
    """How many events of a kind are in the stream."""
    await stack.settled()
    info = await (await stack.events()).stream_info(
        "QUOTES", subjects_filter=f"events.{stack.tenant}.sfa.quotes.v1.{kind}"
    )
    return sum((info.state.subjects or {}).values())


async def test_a_quote_takes_from_its_deal_what_is_left_out(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal(account_id=str(new_id()), amount=euros(5))
    quote = await shop.quote(deal.id, line(chair, "2.5", discount_percent="10"))
    assert (quote.account_id, quote.owner_id, quote.name) == (deal.account_id, deal.owner_id, deal.name)
    assert (quote.currency, quote.number, quote.revision, quote.state) == ("EUR", "Q-000001", 1, DRAFT)
    (only,) = quote.lines
    assert (only.unit_price, only.list_price, only.description) == (euros(10), euros(10), "Product C-1")
    assert (only.subtotal, only.discount_amount, only.total) == (euros(25), euros(2, 50), euros(22, 50))
    assert (quote.subtotal, quote.discount_total, quote.total) == (euros(25), euros(2, 50), euros(22, 50))
    assert await read(shop, quote.id) == quote


async def test_a_quote_is_made_only_for_a_deal_that_its_writer_may_see(shop: Shop, running: Stack) -> None:
    deal = await Shop(running, name="somebody else").deal()
    refused = (Code.NOT_FOUND, "OPPORTUNITY_NOT_FOUND", "quote.opportunity_id")
    assert await refusal(shop.quote(deal.id)) == refused
    assert await refusal(shop.quote(str(new_id()))) == refused


async def test_a_quote_is_not_made_without_a_deal_or_a_currency(shop: Shop) -> None:
    assert (await refusal(shop.quote("")))[1:] == ("FIELD_REQUIRED", "quote.opportunity_id")
    bare = await shop.deal(amount=None)
    assert (await refusal(shop.quote(bare.id)))[1:] == ("CURRENCY_UNKNOWN", "quote.currency")
    assert (await shop.quote(bare.id, currency="JPY")).total == Money(currency_code="JPY")


async def test_while_the_deals_are_away_quoting_says_so(stack: Stack) -> None:
    await stack.start("opportunities", "quotes")
    shop = Shop(stack)
    deal = await shop.deal()
    quote = await shop.quote(deal.id)
    await stack.stop("opportunities")
    assert (await refusal(shop.quote(deal.id)))[0] is Code.UNAVAILABLE
    assert await read(shop, quote.id) == quote


async def test_a_rep_sees_own_quotes_and_orders_only(shop: Shop, office: Shop, running: Stack) -> None:
    chair = await office.product()
    quote = await accept(shop, await shop.sent((await shop.deal()).id, line(chair)))
    other = Shop(running, name="somebody else")
    assert (await refusal(read(other, quote.id)))[0] is Code.NOT_FOUND
    assert not (await other.quotes.ListQuotes(pb.ListQuotesRequest())).quotes
    assert await orders(other) == []
    assert await read(office, quote.id) == quote


async def test_a_draft_is_changed_and_a_sent_quote_is_not(shop: Shop, office: Shop) -> None:
    chair, table = await office.product(), await office.product("T-1", euros(99, 99))
    quote = await shop.quote((await shop.deal()).id, line(chair))
    changed = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(
            id=quote.id,
            etag=quote.etag,
            quote=pb.Quote(terms="Net 30", lines=[line(chair), line(table, "3")]),
        )
    )
    assert (changed.terms, changed.total, changed.name) == ("Net 30", euros(309, 97), quote.name)
    assert changed.lines[0].id == quote.lines[0].id
    unchanged = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(id=quote.id, quote=changed, update_mask=FieldMask(paths=["lines", "terms"]))
    )
    assert unchanged.etag == changed.etag
    await shop.quotes.SendQuote(pb.SendQuoteRequest(id=quote.id))
    again = shop.quotes.UpdateQuote(pb.UpdateQuoteRequest(id=quote.id, quote=pb.Quote(terms="")))
    assert (await refusal(again))[:2] == (Code.FAILED_PRECONDITION, "QUOTE_NOT_DRAFT")
    stale = shop.quotes.CancelQuote(pb.CancelQuoteRequest(id=quote.id, etag=quote.etag))
    assert (await refusal(stale))[0] is Code.ABORTED


async def test_prices_come_from_the_price_book_that_the_quote_names(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    book = await office.prices.CreatePriceBook(
        products_pb2.CreatePriceBookRequest(price_book=products_pb2.PriceBook(name="Partners"))
    )
    entry = products_pb2.PriceBookEntry(price_book_id=book.id, product_id=chair.id, unit_price=euros(7))
    row = products_pb2.BatchUpsertPriceBookEntriesRequest.Row(price_book_entry=entry)
    await office.prices.BatchUpsertPriceBookEntries(
        products_pb2.BatchUpsertPriceBookEntriesRequest(rows=[row])
    )
    deal = await shop.deal()
    assert (await shop.quote(deal.id, line(chair), price_book_id=book.id)).total == euros(7)
    dollars = shop.quote(deal.id, line(chair), currency="USD")
    assert (await refusal(dollars))[1:] == ("PRICE_NOT_FOUND", "quote.lines[0].unit_price")
    quote = await shop.quote(deal.id, line(chair, unit_price=euros(8)))
    moved = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(id=quote.id, quote=pb.Quote(price_book_id=book.id))
    )
    assert (moved.lines[0].unit_price, moved.lines[0].list_price) == (euros(8), euros(7))


async def test_acceptance_places_an_order_that_says_everything(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    sent = await shop.sent((await shop.deal()).id, line(chair, "3"))
    quote = await accept(shop, sent, accepted_by="Ada", purchase_order_number="PO 7")
    (order,) = await orders(shop)
    assert (quote.state, quote.order_id, quote.accepted_by) == (ACCEPTED, order.id, "Ada")
    assert (order.number, order.quote_id, order.opportunity_id) == (
        "O-000001",
        quote.id,
        quote.opportunity_id,
    )
    assert (order.lines, order.total, order.purchase_order_number) == (sent.lines, euros(30), "PO 7")
    cancelled = await shop.orders.CancelOrder(
        orders_pb2.CancelOrderRequest(id=order.id, cancel_reason="Bankrupt")
    )
    assert (cancelled.state, cancelled.cancel_reason) == (orders_pb2.Order.CANCELLED, "Bankrupt")
    again = shop.orders.CancelOrder(orders_pb2.CancelOrderRequest(id=order.id, cancel_reason="Again"))
    assert (await refusal(again))[1] == "ORDER_ALREADY_CANCELLED"
    history = await shop.orders.ListOrderVersions(orders_pb2.ListOrderVersionsRequest(id=order.id))
    assert [version.event for version in history.versions] == ["OrderCancelled", "OrderPlaced"]
    was = await shop.orders.GetOrder(orders_pb2.GetOrderRequest(id=order.id, as_of=order.update_time))
    assert was == order


async def test_of_many_acceptances_at_once_one_places_an_order(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    quote = await shop.sent((await shop.deal()).id, line(chair))
    answers = await asyncio.gather(
        *(accept(shop, quote, accepted_by=str(number)) for number in range(8)), return_exceptions=True
    )
    won = [answer for answer in answers if isinstance(answer, pb.Quote)]
    lost = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert (len(won), {answer.code() for answer in lost}) == (1, {Code.FAILED_PRECONDITION})
    assert [order.quote_id for order in await orders(shop)] == [quote.id]
    assert (await read(shop, quote.id)).accepted_by == won[0].accepted_by
    assert (await published(running, "OrderPlaced"), await published(running, "QuoteAccepted")) == (1, 1)


async def test_a_repeated_acceptance_is_answered_with_the_same_order(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    quote = await shop.sent((await shop.deal()).id, line(chair))
    answers = await asyncio.gather(*(accept(shop, quote, request_id="once") for _ in range(4)))
    assert len({answer.order_id for answer in answers}) == len(await orders(shop)) == 1


async def test_a_quote_expires_by_itself_and_cannot_be_accepted_after_its_day(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    quote = await shop.sent(deal.id, line(chair))
    taken = await accept(shop, await shop.sent(deal.id, line(chair)))
    running.clock.move(timedelta(days=31))
    code, reason, _ = await refusal(accept(shop, quote))
    assert (code, reason) in (
        (Code.FAILED_PRECONDITION, "QUOTE_OUT_OF_DATE"),
        (Code.FAILED_PRECONDITION, "QUOTE_NOT_SENT"),  # where it has expired by now
    )
    async with asyncio.timeout(20):
        while (await read(shop, quote.id)).state != EXPIRED:
            await asyncio.sleep(0.02)
    assert (await read(shop, taken.id)).state == ACCEPTED
    assert await published(running, "QuoteExpired") == 1


async def test_a_quote_may_be_valid_to_the_end_of_the_calendar(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    end = Date(year=9999, month=12, day=31)
    sent = await shop.sent((await shop.deal()).id, line(chair), valid_until=end)
    assert (await accept(shop, sent)).valid_until == end


async def test_a_quote_is_rejected_with_the_reason_or_withdrawn(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal()
    sent = await shop.sent(deal.id, line(chair))
    rejected = await shop.quotes.RejectQuote(pb.RejectQuoteRequest(id=sent.id, end_reason="Too dear"))
    assert (rejected.state, rejected.end_reason) == (pb.Quote.REJECTED, "Too dear")
    assert (await refusal(accept(shop, sent)))[1] == "QUOTE_NOT_SENT"
    draft = await shop.quote(deal.id)
    withdrawn = await shop.quotes.CancelQuote(pb.CancelQuoteRequest(id=draft.id))
    assert withdrawn.state == CANCELLED
    assert (await refusal(shop.quotes.SendQuote(pb.SendQuoteRequest(id=draft.id))))[1] == "QUOTE_NOT_DRAFT"
    empty = await shop.quote(deal.id)
    assert (await refusal(shop.quotes.SendQuote(pb.SendQuoteRequest(id=empty.id))))[1] == "QUOTE_EMPTY"
    past = await shop.quote(deal.id, line(chair), valid_until=Date(year=2020, month=1, day=1))
    assert (await refusal(shop.quotes.SendQuote(pb.SendQuoteRequest(id=past.id))))[1] == "QUOTE_OUT_OF_DATE"


async def test_one_quote_of_a_deal_is_primary_whoever_races(shop: Shop) -> None:
    deal = await shop.deal()
    drafts = [await shop.quote(deal.id, is_primary=True) for _ in range(4)]
    assert [(await read(shop, draft.id)).is_primary for draft in drafts] == [False, False, False, True]
    answers = await asyncio.gather(
        *(shop.quotes.MakeQuotePrimary(pb.MakeQuotePrimaryRequest(id=draft.id)) for draft in drafts),
        return_exceptions=True,
    )
    assert any(isinstance(answer, pb.Quote) for answer in answers)
    listed = await shop.quotes.ListQuotes(
        pb.ListQuotesRequest(filter=f'opportunity_id = "{deal.id}" AND is_primary = true')
    )
    assert len(listed.quotes) == 1
    times = [answer.primary_time.ToNanoseconds() for answer in answers if isinstance(answer, pb.Quote)]
    assert listed.quotes[0].primary_time.ToNanoseconds() == max(times)


async def test_an_accepted_quote_becomes_primary_and_stays_it(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal()
    former = await shop.quote(deal.id, line(chair), is_primary=True)
    quote = await accept(shop, await shop.sent(deal.id, line(chair)))
    assert quote.is_primary
    assert not (await read(shop, former.id)).is_primary
    make = shop.quotes.MakeQuotePrimary(pb.MakeQuotePrimaryRequest(id=former.id))
    assert (await refusal(make))[1] == "PRIMARY_QUOTE_STANDS"
    second = await accept(shop, await shop.sent(deal.id, line(chair)))
    assert not second.is_primary


async def test_a_revision_replaces_a_sent_quote(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    sent = await shop.sent((await shop.deal()).id, line(chair), is_primary=True)
    request = pb.ReviseQuoteRequest(id=sent.id, request_id="once")
    revision = await shop.quotes.ReviseQuote(request)
    assert (revision.number, revision.revision, revision.state) == (sent.number, 2, DRAFT)
    assert (revision.is_primary, revision.total, revision.revised_from_id) == (True, sent.total, sent.id)
    replaced = await read(shop, sent.id)
    assert (replaced.state, replaced.revised_by_id, replaced.is_primary) == (SUPERSEDED, revision.id, False)
    assert await shop.quotes.ReviseQuote(request) == revision
    assert (await refusal(shop.quotes.ReviseQuote(pb.ReviseQuoteRequest(id=sent.id))))[1] == "QUOTE_REVISED"


async def test_a_draft_is_deleted_and_restored(shop: Shop) -> None:
    quote = await shop.quote((await shop.deal()).id, is_primary=True)
    deleted = await shop.quotes.DeleteQuote(pb.DeleteQuoteRequest(id=quote.id))
    assert (deleted.HasField("delete_time"), deleted.is_primary) == (True, False)
    assert not (await shop.quotes.ListQuotes(pb.ListQuotesRequest())).quotes
    restored = await shop.quotes.UndeleteQuote(pb.UndeleteQuoteRequest(id=quote.id))
    assert (restored.state, restored.is_primary) == (DRAFT, False)
    history = await shop.quotes.ListQuoteVersions(pb.ListQuoteVersionsRequest(id=quote.id))
    assert [version.event for version in history.versions] == [
        "QuoteUndeleted",
        "QuoteDeleted",
        "QuoteCreated",
    ]


async def test_numbers_have_no_gaps_and_no_doubles(shop: Shop) -> None:
    deal = await shop.deal()
    refused = await refusal(shop.quote(deal.id, pb.QuoteLine(product_id=str(new_id()), quantity="1")))
    assert refused == (Code.NOT_FOUND, "PRODUCT_NOT_FOUND", "quote.lines[0].product_id")
    made = await asyncio.gather(*(shop.quote(deal.id) for _ in range(6)))
    assert sorted(quote.number for quote in made) == [f"Q-{number:06d}" for number in range(1, 7)]


async def test_every_event_carries_the_quote_as_it_is_after_it(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    quote = await accept(shop, await shop.sent((await shop.deal()).id, line(chair)))
    await running.settled()
    streams = await running.events()
    subject = f"events.{running.tenant}.sfa.quotes.v1.QuoteAccepted"
    message = await streams.get_last_msg("QUOTES", subject)
    assert message.data is not None
    assert events_pb2.QuoteAccepted.FromString(message.data).quote == quote
