"""The catalogue over gRPC, on a real database."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.quotes.v1 import products_pb2 as pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.quotes.service import Shop, euros, refusal
from tests.stack import Stack

Code = grpc.StatusCode
pytestmark = pytest.mark.caller(role="operations")


@pytest.fixture
async def running(shared: Join) -> Stack:
    """The catalogue asks nobody."""
    return await shared("quotes")


async def price_of(shop: Shop, product: pb.Product, currency: str = "EUR") -> list[int]:
    request = pb.FindPricesRequest(product_ids=[product.id], currency=currency)
    return [entry.unit_price.units for entry in (await shop.prices.FindPrices(request)).price_book_entries]


def upsert(*products: pb.Product, request_id: str = "") -> pb.BatchUpsertProductsRequest:
    rows = [pb.BatchUpsertProductsRequest.Row(product=product) for product in products]
    return pb.BatchUpsertProductsRequest(rows=rows, request_id=request_id)


def outcomes(answer: pb.BatchUpsertProductsResponse | pb.BatchUpsertPriceBookEntriesResponse) -> list[int]:
    return [result.outcome for result in answer.results]


async def test_a_product_is_made_with_its_price_in_the_standard_price_book(shop: Shop) -> None:
    product = await shop.product(price=euros(550))
    assert (product.is_active, product.etag) == (True, "1")
    assert not product.HasField("list_price")
    assert await price_of(shop, product) == [550]
    books = await shop.prices.ListPriceBooks(pb.ListPriceBooksRequest())
    assert [(book.name, book.is_standard) for book in books.price_books] == [("Standard", True)]


async def test_the_standard_price_book_is_made_once_whoever_asks_first(shop: Shop) -> None:
    answers = await asyncio.gather(
        *(shop.prices.ListPriceBooks(pb.ListPriceBooksRequest()) for _ in range(8))
    )
    assert len({answer.price_books[0].id for answer in answers}) == 1


async def test_a_product_is_changed_by_mask_and_its_price_from_today_on(shop: Shop) -> None:
    product = await shop.product(family="GTX")
    changed = await shop.products.UpdateProduct(
        pb.UpdateProductRequest(
            id=product.id,
            product=pb.Product(name="Armchair", list_price=euros(12)),
            update_mask=FieldMask(paths=["name", "family", "list_price"]),
            etag=product.etag,
        )
    )
    assert (changed.name, changed.family, changed.code) == ("Armchair", "", "C-1")
    assert await price_of(shop, product) == [12]
    entries = await shop.prices.ListPriceBookEntries(
        pb.ListPriceBookEntriesRequest(filter=f'product_id = "{product.id}"', order_by="unit_price")
    )
    assert [entry.unit_price.units for entry in entries.price_book_entries] == [10, 12]


async def test_a_code_is_taken_once(shop: Shop) -> None:
    await shop.product("C-1")
    assert await refusal(shop.product("C-1")) == (Code.ALREADY_EXISTS, "CODE_TAKEN", "product.code")


async def test_a_deleted_product_gives_its_code_back_until_it_is_restored(shop: Shop) -> None:
    product = await shop.product("C-1")
    await shop.products.DeleteProduct(pb.DeleteProductRequest(id=product.id))
    assert not (await shop.products.ListProducts(pb.ListProductsRequest())).products
    again = await shop.product("C-1")
    code, reason, _ = await refusal(shop.products.UndeleteProduct(pb.UndeleteProductRequest(id=product.id)))
    assert (code, reason) == (Code.ALREADY_EXISTS, "CODE_TAKEN")
    await shop.products.DeleteProduct(pb.DeleteProductRequest(id=again.id))
    restored = await shop.products.UndeleteProduct(pb.UndeleteProductRequest(id=product.id))
    assert not restored.HasField("delete_time")


@pytest.mark.parametrize("code", ["", " C-1", "C\n1", "Ü-1", "x" * 101])
async def test_a_code_that_is_none_is_refused_by_its_field(shop: Shop, code: str) -> None:
    status, _, field = await refusal(shop.product(code))
    assert (status, field) == (Code.INVALID_ARGUMENT, "product.code")


async def test_a_repeated_request_makes_one_product(shop: Shop) -> None:
    request = pb.CreateProductRequest(
        product=pb.Product(code="C-1", name="Chair", list_price=euros(5)), request_id="once"
    )
    first = await shop.products.CreateProduct(request)
    assert await shop.products.CreateProduct(request) == first


async def test_an_import_twice_changes_nothing(shop: Shop) -> None:
    rows = [
        pb.Product(code="GTX Pro", name="GTX Pro", family="GTX", list_price=euros(4821)),
        pb.Product(
            code="MG Special",
            name="MG Special",
            list_price=euros(55),
            external_ids=[ExternalId(system="erp", id="7")],
        ),
    ]
    assert outcomes(await shop.products.BatchUpsertProducts(upsert(*rows))) == [RowResult.CREATED] * 2
    again = await shop.products.BatchUpsertProducts(upsert(*rows))
    assert outcomes(again) == [RowResult.UNCHANGED] * 2
    found = await shop.products.BatchGetProducts(
        pb.BatchGetProductsRequest(codes=["MG Special"], external_ids=[ExternalId(system="erp", id="7")])
    )
    assert [product.id for product in found.products] == [again.results[1].id] * 2


async def test_a_row_of_which_only_the_price_differs_changes_the_product(shop: Shop) -> None:
    product = await shop.product()
    row = pb.Product(code="C-1", list_price=euros(11))
    assert outcomes(await shop.products.BatchUpsertProducts(upsert(row))) == [RowResult.UPDATED]
    assert await price_of(shop, product) == [11]


async def test_a_batch_is_carried_out_once_under_one_request_id(shop: Shop) -> None:
    product = await shop.product()
    request = upsert(
        pb.Product(code="C-1", list_price=euros(11)), pb.Product(code="C-2", name="Two"), request_id="b"
    )
    first = await shop.products.BatchUpsertProducts(request)
    assert outcomes(first) == [RowResult.UPDATED, RowResult.CREATED]
    assert await shop.products.BatchUpsertProducts(request) == first
    assert await price_of(shop, product) == [11]


async def test_a_refused_row_does_not_stop_the_others(shop: Shop) -> None:
    await shop.product("C-1")
    two = await shop.product("C-2")
    answer = await shop.products.BatchUpsertProducts(
        upsert(
            pb.Product(id=two.id, code="C-1"),
            pb.Product(code="C-3"),
            pb.Product(code="C-4", name="Four", list_price=euros(-1)),
            pb.Product(code="C-5", name="Five"),
            pb.Product(code="C-5", family="Fives"),
        )
    )
    assert [(result.outcome, result.reason, result.field) for result in answer.results] == [
        (RowResult.REJECTED, "CODE_TAKEN", "product.code"),
        (RowResult.REJECTED, "FIELD_REQUIRED", "product.name"),
        (RowResult.REJECTED, "NEGATIVE_PRICE", "product.list_price"),
        (RowResult.CREATED, "", ""),
        (RowResult.UPDATED, "", ""),
    ]
    read = await shop.products.GetProduct(pb.GetProductRequest(id=answer.results[4].id))
    assert (read.name, read.family) == ("Five", "Fives")


async def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    request = upsert(pb.Product(code="C-1", name="One", list_price=euros(1)))
    request.validate_only = True
    assert outcomes(await shop.products.BatchUpsertProducts(request)) == [RowResult.CREATED]
    assert not (await shop.products.ListProducts(pb.ListProductsRequest())).products


async def test_products_are_found_by_filter(shop: Shop) -> None:
    for code, family in (("A-1", "A"), ("A-2", "A"), ("B-1", "B")):
        await shop.product(code, family=family)
    page = await shop.products.ListProducts(
        pb.ListProductsRequest(filter='family = "A"', order_by="code desc", page_size=1)
    )
    assert [product.code for product in page.products] == ["A-2"]
    page = await shop.products.ListProducts(
        pb.ListProductsRequest(
            filter='family = "A"', order_by="code desc", page_size=1, page_token=page.next_page_token
        )
    )
    assert ([product.code for product in page.products], page.next_page_token) == (["A-1"], "")


async def test_prices_are_set_by_book_product_currency_and_day(shop: Shop) -> None:
    product = await shop.product()
    book = await shop.prices.CreatePriceBook(
        pb.CreatePriceBookRequest(price_book=pb.PriceBook(name="Partners"))
    )

    def row(price: int, **fields: object) -> pb.BatchUpsertPriceBookEntriesRequest.Row:
        entry = pb.PriceBookEntry(product_id=product.id, unit_price=euros(price), **fields)  # type: ignore[arg-type]
        return pb.BatchUpsertPriceBookEntriesRequest.Row(price_book_entry=entry)

    season = {"valid_from": Date(year=2020, month=1, day=1), "valid_to": Date(year=2020, month=1, day=31)}
    request = pb.BatchUpsertPriceBookEntriesRequest(
        rows=[
            row(8, price_book_id=book.id),
            row(7, price_book_id=book.id, **season),
            row(9),
            row(1, price_book_id=str(new_id())),
            row(1, valid_from=Date(year=2020, month=2, day=31)),
            row(-1),
        ]
    )
    answer = await shop.prices.BatchUpsertPriceBookEntries(request)
    assert [(result.outcome, result.field) for result in answer.results] == [
        (RowResult.CREATED, ""),
        (RowResult.CREATED, ""),
        (RowResult.UPDATED, ""),
        (RowResult.REJECTED, "price_book_entry.price_book_id"),
        (RowResult.REJECTED, "price_book_entry.valid_from"),
        (RowResult.REJECTED, "price_book_entry.unit_price"),
    ]
    assert await price_of(shop, product) == [9]
    found = pb.FindPricesRequest(price_book_id=book.id, product_ids=[product.id], currency="EUR")
    assert [e.unit_price.units for e in (await shop.prices.FindPrices(found)).price_book_entries] == [8]
    found.date.CopyFrom(Date(year=2020, month=1, day=31))
    (entry,) = (await shop.prices.FindPrices(found)).price_book_entries
    assert entry.unit_price.units == 7
    await shop.prices.DeletePriceBookEntry(pb.DeletePriceBookEntryRequest(id=entry.id))
    assert [e.unit_price.units for e in (await shop.prices.FindPrices(found)).price_book_entries] == [8]
    again = await shop.prices.BatchUpsertPriceBookEntries(
        pb.BatchUpsertPriceBookEntriesRequest(rows=[request.rows[0], request.rows[2]])
    )
    assert outcomes(again) == [RowResult.UNCHANGED] * 2


@pytest.mark.caller(role="rep")
async def test_a_rep_reads_the_catalogue_and_does_not_write_it(shop: Shop, office: Shop) -> None:
    product = await office.product()
    assert (await shop.products.GetProduct(pb.GetProductRequest(id=product.id))).code == "C-1"
    status, _, _ = await refusal(shop.product("C-2"))
    assert status is Code.PERMISSION_DENIED


async def test_another_tenant_sees_nothing(shop: Shop) -> None:
    product = await shop.product()
    stranger = Shop(shop.stack, "operations", tenant=new_id())
    status, _, _ = await refusal(stranger.products.GetProduct(pb.GetProductRequest(id=product.id)))
    assert status is Code.NOT_FOUND
    assert not (await stranger.products.ListProducts(pb.ListProductsRequest())).products
