"""The life of a quote over gRPC: changes that are shown before they are sent, approval, clones, comparison,
the exchange rate that is frozen, and the deal that follows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb
from sfa.quotes.v1 import products_pb2
from sfa.quotes.v1 import quotes_pb2 as pb

from chassis.broker import Broker
from chassis.ids import new_id
from tests.engines import PASSWORD
from tests.eventually import eventually
from tests.forecast.company import Company
from tests.quotes.service import Shop, euros, line, refusal

Code = grpc.StatusCode


async def send(shop: Shop, quote: pb.Quote, **fields: Any) -> pb.Quote:
    return await shop.quotes.SendQuote(pb.SendQuoteRequest(id=quote.id, **fields))


async def read(shop: Shop, quote: pb.Quote) -> pb.Quote:
    return await shop.quotes.GetQuote(pb.GetQuoteRequest(id=quote.id))


async def raise_price(office: Shop, product: Any, units: int) -> None:
    asked = products_pb2.Product(list_price=euros(units))
    await office.products.UpdateProduct(products_pb2.UpdateProductRequest(id=product.id, product=asked))


async def change_refused(call: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The facts of a refusal, and its violations."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None
    facts: dict[str, str] = {}
    violations: list[tuple[str, str]] = []
    for detail in status.details:
        info, bad = ErrorInfo(), BadRequest()
        if detail.Unpack(info):
            facts = {**info.metadata, "reason": info.reason}
        elif detail.Unpack(bad):
            violations = [(each.field, each.description) for each in bad.field_violations]
    return facts, violations


async def test_a_price_that_changed_is_shown_before_it_is_sent(shop: Shop, office: Shop) -> None:
    chair, table = await office.product(), await office.product("T-1", euros(50))
    deal = await shop.deal()
    quote = await shop.quote(deal.id, line(chair, "2"), line(table, unit_price=euros(45)))
    assert [each.is_price_manual for each in quote.lines] == [False, True]
    await raise_price(office, chair, 12)
    await raise_price(office, table, 60)  # given by hand: only its list price is another
    facts, violations = await change_refused(send(shop, quote))
    assert (facts["reason"], facts["payable_total"]) == ("QUOTE_CHANGED", "69.00 EUR")
    assert ("lines[0].unit_price", "unit price: 10.00 EUR became 12.00 EUR") in violations
    assert ("payable_total", "payable total: 65.00 EUR became 69.00 EUR") in violations
    assert (await read(shop, quote)).state == pb.Quote.DRAFT
    assert (await change_refused(send(shop, quote, confirm="something else")))[0]["confirm"] == facts[
        "confirm"
    ]
    await raise_price(office, chair, 13)  # and again, while somebody looked
    again, _ = await change_refused(send(shop, quote, confirm=facts["confirm"]))
    assert again["payable_total"] == "71.00 EUR"
    sent = await send(shop, quote, confirm=again["confirm"])
    assert (sent.state, sent.total, sent.lines[1].unit_price) == (pb.Quote.SENT, euros(71), euros(45))


async def test_a_draft_priced_again_is_sent_without_a_word(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    quote = await shop.quote((await shop.deal()).id, line(chair))
    await raise_price(office, chair, 12)
    priced = await shop.quotes.RepriceQuote(pb.RepriceQuoteRequest(id=quote.id, etag=quote.etag))
    assert (priced.total, priced.state) == (euros(12), pb.Quote.DRAFT)
    sent = await send(shop, priced, etag=priced.etag)
    await raise_price(office, chair, 20)
    accepted = await shop.quotes.AcceptQuote(pb.AcceptQuoteRequest(id=sent.id))
    assert accepted.total == euros(12)
    again = shop.quotes.RepriceQuote(pb.RepriceQuoteRequest(id=quote.id))
    assert (await refusal(again))[1] == "QUOTE_NOT_DRAFT"


async def test_a_quote_goes_through_approval_and_back(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    quote = await shop.quote((await shop.deal()).id, line(chair))
    submit = pb.SubmitQuoteRequest(id=quote.id, request_id="submit once")
    approved = await shop.quotes.SubmitQuote(submit)
    assert approved.state == pb.Quote.APPROVED  # nobody has to
    assert await shop.quotes.SubmitQuote(submit) == approved
    await raise_price(office, chair, 12)
    facts, _ = await change_refused(send(shop, quote))
    assert facts["reason"] == "QUOTE_CHANGED"
    recalled = await shop.quotes.RecallQuote(pb.RecallQuoteRequest(id=quote.id))
    assert recalled.state == pb.Quote.DRAFT
    await shop.quotes.RepriceQuote(pb.RepriceQuoteRequest(id=quote.id))
    await shop.quotes.SubmitQuote(pb.SubmitQuoteRequest(id=quote.id))
    sent = await send(shop, quote)
    assert (sent.state, sent.total) == (pb.Quote.SENT, euros(12))
    viewed = await shop.quotes.ViewQuote(pb.ViewQuoteRequest(id=quote.id))
    assert viewed.state == pb.Quote.VIEWED
    assert await shop.quotes.ViewQuote(pb.ViewQuoteRequest(id=quote.id)) == viewed
    history = await shop.quotes.ListQuoteVersions(pb.ListQuoteVersionsRequest(id=quote.id))
    assert [each.event for each in history.versions] == [
        *("QuoteViewed", "QuoteSent", "QuoteApproved", "QuoteSubmitted", "QuoteUpdated"),
        *("QuoteRecalled", "QuoteApproved", "QuoteSubmitted", "QuoteCreated"),
    ]


async def test_an_amount_off_is_not_taken_for_one_of_another_currency(shop: Shop) -> None:
    one_off = pb.QuoteLine(description="Installation", quantity="1", unit_price=euros(100))
    quote = await shop.quote((await shop.deal()).id, one_off, discount_value=euros(10))
    one_off.unit_price.currency_code = "JPY"
    asked = pb.Quote(currency="JPY", lines=[one_off])
    mask = FieldMask(paths=["currency", "lines"])
    change = pb.UpdateQuoteRequest(id=quote.id, quote=asked, update_mask=mask)
    assert await refusal(shop.quotes.UpdateQuote(change)) == (
        grpc.StatusCode.INVALID_ARGUMENT, "DISCOUNT_IN_FORMER_CURRENCY", "quote.discount_value",
    )  # fmt: skip
    change.update_mask.paths.append("discount_value")
    assert (await shop.quotes.UpdateQuote(change)).total.units == 100


async def test_a_clone_is_priced_as_of_today(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    one_off = pb.QuoteLine(description="Assembly", quantity="3", unit_price=euros(15))
    schedule = [pb.Instalment(label="Now", percent="50"), pb.Instalment(label="Later", percent="50", days=30)]
    quote = await shop.sent(
        (await shop.deal()).id,
        line(chair),
        one_off,
        terms="Net 30",
        payment_days=30,
        payment_schedule=schedule,
        discount_percent="10",
    )
    assert (quote.total, [each.amount for each in quote.payment_schedule]) == (
        euros(49, 50),
        [euros(24, 75), euros(24, 75)],
    )
    await raise_price(office, chair, 20)
    other = await shop.deal("Other", account_id=str(new_id()))
    request = pb.CloneQuoteRequest(id=quote.id, opportunity_id=other.id, request_id="once")
    clone = await shop.quotes.CloneQuote(request)
    assert (clone.number, clone.state, clone.cloned_from_id) == ("Q-000002", pb.Quote.DRAFT, quote.id)
    assert (clone.opportunity_id, clone.account_id, clone.terms) == (other.id, other.account_id, "Net 30")
    assert (clone.total, clone.lines[1].description) == (euros(58, 50), "Assembly")
    assert await shop.quotes.CloneQuote(request) == clone


async def test_versions_and_revisions_are_compared_for_a_person_to_read(shop: Shop, office: Shop) -> None:
    chair, table = await office.product(), await office.product("T-1", euros(50))
    first = await shop.quote((await shop.deal()).id, line(chair), terms="Net 30")
    asked = pb.Quote(lines=[*first.lines, line(table)], terms="Net 14")
    second = await shop.quotes.UpdateQuote(pb.UpdateQuoteRequest(id=first.id, quote=asked))
    found = await shop.quotes.CompareQuotes(pb.CompareQuotesRequest(id=first.id, etag=first.etag))
    assert "terms: Net 30 became Net 14" in found.sentences
    assert "total: 10.00 EUR became 60.00 EUR" in found.sentences
    assert [(each.change, each.description) for each in found.lines] == [
        (found.LineDifference.ADDED, "Product T-1")
    ]
    await send(shop, second)
    revision = await shop.quotes.ReviseQuote(pb.ReviseQuoteRequest(id=first.id))
    changed = pb.Quote(lines=[line(chair, "3", id=first.lines[0].id)])
    await shop.quotes.UpdateQuote(pb.UpdateQuoteRequest(id=revision.id, quote=changed))
    apart = await shop.quotes.CompareQuotes(pb.CompareQuotesRequest(id=first.id, other_id=revision.id))
    kinds = [(each.change, each.description) for each in apart.lines]
    assert kinds == [
        (apart.LineDifference.CHANGED, "Product C-1"),
        (apart.LineDifference.REMOVED, "Product T-1"),
    ]
    missing = shop.quotes.CompareQuotes(pb.CompareQuotesRequest(id=first.id, etag="99"))
    assert (await refusal(missing))[0] is Code.NOT_FOUND


async def test_options_and_alternatives_count_when_chosen(shop: Shop, office: Shop) -> None:
    chair, table = await office.product(), await office.product("T-1", euros(50))
    deal = await shop.deal()
    oak = line(table, alternative_group="Wood", description="Oak")
    ash = line(table, alternative_group="Wood", description="Ash", unit_price=euros(40))
    quote = await shop.quote(
        deal.id, line(chair), oak, ash, line(chair, "2", is_optional=True), is_primary=True
    )
    assert quote.total == euros(10)
    assert (await refusal(send(shop, quote)))[1] == "ALTERNATIVE_OPEN"
    quote.lines[2].is_chosen = True
    quote = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(id=quote.id, quote=quote, update_mask=FieldMask(paths=["lines"]))
    )
    assert quote.total == euros(50)
    await send(shop, quote)

    async def followed() -> bool:
        now = await shop.deals.GetOpportunity(deals_pb.GetOpportunityRequest(id=deal.id))
        items = [(item.product_id, item.unit_price) for item in now.line_items]
        return now.amount == euros(50) and items == [(chair.id, euros(10)), (table.id, euros(40))]

    await eventually(followed)


async def test_a_deal_follows_a_quote_of_one_off_items(shop: Shop) -> None:
    deal = await shop.deal()
    item = pb.QuoteLine(description="Advice", quantity="2", unit_price=euros(70))
    await shop.quote(deal.id, item, is_primary=True)

    async def followed() -> bool:
        now = await shop.deals.GetOpportunity(deals_pb.GetOpportunityRequest(id=deal.id))
        return now.amount == euros(140) and not now.line_items

    await eventually(followed)
    nameless = pb.QuoteLine(quantity="2", unit_price=euros(70))
    assert (await refusal(shop.quote(deal.id, nameless)))[1] == "DESCRIPTION_MISSING"
    priceless = pb.QuoteLine(quantity="2", description="Advice")
    assert (await refusal(shop.quote(deal.id, priceless)))[1] == "PRICE_NOT_FOUND"


async def test_the_exchange_rate_is_frozen_when_a_quote_is_sent(shop: Shop, office: Shop) -> None:
    stack = shop.stack
    today = stack.clock.now().date()
    known = today - timedelta(days=3)
    company = Company(stack)
    broker = company.brokers["identity"] = Broker(
        stack.nats.url("identity"), "identity", user="identity", password=PASSWORD
    )
    broker.start()
    await broker.connected()
    await broker.keep_stream("identity")
    await company.tenant("USD")
    await company.rate("EUR", "USD", today - timedelta(days=400), "1.05")
    await company.rate("EUR", "USD", known, "1.0842")
    await company.rate("EUR", "USD", today + timedelta(days=5), "1.2")
    database = await stack.connect("quotes", as_owner=True)

    async def heard() -> bool:
        rates = await database.fetchval("SELECT count(*) FROM data.exchange_rates")
        return bool(rates == 3 and await database.fetchval("SELECT count(*) FROM data.reporting_currencies"))

    await eventually(heard, "hearing of the rates")
    await database.close()
    await broker.close()
    chair = await office.product()
    deal = await shop.deal()
    sent = await shop.sent(deal.id, line(chair))
    assert (sent.exchange_rate, sent.exchange_currency) == ("1.0842", "USD")
    assert sent.exchange_date == Date(year=known.year, month=known.month, day=known.day)
    unknown = await shop.sent(
        deal.id, line(chair, unit_price=Money(currency_code="JPY", units=9)), currency="JPY"
    )
    assert (unknown.exchange_rate, unknown.exchange_currency) == ("", "")
    own = Money(currency_code="USD", units=9)
    assert (await shop.sent(deal.id, line(chair, unit_price=own), currency="USD")).exchange_rate == "1"
