"""What quotes and orders leave to be decided about a deal: sibling quotes, orders that came to nothing; and that
an acceptance takes effect exactly once whatever is delivered twice or dies meanwhile."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sfa.erp.v1 import messages_pb2 as erp
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1.deals_pb2 import TeamMember
from sfa.opportunities.v1.merging_pb2 import MergeOpportunitiesRequest
from sfa.opportunities.v1.merging_pb2_grpc import OpportunityMergingServiceStub
from sfa.opportunities.v1.opportunities_pb2_grpc import OpportunityServiceStub, PipelineServiceStub
from sfa.quotes.v1 import families_pb2, orders_pb2, quotes_pb2, reports_pb2
from sfa.quotes.v1.families_pb2_grpc import ProductFamilyServiceStub
from sfa.quotes.v1.quotes_pb2_grpc import QuoteServiceStub
from sfa.quotes.v1.reports_pb2_grpc import ReportServiceStub

from chassis.ids import new_id
from tests.conftest import Join
from tests.opportunities.test_quotes_set_the_deal import accept, deliver_again, events_of, read, say, stage
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

OPEN, WON = pb.Opportunity.OPEN, pb.Opportunity.WON
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
async def running(shared: Join) -> Stack:
    return await shared("opportunities", "quotes")


@pytest.fixture
def shop(running: Stack) -> Shop:
    return Shop(running)


@pytest.fixture
def office(running: Stack) -> Shop:
    return Shop(running, "operations")


async def state_of(shop: Shop, quote: quotes_pb2.Quote) -> int:
    return (await shop.quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=quote.id))).state


async def reject(running: Stack, order: orders_pb2.Order, version: int) -> None:
    reports = ReportServiceStub(running.channel("quotes", "integration"))
    row = erp.OrderRejected(order=order.number, version=version, reason="Wrong address.")
    await reports.BatchUpsertOrderRejections(reports_pb2.BatchUpsertOrderRejectionsRequest(rows=[row]))


async def test_acceptance_offers_to_close_the_quotes_that_are_left_open(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    draft, sent = await shop.quote(deal.id, line(chair)), await shop.sent(deal.id, line(chair, "2"))
    cancelled = await shop.quote(deal.id, line(chair, "5"))
    await shop.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=cancelled.id))
    accepted = await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    won = await read(shop, deal.id)
    assert (won.state, list(won.sibling_quote_ids)) == (WON, [draft.id, sent.id])
    # nothing is closed before somebody says so
    assert await state_of(shop, sent) == quotes_pb2.Quote.SENT
    close = pb.CloseSiblingQuotesRequest(id=deal.id, quote_ids=[accepted.id])
    code, reason, field = await refusal(shop.deals.CloseSiblingQuotes(close))
    assert (code, reason, field) == (PRECONDITION, "SIBLING_NOT_OFFERED", "quote_ids[0]")
    close.quote_ids[:] = [sent.id]
    closed = await shop.deals.CloseSiblingQuotes(close)
    assert list(closed.sibling_quote_ids) == [draft.id]
    assert await state_of(shop, sent) == quotes_pb2.Quote.CANCELLED
    assert await state_of(shop, draft) == quotes_pb2.Quote.DRAFT
    # one that ends by itself is offered no longer
    await shop.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=draft.id))
    after = await read(shop, deal.id)
    assert (list(after.sibling_quote_ids), after.state, after.amount) == ([], WON, euros(30))
    nothing = pb.CloseSiblingQuotesRequest(id=deal.id)
    assert (await refusal(shop.deals.CloseSiblingQuotes(nothing)))[1] == "SIBLING_NOT_OFFERED"


async def test_a_quote_that_was_decided_on_meanwhile_does_not_keep_the_others_open(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    quotes = [await shop.quote(deal.id, line(chair, str(number))) for number in (1, 2)]
    await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    assert len((await read(shop, deal.id)).sibling_quote_ids) == 2
    await shop.quotes.DeleteQuote(quotes_pb2.DeleteQuoteRequest(id=quotes[0].id))
    await running.settled()
    closed = await shop.deals.CloseSiblingQuotes(pb.CloseSiblingQuotesRequest(id=deal.id, request_id="key"))
    again = await shop.deals.CloseSiblingQuotes(pb.CloseSiblingQuotesRequest(id=deal.id, request_id="key"))
    assert (list(closed.sibling_quote_ids), again) == ([], closed)
    assert await state_of(shop, quotes[1]) == quotes_pb2.Quote.CANCELLED


async def test_whoever_may_only_read_the_deal_closes_none_of_its_quotes(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    user = str(running.callers.user("reader"))
    deal = await shop.deal(team=[TeamMember(user_id=user, access=TeamMember.READ)])
    quotes = QuoteServiceStub(running.channel("quotes", "rep", name="reader"))
    asked = quotes_pb2.Quote(opportunity_id=deal.id, lines=[line(chair)], owner_id=user)
    own = await quotes.CreateQuote(quotes_pb2.CreateQuoteRequest(quote=asked))
    await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    assert list((await read(shop, deal.id)).sibling_quote_ids) == [own.id]
    reader = OpportunityServiceStub(running.channel("opportunities", "rep", name="reader"))
    close = pb.CloseSiblingQuotesRequest(id=deal.id)
    assert (await refusal(reader.CloseSiblingQuotes(close)))[1] == "DEAL_ONLY_READABLE"
    assert (await quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=own.id))).state == quotes_pb2.Quote.DRAFT


async def test_what_the_rep_keeps_open_is_not_offered_again(shop: Shop, office: Shop, running: Stack) -> None:
    await say(running, acceptance=pb.QuoteSettings.LEAVES_STAGE)
    chair = await office.product()
    deal = await shop.deal()
    draft = await shop.quote(deal.id, line(chair))
    await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    offered = await read(shop, deal.id)
    assert (offered.state, list(offered.sibling_quote_ids)) == (OPEN, [draft.id])
    kept = await shop.deals.KeepSiblingQuotes(pb.KeepSiblingQuotesRequest(id=deal.id))
    assert not kept.sibling_quote_ids
    await deliver_again(running, "QuoteAccepted", 2)
    assert not (await read(shop, deal.id)).sibling_quote_ids
    assert await state_of(shop, draft) == quotes_pb2.Quote.DRAFT


async def test_gates_do_not_hold_back_what_the_customer_has_decided(
    shop: Shop, office: Shop, running: Stack
) -> None:
    pipelines = PipelineServiceStub(running.channel("opportunities", "operations"))
    pipeline = (await pipelines.ListPipelines(pb.ListPipelinesRequest())).pipelines[0]
    pipeline.stages[0].required_fields.append("next_step")
    await pipelines.UpdatePipeline(pb.UpdatePipelineRequest(id=pipeline.id, pipeline=pipeline))
    chair = await office.product()
    deal = await shop.deal()
    assert (await refusal(shop.deals.WinOpportunity(pb.WinOpportunityRequest(id=deal.id))))[
        1
    ] == "GATE_NOT_PASSED"
    await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    assert (await read(shop, deal.id)).state == WON


async def test_an_order_that_comes_to_nothing_is_told_and_changes_no_closed_revenue(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    quote = await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    won = await read(shop, deal.id)
    cancel = orders_pb2.CancelOrderRequest(id=quote.order_id, cancel_reason="Not wanted.")
    order = await shop.orders.CancelOrder(cancel)
    told = await read(shop, deal.id)
    (notice,) = told.order_notices
    assert (notice.order_id, notice.order_number, notice.quote_id) == (order.id, order.number, quote.id)
    assert (notice.kind, notice.reason, notice.total) == (pb.OrderNotice.CANCELLED, "Not wanted.", euros(30))
    assert notice.time == order.cancel_time
    for kept in ("state", "stage_id", "amount", "line_items", "close_date", "close_time"):
        assert getattr(told, kept) == getattr(won, kept)
    assert (await events_of(shop, deal.id))[0] == "OpportunityOrderNoticed"
    unknown = pb.AcknowledgeOrderRequest(id=deal.id, order_id=str(new_id()))
    assert (await refusal(shop.deals.AcknowledgeOrder(unknown)))[:2] == (
        grpc.StatusCode.NOT_FOUND,
        "ORDER_NOT_NOTICED",
    )
    noted = await shop.deals.AcknowledgeOrder(pb.AcknowledgeOrderRequest(id=deal.id, order_id=order.id))
    assert (list(noted.order_notices), noted.state, noted.amount) == ([], WON, euros(30))
    await deliver_again(running, "OrderCancelled", 2)
    assert await read(shop, deal.id) == noted


async def test_an_order_of_a_deal_that_was_merged_is_told_where_the_deal_went(
    shop: Shop, office: Shop, running: Stack
) -> None:
    await say(running, acceptance=pb.QuoteSettings.LEAVES_STAGE)
    chair = await office.product()
    deal, twin, last = await shop.deal(), await shop.deal(), await shop.deal()
    quote = await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    await running.settled()
    merging = OpportunityMergingServiceStub(running.channel("opportunities"))
    for one, other in ((twin, deal), (last, twin)):
        await merging.MergeOpportunities(MergeOpportunitiesRequest(id=one.id, merged_ids=[other.id]))
    await shop.orders.CancelOrder(orders_pb2.CancelOrderRequest(id=quote.order_id, cancel_reason="No."))
    assert [each.order_id for each in (await read(shop, last.id)).order_notices] == [quote.order_id]


async def test_an_order_that_the_erp_takes_after_all_is_told_no_longer(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    quote = await accept(shop, await shop.sent(deal.id, line(chair, "3")))
    order = await shop.orders.GetOrder(orders_pb2.GetOrderRequest(id=quote.order_id))
    reports = ReportServiceStub(running.channel("quotes", "integration"))

    async def confirm(version: int) -> None:
        row = erp.OrderConfirmed(order=order.number, version=version, erp_order="4711")
        await reports.BatchUpsertOrderConfirmations(
            reports_pb2.BatchUpsertOrderConfirmationsRequest(rows=[row])
        )

    await confirm(1)
    await reject(running, order, 2)
    (notice,) = (await read(shop, deal.id)).order_notices
    assert (notice.kind, notice.reason) == (pb.OrderNotice.REJECTED, "Wrong address.")
    await deliver_again(running, "OrderConfirmed", 2)  # what was said before the rejection is no news
    assert len((await read(shop, deal.id)).order_notices) == 1
    await confirm(3)
    after = await read(shop, deal.id)
    assert (list(after.order_notices), after.state, after.amount) == ([], WON, euros(30))
    await deliver_again(running, "OrderRejected", 2)
    assert not (await read(shop, deal.id)).order_notices


async def test_products_and_families_say_which_pipeline_a_new_deal_enters(
    shop: Shop, office: Shop, running: Stack
) -> None:
    families = ProductFamilyServiceStub(running.channel("quotes", "operations"))
    pipelines = PipelineServiceStub(running.channel("opportunities", "operations"))

    async def family(name: str, parent_id: str = "") -> families_pb2.ProductFamily:
        asked = families_pb2.ProductFamily(name=name, parent_id=parent_id)
        return await families.CreateProductFamily(
            families_pb2.CreateProductFamilyRequest(product_family=asked)
        )

    roofing = await family("Roofing")
    tiles = await family("Tiles", roofing.id)
    tile, chair = await office.product("T-1", family="Tiles"), await office.product("C-1", family="Chairs")
    company = (await pipelines.ListPipelines(pb.ListPipelinesRequest())).pipelines[0]
    stages = [company.stages[0], *company.stages[-2:]]
    for each in stages:
        each.id = ""
    asked = pb.Pipeline(name="Roofs", stages=stages, product_families=["Roofing"])
    roofs = await pipelines.CreatePipeline(pb.CreatePipelineRequest(pipeline=asked))
    await running.settled()

    async def entered(product: str) -> str:
        lines = [pb.LineItem(product_id=product, quantity="1", unit_price=euros(100))]
        return (await shop.deal(line_items=lines)).pipeline_id

    assert (await entered(tile.id), await entered(chair.id)) == (roofs.id, company.id)
    request = families_pb2.UpdateProductFamilyRequest(id=tiles.id, update_mask=FieldMask(paths=["parent_id"]))
    request.product_family.SetInParent()
    await families.UpdateProductFamily(request)
    await running.settled()
    assert await entered(tile.id) == company.id


@pytest.mark.parametrize("moves", [False, True], ids=["wins", "moves"])
async def test_an_acceptance_takes_effect_once_whatever_dies_and_comes_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, *, moves: bool
) -> None:
    monkeypatch.setattr(
        "chassis.consumer._ACK_SECONDS", 1.0
    )  # what a dead service had fetched comes again soon
    await stack.start("opportunities", "quotes")
    shop, office = Shop(stack), Shop(stack, "operations")
    closing = await stage(stack, "Closing")
    if moves:
        await say(stack, acceptance=pb.QuoteSettings.MOVES, acceptance_stage_id=closing)
    chair = await office.product()
    deals = [await shop.deal() for _ in range(6)]
    quotes = [await shop.sent(deal.id, line(chair, "3")) for deal in deals]
    extra = [await shop.quote(deal.id, line(chair)) for deal in deals]
    admin = await asyncpg.connect(stack.databases["opportunities"].admin_url)

    async def kill() -> None:
        while True:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            await asyncio.sleep(0.02)

    killing = asyncio.create_task(kill())
    try:
        for quote in quotes:
            await accept(shop, quote)
        await asyncio.sleep(0)
        await stack.stop("opportunities")  # in the middle of what the events say
    finally:
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killing
        await admin.close()
    await stack.start("opportunities")
    shop = Shop(stack)
    await deliver_again(stack, "QuoteAccepted", 3)
    wanted = "OpportunityMoved" if moves else "OpportunityWon"
    for deal, other in zip(deals, extra, strict=True):
        after = await read(shop, deal.id)
        assert (after.state, after.amount) == (OPEN if moves else WON, euros(30))
        assert list(after.sibling_quote_ids) == [other.id]
        assert (await events_of(shop, deal.id)).count(wanted) == 1
    last = deals[-1].id
    if moves:
        back = await stage(stack, "Contact")
        await shop.deals.MoveOpportunity(pb.MoveOpportunityRequest(id=last, stage_id=back))
    else:
        await shop.deals.ReopenOpportunity(pb.ReopenOpportunityRequest(id=last))
    await deliver_again(stack, "QuoteAccepted", 3)
    assert (await events_of(shop, last)).count(wanted) == 1 + moves
