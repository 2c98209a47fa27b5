"""The RPCs of price books and of the prices in them."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from uuid import UUID

from sfa.quotes.v1 import products_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import date_of, fields_to_change, uuid_of
from chassis.entity import Event
from chassis.errors import InvalidArgument, Refusal
from chassis.ids import new_id
from chassis.store import Conflict, EntityNotFound
from services.quotes.domain.prices import PriceBook, PriceBookEntry, PriceBookEntryDeleted, PriceTaken
from services.quotes.store import PriceBookStore, PriceStore, ProductStore
from services.quotes.wire import products as wire

_Key = tuple[UUID, UUID, str, date | None]


class PriceKeyFixed(InvalidArgument):
    """Price book, product, currency and first day say which price it is."""

    def __init__(self) -> None:
        super().__init__(
            "This id belongs to a price of another price book, product, currency or valid_from.",
            field="price_book_entry.id",
        )


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
        known_products = await ProductStore(call).get_many([UUID(entry.product_id) for entry in asked])
        store = PriceStore(call)
        ids = {entry.key: entry.id for entry in await store.of_products(known_products)}
        rows = _found_by_key(request.rows, standard.id, ids)

        def put(
            row: batch.Row, entry: PriceBookEntry | None
        ) -> Iterator[tuple[PriceBookEntry, Event, datetime | None]]:
            price = wire.entry_of(row.content.price_book_entry, standard.id)
            if price.price_book_id != standard.id and price.price_book_id not in known_books:
                raise EntityNotFound("price_book", price.price_book_id, "price_book_entry.price_book_id")
            if price.product_id not in known_products:
                raise EntityNotFound("product", price.product_id, "price_book_entry.product_id")
            event: Event
            if entry is None:
                price.id = row.id or price.id
                entry, event = price, price.create()
            elif entry.key != price.key:
                raise PriceKeyFixed
            else:
                event = entry.change(price.unit_price, price.valid_to)
            yield entry, event, None

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

    async def FindPrices(self, request: pb.FindPricesRequest, call: Call) -> pb.FindPricesResponse:
        book = await PriceBookStore(call).named(request.price_book_id, "price_book_id")
        day = date_of(request.date, "date") if request.HasField("date") else call.now.date()
        wanted = [UUID(id) for id in request.product_ids]
        found = await PriceStore(call).in_force(book.id, wanted, request.currency, day)
        return pb.FindPricesResponse(
            price_book_entries=[wire.entry_to_proto(found[product]) for product in wanted if product in found]
        )


def _found_by_key(
    asked: Sequence[pb.BatchUpsertPriceBookEntriesRequest.Row], standard: UUID, ids: dict[_Key, UUID]
) -> list[batch.Row]:
    """The rows by the id behind their key. Two rows of one key are about one price."""
    rows = batch.numbered(asked, "price_book_entry")
    found = []
    for row in rows:
        try:
            key = wire.entry_of(row.content.price_book_entry, standard).key
        except Refusal:  # it is refused where its turn comes
            found.append(row)
            continue
        found.append(batch.Row(ids.setdefault(key, row.id or new_id()), row.external_ids, row.content))
    return found
