"""What the primary quote of a deal does to it, and what its acceptance does: by setting, and exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import nats
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1.opportunities_pb2_grpc import PipelineServiceStub, QuoteSettingsServiceStub
from sfa.quotes.v1 import quotes_pb2

from chassis.ids import new_id
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.opportunities.v1.opportunities_pb2_grpc import QuoteSettingsServiceAsyncStub

OPEN, WON, LOST = pb.Opportunity.OPEN, pb.Opportunity.WON, pb.Opportunity.LOST


@pytest.fixture
async def running(stack: Stack) -> Stack:
    await stack.start("opportunities", "quotes")
    return stack


@pytest.fixture
def shop(running: Stack) -> Shop:
    return Shop(running)


@pytest.fixture
def office(running: Stack) -> Shop:
    return Shop(running, "operations")


async def say(stack: Stack, **settings: object) -> None:
    """Changes the tenant's quote settings."""
    stub: QuoteSettingsServiceAsyncStub = QuoteSettingsServiceStub(
        stack.channel("opportunities", "operations")
    )
    asked = pb.QuoteSettings(**settings)  # type: ignore[arg-type]  # by name
    await stub.UpdateQuoteSettings(pb.UpdateQuoteSettingsRequest(quote_settings=asked))


async def read(shop: Shop, id: str) -> pb.Opportunity:
    """The deal, once everything that happened to its quotes has reached it."""
    await shop.stack.settled()
    return await shop.deals.GetOpportunity(pb.GetOpportunityRequest(id=id))


async def events_of(shop: Shop, id: str) -> list[str]:
    history = await shop.deals.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=id))
    return [version.event for version in history.versions]


async def stage(stack: Stack, name: str) -> str:
    pipelines = PipelineServiceStub(stack.channel("opportunities"))
    answer = await pipelines.ListPipelines(pb.ListPipelinesRequest())
    return next(each.id for each in answer.pipelines[0].stages if each.name == name)


async def accept(shop: Shop, quote: quotes_pb2.Quote) -> quotes_pb2.Quote:
    return await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=quote.id))


async def deliver_again(stack: Stack, event: str, times: int) -> None:
    """Puts the newest event of a type into the stream again: the same event, delivered anew."""
    subject = f"events.{stack.tenant}.sfa.quotes.v1.{event}"
    message = await (await stack.events()).get_last_msg("QUOTES", subject)
    connection = await nats.connect(stack.nats.url("quotes"), inbox_prefix="_INBOX_quotes")
    for number in range(times):
        headers = {**(message.headers or {}), "Nats-Msg-Id": f"{new_id()}-{number}"}
        await connection.jetstream().publish(subject, message.data or b"", headers=headers)
    await connection.close()
    await stack.settled()


async def test_the_primary_quote_sets_lines_and_amount_by_itself(shop: Shop, office: Shop) -> None:
    chair, table = await office.product(), await office.product("T-1", euros(99, 99))
    deal = await shop.deal()
    await shop.quote(deal.id, line(table, "5"))
    assert (await read(shop, deal.id)).amount == euros(100)
    quote = await shop.quote(
        deal.id, line(chair, "3", discount_percent="33.3333"), line(table, "2"), is_primary=True
    )
    followed = await read(shop, deal.id)
    assert (followed.primary_quote_id, followed.amount) == (quote.id, quote.total)
    assert [(item.product_id, item.quantity) for item in followed.line_items] == [
        (chair.id, "3"),
        (table.id, "2"),
    ]
    assert not followed.HasField("quote_proposal")
    changed = await shop.quotes.UpdateQuote(
        quotes_pb2.UpdateQuoteRequest(id=quote.id, quote=quotes_pb2.Quote(lines=[line(chair, "7")]))
    )
    assert (await read(shop, deal.id)).amount == changed.total == euros(70)


async def test_the_lines_add_up_to_the_amount_whatever_was_discounted(shop: Shop, office: Shop) -> None:
    chair = await office.product(price=euros(9, 99))
    deal = await shop.deal()
    lines = [
        line(chair, quantity, discount_percent="12.3456") for quantity in ("7", "12345.678901", "0.000001")
    ]
    quote = await shop.quote(deal.id, *lines, is_primary=True)
    followed = await read(shop, deal.id)
    same = await shop.deals.UpdateOpportunity(
        pb.UpdateOpportunityRequest(id=deal.id, opportunity=pb.Opportunity(line_items=followed.line_items))
    )
    assert same.amount == followed.amount == quote.total


async def test_a_primary_quote_without_lines_says_nothing_yet(shop: Shop) -> None:
    deal = await shop.deal()
    quote = await shop.quote(deal.id, is_primary=True)
    followed = await read(shop, deal.id)
    assert (followed.primary_quote_id, followed.amount) == (quote.id, euros(100))


async def test_another_quote_that_becomes_primary_takes_over(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    first = await shop.quote(deal.id, line(chair, "1"), is_primary=True)
    second = await shop.quote(deal.id, line(chair, "2"), is_primary=True)
    assert (await read(shop, deal.id)).amount == euros(20)
    await deliver_again(running, "QuoteCreated", 2)
    await shop.quotes.UpdateQuote(
        quotes_pb2.UpdateQuoteRequest(id=first.id, quote=quotes_pb2.Quote(lines=[line(chair, "9")]))
    )
    followed = await read(shop, deal.id)
    assert (followed.primary_quote_id, followed.amount) == (second.id, euros(20))
    await shop.quotes.MakeQuotePrimary(quotes_pb2.MakeQuotePrimaryRequest(id=first.id))
    assert (await read(shop, deal.id)).amount == euros(90)


async def test_a_revision_of_the_primary_quote_goes_on_setting_the_deal(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal()
    sent = await shop.sent(deal.id, line(chair), is_primary=True)
    revision = await shop.quotes.ReviseQuote(quotes_pb2.ReviseQuoteRequest(id=sent.id))
    await shop.quotes.UpdateQuote(
        quotes_pb2.UpdateQuoteRequest(id=revision.id, quote=quotes_pb2.Quote(lines=[line(chair, "4")]))
    )
    followed = await read(shop, deal.id)
    assert (followed.primary_quote_id, followed.amount) == (revision.id, euros(40))


async def test_where_it_asks_first_the_rep_confirms(shop: Shop, office: Shop, running: Stack) -> None:
    await say(running, primary_quote=pb.QuoteSettings.PROPOSES_AMOUNT)
    chair = await office.product()
    deal = await shop.deal()
    quote = await shop.quote(deal.id, line(chair, "3"), is_primary=True)
    asked = await read(shop, deal.id)
    assert (asked.amount, asked.quote_proposal.amount, asked.quote_proposal.quote_id) == (
        euros(100),
        euros(30),
        quote.id,
    )
    other = pb.ConfirmQuoteRequest(id=deal.id, quote_id=str(new_id()))
    assert (await refusal(shop.deals.ConfirmQuote(other)))[0] is grpc.StatusCode.FAILED_PRECONDITION
    confirmed = await shop.deals.ConfirmQuote(pb.ConfirmQuoteRequest(id=deal.id, quote_id=quote.id))
    assert (confirmed.amount, len(confirmed.line_items)) == (euros(30), 1)
    assert not confirmed.HasField("quote_proposal")
    again = pb.ConfirmQuoteRequest(id=deal.id)
    assert (await refusal(shop.deals.ConfirmQuote(again)))[0] is grpc.StatusCode.FAILED_PRECONDITION


async def test_what_was_dismissed_is_proposed_again_when_the_quote_changes(
    shop: Shop, office: Shop, running: Stack
) -> None:
    await say(running, primary_quote=pb.QuoteSettings.PROPOSES_AMOUNT)
    chair = await office.product()
    deal = await shop.deal()
    quote = await shop.quote(deal.id, line(chair, "3"), is_primary=True)
    await read(shop, deal.id)
    dismissed = await shop.deals.DismissQuote(pb.DismissQuoteRequest(id=deal.id))
    assert (dismissed.amount, dismissed.HasField("quote_proposal")) == (euros(100), False)
    await deliver_again(running, "QuoteCreated", 1)
    assert not (await read(shop, deal.id)).HasField("quote_proposal")
    await shop.quotes.UpdateQuote(
        quotes_pb2.UpdateQuoteRequest(id=quote.id, quote=quotes_pb2.Quote(lines=[line(chair, "4")]))
    )
    assert (await read(shop, deal.id)).quote_proposal.amount == euros(40)
    await shop.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=quote.id))
    withdrawn = await read(shop, deal.id)
    assert (withdrawn.amount, withdrawn.HasField("quote_proposal")) == (euros(100), False)


async def test_where_it_never_sets_the_deal_acceptance_still_wins_it(
    shop: Shop, office: Shop, running: Stack
) -> None:
    await say(running, primary_quote=pb.QuoteSettings.LEAVES_AMOUNT)
    chair = await office.product()
    deal = await shop.deal()
    sent = await shop.sent(deal.id, line(chair, "3"), is_primary=True)
    assert (await read(shop, deal.id)) == deal
    await accept(shop, sent)
    won = await read(shop, deal.id)
    assert (won.state, won.amount, len(won.line_items)) == (WON, euros(100), 0)


async def test_acceptance_wins_the_deal_once_however_often_the_event_comes(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    quote = await accept(shop, await shop.sent(deal.id, line(chair, "3"), is_primary=True))
    won = await read(shop, deal.id)
    day = quote.accept_time.ToDatetime().date()
    assert (won.state, won.amount) == (WON, euros(30))
    assert won.close_date == Date(year=day.year, month=day.month, day=day.day)
    await deliver_again(running, "QuoteAccepted", 3)
    assert await read(shop, deal.id) == won
    await shop.deals.ReopenOpportunity(pb.ReopenOpportunityRequest(id=deal.id))
    await deliver_again(running, "QuoteAccepted", 3)
    assert (await read(shop, deal.id)).state == OPEN
    assert (await events_of(shop, deal.id)).count("OpportunityWon") == 1


async def test_history_names_who_accepted(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal()
    await accept(shop, await shop.sent(deal.id, line(chair)))
    await read(shop, deal.id)
    history = await shop.deals.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=deal.id))
    won = history.versions[0]
    assert won.event == "OpportunityWon"
    assert str(shop.stack.callers.user()) in (won.actor, won.via)


async def test_acceptance_of_a_quote_that_was_not_primary_wins_the_deal_too(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal()
    former = await shop.quote(deal.id, line(chair, "9"), is_primary=True)
    accepted = await accept(shop, await shop.sent(deal.id, line(chair, "2")))
    won = await read(shop, deal.id)
    assert (won.state, won.amount, won.primary_quote_id) == (WON, euros(20), accepted.id)
    assert not (await shop.quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=former.id))).is_primary


async def test_acceptance_moves_the_deal_where_the_settings_say_so(
    shop: Shop, office: Shop, running: Stack
) -> None:
    closing = await stage(running, "Closing")
    await say(running, acceptance=pb.QuoteSettings.MOVES, acceptance_stage_id=closing)
    chair = await office.product()
    deal = await shop.deal()
    await accept(shop, await shop.sent(deal.id, line(chair)))
    moved = await read(shop, deal.id)
    assert (moved.state, moved.stage_id, moved.amount) == (OPEN, closing, euros(10))
    await shop.deals.MoveOpportunity(
        pb.MoveOpportunityRequest(id=deal.id, stage_id=await stage(running, "Negotiation"))
    )
    await deliver_again(running, "QuoteAccepted", 2)
    assert (await read(shop, deal.id)).stage_id == await stage(running, "Negotiation")


async def test_acceptance_leaves_the_stage_where_the_settings_say_so(
    shop: Shop, office: Shop, running: Stack
) -> None:
    await say(running, acceptance=pb.QuoteSettings.LEAVES_STAGE)
    chair = await office.product()
    deal = await shop.deal()
    await accept(shop, await shop.sent(deal.id, line(chair)))
    left = await read(shop, deal.id)
    assert (left.state, left.stage_id, left.amount) == (OPEN, deal.stage_id, euros(10))


async def test_a_deal_that_is_closed_is_left_alone(shop: Shop, office: Shop) -> None:
    chair = await office.product()
    deal = await shop.deal()
    sent = await shop.sent(deal.id, line(chair))
    lost = await shop.deals.LoseOpportunity(pb.LoseOpportunityRequest(id=deal.id, lost_reason="Price"))
    await accept(shop, sent)
    assert await read(shop, deal.id) == lost


async def test_where_it_asks_first_acceptance_wins_and_the_amount_waits_for_the_rep(
    shop: Shop, office: Shop, running: Stack
) -> None:
    await say(running, primary_quote=pb.QuoteSettings.PROPOSES_AMOUNT)
    chair = await office.product()
    deal = await shop.deal()
    await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    won = await read(shop, deal.id)
    assert (won.state, won.amount, won.quote_proposal.amount) == (WON, euros(100), euros(30))
    confirmed = await shop.deals.ConfirmQuote(pb.ConfirmQuoteRequest(id=deal.id))
    assert (confirmed.state, confirmed.amount) == (WON, euros(30))


async def test_a_quote_in_another_currency_brings_it_along(shop: Shop, office: Shop) -> None:
    yen = Money(currency_code="JPY", units=1500)
    chair = await office.product(price=yen)
    deal = await shop.deal()
    await shop.quote(deal.id, line(chair), currency="JPY", is_primary=True)
    assert (await read(shop, deal.id)).amount == yen
