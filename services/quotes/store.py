"""Every query of this service."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.money import Money
from chassis.store import Conflict, EntityStore
from services.quotes.domain.orders import Order
from services.quotes.domain.prices import (
    STANDARD_NAME,
    PriceBook,
    PriceBookEntry,
    PriceBookNameTaken,
    in_force,
)
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote, QuoteState
from services.quotes.tables import (
    ORDER,
    PRICE_BOOK,
    PRICE_BOOK_ENTRY,
    PRODUCT,
    QUOTE,
    numbers,
    price_book_entries,
    price_books,
    products,
    quotes,
)

ASIDE = 1_000_000_000
"""From here on count the changes of a request that are not what its caller asked for."""


def _any_of(column: sa.ColumnElement[Any], values: Iterable[Any], kind: type[Any]) -> sa.ColumnElement[bool]:
    return column == sa.any_(sa.literal(list(values), sa.ARRAY(kind)))


class ProductStore(EntityStore[Product]):
    """The products."""

    type = PRODUCT

    async def by_code(self, codes: Sequence[str]) -> dict[str, Product]:
        """Those that are not deleted, by code."""
        if not codes:
            return {}
        rows = await self.tx.fetch(
            self.select().where(_any_of(products.c.code, codes, sa.Text), products.c.deleted_at.is_(None))
        )
        return {product.code: product for product in map(self._load, rows)}


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
            self.select().where(_any_of(entry.product_id, ids, sa.Uuid), entry.deleted_at.is_(None))
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
                _any_of(entry.product_id, ids, sa.Uuid),
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


class QuoteStore(EntityStore[Quote]):
    """The quotes."""

    type = QUOTE

    async def primary_of(self, opportunity_id: UUID) -> Quote | None:
        """The opportunity's primary quote, whoever may see it."""
        row = await self.tx.fetchrow(
            sa.select(*self.type.rows.columns).where(
                quotes.c.opportunity_id == opportunity_id, quotes.c.is_primary
            )
        )
        return self._load(row) if row is not None else None

    async def has_accepted_primary(self, opportunity_id: UUID) -> bool:
        """Whether the opportunity's primary quote has been accepted."""
        primary = await self.primary_of(opportunity_id)
        return primary is not None and primary.state is QuoteState.ACCEPTED

    async def latest_primary(self, opportunity_id: UUID) -> datetime | None:
        """When any quote of the opportunity last became the primary one."""
        latest: datetime | None = await self.tx.fetchval(
            sa.select(sa.func.max(quotes.c.primary_at)).where(quotes.c.opportunity_id == opportunity_id)
        )
        return latest


class OrderStore(EntityStore[Order]):
    """The orders."""

    type = ORDER


async def next_number(call: Call, kind: str, letter: str) -> str:
    """The next number of a kind of paper, such as `Q-000042`.

    The counter's row stays locked until the transaction ends: numbers have no gaps and no doubles, and
    papers of one kind and tenant are made one at a time.
    """
    first = insert(numbers).values(kind=kind, last=1)
    statement = first.on_conflict_do_update(
        index_elements=["tenant_id", "kind"], set_={"last": numbers.c.last + 1}
    ).returning(numbers.c.last)
    number = await call.tx.fetchval(statement)
    call.tx.wrote = True
    return f"{letter}-{number:06d}"
