"""Queries of price books and prices."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Prepared
from chassis.money import Money
from chassis.store import Conflict, EntityStore
from services.quotes.domain.price_resolution import (
    Candidate,
    PriceContext,
    PriceLine,
    Resolution,
    resolve,
)
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

    async def by_name(self, names: Sequence[str]) -> dict[str, PriceBook]:
        """Those that are not deleted, by name."""
        if not names:
            return {}
        rows = await self.tx.fetch(
            self.select().where(
                any_of(price_books.c.name, names, sa.Text), price_books.c.deleted_at.is_(None)
            )
        )
        return {book.name: book for book in map(self._load, rows)}

    async def named(self, id: UUID | str | None, field: str) -> PriceBook:
        """The price book with this id, the standard one for none.

        Raises:
            EntityNotFound: there is none.
        """
        return await self.get(id, field=field) if id else await self.standard()


class PriceStore(EntityStore[PriceBookEntry]):
    """The prices."""

    type = PRICE_BOOK_ENTRY

    async def of_products(
        self, product_ids: Iterable[UUID], account_ids: Iterable[UUID] = ()
    ) -> list[PriceBookEntry]:
        """The prices of the products for everybody, and those of the accounts that are named: in every
        price book and currency, of every day."""
        ids, accounts = list(set(product_ids)), list(set(account_ids))
        if not ids:
            return []
        entry = price_book_entries.c
        statement = self.select().where(any_of(entry.product_id, ids, sa.Uuid), entry.deleted_at.is_(None))
        rows = await self.tx.fetch(statement.where(entry.account_id.is_(None)))
        if accounts:
            rows += await self.tx.fetch(statement.where(any_of(entry.account_id, accounts, sa.Uuid)))
        return [self._load(row) for row in rows]

    async def resolve(
        self, lines: Sequence[PriceLine], context: PriceContext, *, everything: bool = False
    ) -> list[Resolution]:
        """Which price wins for each line and why, in one query for all lines.

        Raises:
            UnitUnknown: a line's product is not sold in the line's unit.
        """
        asked = {line.product.id for line in lines}
        parents = {line.product.parent_id for line in lines if line.product.parent_id is not None}
        found = await self.candidates(asked | parents, context, everything=everything)
        return [
            resolve(
                line,
                context,
                [
                    *found.get(line.product.id, ()),
                    *(found.get(line.product.parent_id, ()) if line.product.parent_id else ()),
                ],
            )
            for line in lines
        ]

    async def candidates(
        self, product_ids: Iterable[UUID], context: PriceContext, *, everything: bool = False
    ) -> dict[UUID, list[Candidate]]:
        """The prices that compete for products, by product: for all lines of a quote in one query.

        Whoever asks for a variant's prices asks for its parent's too. Contract prices of other customers
        are left out, and unless `everything` is wanted so are other currencies and days, and books that
        are neither named nor automatic.
        """
        ids = list(set(product_ids))
        if not ids:
            return {}
        statement = _competing(context.account_id is not None, context.price_book_id is not None, everything)
        values = {
            "product_ids": ids,
            "account_id": context.account_id,
            "book_id": context.price_book_id,
            "currency": context.currency,
            "day": context.day,
        }
        found: dict[UUID, list[Candidate]] = defaultdict(list)
        books: dict[UUID, PriceBook] = {}
        for row in await self.tx.fetch(statement, values):
            entry = self.type.rows.load(row)
            book = books.get(entry.price_book_id)
            if book is None:
                book = books[entry.price_book_id] = PRICE_BOOK.rows.load(row[_WIDTH:])  # type: ignore[arg-type]  # a part of a row is a tuple
            found[entry.product_id].append(Candidate(entry, book))
        return found

    async def in_force(
        self, book_id: UUID, product_ids: Iterable[UUID], currency: str, day: date
    ) -> dict[UUID, PriceBookEntry]:
        """The list prices of the products in one book on a day, those that have one."""
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
                entry.account_id.is_(None),
                entry.unit == "",
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


_WIDTH = len(PRICE_BOOK_ENTRY.rows.columns)
"""Where the book's columns begin in a row of a price with its book."""


@cache
def _competing(has_account: bool, has_book: bool, everything: bool) -> Prepared:
    """The prices of products for all customers, and those of one, with their books. Written once for
    each sort of question: SQLAlchemy would take longer to write it than the database to answer."""
    own = price_book_entries.c.account_id
    whose: list[sa.ColumnElement[bool]] = [own.is_(None)]
    if has_account:
        whose.append(own == sa.bindparam("account_id", type_=sa.Uuid))
    return Prepared(sa.union_all(*(_leg(each, has_book, everything) for each in whose)))


def _leg(whose: sa.ColumnElement[bool], has_book: bool, everything: bool) -> sa.Select[Any]:
    entry, book = price_book_entries.c, price_books.c
    products = sa.any_(sa.bindparam("product_ids", type_=sa.ARRAY(sa.Uuid)))
    statement = (
        sa.select(*PRICE_BOOK_ENTRY.rows.columns, *PRICE_BOOK.rows.columns)
        .join_from(price_book_entries, price_books, entry.price_book_id == book.id)
        .where(entry.product_id == products, entry.deleted_at.is_(None), whose)
    )
    if everything:
        return statement
    day = sa.bindparam("day", type_=sa.Date)
    statement = statement.where(
        entry.currency == sa.bindparam("currency", type_=sa.Text),
        book.deleted_at.is_(None),
        sa.func.coalesce(entry.valid_from, day) <= day,
        sa.func.coalesce(entry.valid_to, day) >= day,
    )
    if has_book:
        named = book.id == sa.bindparam("book_id", type_=sa.Uuid)
        return statement.where(named | entry.account_id.is_not(None))
    return statement.where(book.is_standard | book.is_automatic | entry.account_id.is_not(None))
