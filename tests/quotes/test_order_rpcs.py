"""Orders over gRPC and over the broker: complete for an ERP, and moved by what it says in any order."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.api.v1.channels_pb2 import Address
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.contacts.v1 import contacts_pb2
from sfa.contacts.v1.contacts_pb2_grpc import AccountServiceStub
from sfa.erp.v1 import messages_pb2 as erp
from sfa.opportunities.v1 import opportunities_pb2 as deals
from sfa.quotes.v1 import events_pb2, promotions_pb2, quotes_pb2, reports_pb2
from sfa.quotes.v1 import orders_pb2 as pb
from sfa.quotes.v1.reports_pb2_grpc import ReportServiceStub

from chassis.ids import new_id
from tests.eventually import eventually
from tests.quotes.promotions import Promotions
from tests.quotes.service import Shop, euros, line, refusal
from tests.quotes.warehouse import Depot, Erp, level, shipment
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.contacts.v1.contacts_pb2_grpc import AccountServiceAsyncStub
    from sfa.quotes.v1.reports_pb2_grpc import ReportServiceAsyncStub

Code = grpc.StatusCode
Order = pb.Order


class Books:
    """The ERP's way in by REST."""

    def __init__(self, stack: Stack) -> None:
        self.reports: ReportServiceAsyncStub = ReportServiceStub(stack.channel("quotes", "integration"))

    async def say(self, *messages: Any) -> list[RowResult]:
        """One report a call; what became of each."""
        results: list[RowResult] = []
        for message in messages:
            verb, request = self._way(message)
            results += (await verb(request(rows=[message]))).results
        return results

    def _way(self, message: Any) -> tuple[Any, Any]:
        reports = self.reports
        return {
            erp.OrderConfirmed: (
                reports.BatchUpsertOrderConfirmations, reports_pb2.BatchUpsertOrderConfirmationsRequest,
            ),
            erp.OrderRejected: (
                reports.BatchUpsertOrderRejections, reports_pb2.BatchUpsertOrderRejectionsRequest,
            ),
            erp.ShipmentReported: (reports.BatchUpsertShipments, reports_pb2.BatchUpsertShipmentsRequest),
            erp.InvoiceIssued: (reports.BatchUpsertInvoices, reports_pb2.BatchUpsertInvoicesRequest),
            erp.PaymentReceived: (reports.BatchUpsertPayments, reports_pb2.BatchUpsertPaymentsRequest),
        }[type(message)]  # fmt: skip


@pytest.fixture
def books(running: Stack) -> Books:
    """The ERP."""
    return Books(running)


async def ordered(shop: Shop, *lines: quotes_pb2.QuoteLine, **fields: Any) -> Order:
    """An order of these lines."""
    deal = await shop.deal(**({"account_id": fields["account_id"]} if "account_id" in fields else {}))
    sent = await shop.sent(deal.id, *lines, **fields)
    quote = await shop.quotes.AcceptQuote(
        quotes_pb2.AcceptQuoteRequest(id=sent.id, purchase_order_number="PO-7")
    )
    return await read(shop, quote.order_id)


async def read(shop: Shop, id: str) -> Order:
    return await shop.orders.GetOrder(pb.GetOrderRequest(id=id))


async def cancel(shop: Shop, order: Order) -> Order:
    return await shop.orders.CancelOrder(pb.CancelOrderRequest(id=order.id, cancel_reason="Not wanted."))


def confirmed(order: Order, version: int = 1, **fields: Any) -> erp.OrderConfirmed:
    return erp.OrderConfirmed(order=order.number, version=version, erp_order="4711", **fields)


def invoice(order: Order, number: str, version: int, euro: int) -> erp.InvoiceIssued:
    return erp.InvoiceIssued(invoice=number, version=version, order=order.number, total=euros(euro))


def payment(order: Order, number: str, version: int, euro: int) -> erp.PaymentReceived:
    return erp.PaymentReceived(payment=number, version=version, order=order.number, amount=euros(euro))


async def test_an_order_tells_an_erp_all_that_it_needs(shop: Shop, office: Shop, running: Stack) -> None:
    await running.start("contacts")
    accounts: AccountServiceAsyncStub = AccountServiceStub(running.channel("contacts"))
    customer = await accounts.CreateAccount(
        contacts_pb2.CreateAccountRequest(
            account=contacts_pb2.Account(
                name="Ada & Co.",
                external_ids=[ExternalId(system="erp", id="C-900")],
                addresses=[
                    Address(kind=Address.MAIN, street="Main Road 1", locality="Bonn", country_code="DE"),
                    Address(kind=Address.SHIPPING, street="Yard 2", locality="Kiel", country_code="DE"),
                ],
            )
        )
    )
    depot = Depot(office)
    chair = await office.product("C-1", external_ids=[ExternalId(system="erp", id="900-1")])
    await depot.warehouse("HH")
    await depot.say(level("HH", "C-1", 1, 6))
    await Promotions(running, "operations").active("SPRING")
    await running.settled()
    freight = quotes_pb2.QuoteLine(
        kind=quotes_pb2.QuoteLine.FREIGHT, description="Freight", quantity="1", unit_price=euros(9)
    )
    order = await ordered(
        shop,
        line(chair, "6", discount_percent="10"),
        line(chair, "1", is_optional=True),
        freight,
        account_id=customer.id,
        payment_days=30,
        payment_schedule=[
            quotes_pb2.Instalment(label="Now", percent="50"),
            quotes_pb2.Instalment(label="Later", percent="50", days=30),
        ],
        requested_date=Date(year=2099, month=1, day=2),
        terms="EXW",
    )
    who = order.customer
    assert (who.name, who.external_ids[0].id) == ("Ada & Co.", "C-900")
    assert (who.billing_address.street, who.shipping_address.street) == ("Main Road 1", "Yard 2")
    assert [each.description for each in order.lines] == ["Product C-1", "Freight"]
    assert (order.payable_total, order.payment_days, order.terms) == (euros(57, 60), 30, "EXW")
    assert [each.code for each in order.promotions] == ["SPRING"]
    assert (order.lines[0].promotion_amount, order.lines[0].total) == (euros(6), euros(48, 60))
    assert [each.amount for each in order.payment_schedule] == [euros(28, 80), euros(28, 80)]
    assert (order.requested_date.year, order.purchase_order_number) == (2099, "PO-7")
    goods, carriage = order.items
    assert (goods.product_code, goods.product_external_ids[0].id, goods.ordered_quantity) == (
        "C-1",
        "900-1",
        "6",
    )
    assert [(each.warehouse, each.quantity) for each in goods.reserved] == [("HH", "6")]
    assert (carriage.product_code, list(carriage.parts)) == ("", [])
    await running.settled()
    message = await (await running.events()).get_last_msg(
        "QUOTES", f"events.{running.tenant}.sfa.quotes.v1.OrderPlaced"
    )
    assert events_pb2.OrderPlaced.FromString(message.data or b"").order == order


async def test_what_the_erp_says_in_any_order_and_often_ends_the_same(
    shop: Shop, office: Shop, books: Books, running: Stack
) -> None:
    chair = await office.product("C-1")
    await office.product("T-1")
    table = line((await office.product("T-2")), "2")
    depot = Depot(office)
    await depot.warehouse("HH")
    made = [await ordered(shop, line(chair, "10"), table) for _ in range(4)]

    def script(number: int, order: Order) -> list[Any]:
        paper = f"{number}-{{}}".format
        return [
            erp.OrderRejected(order=order.number, version=1, reason="Wait."),
            confirmed(order, 2),
            confirmed(
                order, 3, lines=[
                    erp.OrderConfirmed.Line(
                        line_id=order.items[0].line_id, confirmed_quantity="6", backordered_quantity="4"
                    )
                ]
            ),
            shipment(paper("S1"), 1, "HH", order.number, C_1=9),
            shipment(paper("S1"), 2, "HH", order.number, C_1=6),
            shipment(paper("S2"), 1, "HH", order.number, C_1=2, T_2=2),
            shipment(paper("S3"), 1, "HH", order.number, C_1=1),
            shipment(paper("S3"), 2, "HH", order.number),
            invoice(order, paper("I1"), 1, 100),
            invoice(order, paper("I1"), 2, 80),
            payment(order, paper("P1"), 1, 10),
            payment(order, paper("P2"), 1, 50),
        ]  # fmt: skip

    async def tell(number: int, order: Order) -> None:
        dice = random.Random(number)
        messages = script(number, order)
        messages += dice.sample(messages, 4)
        dice.shuffle(messages)
        await books.say(*messages)

    await asyncio.gather(*(tell(number, order) for number, order in enumerate(made)))
    ended = [await read(shop, order.id) for order in made]
    for order in ended:
        assert order.state == Order.PARTLY_SHIPPED
        assert [each.shipped_quantity for each in order.items] == ["8", "2"]
        assert (order.items[0].confirmed_quantity, order.items[0].backordered_quantity) == ("6", "2")
        assert [len(each.products) for each in order.shipments] == [1, 2, 0]
        assert (order.invoiced_total, order.paid_total, order.erp_order) == (euros(80), euros(60), "4711")
    first = ended[0]
    last = [
        shipment("0-S4", 1, "HH", first.number, C_1=2),
        invoice(first, "0-I2", 1, 40),
        payment(first, "0-P3", 1, 60),
    ]
    assert [each.outcome for each in await books.say(*last)] == [RowResult.UPDATED] * 3
    assert (await read(shop, first.id)).state == Order.PAID
    assert [each.outcome for each in await books.say(*last)] == [RowResult.UNCHANGED] * 3
    listed = await shop.orders.ListOrders(pb.ListOrdersRequest(filter="state = PAID"))
    assert [each.id for each in listed.orders] == [first.id]
    versions = await shop.orders.ListOrderVersions(pb.ListOrderVersionsRequest(id=first.id))
    assert [each.event for each in versions.versions][:3] == ["OrderPaid", "OrderInvoiced", "OrderShipped"]


async def test_events_of_the_erp_do_the_same_as_its_reports(shop: Shop, office: Shop, running: Stack) -> None:
    chair = await office.product("C-1")
    await Depot(office).warehouse("HH")
    order = await ordered(shop, line(chair, "10"))
    async with Erp(running) as system:
        await system.say(payment(order, "P1", 1, 100))
        await system.say(invoice(order, "I1", 1, 100), "json")
        await system.say(shipment("S1", 1, "HH", order.number, C_1=10), "binary")
        await system.say(confirmed(order))
        await system.say(confirmed(order))

        async def paid() -> bool:
            return (await read(shop, order.id)).state == Order.PAID

        await eventually(paid, "the payment")


async def test_a_shipment_that_was_for_another_order_moves(shop: Shop, office: Shop, books: Books) -> None:
    chair = await office.product("C-1")
    await Depot(office).warehouse("HH")
    one, other = [await ordered(shop, line(chair, "5")) for _ in range(2)]
    await books.say(shipment("S1", 1, "HH", one.number, C_1=5))
    assert (await read(shop, one.id)).state == Order.SHIPPED
    await books.say(shipment("S1", 2, "HH", other.number, C_1=5))
    assert (await read(shop, one.id)).state == Order.PLACED
    assert (await read(shop, other.id)).state == Order.SHIPPED


async def test_what_is_no_order_of_ours_or_in_other_money_is_refused(
    shop: Shop, office: Shop, books: Books
) -> None:
    chair = await office.product("C-1")
    order = await ordered(shop, line(chair))
    (unknown,) = await books.say(erp.OrderConfirmed(order="O-999999", version=1))
    assert (unknown.outcome, unknown.reason) == (RowResult.REJECTED, "REPORTED_ORDER_UNKNOWN")
    dollars = invoice(order, "I1", 1, 10)
    dollars.total.currency_code = "USD"
    (wrong,) = await books.say(dollars)
    assert (wrong.outcome, wrong.reason) == (RowResult.REJECTED, "REPORTED_CURRENCY_DIFFERS")
    assert (await read(shop, order.id)).state == Order.PLACED


async def test_a_rep_cancels_what_the_erp_has_not_booked_and_the_deal_stays_won(
    shop: Shop, office: Shop, books: Books, running: Stack
) -> None:
    depot = Depot(office)
    chair = await office.product("C-1")
    await depot.warehouse("HH")
    await depot.say(level("HH", "C-1", 1, 10))
    order = await ordered(shop, line(chair, "4"))
    await running.settled()
    won = await shop.deals.GetOpportunity(deals.GetOpportunityRequest(id=order.opportunity_id))
    assert won.state == deals.Opportunity.WON
    assert (await depot.available(chair, 10)).missing == "4"
    cancelled = await cancel(shop, order)
    assert (cancelled.state, cancelled.cancel_reason) == (Order.CANCELLED, "Not wanted.")
    assert (await depot.available(chair, 10)).missing == "0"
    await running.settled()
    after = await shop.deals.GetOpportunity(deals.GetOpportunityRequest(id=order.opportunity_id))
    (notice,) = after.order_notices
    assert (notice.order_id, notice.reason) == (order.id, "Not wanted.")
    for each in (won, after):
        for changed in ("etag", "update_time", "effective_time", "order_notices"):
            each.ClearField(changed)
    assert after == won
    message = await (await running.events()).get_last_msg(
        "QUOTES", f"events.{running.tenant}.sfa.quotes.v1.OrderCancelled"
    )
    told = events_pb2.OrderCancelled.FromString(message.data or b"").order
    assert (told.owner_id, told.opportunity_id) == (order.owner_id, order.opportunity_id)
    await books.say(confirmed(order))
    assert (await read(shop, order.id)).attention.startswith("It was cancelled here")


async def test_what_the_erp_has_booked_is_cancelled_there(
    shop: Shop, office: Shop, books: Books, running: Stack
) -> None:
    depot = Depot(office)
    chair = await office.product("C-1")
    await depot.warehouse("HH")
    await depot.say(level("HH", "C-1", 1, 10))
    order = await ordered(shop, line(chair, "4"))
    await books.say(confirmed(order))
    assert (await refusal(cancel(shop, order)))[:2] == (Code.FAILED_PRECONDITION, "ORDER_IS_CONFIRMED")
    await books.say(erp.OrderRejected(order=order.number, version=2, reason="Cancelled by the customer."))
    rejected = await read(shop, order.id)
    assert (rejected.state, rejected.reject_reason) == (Order.REJECTED, "Cancelled by the customer.")
    assert (await depot.available(chair, 10)).missing == "0"
    assert (await refusal(cancel(shop, order)))[1] == "ORDER_IS_REJECTED"


async def test_an_order_that_came_to_nothing_was_not_the_first(
    shop: Shop, office: Shop, books: Books, running: Stack
) -> None:
    promotions = Promotions(running, "operations")
    await promotions.active("FIRST", conditions=promotions_pb2.Conditions(first_order=True))
    chair, customer = await office.product("C-1"), str(new_id())

    async def total() -> Money:
        deal = await shop.deal(account_id=customer)
        return (await shop.quote(deal.id, line(chair), account_id=customer)).total

    assert await total() == euros(9)
    order = await ordered(shop, line(chair), account_id=customer)
    assert await total() == euros(10)
    await books.say(erp.OrderRejected(order=order.number, version=1, reason="Wrong address."))
    assert await total() == euros(9)


async def test_what_the_erp_takes_after_all_is_reserved_again(
    shop: Shop, office: Shop, books: Books, running: Stack
) -> None:
    depot = Depot(office)
    chair = await office.product("C-1")
    await depot.warehouse("HH")
    await depot.say(level("HH", "C-1", 1, 10))
    order = await ordered(shop, line(chair, "4"))
    rejected = erp.OrderRejected(order=order.number, version=1, reason="Wrong address.")
    await books.say(rejected)
    await depot.say(level("HH", "C-1", 2, 3))
    for _ in range(2):
        await books.say(confirmed(order, 2), rejected)
        again = await read(shop, order.id)
        assert (again.state, again.attention) == (Order.CONFIRMED, "")
        assert [each.quantity for each in again.items[0].reserved] == ["3"]
        assert (await depot.available(chair, 3)).missing == "3", "once, as far as it can be had"


async def test_promotions_follow_what_the_erp_says_of_their_orders(
    shop: Shop, office: Shop, books: Books
) -> None:
    promotions = Promotions(office.stack, "operations")
    promotion = await promotions.active(limits=promotions_pb2.Limits(max_redemptions=2), currency="EUR")
    chair = await office.product("C-1")
    orders = [await ordered(shop, line(chair)) for _ in range(2)]
    asked = reports_pb2.BatchUpsertOrderRejectionsRequest(
        rows=[erp.OrderRejected(order=each.number, version=1, reason="No.") for each in orders],
        request_id="both",
    )
    for _ in range(2):
        await books.reports.BatchUpsertOrderRejections(asked)
        assert (await promotions.usage(promotion)).consumed_count == 0
    await books.say(confirmed(orders[0], 2))
    await books.say(confirmed(orders[0], 3))
    usage = await promotions.usage(promotion)
    assert (usage.consumed_count, usage.consumed_amount.units) == (1, 1)


async def test_a_cancelled_order_gives_back_what_it_used_of_promotions(shop: Shop, office: Shop) -> None:
    promotions = Promotions(office.stack, "operations")
    chair = await office.product("C-1")
    promotion = await promotions.active(limits=promotions_pb2.Limits(max_redemptions=1), currency="EUR")
    order = await ordered(shop, line(chair))
    assert [each.code for each in order.promotions] == ["P-1"]
    used = await promotions.usage(promotion)
    assert (used.consumed_count, used.reserved_count) == (1, 0)
    assert not (await ordered(shop, line(chair))).promotions
    await cancel(shop, order)
    used = await promotions.usage(promotion)
    assert (used.consumed_count, used.consumed_amount.units, used.reserved_count) == (0, 0, 0)
    assert (await refusal(cancel(shop, order)))[1] == "ORDER_ALREADY_CANCELLED"
    assert len((await ordered(shop, line(chair))).promotions) == 1


async def test_of_a_cancellation_and_a_confirmation_at_once_neither_is_lost(
    shop: Shop, office: Shop, books: Books
) -> None:
    chair = await office.product("C-1")
    for _ in range(4):
        order = await ordered(shop, line(chair))
        answers = await asyncio.gather(
            cancel(shop, order), books.say(confirmed(order)), return_exceptions=True
        )
        after = await read(shop, order.id)
        if isinstance(answers[0], Exception):
            assert (after.state, after.attention) == (Order.CONFIRMED, "")
        else:
            assert (after.state, bool(after.attention)) == (Order.CANCELLED, True)
