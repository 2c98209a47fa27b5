"""Entities in their tables: read within the caller's sight, written with their history.

A store is made for one call and asks for nothing else, so that no query can forget tenant or sight:
the database fences the tenant, the store adds who may see. A write is one statement: the row, the
change that it makes, and the outbox entry that has it published.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Select, Table

from chassis import convert, filtering, history, sight
from chassis.call import Call
from chassis.columns import Codec, RowMapper
from chassis.database import Prepared
from chassis.entity import Entity, Event, ExternalId
from chassis.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Refusal
from chassis.fields import Field
from chassis.money import Money
from chassis.paging import Keyset, Order
from chassis.schema import external_ids as external_ids_table

E = TypeVar("E", bound=Entity)

MAX_EVENT_BYTES = 512 * 1024
DEFAULT_PAGE = 50
_BOOKKEEPING = frozenset({"id", "version", "created_at", "updated_at", "effective_at"})
_TICK = timedelta(microseconds=1)
_GIVEN = sight.PARAMETERS | {"wanted", "row_limit"}


class EntityNotFound(NotFound):
    """There is no such entity, or the caller may not see it: the two are not told apart."""

    def __init__(self, kind: str, id: object, field: str = "id") -> None:
        super().__init__(f"There is no {kind} {id} that you may see.", field=field)

    @property
    def reason(self) -> str:
        return "NOT_FOUND"


class EtagMismatch(Aborted):
    """The version that the caller meant to change is no longer the current one."""

    def __init__(self, kind: str, current: int) -> None:
        super().__init__(
            f"The {kind} was changed by somebody else: it is at version {current} now. Read it and decide again.",
            field="etag",
            current=str(current),
        )


class IdTaken(AlreadyExists):
    """An id that a client brought is in use."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is a {kind} with this id already.", field="id")


class ExternalIdTaken(AlreadyExists):
    """An external id belongs to another entity."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"Another {kind} has one of these external ids already.", field="external_ids")


class TooLarge(InvalidArgument):
    """The resource would not fit into an event."""

    def __init__(self, kind: str, size: int) -> None:
        super().__init__(
            f"The {kind} would take {size} bytes; {MAX_EVENT_BYTES} is the most. Make it smaller."
        )


class Conflict(Exception):
    """Somebody else wrote the same entity at the same moment; the call is made again."""


class PageRequest(Protocol):
    """What every list request has."""

    @property
    def page_size(self) -> int: ...
    @property
    def page_token(self) -> str: ...


@dataclass(frozen=True)
class EntityType(Generic[E]):
    """What the chassis has to know of one kind of entity."""

    name: str
    """In changes, events and external ids: `opportunity`."""
    cls: type[E]
    table: Table
    to_proto: Callable[[E], Message]
    events: ModuleType
    """The generated module of the service's events; an event's field 1 is the resource."""
    owner: str | None = None
    """The field with the user to whom it belongs: who may see it follows from that."""
    sharing: tuple[str, Callable[[Any], Sequence[UUID]]] | None = None
    """A field that says by its value which other users see it, and how: they hear of its changes, too."""
    is_open: Callable[[Table], ColumnElement[bool]] | None = None
    """Which ones move along when their owner leaves."""
    fields: Mapping[str, Field] = field(default_factory=dict)
    """What lists can be filtered and ordered by, besides what all entities have."""
    searched: Sequence[str] = ()
    """The fields that a bare word in a filter is looked for in."""
    default_order: str = "create_time desc"
    codecs: Mapping[str, Codec] = field(default_factory=dict)
    money: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unique: Mapping[str, Callable[[], Refusal]] = field(default_factory=dict)
    """Which refusal a violated unique index stands for."""

    def __post_init__(self) -> None:
        rows = RowMapper(self.cls, self.table, self.codecs, self.money)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "fields", {**_fields_of_all(self.table), **self.fields})
        object.__setattr__(self, "sql", _WriteSql(self.name, self.table.name, rows))

    rows: RowMapper[E] = field(init=False, repr=False)
    sql: _WriteSql = field(init=False, repr=False)
    store: type[EntityStore[E]] = field(init=False, repr=False)
    """The store of this kind, which knows who may see it."""


def _fields_of_all(table: Table) -> dict[str, Field]:
    return {
        "id": Field.of(table.c.id, nullable=False, sortable=True),
        "create_time": Field.of(table.c.created_at, nullable=False, sortable=True),
        "update_time": Field.of(table.c.updated_at, nullable=False, sortable=True),
        "delete_time": Field.of(table.c.deleted_at),
        "external_ids": Field.of(table.c.external_ids),
    }


class _WriteSql:
    """The four statements that write an entity: new or known, with or without its external ids."""

    def __init__(self, entity: str, table: str, rows: RowMapper[Any]) -> None:
        names = rows.names
        count = len(names)
        place = {name: f"${index}" for index, name in enumerate(names, 1)}
        extra = [f"${count + index}" for index in range(1, 14)]
        (
            recorded,
            actor,
            via,
            method,
            request,
            digest,
            ordinal,
            before,
            after,
            fields,
            kind,
            event,
            trace,
        ) = extra
        added, removed = f"${count + 14}", f"${count + 15}"
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(place.values())})"
        changing = ", ".join(f"{name} = {place[name]}" for name in names if name not in ("id", "created_at"))
        # created_at is bound so that both statements take the same arguments
        update = (
            f"UPDATE {table} SET {changing} WHERE id = {place['id']}"
            f" AND version = {place['version']} - 1 AND created_at = {place['created_at']}"
        )
        tail = (
            " change AS (INSERT INTO changes (entity, entity_id, version, recorded_at, effective_at, actor, via,"
            " method, request_id, request_hash, ordinal, sight_before, sight_after, changed_fields, event_type,"
            f" event, deleted) VALUES ('{entity}', {place['id']}, {place['version']}, {recorded},"
            f" {place['effective_at']}, {actor}, {via}, {method}, {request}, {digest}, {ordinal}, {before}, {after},"
            f" {fields}, {kind}, {event}, {place['deleted_at']} IS NOT NULL))"
            " INSERT INTO outbox (tenant_id, entity, entity_id, version, traceparent)"
            f" VALUES (current_setting('app.tenant')::uuid, '{entity}', {place['id']}, {place['version']}, {trace})"
            " RETURNING position"
        )
        # The first condition holds or not before any row is looked at: without it every new entity's key
        # would be paid for by a scan of all others'.
        keys = (
            f" gone AS (DELETE FROM external_ids WHERE cardinality({removed}::text[]) > 0 AND entity = '{entity}'"
            " AND (system, external_id) IN (SELECT split_part(key, ':', 1), substr(key, strpos(key, ':') + 1)"
            f" FROM unnest({removed}::text[]) AS key) AND entity_id = {place['id']}),"
            " come AS (INSERT INTO external_ids (entity, system, external_id, entity_id)"
            f" SELECT '{entity}', split_part(key, ':', 1), substr(key, strpos(key, ':') + 1), {place['id']}"
            f" FROM unnest({added}::text[]) AS key),"
        )
        self.insert = f"WITH row AS ({insert}),{tail}"
        self.update = f"WITH row AS ({update}),{tail}"
        self.insert_keys = f"WITH row AS ({insert}),{keys}{tail}"
        self.update_keys = f"WITH row AS ({update}),{keys}{tail}"


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """One page of a list."""

    items: list[E]
    next_page_token: str


class EntityStore(Generic[E]):
    """The entities of one kind, as one call may see and change them."""

    type: EntityType[E]

    _statements: ClassVar[dict[Hashable, Prepared]] = {}

    def __init_subclass__(cls) -> None:
        cls._statements = {}
        if "type" in cls.__dict__:
            object.__setattr__(cls.type, "store", cls)

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tx = call.tx
        self._known: dict[UUID, tuple[Any, ...]] = {}
        self._staged: dict[tuple[int, str], list[list[Any]]] = {}
        self._waves: dict[UUID, int] = {}
        """How often each entity was staged since the last flush."""
        self._recorded_at: datetime | None = None

    # Reading

    def visible(self) -> ColumnElement[bool] | None:
        """Which rows the caller may see; None for all."""
        return sight.condition(self.call, self.type.table.c[self.type.owner]) if self.type.owner else None

    def changeable(self, entity: E) -> None:
        """Raises a refusal where the caller may see the entity but not change it."""

    def select(self) -> Select[Any]:
        """The entities that the caller may see, deleted ones included."""
        visible = self.visible()
        return self.type.rows.select if visible is None else self.type.rows.select.where(visible)

    def listed(self) -> Select[Any]:
        """The entities that a list shows which does not ask for others."""
        return self.select()

    async def find(self, id: UUID) -> E | None:
        """The entity, deleted or not; None where there is none that the caller may see."""
        wanted = sa.bindparam("wanted", None, sa.Uuid)
        statement = self._prepared("find", lambda: self.select().where(self.type.table.c.id == wanted))
        rows = await self.tx.read(statement, {**sight.parameters(self.call), "wanted": id})
        return self._load(rows[0]) if rows else None

    def _prepared(self, key: Hashable, build: Callable[[], Select[Any]]) -> Prepared:
        """The statement, kept from one call to the next where nothing in it belongs to the call but what
        `sight` and this class give it anew."""
        key = sight.shape(self.call), key
        statement = self._statements.get(key)
        if statement is None:
            statement = Prepared(build())
            if statement.names <= _GIVEN:
                self._statements[key] = statement
        return statement

    async def get(self, id: UUID | str, etag: str = "", *, deleted: bool = False, field: str = "id") -> E:
        """The entity, at the version that `etag` names if it names one.

        Raises:
            EntityNotFound: there is none that the caller may see, or it is deleted.
            EtagMismatch: it is at another version.
        """
        entity = await self.find(UUID(str(id)))
        if entity is None or (entity.deleted_at is not None and not deleted):
            raise EntityNotFound(self.type.name, id, field)
        if etag and etag.removeprefix("W/").strip('"') != str(entity.version):
            raise EtagMismatch(self.type.name, entity.version)
        return entity

    async def get_many(self, ids: Sequence[UUID]) -> dict[UUID, E]:
        """Those of the entities that there are, by id."""
        if not ids:
            return {}
        statement = self.select().where(
            self.type.table.c.id == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
        )
        return {entity.id: entity for entity in map(self._load, await self.tx.read(statement))}

    async def ids_of(self, keys: Sequence[ExternalId]) -> dict[ExternalId, UUID]:
        """The ids behind external ids, whether the caller may see the entities or not."""
        if not keys:
            return {}
        keyed = external_ids_table.c
        wanted = (
            sa.func.unnest(
                sa.literal([key.system for key in keys], sa.ARRAY(sa.Text)),
                sa.literal([key.id for key in keys], sa.ARRAY(sa.Text)),
            )
            .table_valued("system", "external_id")
            .render_derived("wanted")
        )
        statement = sa.select(keyed.system, keyed.external_id, keyed.entity_id).where(
            keyed.entity == self.type.name,
            keyed.system == wanted.c.system,
            keyed.external_id == wanted.c.external_id,
        )
        return {ExternalId(row[0], row[1]): row[2] for row in await self.tx.read(statement)}

    async def by_external(self, keys: Sequence[ExternalId]) -> dict[ExternalId, E]:
        """The entities behind external ids, those that the caller may see."""
        ids = await self.ids_of(keys)
        entities = await self.get_many(list(ids.values()))
        return {key: entities[id] for key, id in ids.items() if id in entities}

    async def batch(self, ids: Sequence[str], keys: Sequence[Any]) -> list[E]:
        """What a BatchGet asks for: by id and by external id, in the order asked, without those missing."""
        by_id = await self.get_many([UUID(id) for id in ids])
        wanted = [ExternalId(key.system, key.id) for key in keys]
        by_key = await self.by_external(wanted)
        found = [by_id.get(UUID(id)) for id in ids] + [by_key.get(key) for key in wanted]
        return [entity for entity in found if entity is not None]

    async def page(self, request: PageRequest, *conditions: ColumnElement[bool]) -> Page[E]:
        """One page, as the request's filter, order_by, page_size, page_token and show_deleted say."""
        kind = self.type
        text, deleted = getattr(request, "filter", ""), getattr(request, "show_deleted", False)
        order = Order.parse(getattr(request, "order_by", ""), kind.fields, kind.default_order)
        keyset = Keyset(order, text, deleted)
        after = keyset.after(request.page_token)

        def build() -> Select[Any]:
            statement = self.listed().where(*conditions)
            if text:
                matching = filtering.condition(filtering.Filter.parse(text), kind.fields, kind.searched)
                statement = statement if matching is None else statement.where(matching)
            if not deleted:
                statement = statement.where(kind.table.c.deleted_at.is_(None))
            if after is not None:
                statement = statement.where(after)
            return statement.order_by(*order.clauses).limit(sa.bindparam("row_limit", 0, sa.Integer))

        size = request.page_size or DEFAULT_PAGE
        plain = not text and after is None and not conditions
        statement = self._prepared(("page", str(order), deleted), build) if plain else build()
        rows = await self.tx.read(statement, {**sight.parameters(self.call), "row_limit": size + 1})
        items = [kind.rows.load(row) for row in rows[:size]]
        return Page(items, keyset.token(rows[size - 1]) if len(rows) > size else "")

    async def versions(self, id: UUID, request: PageRequest) -> tuple[list[history.Version], str]:
        """The versions of an entity that the caller may see, newest first."""
        await self.get(id, deleted=True)
        return await history.versions(self.tx, self.type.name, id, request)

    async def as_of(
        self, id: UUID | str, recorded_at: datetime | None = None, effective_at: datetime | None = None
    ) -> Message:
        """The resource as it was recorded by an instant, or as it was in the world at one.

        Raises:
            EntityNotFound: there is none that the caller may see, or was none then.
        """
        entity = await self.get(id, deleted=True)
        resource = await history.as_of(self.tx, self.type.name, entity.id, recorded_at, effective_at)
        if resource is None:
            raise EntityNotFound(f"{self.type.name} at that time", id)
        return resource

    # Writing

    async def add(self, entity: E, event: Event, effective_at: datetime | None = None) -> None:
        """Writes a new entity, with the next statement or the commit; `flush` writes it now.

        Raises, when it is written:
            IdTaken, ExternalIdTaken: it is not new; or a refusal that the type declares.
        """
        self.stage(entity, event, effective_at)
        self.tx.defer(self)

    async def save(self, entity: E, event: Event, effective_at: datetime | None = None) -> bool:
        """Writes what changed since the entity was read, with the next statement or the commit; nothing
        where nothing did, and says so."""
        staged = self.stage(entity, event, effective_at)
        if staged:
            self.tx.defer(self)
        return staged

    def stage(
        self, entity: E, event: Event, effective_at: datetime | None = None, *, ordinal: int | None = None
    ) -> bool:
        """Prepares a write; `flush` makes all that were prepared, in order, in one round trip.

        An entity may be staged again after it changed again: each time is a version.
        """
        call, kind = self.call, self.type
        before = self._known.get(entity.id)
        if before is not None:
            self.changeable(entity)
        changed = self._changed(entity, before)
        if before is not None and not changed:
            return False
        recorded = self._recorded_at or call.clock.now()
        if entity.updated_at is not None and recorded <= entity.updated_at:
            recorded = entity.updated_at + _TICK
        entity.version += 1
        entity.created_at = entity.created_at or recorded
        entity.updated_at = recorded
        entity.effective_at = effective_at or recorded
        message = self._event(entity, event)
        owner = getattr(entity, kind.owner) if kind.owner else None
        former = before[kind.rows.fields.index(kind.owner)] if before is not None and kind.owner else None
        seers, seers_before = [owner] if owner else [], [former] if former else []
        if kind.sharing is not None:
            name, seen_by = kind.sharing
            seers.extend(seen_by(getattr(entity, name)))
            if before is not None:
                seers_before.extend(seen_by(before[kind.rows.fields.index(name)]))
        had = before[kind.rows.fields.index("external_ids")] if before is not None else ()
        keyed = had != entity.external_ids
        arguments = [
            *kind.rows.dump(entity),
            recorded,
            call.caller.actor,
            call.caller.via,
            call.method,
            call.request_id,
            call.request_hash,
            call.ordinal if ordinal is None else ordinal,
            seers_before,
            seers,
            changed,
            message.DESCRIPTOR.full_name,
            message.SerializeToString(),
            call.traceparent,
        ]
        if keyed:
            arguments += [
                _keys(set(entity.external_ids) - set(had)),
                _keys(set(had) - set(entity.external_ids)),
            ]
        sql = kind.sql
        statement = (
            (sql.insert_keys if keyed else sql.insert)
            if before is None
            else (sql.update_keys if keyed else sql.update)
        )
        wave = self._waves[entity.id] = self._waves.get(entity.id, 0) + 1
        self._staged.setdefault((wave, statement), []).append(arguments)
        self._known[entity.id] = kind.rows.values(entity)
        if ordinal is None:
            call.ordinal += 1
        return True

    def save_together(self, changes: Sequence[tuple[E, Event]], effective_at: datetime | None = None) -> None:
        """Writes several entities, new ones among them, that change as one: recorded at one instant, so that
        whoever looks back sees all of it or nothing."""
        known = [entity.updated_at + _TICK for entity, _ in changes if entity.updated_at is not None]
        self._recorded_at = max((self.call.clock.now(), *known))
        for entity, event in changes:
            self.stage(entity, event, effective_at or self._recorded_at)
        self._recorded_at = None
        self.tx.defer(self)

    @contextmanager
    def row(self) -> Iterator[None]:
        """What is staged within is staged as a whole: a refusal takes it back."""
        staged = {key: len(rows) for key, rows in self._staged.items()}
        known, waves = dict(self._known), dict(self._waves)
        try:
            yield
        except Refusal:
            for key, rows in self._staged.items():
                del rows[staged.get(key, 0) :]
            self._known, self._waves = known, waves
            raise

    def staged_arguments(self) -> list[list[Any]]:
        """The arguments of all statements that were staged and not flushed, in order."""
        return [arguments for _, rows in sorted(self._staged.items()) for arguments in rows]

    @property
    def is_one_statement(self) -> bool:
        """Whether what was staged is one statement for one row."""
        return [len(rows) for rows in self._staged.values() if rows] == [1]

    async def flush(self, *, alone: bool = False) -> None:
        """Writes what was staged; `alone`, outside of a transaction, where it is one statement.

        Raises:
            Conflict: an entity was written by somebody else since it was read.
            IdTaken, ExternalIdTaken: an id is in use; or a refusal that the type declares.
        """
        staged = sorted(((key, rows) for key, rows in self._staged.items() if rows), key=lambda item: item[0])
        self._staged, self._waves = {}, {}
        if not staged:
            return
        self.tx.wrote = True
        connection = await (self.tx.session() if alone else self.tx.connection())
        sql = ""
        try:
            # wave by wave: an entity's first version comes before its second
            for (_, sql), rows in staged:
                if len(rows) == 1:
                    self.tx.position = int(await connection.fetchval(sql, *rows[0]))
                else:
                    await connection.executemany(sql, rows)
            if self.tx.position is None:
                self.tx.position = int(await connection.fetchval("SELECT pg_current_xact_id()"))
        except asyncpg.UniqueViolationError as error:
            raise self._refusal(error, new="row AS (INSERT" in sql) from error

    def _load(self, row: asyncpg.Record) -> E:
        entity = self.type.rows.load(row)
        self._known[entity.id] = self.type.rows.values(entity)
        return entity

    def _changed(self, entity: E, before: tuple[Any, ...] | None) -> list[str]:
        if before is None:
            return []
        after = self.type.rows.values(entity)
        return [
            name
            for name, old, new in zip(self.type.rows.fields, before, after, strict=True)
            if old != new and name not in _BOOKKEEPING
        ]

    def _event(self, entity: E, event: Event) -> Message:
        message_class = getattr(self.type.events, type(event).__name__)
        resource = message_class.DESCRIPTOR.fields_by_number[1].name
        facts = {name: _fact(getattr(event, name)) for name in event.__dataclass_fields__}
        message = cast("Message", message_class(**{resource: self.type.to_proto(entity)}, **facts))
        if message.ByteSize() > MAX_EVENT_BYTES:
            raise TooLarge(self.type.name, message.ByteSize())
        return message

    def _refusal(self, error: asyncpg.UniqueViolationError, *, new: bool) -> Exception:
        constraint = error.constraint_name or ""
        if constraint in self.type.unique:
            return self.type.unique[constraint]()
        if constraint == f"{self.type.table.name}_pkey" or (new and constraint == "changes_pkey"):
            return IdTaken(self.type.name)
        if constraint == "external_ids_pkey":
            return ExternalIdTaken(self.type.name)
        if constraint == "changes_request":
            return RequestAlreadyDone()
        return Conflict()


class RequestAlreadyDone(FailedPrecondition):
    """The request was carried out before; the server answers what it answered then."""

    def __init__(self) -> None:
        super().__init__("This request was carried out before.", field="request_id")


def _keys(external_ids: set[ExternalId]) -> list[str]:
    return [f"{key.system}:{key.id}" for key in sorted(external_ids)]


def _fact(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Money):
        return convert.money_to_proto(value)
    if isinstance(value, datetime):
        return convert.timestamp(value)
    if isinstance(value, Decimal):
        return convert.decimal_text(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return [_fact(each) for each in value]
    return value
