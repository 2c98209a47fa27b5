"""Many users in one request, each with a manager and a territory. A manager may stand in the same
request as those who report to them, before or after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sfa.api.v1.resource_pb2 import RowResult
from sfa.identity.v1 import organisation_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.entity import Event, ExternalId
from chassis.ids import new_id
from services.identity import lines, wire
from services.identity.domain.people import EmailTaken, User, UserUnknown
from services.identity.domain.reporting import ReportingLine, TerritoryAssignment, TerritoryUnknown
from services.identity.lines import Lines
from services.identity.store import TerritoryStore, UserStore


async def upsert_users(request: pb.BatchUpsertUsersRequest, call: Call) -> list[RowResult]:
    """Creates or changes the users, then puts their lines in place."""
    rows = batch.numbered(request.rows, "user")
    store = UserStore(call)
    book = await _Book.read(call, store, rows)
    order = book.managers_first(rows)
    results = await batch.upsert(
        store,
        call,
        [book.known_by(rows[index]) for index in order],
        book.put,
        validate_only=request.validate_only,
    )
    if not request.validate_only:
        await book.reporting.store.flush()
        await book.assignments.store.flush()
    for result in results:
        if result.outcome == RowResult.UNCHANGED and UUID(result.id) in book.bound_anew:
            result.outcome = RowResult.UPDATED
    placed = dict(zip(order, results, strict=True))
    return [placed[index] for index in range(len(rows))]


@dataclass(slots=True)
class _Book:
    """What the rows of one request need to know, read once."""

    call: Call
    users: dict[ExternalId, UUID]
    """Who is known by an external id, or will be once their row is taken."""
    there: set[UUID]
    """Those of them who are there: from before, or because their row was taken."""
    territories: dict[ExternalId, UUID]
    territory_ids: set[UUID]
    emails: dict[str, UUID]
    administrators: set[UUID]
    reporting: Lines[ReportingLine]
    assignments: Lines[TerritoryAssignment]
    bound_anew: set[UUID]

    @classmethod
    async def read(cls, call: Call, store: UserStore, rows: list[batch.Row]) -> _Book:
        """Reads it, and lets nobody else change it meanwhile."""
        contents = [row.content for row in rows]
        keys = [_key(content.manager) for content in contents if content.HasField("manager")]
        users = await store.ids_of([*keys, *(key for row in rows for key in row.external_ids)])
        named = {id for content in contents if (id := uuid_of(content.manager_id))} | set(users.values())
        territories = TerritoryStore(call)
        by_key = await territories.ids_of(
            [_key(content.territory) for content in contents if content.HasField("territory")]
        )
        there = set(await store.get_many(list(named)))
        for row in rows:
            if not any(key in users for key in row.external_ids):
                users.update(dict.fromkeys(row.external_ids, row.id or new_id()))
        return cls(
            call=call,
            users=users,
            there=there,
            territories=by_key,
            territory_ids=set(await territories.parents()),
            emails=await store.owners_of(row.content.user.email for row in rows),
            administrators=await store.administrators(),
            reporting=await lines.reporting_lines(call, beside=True),
            assignments=await lines.territory_assignments(call, beside=True),
            bound_anew=set(),
        )

    def known_by(self, row: batch.Row) -> batch.Row:
        """The row with the id that others of the request know its user by."""
        if row.id is not None or not row.external_ids:
            return row
        return replace(row, id=next(self.users[key] for key in row.external_ids if key in self.users))

    def managers_first(self, rows: list[batch.Row]) -> list[int]:
        """The rows' order in which a manager's row comes before the rows that name the manager."""
        at = {key: index for index, row in enumerate(rows) for key in row.external_ids}
        order: dict[int, None] = {}

        def place(index: int, below: frozenset[int]) -> None:
            content = rows[index].content
            above = at.get(_key(content.manager)) if content.HasField("manager") else None
            if above is not None and above not in order and above not in below and len(below) < 50:
                place(above, below | {index})
            order.setdefault(index)

        for index in range(len(rows)):
            place(index, frozenset({index}))
        return list(order)

    def put(self, row: batch.Row, user: User | None) -> Iterator[tuple[User, Event, datetime | None]]:
        """Makes the user what the row says, with manager and territory."""
        fields = fields_to_change(row.content.user, None, wire.USER_FIELDS)
        by_administrator = "identity.admin" in self.call.caller.permissions
        id = user.id if user is not None else row.id or new_id()
        if (email := fields.get("email")) and self.emails.get(email.lower(), id) != id:
            raise EmailTaken
        line, assignment = self._line(row.content, id), self._assignment(row.content, id)
        event: Event
        if user is None:
            user = User(id=id, **fields)
            event = user.create(by_administrator=by_administrator)
        else:
            others = bool(self.administrators - {id})
            event = user.change(fields, by_administrator=by_administrator, other_administrators=others)
        if line is not None:
            self.reporting.put(line)
        if assignment is not None:
            self.assignments.put(assignment)
        yield user, event, None
        self.there.add(id)
        if user.email:
            self.emails[user.email.lower()] = id
        if user.is_administrator and user.active:
            self.administrators.add(id)
        else:
            self.administrators.discard(id)
        if line is not None or assignment is not None:
            self.bound_anew.add(id)

    def _line(self, content: pb.BatchUpsertUsersRequest.Row, user: UUID) -> ReportingLine | None:
        manager = uuid_of(content.manager_id)
        if content.HasField("manager"):
            manager = self.users.get(_key(content.manager))
            if manager is None:
                raise UserUnknown("manager")
        if manager is not None and manager not in self.there and manager != user:
            raise UserUnknown("manager")
        start_date = wire.day_of(content.start_date, "start_date")
        return self.reporting.needed(
            user,
            manager,
            start_date,
            lambda start: ReportingLine(user_id=user, manager_id=_sure(manager), start_date=start),
        )

    def _assignment(self, content: pb.BatchUpsertUsersRequest.Row, user: UUID) -> TerritoryAssignment | None:
        territory = uuid_of(content.territory_id)
        if content.HasField("territory"):
            territory = self.territories.get(_key(content.territory))
            if territory is None:
                raise TerritoryUnknown("territory")
        if territory is not None and territory not in self.territory_ids:
            raise TerritoryUnknown("territory")
        start_date = wire.day_of(content.start_date, "start_date")
        return self.assignments.needed(
            user,
            territory,
            start_date,
            lambda start: TerritoryAssignment(user_id=user, territory_id=_sure(territory), start_date=start),
        )


def _key(value: Any) -> ExternalId:
    return ExternalId(value.system, value.id)


def _sure(id: UUID | None) -> UUID:
    assert id is not None
    return id
