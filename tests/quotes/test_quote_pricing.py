"""A quote from end to end: list prices, promotions, what is given by hand and tax as one price, explained;
and what sending, acceptance and the other endings do to redemptions, stock and orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.money_pb2 import Money
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sfa.quotes.v1 import inventory_pb2, orders_pb2, pricing_pb2, products_pb2, promotions_pb2, taxes_pb2
from sfa.quotes.v1 import quotes_pb2 as pb
from sfa.quotes.v1.taxes_pb2_grpc import TaxServiceStub

from chassis.convert import money_of
from tests.quotes.promotions import Promotions, amount_off, percent_off
from tests.quotes.service import Shop, euros, line, refusal
from tests.quotes.warehouse import Depot, level


@pytest.fixture
def promotions(office: Shop) -> Promotions:
    """Promotions as sales operations see them."""
    return Promotions(office.stack, "operations")


async def explained(shop: Shop, quote: pb.Quote) -> dict[str, list[tuple[str, str]]]:
    """The steps of each line, by its description, as kinds and texts."""
    answer = await shop.quotes.ExplainQuote(pb.ExplainQuoteRequest(id=quote.id))
    names = {each.id: each.description for each in quote.lines}
    lines = {each.id: each for each in quote.lines}
    for each in answer.lines:
        paid = amount(lines[each.line_id].total)
        if not quote.prices_include_tax and lines[each.line_id].HasField("tax_amount"):
            paid += amount(lines[each.line_id].tax_amount)
        assert sum(amount(step.amount) for step in each.steps) == amount(each.steps[-1].after) == paid
    return {names[each.line_id]: [(step.kind, step.text) for step in each.steps] for each in answer.lines}


def amount(value: Money) -> Decimal:
    return money_of(value, "amount").amount


def check_sums(quote: pb.Quote) -> None:
    """Lines add up to totals, tax by lines to tax by rates."""
    counted = [
        each for each in quote.lines if each.is_chosen or not (each.is_optional or each.alternative_group)
    ]

    def total(name: str, items: Sequence[Any]) -> Decimal:
        return sum((amount(getattr(each, name)) for each in items if each.HasField(name)), Decimal(0))

    assert amount(quote.total) == total("total", counted)
    assert amount(quote.subtotal) == total("subtotal", counted)
    assert amount(quote.subtotal) - amount(quote.discount_total) == amount(quote.total)
    assert amount(quote.tax_total) == total("tax_amount", counted) == total("amount", quote.taxes)
    extra = Decimal(0) if quote.prices_include_tax else amount(quote.tax_total)
    assert amount(quote.payable_total) == amount(quote.total) + extra
    for each in quote.lines:
        assert amount(each.subtotal) - amount(each.discount_amount) == amount(each.total) >= 0
    if quote.payment_schedule:
        assert total("amount", quote.payment_schedule) == amount(quote.payable_total)


async def test_promotions_come_before_what_is_given_by_hand_and_before_tax(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    taxes = TaxServiceStub(shop.stack.channel("quotes", "operations"))
    rate = taxes_pb2.TaxRate(region="DE", percent="19")
    await taxes.CreateTaxRate(taxes_pb2.CreateTaxRateRequest(tax_rate=rate))
    await promotions.active("TEN")
    chair, table = await office.product("C-1", euros(100)), await office.product("T-1", euros(50))
    quote = await shop.quote(
        (await shop.deal()).id,
        line(chair, discount_percent="50"),
        line(table),
        discount_value=euros(9),
        tax_region="DE",
    )
    first, second = quote.lines
    assert (first.promotion_amount, first.discount_share, first.total) == (
        euros(10),
        euros(4, 50),
        euros(40, 50),
    )
    assert (second.promotion_amount, second.discount_share, second.total) == (
        euros(5), euros(4, 50), euros(40, 50),
    )  # fmt: skip
    assert (quote.total, quote.tax_total, quote.payable_total) == (euros(81), euros(15, 40), euros(96, 40))
    assert [(each.code, each.discount) for each in quote.promotions] == [("TEN", euros(15))]
    check_sums(quote)
    steps = (await explained(shop, quote))["Product C-1"]
    assert steps == [
        ("list", "List price (Standard)"),
        ("promotion", "Promotion TEN (TEN)"),
        ("manual_discount", "Discount given by hand: 50 percent"),
        ("quote_discount", "Share of the discount on the whole quote"),
        ("tax", "Tax of 19 percent"),
    ]


async def test_a_quote_comes_to_what_its_cart_comes_to(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    """By hand, by promotion and by tax are rounded alike, whether there is a quote yet or not."""
    taxes = TaxServiceStub(shop.stack.channel("quotes", "operations"))
    rate = taxes_pb2.TaxRate(region="DE", percent="19")
    await taxes.CreateTaxRate(taxes_pb2.CreateTaxRateRequest(tax_rate=rate))
    await promotions.active("PART", benefit=percent_off("33.333"))
    products = [
        await office.product(f"C-{cents}", euros(cents // 100, cents % 100)) for cents in (1927, 26158, 33)
    ]
    deal = await shop.deal()
    for includes in (False, True):
        asked = [line(each, "3", discount_percent="12.5") for each in products]
        quote = await shop.quote(
            deal.id, *asked, discount_percent="3.3", tax_region="DE", prices_include_tax=includes
        )
        check_sums(quote)
        await explained(shop, quote)
        cart = pricing_pb2.Cart(
            currency="EUR",
            prices_include_tax=includes,
            discount_percent="3.3",
            lines=[
                pricing_pb2.Cart.Line(
                    product_id=each.id, quantity="3", discount_percent="12.5", tax_percent="19"
                )
                for each in products
            ],
        )
        priced = await promotions.pricing.EvaluatePromotions(pricing_pb2.EvaluatePromotionsRequest(cart=cart))
        assert quote.payable_total == priced.totals.total
        assert [each.total for each in quote.lines] == [each.amount for each in priced.lines]


async def test_a_coupon_opens_its_promotion_and_what_is_missing_is_said(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    coupon = await promotions.active("SPRING", benefit=percent_off("20"), needs_coupon=True)
    await promotions.coupon_batch(coupon, "MAY26")
    chair = await office.product("C-1", euros(100))
    quote = await shop.quote((await shop.deal()).id, line(chair))
    assert (quote.total, list(quote.promotions)) == (euros(100), [])
    why = await shop.quotes.ExplainQuote(pb.ExplainQuoteRequest(id=quote.id))
    assert [each.name for each in why.unused] == ["Promotion SPRING"]
    assert why.unused[0].reason
    quote = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(id=quote.id, quote=pb.Quote(coupon_codes=["may26 "]))
    )
    assert (quote.total, quote.promotions[0].coupon_code) == (euros(80), "MAY26")
    gone = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(id=quote.id, quote=pb.Quote(), update_mask=FieldMask(paths=["coupon_codes"]))
    )
    assert (gone.total, list(gone.promotions)) == (euros(100), [])


async def test_gifts_and_free_shipping_come_and_go_with_their_promotions(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    chair, pen = await office.product("C-1", euros(100)), await office.product("P-1", euros(3))
    gift = await promotions.active(
        "PEN", benefit=promotions_pb2.Benefit(gift=promotions_pb2.Gift(product_id=pen.id, quantity="2"))
    )
    await promotions.active(
        "SHIP", benefit=promotions_pb2.Benefit(free_shipping=promotions_pb2.FreeShipping())
    )
    freight = pb.QuoteLine(
        kind=pb.QuoteLine.FREIGHT, description="Freight", quantity="1", unit_price=euros(7)
    )
    quote = await shop.quote((await shop.deal()).id, line(chair), freight)
    assert [(each.description, each.total, each.is_gift) for each in quote.lines] == [
        ("Product C-1", euros(100), False),
        ("Freight", euros(0), False),
        ("Product P-1", euros(0), True),
    ]
    check_sums(quote)
    same = await shop.quotes.UpdateQuote(
        pb.UpdateQuoteRequest(id=quote.id, quote=quote, update_mask=FieldMask(paths=["lines"]))
    )
    assert same.etag == quote.etag  # a client may send back what it read
    await promotions.rpc.PausePromotion(promotions_pb2.PausePromotionRequest(id=gift.id))
    less = await shop.quotes.RepriceQuote(pb.RepriceQuoteRequest(id=quote.id))
    assert [each.description for each in less.lines] == ["Product C-1", "Freight"]


async def test_a_promotion_that_ended_is_shown_before_the_quote_is_sent(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    made = await promotions.active("TEN")
    chair = await office.product("C-1", euros(100))
    quote = await shop.quote((await shop.deal()).id, line(chair))
    assert quote.total == euros(90)
    await promotions.rpc.PausePromotion(promotions_pb2.PausePromotionRequest(id=made.id))
    sending = shop.quotes.SendQuote(pb.SendQuoteRequest(id=quote.id))
    assert (await refusal(sending))[1] == "QUOTE_CHANGED"


async def test_from_draft_to_order_and_to_the_other_endings(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    depot = Depot(shop)
    chair = await office.product("C-1", euros(100))
    await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 10))
    made = await promotions.active("TEN", limits=promotions_pb2.Limits(max_redemptions=2))
    deal = await shop.deal()

    async def standing() -> tuple[int, int, str]:
        """How often it is reserved and consumed, and how many chairs can be had."""
        usage = await promotions.usage(made)
        found = await depot.available(chair, 1000)
        return usage.reserved_count, usage.consumed_count, str(1000 - int(found.missing))

    async def sent(quantity: str) -> pb.Quote:
        draft = await shop.quote(deal.id, line(chair, quantity))
        await depot.hold(draft)
        return await shop.quotes.SendQuote(pb.SendQuoteRequest(id=draft.id))

    draft = await shop.quote(deal.id, line(chair, "3"))
    assert (draft.total, await standing()) == (euros(270), (0, 0, "10"))  # pricing reserves nothing
    quote = await sent("3")
    assert (quote.total, await standing()) == (euros(270), (1, 0, "7"))
    accepted = await shop.quotes.AcceptQuote(pb.AcceptQuoteRequest(id=quote.id))
    assert await standing() == (0, 1, "7")
    order = await shop.orders.GetOrder(orders_pb2.GetOrderRequest(id=accepted.order_id))
    assert (order.total, order.lines[0].promotion_amount) == (euros(270), euros(30))

    endings: list[Callable[[str], Awaitable[Any]]] = [
        lambda id: shop.quotes.RejectQuote(pb.RejectQuoteRequest(id=id)),
        lambda id: shop.quotes.CancelQuote(pb.CancelQuoteRequest(id=id)),
        lambda id: shop.quotes.ReviseQuote(pb.ReviseQuoteRequest(id=id)),
    ]
    for end in endings:
        other = await sent("2")
        assert await standing() == (1, 1, "5")
        await end(other.id)
        assert await standing() == (0, 1, "7")

    last = await sent("1")
    too_many = await shop.quote(deal.id, line(chair))
    assert too_many.total == euros(100)  # nothing is left of it
    assert await standing() == (1, 1, "6")
    await shop.quotes.AcceptQuote(pb.AcceptQuoteRequest(id=last.id))
    assert await standing() == (0, 2, "6")


async def test_the_price_that_wins_is_said_in_the_steps(shop: Shop, office: Shop) -> None:
    chair = await office.product("C-1", euros(100))
    book = await office.prices.CreatePriceBook(
        products_pb2.CreatePriceBookRequest(
            price_book=products_pb2.PriceBook(name="Partners", is_automatic=True, segments=["partner"])
        )
    )
    entry = products_pb2.PriceBookEntry(price_book_id=book.id, product_id=chair.id, unit_price=euros(80))
    row = products_pb2.BatchUpsertPriceBookEntriesRequest.Row(price_book_entry=entry)
    await office.prices.BatchUpsertPriceBookEntries(
        products_pb2.BatchUpsertPriceBookEntriesRequest(rows=[row])
    )
    deal = await shop.deal()
    plain = await shop.quote(deal.id, line(chair))
    partner = await shop.quote(deal.id, line(chair, unit_price=euros(75)), segments=["partner"])
    assert (plain.total, partner.lines[0].list_price, partner.total) == (euros(100), euros(80), euros(75))
    assert (await explained(shop, plain))["Product C-1"] == [("list", "List price (Standard)")]
    assert (await explained(shop, partner))["Product C-1"] == [
        ("list", "List price (Partners)"),
        ("manual_price", "Unit price 75 given by hand"),
    ]


_LINES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 99_999), st.integers(0, 40), st.booleans()),
    min_size=1,
    max_size=6,
)


async def test_lines_add_up_to_totals_in_every_currency_and_rounding_rule(
    shop: Shop, office: Shop, promotions: Promotions
) -> None:
    taxes = TaxServiceStub(shop.stack.channel("quotes", "operations"))
    for tax_class, percent in (("standard", "19"), ("reduced", "7.125")):
        rate = taxes_pb2.TaxRate(region="DE", percent=percent, tax_class=tax_class)
        await taxes.CreateTaxRate(taxes_pb2.CreateTaxRateRequest(tax_rate=rate))
    await promotions.active("SEVEN", benefit=percent_off("7.5"))
    await promotions.active("OFF", benefit=amount_off("3"), currency="EUR")
    deal = await shop.deal()
    cases: list[tuple[Any, ...]] = []

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        _LINES,
        st.sampled_from(["EUR", "JPY", "KWD"]),
        st.sampled_from([taxes_pb2.TaxSettings.PER_LINE, taxes_pb2.TaxSettings.PER_DOCUMENT]),
        st.booleans(),
        st.integers(0, 30),
    )
    def collect(asked: Any, currency: str, rounding: Any, includes: bool, percent: int) -> None:
        cases.append((asked, currency, rounding, includes, percent))

    collect()
    for asked, currency, rounding, includes, percent in cases:
        await taxes.UpdateTaxSettings(
            taxes_pb2.UpdateTaxSettingsRequest(tax_settings=taxes_pb2.TaxSettings(rounding=rounding))
        )
        lines = [
            pb.QuoteLine(
                description=f"Item {index}",
                quantity=str(quantity),
                unit_price=Money(
                    currency_code=currency, units=thousandths // 1000, nanos=thousandths % 1000 * 10**6
                ),
                discount_percent=str(discount),
                tax_class="reduced" if reduced else "",
            )
            for index, (quantity, thousandths, discount, reduced) in enumerate(asked)
        ]
        quote = await shop.quote(
            deal.id,
            *lines,
            currency=currency,
            tax_region="DE",
            prices_include_tax=includes,
            discount_percent=str(percent),
            payment_schedule=[pb.Instalment(percent="33.3333"), pb.Instalment(percent="66.6667")],
        )
        check_sums(quote)
        await explained(shop, quote)
        again = await shop.quotes.RepriceQuote(pb.RepriceQuoteRequest(id=quote.id))
        assert again.etag == quote.etag  # the same day, the same price


async def test_stock_that_went_is_shown_before_the_quote_is_sent(shop: Shop, office: Shop) -> None:
    depot = Depot(shop)
    chair = await office.product("C-1", euros(100))
    await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 10))
    quote = await shop.quote((await shop.deal()).id, line(chair, "8"))
    other = await depot.wanted(chair, 5)
    await depot.hold(other)
    sending = shop.quotes.SendQuote(pb.SendQuoteRequest(id=quote.id))
    assert (await refusal(sending))[1:] == ("QUOTE_CHANGED", "lines[0].quantity")
    await depot.inventory.ReleaseStock(inventory_pb2.ReleaseStockRequest(id=other.id))
    assert (await shop.quotes.SendQuote(pb.SendQuoteRequest(id=quote.id))).state == pb.Quote.SENT
