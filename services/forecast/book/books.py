"""The books of the tenants in use, each as fresh as the database at the moment of asking."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from chassis.call import Call
from chassis.database import Database
from services.forecast.book.book import Book
from services.forecast.book.loading import catch_up, load, read_progress
from services.forecast.book.reference import Reference
from services.forecast.store import Batch

BUDGET_BYTES: Final = 1 << 30
"""How much memory all books of a process may take before those go that were not asked for the longest."""
_FEW: Final = 200
"""How many versions are taken in at once where they were committed; others are read when asked for."""


class Books:
    """One for each process. A book is loaded when a tenant is first asked about."""

    def __init__(self, database: Database, budget: int = BUDGET_BYTES) -> None:
        self._database, self._budget = database, budget
        self._books: OrderedDict[UUID, Book] = OrderedDict()
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._loading: dict[UUID, asyncio.Task[Book]] = {}

    def __len__(self) -> int:
        return len(self._books)

    async def of(self, call: Call) -> Book:
        """The book of the caller's tenant, with everything that was committed before."""
        tenant = call.caller.tenant
        now = await read_progress(call.tx)
        book = self._books.get(tenant)
        while book is None or not book.has(now):
            async with self._locks.setdefault(tenant, asyncio.Lock()):
                book = self._books.get(tenant)
                is_near = book is not None and book.epoch == now.epoch
                if book is not None and is_near and (book.has(now) or await catch_up(book, call.tx, now)):
                    break
                if not call.tx.wrote:
                    await call.tx.commit()  # nothing is held while all is read
                book = await self._loaded(tenant)
                now = await read_progress(call.tx)
        self._books.move_to_end(tenant)
        return book

    async def _loaded(self, tenant: UUID) -> Book:
        """Reads the whole book. It is read to its end even if nobody waits any longer: who asks again finds
        it there, instead of beginning anew."""
        loading = self._loading.get(tenant)
        if loading is None:
            loading = self._loading[tenant] = asyncio.create_task(self._load(tenant))
        return await asyncio.shield(loading)

    async def _load(self, tenant: UUID) -> Book:
        try:
            book = self._books[tenant] = await load(self._database, tenant)
        finally:
            del self._loading[tenant]
        self._make_room(tenant)
        return book

    def applied(
        self,
        tenant: UUID,
        batch: Batch,
        deals: Sequence[Mapping[str, Any]],
        references: Sequence[Reference],
    ) -> None:
        """Takes in what this process has just committed itself, where nothing is missing before it."""
        book = self._books.get(tenant)
        is_next = book is not None and book.epoch == batch.epoch and book.seen == batch.count - 1
        if book is not None and is_next and len(deals) <= _FEW:
            book.add(deals, references)
            book.seen = batch.count

    def _make_room(self, asked: UUID) -> None:
        total = sum(book.bytes for book in self._books.values())
        for tenant in list(self._books):
            if total <= self._budget or tenant == asked:
                break
            total -= self._books.pop(tenant).bytes
            self._locks.pop(tenant, None)
