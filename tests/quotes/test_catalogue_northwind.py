"""A grocer's catalogue as it really is: 77 articles in eight families, sold in boxes of so many; and what
its customers paid, in 2,155 order lines, as contract prices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from google.type.money_pb2 import Money
from sfa.api.v1.resource_pb2 import RowResult
from sfa.quotes.v1 import families_pb2
from sfa.quotes.v1 import products_pb2 as pb
from sfa.quotes.v1.families_pb2_grpc import ProductFamilyServiceStub

from chassis.ids import new_id
from tests.conftest import Join
from tests.quotes.service import Shop
from tests.shared_data import shared_data
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.families_pb2_grpc import ProductFamilyServiceAsyncStub

pytestmark = pytest.mark.caller(role="operations")
_VALUE = re.compile(r"'((?:[^']|'')*)'|([^,()\s]+)")


@pytest.fixture
async def running(shared: Join) -> Stack:
    """The catalogue asks nobody."""
    return await shared("quotes")


def rows(table: str) -> Iterator[list[str]]:
    """The rows that the dump puts into a table."""
    start = f"INSERT INTO {table} VALUES "
    for line in (shared_data("northwind") / "northwind.sql").read_text("utf-8").splitlines():
        if line.startswith(start):
            found = _VALUE.findall(line.removeprefix(start).rstrip(";")[1:-1])
            yield [text.replace("''", "'") or bare for text, bare in found]


def dollars(text: str) -> Money:
    """The dump has prices as single floats, such as 21.3500004."""
    cents = int((Decimal(text) * 100).to_integral_value())
    return Money(currency_code="USD", units=cents // 100, nanos=cents % 100 * 10_000_000)


def articles() -> dict[str, pb.Product]:
    """By the dump's own number."""
    families = {row[0]: row[1] for row in rows("categories")}
    found = {}
    for number, name, _, category, packing, price, *_, gone in rows("products"):
        pack = re.match(r"(\d+)\D", packing)
        count = int(pack[1]) if pack and not re.match(r"\d+ (k?g|ml|cc)", packing) else 1
        stage = pb.Product.DISCONTINUED if gone == "1" else pb.Product.ACTIVE
        found[number] = pb.Product(
            code=f"NW-{number}",
            name=name,
            description=packing,
            family=families[category],
            lifecycle=stage,
            is_active=stage == pb.Product.ACTIVE,
            base_unit="case",
            units=[pb.ProductUnit(code="item", numerator=1, denominator=count, step="1")]
            if count > 1
            else [],
            list_price=dollars(price),
            translations=[pb.ProductTranslation(language="es", description=packing)],
        )
    return found


async def test_a_grocers_catalogue_is_taken_over_and_priced(shop: Shop) -> None:
    families: ProductFamilyServiceAsyncStub = ProductFamilyServiceStub(shop.stack.channel("quotes"))
    wanted = [
        families_pb2.ProductFamily(name=row[1], description=row[2].replace("''", "'"))
        for row in rows("categories")
    ]
    answer = await families.BatchUpsertProductFamilies(
        families_pb2.BatchUpsertProductFamiliesRequest(
            rows=[
                families_pb2.BatchUpsertProductFamiliesRequest.Row(product_family=family) for family in wanted
            ]
        )
    )
    assert [each.outcome for each in answer.results] == [RowResult.CREATED] * 8

    asked = articles()
    request = pb.BatchUpsertProductsRequest(
        rows=[pb.BatchUpsertProductsRequest.Row(product=product) for product in asked.values()]
    )
    made = (await shop.products.BatchUpsertProducts(request)).results
    assert [each.outcome for each in made] == [RowResult.CREATED] * 77
    again = (await shop.products.BatchUpsertProducts(request)).results
    assert {each.outcome for each in again} == {RowResult.UNCHANGED}
    ids = dict(zip(asked, (each.id for each in made), strict=True))

    gone = await shop.products.ListProducts(
        pb.ListProductsRequest(filter="lifecycle = DISCONTINUED", page_size=100)
    )
    assert len(gone.products) == sum(row[-1] == "1" for row in rows("products"))
    assert not any(product.is_active for product in gone.products)
    assert {product.family for product in gone.products} <= {family.name for family in wanted}

    lines = [pb.FindPricesRequest.Line(product_id=id, quantity="3") for id in ids.values()]
    found = await shop.prices.FindPrices(pb.FindPricesRequest(currency="USD", lines=lines))
    assert [each.unit_price for each in found.resolutions] == [each.list_price for each in asked.values()]

    # a bottle of ale, of which 24 are a case at 14 dollars
    ale = pb.FindPricesRequest.Line(product_id=ids["34"], quantity="48", unit="item")
    (ales,) = (await shop.prices.FindPrices(pb.FindPricesRequest(currency="USD", lines=[ale]))).resolutions
    assert (ales.is_converted, ales.unit_price.nanos) == (True, 583_333_333)


async def test_what_each_customer_paid_last_is_that_customers_price(shop: Shop) -> None:
    asked = articles()
    request = pb.BatchUpsertProductsRequest(
        rows=[pb.BatchUpsertProductsRequest.Row(product=product) for product in asked.values()]
    )
    made = (await shop.products.BatchUpsertProducts(request)).results
    ids = dict(zip(asked, (each.id for each in made), strict=True))
    customer_of = {row[0]: row[1] for row in rows("orders")}
    accounts = {customer: str(new_id()) for customer in set(customer_of.values())}
    paid: dict[tuple[str, str], Money] = {}
    for order, number, price, *_ in rows("order_details"):
        paid[customer_of[order], number] = dollars(price)
    entries = [
        pb.PriceBookEntry(product_id=ids[number], account_id=accounts[customer], unit_price=price)
        for (customer, number), price in paid.items()
    ]
    for begin in range(0, len(entries), 500):
        answer = await shop.prices.BatchUpsertPriceBookEntries(
            pb.BatchUpsertPriceBookEntriesRequest(
                rows=[
                    pb.BatchUpsertPriceBookEntriesRequest.Row(price_book_entry=entry)
                    for entry in entries[begin : begin + 500]
                ]
            )
        )
        assert {each.outcome for each in answer.results} == {RowResult.CREATED}
    for customer in ("ALFKI", "SAVEA"):
        found = await shop.prices.FindPrices(
            pb.FindPricesRequest(
                currency="USD", product_ids=ids.values(), account_id=accounts[customer], show_all=True
            )
        )
        expected = [paid.get((customer, number), asked[number].list_price) for number in ids]
        assert [each.unit_price for each in found.resolutions] == expected
        assert {len(each.lost) for each in found.resolutions} == {0, 1}, "own contract, then the list price"
