"""Holds and reservations over gRPC: what is promised is promised once, until it ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc
import pytest
from google.type.date_pb2 import Date
from sfa.erp.v1 import messages_pb2 as erp
from sfa.quotes.v1 import inventory_pb2 as pb
from sfa.quotes.v1 import products_pb2, quotes_pb2

from tests.eventually import eventually
from tests.quotes.service import Shop, line, refusal
from tests.quotes.warehouse import BREMEN, HAMBURG, MUNICH, Depot, level, shipment

HOLD, RESERVATION = pb.StockPromise.HOLD, pb.StockPromise.RESERVATION


@pytest.fixture
def depot(shop: Shop) -> Depot:
    return Depot(shop)


@pytest.fixture
async def stocked(office: Shop, depot: Depot) -> products_pb2.Product:
    """A product of which one warehouse has ten."""
    product = await office.product()
    await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 10))
    return product


def promises(hold: pb.StockHold) -> list[tuple[int, str]]:
    return [(each.kind, each.quantity) for each in hold.promises]


async def held(depot: Depot, quote: quotes_pb2.Quote) -> list[tuple[int, str]]:
    return promises(await depot.inventory.GetStockHold(pb.GetStockHoldRequest(id=quote.id)))


async def left(depot: Depot, product: products_pb2.Product) -> str:
    """How much of a thousand can be had."""
    found = await depot.available(product, 1000)
    return str(1000 - int(found.missing))


async def test_what_is_held_is_nobody_elses(depot: Depot, stocked: products_pb2.Product) -> None:
    first, second = await depot.wanted(stocked, 7), await depot.wanted(stocked, 4)
    assert promises(await depot.hold(first)) == [(HOLD, "7")]
    code, reason, field = await refusal(depot.hold(second))
    assert (code, reason, field) == (
        grpc.StatusCode.FAILED_PRECONDITION, "STOCK_NOT_AVAILABLE", "lines[0]",
    )  # fmt: skip
    assert await held(depot, second) == []
    some = await depot.hold(second, allow_shortage=True)
    assert promises(some) == [(HOLD, "3")]
    assert some.lines[0].missing == "1"


async def test_holding_again_does_no_more_than_holding_once(
    depot: Depot, stocked: products_pb2.Product
) -> None:
    quote = await depot.wanted(stocked, 10)
    for _ in range(3):
        assert promises(await depot.hold(quote)) == [(HOLD, "10")]
    assert await left(depot, stocked) == "0"
    await depot.inventory.ReleaseStock(pb.ReleaseStockRequest(id=quote.id))
    assert await left(depot, stocked) == "10"


async def test_a_hold_ends_at_its_instant_though_nobody_sweeps(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    quote = await depot.wanted(stocked, 10)
    await depot.hold(quote)
    shop.stack.clock.move(timedelta(hours=23, minutes=59))
    assert await left(depot, stocked) == "0"
    shop.stack.clock.move(timedelta(minutes=1))
    assert await left(depot, stocked) == "10"
    assert await held(depot, quote) == []
    assert promises(await depot.hold(await depot.wanted(stocked, 10))) == [(HOLD, "10")]


async def test_rules_say_how_long_by_state_and_customer(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    rule = pb.StockSettings.HoldRule
    quote = await depot.wanted(stocked, 1)
    other = await depot.wanted(stocked, 1, account_id=(await shop.deal()).id)
    rules = [rule(hours=2, state=quotes_pb2.Quote.DRAFT), rule(hours=0, account_id=other.account_id)]
    settings = pb.UpdateStockSettingsRequest(stock_settings=pb.StockSettings(hold_rules=rules))
    await depot.inventory.UpdateStockSettings(settings)
    hold = await depot.hold(quote)
    lasts = hold.expire_time.ToDatetime() - hold.promises[0].promise_time.ToDatetime()
    assert abs(lasts - timedelta(hours=2)) < timedelta(minutes=1)
    assert (await refusal(depot.hold(other)))[1] == "HOLDS_NOT_ALLOWED"
    twice = pb.StockSettings(hold_rules=[rule(hours=1), rule(hours=2)])
    again = depot.inventory.UpdateStockSettings(pb.UpdateStockSettingsRequest(stock_settings=twice))
    assert (await refusal(again))[1] == "HOLD_RULE_TWICE"


async def test_acceptance_makes_reservations_that_shipments_use_up(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    quote = await depot.wanted(stocked, 6)
    await depot.hold(quote)
    await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))
    shop.stack.clock.move(timedelta(days=3))  # it is firm as long as the quote
    assert await left(depot, stocked) == "4"
    await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=quote.id, accepted_by="Ann"))
    hold = await depot.inventory.GetStockHold(pb.GetStockHoldRequest(id=quote.id))
    assert promises(hold) == [(RESERVATION, "6")]
    order = hold.promises[0].order_number
    assert order.startswith("O-")
    shop.stack.clock.move(timedelta(days=60))
    assert await left(depot, stocked) == "4"
    await depot.say(shipment("S1", 1, "HH", order, C_1=5))
    assert await left(depot, stocked) == "4"
    await depot.say(level("HH", "C-1", 2, 5, included_shipments=["S1"]))
    assert await left(depot, stocked) == "4"
    await depot.say(shipment("S1", 2, "HH", order, C_1=2))
    assert await left(depot, stocked) == "1"


async def test_acceptance_without_a_hold_reserves_what_there_is(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    first, second = await depot.wanted(stocked, 8), await depot.wanted(stocked, 8)
    for quote in (first, second):
        await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))
    for quote in (first, second):
        await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=quote.id))
    assert await held(depot, first) == [(RESERVATION, "8")]
    assert await held(depot, second) == [(RESERVATION, "2")]
    assert (await refusal(depot.hold(first)))[1] == "QUOTE_ENDED"


@pytest.mark.parametrize("end", ["reject", "cancel", "expire", "revise"])
async def test_what_comes_to_nothing_gives_back(
    depot: Depot, stocked: products_pb2.Product, shop: Shop, end: str
) -> None:
    quote = await depot.wanted(stocked, 6)
    await depot.hold(quote)
    await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))
    if end == "reject":
        await shop.quotes.RejectQuote(quotes_pb2.RejectQuoteRequest(id=quote.id, end_reason="Too dear"))
    elif end == "cancel":
        await shop.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=quote.id, end_reason="Mistake"))
    elif end == "revise":
        await shop.quotes.ReviseQuote(quotes_pb2.ReviseQuoteRequest(id=quote.id))
    else:
        shop.stack.clock.move(timedelta(days=40))
    assert await left(depot, stocked) == "10"
    assert await held(depot, quote) == []


async def test_a_changed_draft_gives_back_what_it_no_longer_needs(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    quote = await depot.wanted(stocked, 6)
    await depot.hold(quote)
    for wanted, kept in (("2", "2"), ("5", "2")):
        lines = [line(stocked, wanted, id=quote.lines[0].id)]
        change = quotes_pb2.UpdateQuoteRequest(id=quote.id, quote=quotes_pb2.Quote(lines=lines))
        await shop.quotes.UpdateQuote(change)
        assert await held(depot, quote) == [(HOLD, kept)]
    assert await left(depot, stocked) == "8"
    await shop.quotes.DeleteQuote(quotes_pb2.DeleteQuoteRequest(id=quote.id))
    assert await left(depot, stocked) == "10"


async def test_a_quote_in_parts_holds_from_the_nearest_first(office: Shop, depot: Depot) -> None:
    product = await office.product()
    munich, hamburg = await depot.warehouse("M", MUNICH), await depot.warehouse("HH", HAMBURG)
    await depot.say(level("M", "C-1", 1, 5), level("HH", "C-1", 1, 5))
    deal = await depot.shop.deal()
    quote = await depot.shop.quote(deal.id, line(product, "4"), line(product, "3"))
    hold = await depot.hold(quote, delivery_location=BREMEN)
    assert [(each.warehouse_id, each.quantity) for each in hold.promises] == [
        (hamburg.id, "4"), (munich.id, "3"),
    ]  # fmt: skip


async def test_supply_below_promises_is_a_shortfall_and_the_older_are_served_first(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    older, reserved, younger = [await depot.wanted(stocked, 3) for _ in range(3)]
    await depot.hold(older)
    await depot.hold(younger)
    await depot.hold(reserved)
    await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=reserved.id))
    await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=reserved.id))
    await depot.say(level("HH", "C-1", 2, 4))
    found = await depot.inventory.ListStockItems(pb.ListStockItemsRequest(filter="shortfall > 0"))
    (item,) = found.stock_items
    assert item.shortfall == "5"
    assert (await refusal(depot.hold(await depot.wanted(stocked, 1))))[1] == "STOCK_NOT_AVAILABLE"
    ranked = await depot.inventory.ListStockPromises(pb.ListStockPromisesRequest(id=item.id))
    assert [(each.quote_id, each.covered) for each in ranked.stock_promises] == [
        (reserved.id, "3"), (older.id, "1"), (younger.id, "0"),
    ]  # fmt: skip
    events = await shop.stack.events()
    await shop.stack.settled()
    subject = f"events.{shop.stack.tenant}.sfa.quotes.v1.StockShortfall"
    reading = await events.subscribe(subject, stream="QUOTES", ordered_consumer=True)
    said = (await reading.next_msg(timeout=5)).data
    from sfa.quotes.v1 import events_pb2

    assert events_pb2.StockShortfall.FromString(said).stock_item.shortfall == "5"
    await depot.say(level("HH", "C-1", 3, 40))
    assert (await depot.inventory.GetStockItem(pb.GetStockItemRequest(id=item.id))).shortfall == "0"


async def test_whose_the_promises_are_is_seen_by_who_may_see_the_quotes(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    theirs = await Depot(Shop(shop.stack, "rep", name="ben")).wanted(stocked, 4)
    ours = await depot.wanted(stocked, 3)
    for quote in (theirs, ours):
        await depot.hold(quote)
    (item,) = (await depot.inventory.ListStockItems(pb.ListStockItemsRequest())).stock_items
    asked = pb.ListStockPromisesRequest(id=item.id)
    seen = [each.quote_id for each in (await depot.inventory.ListStockPromises(asked)).stock_promises]
    assert seen == [theirs.id, ours.id]
    own = await Depot(shop, "rep").inventory.ListStockPromises(asked)
    assert [(each.quote_id, each.quantity) for each in own.stock_promises] == [("", "4"), (ours.id, "3")]
    assert not own.stock_promises[0].line_id


async def test_a_hold_for_a_later_day_takes_from_what_comes(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    at = (shop.stack.clock.now() + timedelta(days=9)).date()
    due = Date(year=at.year, month=at.month, day=at.day)
    await depot.say(
        erp.ReceiptScheduled(
            receipt="R", version=1, warehouse="HH", product="C-1", quantity="5", due_date=due
        )
    )
    await depot.hold(await depot.wanted(stocked, 12), need_date=due)
    assert await left(depot, stocked) == "3"
    assert (await depot.available(stocked, 4, need_date=due)).missing == "1"


async def test_many_at_once_get_no_more_than_there_is(depot: Depot, stocked: products_pb2.Product) -> None:
    quotes = [await depot.wanted(stocked, 1) for _ in range(30)]

    answers = await asyncio.gather(*map(depot.hold, quotes), return_exceptions=True)
    refused = [each.code() for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert refused == [grpc.StatusCode.FAILED_PRECONDITION] * 20
    assert await left(depot, stocked) == "0"


async def test_a_quote_that_ends_while_it_waits_for_stock_keeps_none(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    quote = await depot.wanted(stocked, 6)
    await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))
    other, watcher = await shop.stack.connect("quotes"), await shop.stack.connect("quotes")
    try:
        await other.execute(f"SET app.tenant = '{shop.stack.tenant}'; SET search_path = app, public")
        await other.execute("BEGIN; SELECT 1 FROM stock_items FOR UPDATE")

        async def waiting(least: int) -> bool:
            return bool(await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") >= least)

        holding = asyncio.ensure_future(depot.hold(quote))
        await eventually(lambda: waiting(1))
        end = quotes_pb2.RejectQuoteRequest(id=quote.id, end_reason="Too dear")
        rejecting = asyncio.ensure_future(shop.quotes.RejectQuote(end))
        await eventually(lambda: waiting(2))
        await other.execute("ROLLBACK")
        await asyncio.gather(holding, rejecting)
    finally:
        await other.close()
        await watcher.close()
    assert await held(depot, quote) == []
    assert await left(depot, stocked) == "10"


async def test_who_waits_too_long_for_stock_is_told_to_come_again(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    quote = await depot.wanted(stocked, 6)
    other = await shop.stack.connect("quotes")
    try:
        await other.execute(f"SET app.tenant = '{shop.stack.tenant}'; SET search_path = app, public")
        await other.execute("BEGIN; SELECT 1 FROM stock_items FOR UPDATE")
        code, reason, _ = await refusal(depot.hold(quote))
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_BUSY")
    finally:
        await other.close()
    assert promises(await depot.hold(quote)) == [(HOLD, "6")]


async def test_a_quote_holds_and_reserves_by_the_day_that_the_customer_asked_for(
    depot: Depot, stocked: products_pb2.Product, shop: Shop
) -> None:
    later = shop.stack.clock.now().date() + timedelta(days=20)
    asked = Date(year=later.year, month=later.month, day=later.day)
    await depot.say(
        erp.ReceiptScheduled(
            receipt="R1", version=1, warehouse="HH", product="C-1", quantity="5", due_date=asked
        )
    )
    quote = await depot.wanted(stocked, 15, requested_date=asked)
    (promise,) = (await depot.hold(quote)).promises
    assert (promise.quantity, promise.need_date) == ("15", asked)
    await depot.inventory.ReleaseStock(pb.ReleaseStockRequest(id=quote.id))
    await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))
    await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=quote.id))
    assert await held(depot, quote) == [(RESERVATION, "15")]
