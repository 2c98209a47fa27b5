"""The prices of all lines of a quote come in one query, and by indexes: what others agreed costs nothing."""

from __future__ import annotations

import asyncpg
import pytest
from sfa.quotes.v1 import products_pb2 as pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.quotes.service import Shop, euros
from tests.stack import Stack
from tests.statements import Statement, noted

pytestmark = pytest.mark.caller(role="operations")


@pytest.fixture
async def running(shared: Join) -> Stack:
    """The catalogue asks nobody."""
    return await shared("quotes")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """What is asked of the database."""
    return noted(monkeypatch)


async def test_a_quotes_prices_come_in_one_query_by_indexes(shop: Shop, asked: list[Statement]) -> None:
    products = [await shop.product(f"C-{number}") for number in range(3)]
    customer = str(new_id())
    rows = [
        pb.BatchUpsertPriceBookEntriesRequest.Row(
            price_book_entry=pb.PriceBookEntry(
                product_id=products[number % 3].id,
                account_id=customer if number < 3 else str(new_id()),
                unit_price=euros(7),
            )
        )
        for number in range(500)
    ]
    await shop.prices.BatchUpsertPriceBookEntries(pb.BatchUpsertPriceBookEntriesRequest(rows=rows))
    owner = await shop.stack.connect("quotes", as_owner=True)
    try:
        await owner.execute("ANALYZE data.price_book_entries, data.price_books")
    finally:
        await owner.close()
    asked.clear()
    lines = [pb.FindPricesRequest.Line(product_id=each.id) for each in products] * 50
    request = pb.FindPricesRequest(currency="EUR", lines=lines, account_id=customer)
    answer = await shop.prices.FindPrices(request)
    assert {each.unit_price.units for each in answer.resolutions} == {7}
    ((sql, arguments),) = (each for each in asked if "price_book_entries" in each[0])
    database = shop.stack.databases["quotes"]
    connection = await asyncpg.connect(
        database.url, server_settings={"search_path": "app, public", "enable_seqscan": "off"}
    )
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL app.tenant = '{shop.stack.tenant}'")
            plan = [row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE) {sql}", *arguments)]
    finally:
        await connection.close()
    text = "\n".join(plan)
    assert "Seq Scan" not in text, text
    assert "price_book_entries_contract" in text, text
    assert "price_book_entries_list" in text, text
    assert "Rows Removed by Filter" not in text, f"the contracts of others are looked at: {text}"
