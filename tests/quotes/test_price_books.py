"""Price books and prices over gRPC: whom they are for, contracts, tiers, units, and why a price won."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.api.v1.resource_pb2 import RowResult
from sfa.quotes.v1 import products_pb2 as pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.quotes.service import Shop, euros, refusal
from tests.stack import Stack

Code = grpc.StatusCode
Found = pb.PriceResolution
pytestmark = pytest.mark.caller(role="operations")


@pytest.fixture
async def running(shared: Join) -> Stack:
    """The catalogue asks nobody."""
    return await shared("quotes")


async def book(shop: Shop, name: str = "Book", **fields: Any) -> pb.PriceBook:
    asked = pb.PriceBook(name=name, **{"is_automatic": True, **fields})
    return await shop.prices.CreatePriceBook(pb.CreatePriceBookRequest(price_book=asked))


def entry(product: pb.Product, price: Money | int, **fields: Any) -> pb.PriceBookEntry:
    amount = euros(price) if isinstance(price, int) else price
    return pb.PriceBookEntry(product_id=product.id, unit_price=amount, **fields)


async def put(shop: Shop, *entries: pb.PriceBookEntry) -> list[RowResult]:
    rows = [pb.BatchUpsertPriceBookEntriesRequest.Row(price_book_entry=each) for each in entries]
    request = pb.BatchUpsertPriceBookEntriesRequest(rows=rows)
    return list((await shop.prices.BatchUpsertPriceBookEntries(request)).results)


async def find(shop: Shop, product: pb.Product, quantity: str = "", unit: str = "", **context: Any) -> Found:
    line = pb.FindPricesRequest.Line(product_id=product.id, quantity=quantity, unit=unit)
    request = pb.FindPricesRequest(lines=[line], **{"currency": "EUR", **context})
    (found,) = (await shop.prices.FindPrices(request)).resolutions
    return found


def day(year: int, month: int = 1, of_month: int = 1) -> Date:
    return Date(year=year, month=month, day=of_month)


async def test_the_price_that_fits_best_wins_and_says_why_the_others_lost(shop: Shop) -> None:
    water = await shop.product(units=[pb.ProductUnit(code="box", numerator=12)])
    retail = await book(shop, "Retail", segments=["retail"], territories=["DE"])
    web = await book(shop, "Web", channels=["web"])
    partners = await book(shop, "Partners", is_automatic=False)
    customer = str(new_id())
    results = await put(
        shop,
        entry(water, 9, price_book_id=retail.id),
        entry(water, 8, price_book_id=web.id),
        entry(water, 7, price_book_id=partners.id),
        entry(water, 6, account_id=customer),
        entry(water, 60, unit="box"),
    )
    assert [each.outcome for each in results] == [RowResult.CREATED] * 5
    asked: dict[str, Any] = {"segments": ["retail"], "territories": ["DE-BY", "DE"], "channel": "web"}

    found = await find(shop, water, **asked)
    assert (found.unit_price, found.price_book_name) == (euros(9), "Retail")
    assert {(each.price_book_name, each.reason) for each in found.lost} == {
        ("Standard", Found.LESS_SPECIFIC),
        ("Web", Found.LESS_SPECIFIC),
    }
    assert (await find(shop, water, channel="web")).unit_price == euros(8)
    assert (await find(shop, water)).unit_price == euros(10)
    boxes = await find(shop, water, "2", "box")
    assert (boxes.unit_price, boxes.amount, boxes.is_converted) == (euros(60), euros(120), False)
    contract = await find(shop, water, "2", "box", account_id=customer, **asked)
    assert (contract.unit_price, contract.amount, contract.is_converted) == (euros(72), euros(144), True)
    assert contract.lost[-1].reason == Found.CONTRACT_AHEAD
    named = await find(shop, water, price_book_id=partners.id)
    assert (named.unit_price, named.price_book_name) == (euros(7), "Partners")


async def test_a_contract_is_shown_to_no_other_customer(shop: Shop) -> None:
    water = await shop.product()
    await put(shop, entry(water, 6, account_id=str(new_id())))
    found = await find(shop, water, account_id=str(new_id()), show_all=True)
    assert (found.unit_price, list(found.lost)) == (euros(10), [])


async def test_all_prices_are_named_where_that_is_asked_for(shop: Shop) -> None:
    water = await shop.product()
    await put(
        shop,
        entry(water, 5, valid_from=day(2019), valid_to=day(2020)),
        entry(water, 4, valid_from=day(2999)),
        entry(water, Money(currency_code="USD", units=11)),
    )
    narrow = await find(shop, water)
    assert not narrow.lost
    wide = await find(shop, water, show_all=True)
    assert {each.reason for each in wide.lost} == {
        Found.NO_LONGER_VALID,
        Found.NOT_YET_VALID,
        Found.OTHER_CURRENCY,
    }
    assert wide.unit_price == narrow.unit_price == euros(10)
    nothing = await find(shop, water, currency="CHF", show_all=True)
    assert (nothing.HasField("unit_price"), len(nothing.lost)) == (False, 4)


async def test_tiers_and_least_quantities(shop: Shop) -> None:
    water = await shop.product()
    tiers = [pb.PriceTier(from_quantity="10", unit_price=euros(9))]
    graduated = entry(water, 10, tiers=tiers, tier_mode=pb.PriceBookEntry.GRADUATED)
    (result,) = await put(shop, graduated)
    assert result.outcome == RowResult.UPDATED
    found = await find(shop, water, "15")
    assert (found.amount, found.unit_price) == (
        euros(145),
        Money(currency_code="EUR", units=9, nanos=666_666_667),
    )
    assert [(each.quantity, each.unit_price.units) for each in found.portions] == [("10", 10), ("5", 9)]
    (again,) = await put(shop, graduated)
    assert again.outcome == RowResult.UNCHANGED
    await put(shop, entry(water, 10, tiers=tiers))
    assert (await find(shop, water, "15")).amount == euros(135)
    await put(shop, entry(water, 1, account_id=str(new_id()), minimum_quantity="5"))
    customer = str(new_id())
    await put(shop, entry(water, 2, account_id=customer, minimum_quantity="5"))
    few = await find(shop, water, "3", account_id=customer)
    assert few.unit_price == euros(10)
    assert [(each.reason, each.missing_quantity) for each in few.lost] == [(Found.QUANTITY_TOO_SMALL, "2")]
    assert (await find(shop, water, "5", account_id=customer)).unit_price == euros(2)
    assert (await put(shop, entry(water, 10)))[0].outcome == RowResult.UPDATED
    assert (await find(shop, water, "15")).amount == euros(150), "what a row leaves out is cleared"


async def test_a_price_is_refused_that_makes_no_sense(shop: Shop) -> None:
    water = await shop.product(units=[pb.ProductUnit(code="box", numerator=12)])
    dollars = await book(shop, "US", currency="USD")
    tier = pb.PriceTier(from_quantity="0", unit_price=euros(1))
    results = await put(
        shop,
        entry(water, 1, unit="crate"),
        entry(water, 1, price_book_id=dollars.id),
        entry(water, 1, tiers=[tier]),
        entry(water, 9, unit="piece"),
        entry(water, 1, valid_from=day(2020), valid_to=day(2019)),
    )
    assert [(each.outcome, each.reason, each.field) for each in results] == [
        (RowResult.REJECTED, "UNIT_UNKNOWN", "price_book_entry.unit"),
        (RowResult.REJECTED, "CURRENCY_NOT_OF_BOOK", "price_book_entry.unit_price.currency_code"),
        (RowResult.REJECTED, "TIERS_NOT_SENSIBLE", "price_book_entry.tiers[0]"),
        (RowResult.UPDATED, "", ""),  # the base unit is the same as none
        (RowResult.REJECTED, "VALIDITY_REVERSED", "price_book_entry.valid_to"),
    ]


async def test_a_list_price_leaves_contracts_and_other_units_alone(shop: Shop) -> None:
    water = await shop.product(units=[pb.ProductUnit(code="box", numerator=12)])
    customer = str(new_id())
    await put(shop, entry(water, 6, account_id=customer), entry(water, 60, unit="box"))
    await shop.products.UpdateProduct(
        pb.UpdateProductRequest(
            id=water.id, product=pb.Product(list_price=euros(11)), update_mask=FieldMask(paths=["list_price"])
        )
    )
    prices = [
        (await find(shop, water)).unit_price.units,
        (await find(shop, water, "1", "box")).unit_price.units,
        (await find(shop, water, account_id=customer)).unit_price.units,
    ]
    assert prices == [11, 60, 6]


async def test_price_books_are_set_by_name(shop: Shop) -> None:
    Row = pb.BatchUpsertPriceBooksRequest.Row  # noqa: N806  # a message type
    (standard,) = (await shop.prices.ListPriceBooks(pb.ListPriceBooksRequest())).price_books
    request = pb.BatchUpsertPriceBooksRequest(
        rows=[
            Row(price_book=pb.PriceBook(name="Web", channels=["web"], priority=2, price_increment="0.05")),
            Row(price_book=pb.PriceBook(name="Web", description="On the web", valid_from=day(2026))),
            Row(price_book=pb.PriceBook(name="Standard", segments=["retail"])),
            Row(price_book=pb.PriceBook(id=standard.id, name="Web")),
            Row(price_book=pb.PriceBook(description="Nameless")),
        ]
    )
    answer = await shop.prices.BatchUpsertPriceBooks(request)
    assert [(each.outcome, each.reason) for each in answer.results] == [
        (RowResult.CREATED, ""),
        (RowResult.UPDATED, ""),
        (RowResult.REJECTED, "STANDARD_PRICE_BOOK"),
        (RowResult.REJECTED, "PRICE_BOOK_NAME_TAKEN"),
        (RowResult.REJECTED, "FIELD_REQUIRED"),
    ]
    page = await shop.prices.ListPriceBooks(pb.ListPriceBooksRequest(filter='channels:"web"'))
    (web,) = page.price_books
    assert (web.description, web.priority, web.price_increment, web.valid_from) == (
        "On the web",
        2,
        "0.05",
        day(2026),
    )
    versions = await shop.prices.ListPriceBookVersions(pb.ListPriceBookVersionsRequest(id=web.id))
    assert [sorted(each.changed_fields) for each in versions.versions] == [["description", "valid_from"], []]


async def test_a_deleted_price_book_gives_no_prices(shop: Shop) -> None:
    water = await shop.product()
    cheap = await book(shop, "Cheap")
    (made,) = await put(shop, entry(water, 1, price_book_id=cheap.id))
    assert (await find(shop, water)).unit_price == euros(1)
    await shop.prices.DeletePriceBook(pb.DeletePriceBookRequest(id=cheap.id))
    assert (await find(shop, water)).unit_price == euros(10)
    named = shop.prices.FindPrices(
        pb.FindPricesRequest(price_book_id=cheap.id, product_ids=[water.id], currency="EUR")
    )
    assert (await refusal(named))[0] is Code.NOT_FOUND
    listed = await shop.prices.ListPriceBooks(pb.ListPriceBooksRequest(show_deleted=True, order_by="name"))
    assert [(each.name, each.HasField("delete_time")) for each in listed.price_books] == [
        ("Cheap", True),
        ("Standard", False),
    ]
    standard = shop.prices.DeletePriceBook(pb.DeletePriceBookRequest(id=listed.price_books[1].id))
    assert await refusal(standard) == (Code.FAILED_PRECONDITION, "STANDARD_PRICE_BOOK", "")
    await book(shop, "Cheap")
    await shop.prices.DeletePriceBookEntry(pb.DeletePriceBookEntryRequest(id=made.id))
    versions = await shop.prices.ListPriceBookEntryVersions(pb.ListPriceBookEntryVersionsRequest(id=made.id))
    assert [each.event for each in versions.versions] == ["PriceBookEntryDeleted", "PriceBookEntryChanged"]


async def test_prices_are_asked_for_products_or_for_lines(shop: Shop) -> None:
    water = await shop.product(code="W-1")
    line = pb.FindPricesRequest.Line(product_id=water.id)
    for request in (
        pb.FindPricesRequest(currency="EUR"),
        pb.FindPricesRequest(currency="EUR", product_ids=[water.id], lines=[line]),
    ):
        assert (await refusal(shop.prices.FindPrices(request)))[1] == "PRODUCTS_MISSING"
    crate = find(shop, water, "1", "crate")
    assert await refusal(crate) == (Code.INVALID_ARGUMENT, "UNIT_UNKNOWN", "lines[0].unit")
    nothing = find(shop, pb.Product(id=str(new_id())))
    assert await refusal(nothing) == (Code.NOT_FOUND, "NOT_FOUND", "lines[0].product_id")
