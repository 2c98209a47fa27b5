"""Reading a book from the database: all of it by binary COPY, or what came since a batch.

The columns that are copied have a fixed width, so that what arrives is an array already. Where there is
nothing, a value stands that cannot be: nil for an id, `---` for a currency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import orjson
import sqlalchemy as sa

from chassis.database import Database, Prepared, Transaction
from services.forecast.book.book import Book, Progress
from services.forecast.book.interning import Currencies, ids_of
from services.forecast.book.reference import Reference
from services.forecast.book.versions import UNDATED
from services.forecast.tables import deal_versions, progress, reference_versions
from services.forecast.wire.heard import microseconds

_CHUNK_BYTES: Final = 1 << 24
_HEADER_BYTES: Final = 19
_LOAD_SECONDS: Final = 600
_DAYS_1970_TO_2000: Final = 10_957
_MICROSECONDS_1970_TO_2000: Final = _DAYS_1970_TO_2000 * 86_400 * 1_000_000
_INFINITY: Final = 2**31 - 1
_MOST_TAIL: Final = 5000
"""Up to how many new versions are taken in one by one."""
_SLICE: Final = 200
"""How many rows of the tail are taken in before others have their turn."""

_NIL: Final = "'00000000-0000-0000-0000-000000000000'"
_ID: Final = "V16"
_DEALS: Final[dict[str, tuple[str, str]]] = {
    "deal": ("id", _ID),
    "version": ("version", ">i8"),
    "recorded_at": ("recorded_at", ">i8"),
    "effective_at": ("effective_at", ">i8"),
    "kind": ("kind", ">i2"),
    "state": ("state", ">i2"),
    "deleted": ("deleted", "?"),
    "owner": (f"coalesce(owner_id, {_NIL})", _ID),
    "account": (f"coalesce(account_id, {_NIL})", _ID),
    "pipeline": (f"coalesce(pipeline_id, {_NIL})", _ID),
    "stage": (f"coalesce(stage_id, {_NIL})", _ID),
    "lead": (f"coalesce(lead_id, {_NIL})", _ID),
    "amount": ("coalesce(amount, 0)", ">i8"),
    "has_amount": ("amount IS NOT NULL", "?"),
    "currency": ("CASE WHEN length(currency) = 3 THEN currency ELSE '---' END", "V3"),
    "closes_on": ("closes_on", ">i4"),
    "category": ("category", ">i2"),
}
_PARTS: Final[dict[str, tuple[str, str]]] = {
    "deal": ("id", _ID),
    "version": ("version", ">i8"),
    "sort": ("part.sort", ">i2"),
    "member": ("part.member", _ID),
    "end": ("part.ending", ">i8"),
}
_MANY: Final = frozenset({"deal", "account", "lead"})
"""Of what there are so many that they are numbered all at once."""
_SORTS: Final = ("product", "split", "overlay")
_ALL_PARTS: Final = " UNION ALL ".join(
    f"SELECT {number}::smallint AS sort, member, ending FROM unnest({name}_ids, {name}_ends) AS one(member, ending)"
    for number, name in enumerate(_SORTS)
)
_HAS_PARTS: Final = " OR ".join(f"{name}_ids <> '{{}}'" for name in _SORTS)

_PROGRESS: Final = Prepared(sa.select(progress.c.changes, progress.c.epoch, progress.c.reference_changes))
_ISOLATED: Final = sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_PATIENT: Final = sa.text(f"SET LOCAL statement_timeout = '{_LOAD_SECONDS}s'")
_REFERENCES: Final = Prepared(sa.select(reference_versions))
_SEEN: Final = sa.bindparam("seen", type_=sa.BigInteger)
_NEWER_DEALS: Final = Prepared(
    sa.select(deal_versions)
    .where(deal_versions.c.counted > _SEEN)
    .order_by(deal_versions.c.counted)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)
_NEWER_REFERENCES: Final = Prepared(sa.select(reference_versions).where(reference_versions.c.counted > _SEEN))


async def read_progress(tx: Transaction) -> Progress:
    """How far the forecast has come by now."""
    rows = await tx.read(_PROGRESS)
    return Progress(*rows[0]) if rows else Progress()


async def load(database: Database, tenant: UUID) -> Book:
    """The whole book, as it is at one moment."""
    book = Book()
    async with database.transaction(tenant) as tx:
        await tx.fetch(_ISOLATED)
        await tx.fetch(_PATIENT)
        now = await read_progress(tx)
        book.add([], [reference_of(row) for row in await tx.fetch(_REFERENCES)])
        connection = await tx.connection()
        columns: list[dict[str, npt.NDArray[Any]]] = []
        await _copy(
            connection,
            _query(_DEALS, "FROM deal_versions"),
            _dtype(_DEALS),
            lambda raw: columns.append(_columns(book, raw)),
        )
        parts: list[npt.NDArray[Any]] = []
        source = f"FROM deal_versions CROSS JOIN LATERAL ({_ALL_PARTS}) AS part WHERE {_HAS_PARTS}"
        await _copy(connection, _query(_PARTS, source), _dtype(_PARTS), lambda raw: parts.append(raw.copy()))
    if columns:
        await asyncio.to_thread(_fill, book, columns, parts)
    book.seen, book.epoch = now.changes, now.epoch
    return book


async def catch_up(book: Book, tx: Transaction, now: Progress) -> bool:
    """Takes in what came since the last time; False where that is so much that to load all is quicker."""
    seen = {"seen": book.seen}
    references = await tx.read(_NEWER_REFERENCES, seen) if now.reference_changes > book.seen else []
    most = max(_MOST_TAIL, len(book.versions) // 20)
    deals: list[Any] = await tx.read(_NEWER_DEALS, seen | {"most": most + 1})
    if len(deals) > most:
        return False
    book.add([], [reference_of(row) for row in references])
    for start in range(0, len(deals), _SLICE):
        if start:
            await asyncio.sleep(0)
        book.add(deals[start : start + _SLICE], [])
    book.seen = max(book.seen, now.changes)
    return True


def reference_of(row: Any) -> Reference:
    """A row of `reference_versions`."""
    content = row["content"]
    return Reference(
        row["kind"],
        row["id"],
        row["version"],
        microseconds(row["recorded_at"]),
        orjson.loads(content) if isinstance(content, str) else content,
    )


def _query(columns: dict[str, tuple[str, str]], source: str) -> str:
    return f"SELECT {', '.join(expression for expression, _ in columns.values())} {source}"


def _dtype(columns: dict[str, tuple[str, str]]) -> np.dtype[np.void]:
    """A row of binary COPY: how many values, and before each how long it is."""
    fields = [("count", ">i2")]
    for name, (_, type_) in columns.items():
        fields += [(f"length of {name}", ">i4"), (name, type_)]
    return np.dtype(fields)


async def _copy(
    connection: Any,
    query: str,
    dtype: np.dtype[np.void],
    take: Callable[[npt.NDArray[np.void]], None],
) -> None:
    pending = bytearray()
    begun = False

    def taken(size: int) -> None:
        nonlocal begun
        skipped = 0 if begun else _HEADER_BYTES
        count = (size - skipped) // dtype.itemsize
        if count:
            begun = True
            end = skipped + count * dtype.itemsize
            raw = np.frombuffer(bytes(pending[skipped:end]), dtype)
            del pending[:end]
            take(raw)

    async def consume(data: bytes) -> None:
        pending.extend(data)
        if len(pending) >= _CHUNK_BYTES:
            await asyncio.to_thread(taken, len(pending))

    consumer: Callable[[bytes], Awaitable[None]] = consume
    await connection.copy_from_query(query, output=consumer, format="binary", timeout=_LOAD_SECONDS)
    await asyncio.to_thread(taken, len(pending) - 2)  # it ends with two bytes


def _columns(book: Book, raw: npt.NDArray[np.void]) -> dict[str, npt.NDArray[Any]]:
    interners = book.codes.of_column()
    columns: dict[str, npt.NDArray[Any]] = {}
    for name, (_, type_) in _DEALS.items():
        column = raw[name]
        if name in _MANY:
            columns[name] = column.copy()
        elif type_ == _ID:
            columns[name] = interners[name].intern_all(ids_of(column))
        elif name == "currency":
            columns[name] = Currencies.codes_of(column)
        elif name.endswith("_at"):
            columns[name] = column.astype(np.int64) + _MICROSECONDS_1970_TO_2000
        elif name == "closes_on":
            days = column.astype(np.int64) + _DAYS_1970_TO_2000
            columns[name] = np.where(column == _INFINITY, UNDATED, days).astype(np.int32)
        else:
            columns[name] = column.astype(book.versions.HEARD[name])
    return columns


def _fill(book: Book, columns: list[dict[str, npt.NDArray[Any]]], parts: list[npt.NDArray[Any]]) -> None:
    whole = {}
    interners = book.codes.of_column()
    for name in book.versions.HEARD:
        column = np.concatenate([chunk.pop(name) for chunk in columns])
        whole[name] = interners[name].intern_all(ids_of(column)) if name in _MANY else column
    shared: dict[str, tuple[Any, ...]] = {}
    if parts:
        every = np.concatenate(parts)
        parts.clear()
        members = {"product": book.codes.products, "split": book.codes.users, "overlay": book.codes.users}
        for number, name in enumerate(_SORTS):
            of_sort = every[every["sort"] == number]
            if len(of_sort):
                shared[name] = (
                    interners["deal"].intern_all(ids_of(of_sort["deal"])),
                    of_sort["version"].astype(np.int64),
                    members[name].intern_all(ids_of(of_sort["member"])),
                    of_sort["end"].astype(np.int64),
                )
    book.load(whole, shared)
