"""Queries of price books and prices."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID

import sqlalchemy as sa

from chassis.money import Money
from chassis.store import Conflict, EntityStore
from services.quotes.domain.prices import (
    STANDARD_NAME,
    PriceBook,
    PriceBookEntry,
    PriceBookNameTaken,
    in_force,
)
from services.quotes.store.base import ASIDE, any_of
from services.quotes.tables.prices import PRICE_BOOK, PRICE_BOOK_ENTRY, price_book_entries, price_books


class PriceBookStore(EntityStore[PriceBook]):
    """The price books."""

    type = PRICE_BOOK

    async def standard(self) -> PriceBook:
        """The tenant's standard price book, made where there is none yet."""
        row = await self.tx.fetchrow(self.select().where(price_books.c.is_standard))
        if row is not None:
            return self._load(row)
        book = PriceBook(name=STANDARD_NAME, is_standard=True)
        self.stage(book, book.create(), ordinal=ASIDE)
        try:
            await self.flush()
        except PriceBookNameTaken as refusal:  # somebody made it at this moment
            raise Conflict from refusal
        return book

    async def named(self, id: UUID | str | None, field: str) -> PriceBook:
        """The price book with this id, the standard one for none.

        Raises:
            EntityNotFound: there is none.
        """
        return await self.get(id, field=field) if id else await self.standard()


class PriceStore(EntityStore[PriceBookEntry]):
    """The prices."""

    type = PRICE_BOOK_ENTRY

    async def of_products(self, product_ids: Iterable[UUID]) -> list[PriceBookEntry]:
        """All prices of the products, in every price book and currency."""
        ids = set(product_ids)
        if not ids:
            return []
        entry = price_book_entries.c
        rows = await self.tx.fetch(
            self.select().where(any_of(entry.product_id, ids, sa.Uuid), entry.deleted_at.is_(None))
        )
        return [self._load(row) for row in rows]

    async def in_force(
        self, book_id: UUID, product_ids: Iterable[UUID], currency: str, day: date
    ) -> dict[UUID, PriceBookEntry]:
        """What the products cost on a day, those that have a price."""
        ids = set(product_ids)
        if not ids:
            return {}
        entry = price_book_entries.c
        rows = await self.tx.fetch(
            self.select().where(
                entry.price_book_id == book_id,
                entry.currency == currency,
                any_of(entry.product_id, ids, sa.Uuid),
                entry.deleted_at.is_(None),
                sa.func.coalesce(entry.valid_from, day) <= day,
            )
        )
        by_product: Mapping[UUID, list[PriceBookEntry]] = defaultdict(list)
        for price in map(self._load, rows):
            by_product[price.product_id].append(price)
        found = {product: in_force(prices, day) for product, prices in by_product.items()}
        return {product: price for product, price in found.items() if price is not None}

    async def list_prices(
        self, book_id: UUID, product_ids: Iterable[UUID], currency: str, day: date
    ) -> dict[UUID, Money]:
        """The same as plain amounts."""
        entries = await self.in_force(book_id, product_ids, currency, day)
        return {product: entry.unit_price for product, entry in entries.items()}
