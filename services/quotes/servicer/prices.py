"""The RPCs of price books and of the prices in them."""

from collections.abc import Iterator
from copy import copy
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sfa.quotes.v1 import products_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import date_of, fields_to_change, uuid_of
from chassis.entity import Event
from chassis.errors import InvalidArgument, Refusal
from chassis.ids import new_id
from chassis.store import Conflict, EntityNotFound
from services.quotes.domain.price_resolution import PriceContext, PriceLine
from services.quotes.domain.prices import (
    PriceBook,
    PriceBookDeleted,
    PriceBookEntry,
    PriceBookEntryDeleted,
    PriceBookNameTaken,
    PriceTaken,
)
from services.quotes.domain.products import Product
from services.quotes.servicer.rows import found_by
from services.quotes.store import PriceBookStore, PriceStore, ProductStore
from services.quotes.wire import prices as wire


class PriceKeyFixed(InvalidArgument):
    """Price book, product, currency, first day, unit and account say which price it is."""

    def __init__(self) -> None:
        super().__init__(
            "This id belongs to a price of another price book, product, currency, valid_from, unit or "
            "account.",
            field="price_book_entry.id",
        )


class ProductsMissing(InvalidArgument):
    """Prices are asked for of nothing, or of products and of lines at once."""

    def __init__(self) -> None:
        super().__init__("Say either product_ids or lines.", field="product_ids")


class PriceBookServicer:
    """The price books, and the prices in them."""

    async def CreatePriceBook(self, request: pb.CreatePriceBookRequest, call: Call) -> pb.PriceBook:
        fields = {"name": "", **fields_to_change(request.price_book, None, wire.PRICE_BOOK_FIELDS)}
        book = PriceBook(id=uuid_of(request.price_book.id) or new_id(), **fields)
        store = PriceBookStore(call)
        await store.standard()
        await store.add(book, book.create())
        return wire.price_book_to_proto(book)

    async def GetPriceBook(self, request: pb.GetPriceBookRequest, call: Call) -> pb.PriceBook:
        return wire.price_book_to_proto(await PriceBookStore(call).get(request.id))

    async def ListPriceBooks(
        self, request: pb.ListPriceBooksRequest, call: Call
    ) -> pb.ListPriceBooksResponse:
        store = PriceBookStore(call)
        await store.standard()
        page = await store.page(request)
        return pb.ListPriceBooksResponse(
            price_books=map(wire.price_book_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdatePriceBook(self, request: pb.UpdatePriceBookRequest, call: Call) -> pb.PriceBook:
        store = PriceBookStore(call)
        fields = fields_to_change(request.price_book, request.update_mask, wire.PRICE_BOOK_FIELDS)
        book = await store.get(request.id, request.etag)
        await store.save(book, book.change(fields))
        return wire.price_book_to_proto(book)

    async def DeletePriceBook(self, request: pb.DeletePriceBookRequest, call: Call) -> pb.PriceBook:
        store = PriceBookStore(call)
        book = await store.get(request.id, request.etag)
        book.must_not_be_standard()
        book.mark_deleted(call.now)
        await store.save(book, PriceBookDeleted())
        return wire.price_book_to_proto(book)

    async def BatchUpsertPriceBooks(
        self, request: pb.BatchUpsertPriceBooksRequest, call: Call
    ) -> pb.BatchUpsertPriceBooksResponse:
        store = PriceBookStore(call)
        await store.standard()
        asked = [row.price_book.name for row in request.rows if row.price_book.name]
        names = {name: book.id for name, book in (await store.by_name(asked)).items()}
        numbered = batch.numbered(request.rows, "price_book")
        rows = await found_by(store, numbered, lambda row: row.content.price_book.name, names)

        def put(row: batch.Row, book: PriceBook | None) -> Iterator[tuple[PriceBook, Event, datetime | None]]:
            fields = fields_to_change(row.content.price_book, None, wire.PRICE_BOOK_FIELDS)
            event: Event
            if book is None:
                book = PriceBook(id=row.id or new_id(), **{"name": "", **fields})
                event = book.create()
            else:
                event = book.change(fields)
            if names.get(book.name, book.id) != book.id:
                raise PriceBookNameTaken
            yield book, event, None

        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except PriceBookNameTaken as refusal:  # somebody took it at this moment: look again
            raise Conflict from refusal
        return pb.BatchUpsertPriceBooksResponse(results=results)

    async def ListPriceBookVersions(
        self, request: pb.ListPriceBookVersionsRequest, call: Call
    ) -> pb.ListPriceBookVersionsResponse:
        versions, token = await PriceBookStore(call).versions(UUID(request.id), request)
        return pb.ListPriceBookVersionsResponse(
            versions=map(wire.price_book_version_to_proto, versions), next_page_token=token
        )

    async def GetPriceBookEntry(self, request: pb.GetPriceBookEntryRequest, call: Call) -> pb.PriceBookEntry:
        return wire.entry_to_proto(await PriceStore(call).get(request.id, deleted=True))

    async def ListPriceBookEntries(
        self, request: pb.ListPriceBookEntriesRequest, call: Call
    ) -> pb.ListPriceBookEntriesResponse:
        page = await PriceStore(call).page(request)
        return pb.ListPriceBookEntriesResponse(
            price_book_entries=map(wire.entry_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def BatchUpsertPriceBookEntries(
        self, request: pb.BatchUpsertPriceBookEntriesRequest, call: Call
    ) -> pb.BatchUpsertPriceBookEntriesResponse:
        books = PriceBookStore(call)
        standard = await books.standard()
        asked = [row.price_book_entry for row in request.rows]
        known_books = await books.get_many(
            [UUID(entry.price_book_id) for entry in asked if entry.price_book_id]
        )
        known_books[standard.id] = standard
        known_products = await ProductStore(call).get_many([UUID(entry.product_id) for entry in asked])
        store = PriceStore(call)
        accounts = [UUID(entry.account_id) for entry in asked if entry.account_id]
        standing = await store.of_products(known_products, accounts)
        ids: dict[object, UUID] = {entry.key: entry.id for entry in standing}

        def price_of(row: batch.Row) -> PriceBookEntry:
            price = wire.entry_of(row.content.price_book_entry, standard.id)
            return _in_unit(price, known_products.get(price.product_id))

        def key_of(row: batch.Row) -> object:
            try:
                return price_of(row).key
            except Refusal:  # it is refused where its turn comes
                return new_id()

        def put(
            row: batch.Row, entry: PriceBookEntry | None
        ) -> Iterator[tuple[PriceBookEntry, Event, datetime | None]]:
            price = price_of(row)
            if price.price_book_id not in known_books:
                raise EntityNotFound("price_book", price.price_book_id, "price_book_entry.price_book_id")
            if price.product_id not in known_products:
                raise EntityNotFound("product", price.product_id, "price_book_entry.product_id")
            known_books[price.price_book_id].must_take(price.unit_price.currency)
            known_products[price.product_id].unit(price.unit, "price_book_entry.unit")
            event: Event
            if entry is None:
                price.id = row.id or price.id
                entry, event = price, price.create()
            elif entry.key != price.key:
                raise PriceKeyFixed
            else:
                event = entry.become(price)
            yield entry, event, None

        rows = await found_by(store, batch.numbered(request.rows, "price_book_entry"), key_of, ids)
        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except PriceTaken as refusal:  # somebody set it at this moment: look again
            raise Conflict from refusal
        return pb.BatchUpsertPriceBookEntriesResponse(results=results)

    async def DeletePriceBookEntry(
        self, request: pb.DeletePriceBookEntryRequest, call: Call
    ) -> pb.PriceBookEntry:
        store = PriceStore(call)
        entry = await store.get(request.id, request.etag)
        entry.mark_deleted(call.now)
        await store.save(entry, PriceBookEntryDeleted())
        return wire.entry_to_proto(entry)

    async def ListPriceBookEntryVersions(
        self, request: pb.ListPriceBookEntryVersionsRequest, call: Call
    ) -> pb.ListPriceBookEntryVersionsResponse:
        versions, token = await PriceStore(call).versions(UUID(request.id), request)
        return pb.ListPriceBookEntryVersionsResponse(
            versions=map(wire.entry_version_to_proto, versions), next_page_token=token
        )

    async def FindPrices(self, request: pb.FindPricesRequest, call: Call) -> pb.FindPricesResponse:
        if bool(request.product_ids) == bool(request.lines):
            raise ProductsMissing
        if request.price_book_id:
            await PriceBookStore(call).named(request.price_book_id, "price_book_id")
        context = PriceContext(
            day=date_of(request.date, "date") if request.HasField("date") else call.now.date(),
            currency=request.currency,
            account_id=uuid_of(request.account_id),
            segments=frozenset(request.segments),
            territories=frozenset(request.territories),
            channel=request.channel,
            price_book_id=uuid_of(request.price_book_id),
        )
        lines = await _lines(request, call)
        resolutions = await PriceStore(call).resolve(lines, context, everything=request.show_all)
        return pb.FindPricesResponse(
            price_book_entries=[
                wire.entry_to_proto(each.won.candidate.entry) for each in resolutions if each.won is not None
            ],
            resolutions=map(wire.resolution_to_proto, lines, resolutions),
        )


async def _lines(request: pb.FindPricesRequest, call: Call) -> list[PriceLine]:
    """What is asked for. Of a product that is not there, a request of plain products gets nothing.

    Raises:
        EntityNotFound, UnitUnknown: a line names no product, or a unit that it is not sold in.
    """
    wanted = [UUID(id) for id in request.product_ids or [line.product_id for line in request.lines]]
    products = await ProductStore(call).get_many(wanted)
    if request.product_ids:
        return [PriceLine(products[id]) for id in wanted if id in products]
    lines = []
    for index, (id, line) in enumerate(zip(wanted, request.lines, strict=True)):
        if id not in products:
            raise EntityNotFound("product", id, f"lines[{index}].product_id")
        products[id].unit(line.unit, f"lines[{index}].unit")
        lines.append(PriceLine(products[id], Decimal(line.quantity or 1), line.unit))
    return lines


def _in_unit(price: PriceBookEntry, product: Product | None) -> PriceBookEntry:
    """The price with the base unit left out, as it is kept."""
    if product is not None and price.unit == product.base_unit:
        price = copy(price)
        price.unit = ""
    return price
