"""The catalogue's RPCs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from uuid import UUID

from sfa.api.v1.resource_pb2 import RowResult
from sfa.quotes.v1 import products_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.entity import Event
from chassis.idempotency import done_before
from chassis.ids import new_id
from chassis.money import Money
from chassis.store import Conflict
from services.quotes.domain.prices import PriceBookEntry, PriceBookEntryChanged, reprice
from services.quotes.domain.products import CodeTaken, Product, ProductDeleted, ProductUndeleted
from services.quotes.domain.variants import VariantTaken
from services.quotes.lifecycle import schedule
from services.quotes.servicer.related import RELATING, Related
from services.quotes.servicer.rows import found_by
from services.quotes.store import ASIDE, PriceBookStore, PriceStore, ProductStore
from services.quotes.wire import products as wire


class ProductServicer:
    """The catalogue."""

    async def CreateProduct(self, request: pb.CreateProductRequest, call: Call) -> pb.Product:
        fields = {"code": "", "name": "", **fields_to_change(request.product, None, wire.PRODUCT_FIELDS)}
        price = fields.pop("list_price", None)
        effective_at = call.effective_at(request.effective_time)
        product = Product(id=uuid_of(request.product.id) or new_id(), **fields)
        created, store = product.create(), ProductStore(call)
        if not RELATING.isdisjoint(fields):
            (await Related.to(store, [(request.product, None)])).check(product)
        await store.add(product, created, effective_at)
        await schedule(call, product)
        await _set_list_price(call, product, price, effective_at)
        return wire.product_to_proto(product)

    async def GetProduct(self, request: pb.GetProductRequest, call: Call) -> pb.Product:
        store = ProductStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Product)
            return resource
        return wire.product_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, call: Call
    ) -> pb.BatchGetProductsResponse:
        store = ProductStore(call)
        found = await store.batch(request.ids, request.external_ids)
        by_code = await store.by_code(request.codes)
        found += [by_code[code] for code in request.codes if code in by_code]
        return pb.BatchGetProductsResponse(products=map(wire.product_to_proto, found))

    async def ListProducts(self, request: pb.ListProductsRequest, call: Call) -> pb.ListProductsResponse:
        page = await ProductStore(call).page(request)
        return pb.ListProductsResponse(
            products=map(wire.product_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateProduct(self, request: pb.UpdateProductRequest, call: Call) -> pb.Product:
        store = ProductStore(call)
        fields = fields_to_change(request.product, request.update_mask, wire.PRODUCT_FIELDS)
        price = fields.pop("list_price", None)
        effective_at = call.effective_at(request.effective_time)
        product = await store.get(request.id, request.etag)
        updated = product.change(fields)
        if not RELATING.isdisjoint(fields):
            (await Related.to(store, [(request.product, product.id)])).check(product)
        await store.save(product, updated, effective_at)
        if not _DATES.isdisjoint(fields):
            await schedule(call, product)
        await _set_list_price(call, product, price, effective_at)
        return wire.product_to_proto(product)

    async def DeleteProduct(self, request: pb.DeleteProductRequest, call: Call) -> pb.Product:
        store = ProductStore(call)
        product = await store.get(request.id, request.etag)
        product.mark_deleted(call.now)
        await store.save(product, ProductDeleted())
        return wire.product_to_proto(product)

    async def UndeleteProduct(self, request: pb.UndeleteProductRequest, call: Call) -> pb.Product:
        store = ProductStore(call)
        product = await store.get(request.id, deleted=True)
        product.restore(call.now)
        await store.save(product, ProductUndeleted())
        return wire.product_to_proto(product)

    async def BatchUpsertProducts(
        self, request: pb.BatchUpsertProductsRequest, call: Call
    ) -> pb.BatchUpsertProductsResponse:
        store = ProductStore(call)
        rows, codes = await _found_by_code(store, request.rows)
        ids = [row.id for row in rows if row.id is not None]
        prices = await ListPrices.of(call, ids)
        related = await Related.to(
            store,
            [
                (asked.product, row.id)
                for row, asked in zip(rows, request.rows, strict=True)
                if any(getattr(asked.product, field) for field in RELATING)
            ],
        )
        moving: dict[UUID, Product] = {}

        def put(row: batch.Row, product: Product | None) -> Iterator[tuple[Product, Event, datetime | None]]:
            index, asked = row.content
            effective_at = call.effective_at(asked.effective_time)
            fields = fields_to_change(asked.product, None, wire.PRODUCT_FIELDS)
            price = fields.pop("list_price", None)
            event: Event
            if product is None:
                product = Product(id=row.id or new_id(), **{"code": "", "name": "", **fields})
                event = product.create()
            else:
                event = product.change(fields)
            if codes.get(product.code, product.id) != product.id:
                raise CodeTaken
            if not RELATING.isdisjoint(fields):
                related.check(product)
            entry = prices.reprice(product.id, price, (effective_at or call.now).date())
            yield product, event, effective_at
            prices.stage(index, entry, effective_at)
            if not _DATES.isdisjoint(fields):
                moving[product.id] = product

        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except (CodeTaken, VariantTaken) as refusal:  # somebody took it at this moment: look again
            raise Conflict from refusal
        if not request.validate_only:
            for product in moving.values():
                await schedule(call, product)
        if not request.validate_only:
            await prices.store.flush()
        return pb.BatchUpsertProductsResponse(results=prices.outcomes(results))

    async def ListProductVersions(
        self, request: pb.ListProductVersionsRequest, call: Call
    ) -> pb.ListProductVersionsResponse:
        versions, token = await ProductStore(call).versions(UUID(request.id), request)
        return pb.ListProductVersionsResponse(
            versions=map(wire.product_version_to_proto, versions), next_page_token=token
        )


async def _found_by_code(
    store: ProductStore, asked: Sequence[pb.BatchUpsertProductsRequest.Row]
) -> tuple[list[batch.Row], dict[str, UUID]]:
    """The rows, those with neither id nor known external id by the id behind their code; and whose each
    code is, those that the rows bring included."""
    by_code = await store.by_code([row.product.code for row in asked if row.product.code])
    codes = {code: product.id for code, product in by_code.items()}
    rows = await found_by(
        store, batch.numbered(asked, "product"), lambda row: row.content.product.code, codes
    )
    return [
        batch.Row(row.id, row.external_ids, (index, row.content)) for index, row in enumerate(rows)
    ], codes


_DATES = frozenset(("active_from", "phasing_out_from", "discontinued_from"))


async def _set_list_price(call: Call, product: Product, price: Money | None, at: datetime | None) -> None:
    if price is not None:
        prices = await ListPrices.of(call, [product.id])
        prices.stage(0, prices.reprice(product.id, price, (at or call.now).date()), at)
        await prices.store.flush()


class ListPrices:
    """The prices of some products in the standard price book, as rows of products set them."""

    def __init__(
        self, store: PriceStore, book_id: UUID, entries: Iterable[PriceBookEntry], done: set[int]
    ) -> None:
        self.store = store
        self._book_id = book_id
        self._entries: dict[tuple[UUID, str], list[PriceBookEntry]] = defaultdict(list)
        for entry in entries:
            if entry.price_book_id == book_id:
                self._entries[entry.product_id, entry.unit_price.currency].append(entry)
        self._done = done

    @classmethod
    async def of(cls, call: Call, product_ids: Sequence[UUID]) -> "ListPrices":
        """Reads them, and which rows of this request have set one before."""
        done = (
            {_row_of(change["ordinal"]) for change in await done_before(call)} if call.request_id else set()
        )
        book = await PriceBookStore(call).standard()
        store = PriceStore(call)
        return cls(store, book.id, await store.of_products(product_ids), done)

    def reprice(self, product_id: UUID, price: Money | None, day: date) -> PriceBookEntry | None:
        """The entry that is to be written; None where there is nothing to write."""
        if price is None:
            return None
        entries = self._entries[product_id, price.currency]
        entry = reprice(entries, self._book_id, product_id, price, day)
        if entry is not None and entry not in entries:
            entries.append(entry)
        return entry

    def stage(self, index: int, entry: PriceBookEntry | None, effective_at: datetime | None) -> None:
        """Prepares what the row of this index set, unless it was written before."""
        if entry is None or index in self._done:
            return
        self.store.stage(entry, PriceBookEntryChanged(), effective_at, ordinal=_ordinal(index))
        self._done.add(index)

    def outcomes(self, results: list[RowResult]) -> list[RowResult]:
        """What became of the rows: a product of which only the price changed is changed."""
        for index, result in enumerate(results):
            if index in self._done and result.outcome == RowResult.UNCHANGED:
                result.outcome = RowResult.UPDATED
        return results


def _ordinal(index: int) -> int:
    return ASIDE + (index + 1) * batch.VERSIONS_PER_ROW


def _row_of(ordinal: int) -> int:
    return (ordinal - ASIDE) // batch.VERSIONS_PER_ROW - 1
