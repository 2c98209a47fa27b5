"""One service's PostgreSQL database: a pool of connections, and transactions that open themselves.

Statements are SQLAlchemy Core, compiled once and executed on asyncpg: the ORM's session and even the
Core connection cost more than PostgreSQL itself (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from chassis.errors import Unavailable

_ACQUIRE_TIMEOUT: Final = 5.0
_DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what is said on a connection that is just being closed
)
"""What asyncpg says when a connection is gone, or cannot be made."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or has no connection free."""

    def __init__(self) -> None:
        super().__init__("The service's database is not available at the moment; try again shortly.")


class DatabaseBusy(Unavailable):
    """What is asked for waits for others for too long: for a lock, or for the machine."""

    def __init__(self) -> None:
        super().__init__("Too many ask for the same at this moment; try again shortly.")


BUSY: Final = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)
"""What asyncpg says where a lock or a statement took longer than is waited for."""


class DatabaseNotMigrated(Unavailable):
    """A table is not there yet: the service was started before its migrations ran."""

    def __init__(self) -> None:
        super().__init__("The service's database is being prepared; try again shortly.")


class Prepared:
    """A statement with named parameters, compiled to SQL when it is first executed."""

    __slots__ = ("_compiled", "statement")

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement
        self._compiled: tuple[str, tuple[str, ...], dict[str, Any]] | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(self._parts()[1])

    def _parts(self) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        if self._compiled is None:
            compiled = _compile(self.statement)
            self._compiled = (str(compiled), _names(compiled), dict(compiled.params))
        return self._compiled

    def bind(self, params: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The SQL and its arguments in order."""
        sql, names, defaults = self._parts()
        return sql, [params[name] if name in params else defaults[name] for name in names]


_shapes: dict[Any, tuple[SQLCompiler, str, tuple[str, ...]]] = {}
_MAX_SHAPES: Final = 2000


def _bind(statement: ClauseElement | Prepared, params: Mapping[str, Any] | None) -> tuple[str, list[Any]]:
    if isinstance(statement, Prepared):
        return statement.bind(params or {})
    cache_key = statement._generate_cache_key()  # what SQLAlchemy's own engine caches by
    if cache_key is None:
        compiled = _compile(statement)
        values = compiled.construct_params(dict(params or {}))
        return str(compiled), [values[name] for name in _names(compiled)]
    shape = _shapes.get(cache_key.key)
    if shape is None:
        compiled = _compile(statement, cache_key)
        shape = compiled, str(compiled), _names(compiled)
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()
        _shapes[cache_key.key] = shape
    compiled, sql, names = shape
    values = compiled.construct_params(dict(params or {}), extracted_parameters=cache_key.bindparams)
    return sql, [values[name] for name in names]


def _compile(statement: ClauseElement, cache_key: Any = None) -> SQLCompiler:
    compiled = statement.compile(dialect=_DIALECT, **({"cache_key": cache_key} if cache_key else {}))
    assert isinstance(compiled, SQLCompiler)
    if compiled.post_compile_params:
        raise TypeError(
            "IN with a list changes the SQL with its length: compare with any_() of an array instead"
        )
    return compiled


def _names(compiled: SQLCompiler) -> tuple[str, ...]:
    return tuple(compiled.positiontup or ())


class Session(asyncpg.Connection):
    """A connection that remembers whose rows its statements see outside of a transaction."""

    __slots__ = ("_tenant",)

    async def see(self, tenant: UUID | None) -> None:
        """Sets the tenant, where it is another than the last."""
        if getattr(self, "_tenant", None) != tenant or tenant is None:
            self._tenant = None  # whatever becomes of the statement
            await self.execute(f"SET app.tenant = '{UUID(str(tenant))}'" if tenant else "RESET app.tenant")
            self._tenant = tenant


class Deferred(Protocol):
    """What waits to be written until something else is asked, or the transaction is committed."""

    @property
    def is_one_statement(self) -> bool:
        """Whether it is one statement for one row."""
        ...

    async def flush(self, *, alone: bool = False) -> None:
        """Writes it; `alone`, outside of a transaction."""
        ...


class Database:
    """A pool of connections as the service's own role."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.pool = pool
        self.hints: list[Callable[[], None]] = []
        """Called after each transaction that wrote changes has been committed: there is something to publish."""
        self.due_hints: list[Callable[[], None]] = []
        """Called after each transaction that scheduled work has been committed: some may be due."""

    @classmethod
    async def connect(cls, url: str, *, connections: int = 5, name: str = "sfa") -> Database:
        """Opens the pool; fails where the database cannot be reached.

        Timeouts are set for every session: one long transaction would hold back every feed of the
        cluster.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=connections,
            max_inactive_connection_lifetime=300,
            statement_cache_size=1024,
            max_cached_statement_lifetime=0,
            timeout=5,
            command_timeout=30,
            reset=_leave_as_is,
            connection_class=Session,
            server_settings={
                "application_name": name,
                "search_path": "app, public",
                "timezone": "UTC",
                "statement_timeout": "20s",
                "lock_timeout": "5s",
                "idle_in_transaction_session_timeout": "15s",
                "jit": "off",
            },
        )
        return cls(pool)

    def transaction(self, tenant: UUID | None) -> Transaction:
        """A transaction for one tenant. Without one, only tables that hold no tenant's data answer."""
        return Transaction(self.pool, tenant, self.hints, self.due_hints)

    async def close(self) -> None:
        """Waits for running statements, at most five seconds."""
        try:
            await asyncio.wait_for(self.pool.close(), 5)
        except TimeoutError:
            self.pool.terminate()


def _terminate(connection: Any) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool has noticed already
        connection.terminate()


async def _leave_as_is(connection: Any) -> None:
    """A connection goes back without a round trip: its only state is the tenant, which everyone sets
    who takes it."""


class Transaction:
    """What one call does in the database; the chassis commits it or rolls it back.

    Plain reads need no transaction: each is a round trip by itself. The first statement that writes or
    locks begins one, and what was deferred goes out with the commit: a call that makes one change
    sends one statement.

    Used as `async with`, it commits at the end of the block.
    """

    __slots__ = (
        "_after_commit", "_begun", "_connection", "_deferred", "_due_hints", "_hints", "_last", "_pool",
        "position", "scheduled", "tenant", "wrote",
    )  # fmt: skip

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        tenant: UUID | None,
        hints: Sequence[Callable[[], None]] = (),
        due_hints: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._pool = pool
        self._hints = hints
        self._due_hints = due_hints
        self.tenant = tenant
        self._connection: Any = None
        self._begun = False
        self._deferred: list[Deferred] = []
        self._after_commit: list[Callable[[], None]] = []
        self._last = ""
        self.wrote = False
        self.position: int | None = None
        """The transaction's id, once it wrote a change."""
        self.scheduled = False
        """Whether it scheduled work."""

    def defer(self, writer: Deferred) -> None:
        """Has something written before the next statement, or with the commit."""
        self.wrote = True
        if writer not in self._deferred:
            self._deferred.append(writer)

    async def connection(self) -> Any:
        """The asyncpg connection, with the transaction open and the tenant set.

        Raises:
            DatabaseUnavailable: none could be had.
        """
        if not self._begun:
            if self._connection is None:
                self._connection = await self._acquire(begin=True)
            else:
                await self._connection.execute(self._begin)
            self._begun = True
        if self._deferred:
            await self._write_deferred()
        return self._connection

    async def session(self) -> Any:
        """The asyncpg connection with the tenant set: in the transaction where one is open, else
        without. For a single statement that reads and locks nothing."""
        if self._deferred:
            return await self.connection()
        if self._connection is None:
            self._connection = await self._acquire(begin=False)
        return self._connection

    @property
    def is_deferring(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._deferred)

    async def _write_deferred(self) -> None:
        deferred, self._deferred = self._deferred, []
        for writer in deferred:
            await writer.flush()

    @property
    def _begin(self) -> str:
        tenant = f"= '{UUID(str(self.tenant))}'" if self.tenant else "TO DEFAULT"
        return f"BEGIN; SET LOCAL app.tenant {tenant}"

    async def _acquire(self, *, begin: bool) -> Any:
        # connections that a restarted server has forgotten are still in the pool: one after the other shows
        for _ in range(self._pool.get_max_size() + 1):
            try:
                # a limit costs a task, which only who has to wait needs
                waits = self._pool.get_idle_size() == 0
                connection: Any = await self._pool.acquire(timeout=_ACQUIRE_TIMEOUT if waits else None)
            # whatever PostgreSQL says instead of a connection: not yet, no such database, too many
            except (TimeoutError, asyncpg.PostgresError, *LOST) as error:
                raise DatabaseUnavailable from error
            try:
                await (connection.execute(self._begin) if begin else connection.see(self.tenant))
            except LOST:
                _terminate(connection)
                await self._pool.release(connection)
            except BaseException:
                await self._pool.release(connection)
                raise
            else:
                return connection
        raise DatabaseUnavailable

    async def read(
        self, statement: ClauseElement | Prepared, params: Mapping[str, Any] | None = None
    ) -> list[asyncpg.Record]:
        """All rows of a statement that only reads and locks nothing: it needs no transaction."""
        sql, arguments = _bind(statement, params)
        rows: list[asyncpg.Record] = await (await self.session()).fetch(sql, *arguments)
        return rows

    async def fetch(
        self, statement: ClauseElement | Prepared, params: Mapping[str, Any] | None = None
    ) -> list[asyncpg.Record]:
        """All rows of a statement."""
        sql, arguments = _bind(statement, params)
        rows: list[asyncpg.Record] = await (await self.connection()).fetch(sql, *arguments)
        return rows

    async def fetchrow(
        self, statement: ClauseElement | Prepared, params: Mapping[str, Any] | None = None
    ) -> asyncpg.Record | None:
        """The first row, None where there is none."""
        sql, arguments = _bind(statement, params)
        row: asyncpg.Record | None = await (await self.connection()).fetchrow(sql, *arguments)
        return row

    async def fetchval(
        self, statement: ClauseElement | Prepared, params: Mapping[str, Any] | None = None
    ) -> Any:
        """The first column of the first row, None where there is none."""
        row = await self.fetchrow(statement, params)
        return row[0] if row is not None else None

    async def execute(
        self, statement: ClauseElement | Prepared, params: Mapping[str, Any] | None = None
    ) -> None:
        """Executes a statement that writes."""
        sql, arguments = _bind(statement, params)
        self.wrote = True
        await (await self.connection()).fetch(sql, *arguments)

    async def executemany(
        self, statement: ClauseElement | Prepared, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Executes a statement that writes once for each row, in one round trip."""
        if not rows:
            return
        bound = [_bind(statement, row) for row in rows]
        self.wrote = True
        await (await self.connection()).executemany(bound[0][0], [arguments for _, arguments in bound])

    def after_commit(self, hint: Callable[[], None]) -> None:
        """Calls `hint` when the transaction has been committed. It must not fail, nor take time."""
        if hint not in self._after_commit:
            self._after_commit.append(hint)

    def with_commit(self, sql: str) -> None:
        """Has SQL without parameters run in the round trip of the commit."""
        self._last += f"{sql}; "

    async def commit(self) -> None:
        """Writes what was deferred, commits what was opened, and lets the connection go."""
        if self._deferred:
            await self._write_last()
        if self._connection is not None:
            await self._finish(f"{self._last}COMMIT" if self._begun else "")
            for hint in (*self._after_commit, *(self._hints if self.position is not None else ())):
                hint()
            for hint in self._due_hints if self.scheduled else ():
                hint()

    async def _write_last(self) -> None:
        alone = not self._begun and not self._last and len(self._deferred) == 1
        if alone and self._deferred[0].is_one_statement:
            (writer,), self._deferred = self._deferred, []
            await self.session()
            await writer.flush(alone=True)
        else:
            await self.connection()

    async def rollback(self) -> None:
        """Undoes what was opened, if anything was, and forgets what was to come with the commit."""
        self._deferred, self._after_commit, self._last = [], [], ""
        self.wrote, self.scheduled, self.position = False, False, None
        if self._connection is not None:
            # where the connection is gone, so is the transaction
            with contextlib.suppress(asyncpg.PostgresError, *LOST):
                await asyncio.shield(self._finish("ROLLBACK" if self._begun else ""))

    async def _finish(self, command: str) -> None:
        connection, self._connection, self._begun = self._connection, None, False
        try:
            if command:
                await connection.execute(command)
        except BaseException:
            _terminate(connection)
            raise
        finally:
            await self._pool.release(connection)

    async def __aenter__(self) -> Transaction:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            await self.rollback()
            return
        try:
            await self.commit()
        except BaseException:
            await self.rollback()  # what was deferred was refused
            raise
