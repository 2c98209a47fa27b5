"""Which records a caller sees: own ones, those of everyone below in the reporting line, or all.

Reporting lines are dated; they arrive as identity's events and are kept as intervals. From them
`sight_members` holds who sees whom and when, one row per pair, so that a list asks one indexed
question whatever the depth of the tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BindParameter, ColumnElement, Select
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call, Sight
from chassis.database import Transaction
from chassis.errors import PermissionDenied
from chassis.schema import sight_lines, sight_members

MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A user reports to a manager from one instant to another."""

    id: UUID
    version: int
    user_id: UUID
    manager_id: UUID
    valid_from: datetime
    valid_to: datetime


PARAMETERS = frozenset({"sight_user", "sight_at"})
"""What the conditions here are bound to. A statement that is bound to nothing else is the same for all
callers of one `shape`."""


def shape(call: Call) -> Sight:
    """How the caller sees: all, own records, or those below too."""
    return Sight.OWN if call.degraded and call.caller.sight is not Sight.ALL else call.caller.sight


def parameters(call: Call) -> dict[str, Any]:
    """The values of `PARAMETERS`."""
    return {"sight_user": call.caller.user_id, "sight_at": call.now}


def _user(call: Call) -> BindParameter[UUID]:
    return sa.bindparam("sight_user", call.caller.user_id, sa.Uuid)


def condition(call: Call, owner: ColumnElement[UUID]) -> ColumnElement[bool] | None:
    """That the caller may see what belongs to `owner`; None where the caller sees everything."""
    caller = call.caller
    if caller.sight is Sight.ALL:
        return None
    own = owner == _user(call)
    if caller.sight is Sight.OWN or call.degraded:
        return own
    return sa.or_(own, owner.in_(_below(call)))


def seen(call: Call) -> ColumnElement[Any]:
    """The users whose records a caller sees who does not see everything, as one array: for looking up
    what belongs to them by an index, which `condition` is not made for."""
    own = sa.select(_user(call))
    narrow = call.caller.sight is Sight.OWN or call.degraded
    users = own if narrow else sa.union_all(own, _below(call))
    return sa.func.array(users.scalar_subquery(), type_=sa.ARRAY(sa.Uuid))


def _below(call: Call) -> Select[tuple[UUID]]:
    members = sight_members.c
    now = sa.bindparam("sight_at", call.now, sa.DateTime(timezone=True))
    return sa.select(members.member_id).where(
        members.viewer_id == _user(call), members.valid_from <= now, members.valid_to > now
    )


class OwnerOutOfSight(PermissionDenied):
    """Something was to be given to a user whom the caller does not look after."""

    def __init__(self, field: str) -> None:
        super().__init__("You can give this only to yourself or to somebody who reports to you.", field=field)


@dataclass(frozen=True, slots=True)
class Owners:
    """To whom the caller may give records; None stands for everyone."""

    within: frozenset[UUID] | None

    def check(self, owner: UUID | None, field: str) -> None:
        """Raises OwnerOutOfSight where the caller may not; records without an owner are for those who
        see everything."""
        if self.within is not None and owner not in self.within:
            raise OwnerOutOfSight(field)


async def owners_within(call: Call) -> Owners:
    """To whom the caller may give records."""
    caller = call.caller
    if caller.sight is Sight.ALL:
        return Owners(None)
    own = frozenset({caller.user_id} if caller.user_id else ())
    if caller.sight is Sight.OWN or call.degraded:
        return Owners(own)
    return Owners(own | frozenset(row[0] for row in await call.tx.fetch(_below(call))))


async def check_owner(call: Call, owner: UUID | None, field: str) -> None:
    """Raises OwnerOutOfSight where the caller may not give records to `owner`."""
    if owner is None or owner != call.caller.user_id:
        (await owners_within(call)).check(owner, field)


async def keep_lines(tx: Transaction, lines: Iterable[Line]) -> None:
    """Takes reporting lines up, the highest version of each, and works out anew who sees whom."""
    statement = insert(sight_lines)
    columns = ("version", "user_id", "manager_id", "valid_from", "valid_to")
    upsert = statement.on_conflict_do_update(
        index_elements=["tenant_id", "id"],
        set_={name: statement.excluded[name] for name in columns},
        where=sight_lines.c.version < statement.excluded.version,
    )
    newest = {line.id: line for line in sorted(lines, key=lambda line: line.version)}
    await tx.executemany(
        upsert.values({name: sa.bindparam(f"p_{name}") for name in ("id", *columns)}),
        [{f"p_{name}": getattr(line, name) for name in ("id", *columns)} for line in newest.values()],
    )
    await tx.execute(sa.delete(sight_members))
    await tx.execute(sa.text(_MEMBERS))


# Each step up the line narrows the interval to the time in which all of its links hold.
_MEMBERS = f"""
WITH RECURSIVE below (viewer_id, member_id, valid_from, valid_to, depth) AS (
    SELECT manager_id, user_id, valid_from, valid_to, 1 FROM sight_lines WHERE valid_from < valid_to
    UNION
    SELECT line.manager_id, below.member_id, greatest(line.valid_from, below.valid_from),
           least(line.valid_to, below.valid_to), below.depth + 1
    FROM below JOIN sight_lines AS line ON line.user_id = below.viewer_id
    WHERE line.valid_from < below.valid_to AND below.valid_from < line.valid_to
      AND line.valid_from < line.valid_to AND below.depth < {MAX_DEPTH}
)
INSERT INTO sight_members (viewer_id, member_id, valid_from, valid_to)
SELECT viewer_id, member_id, valid_from, max(valid_to) FROM below GROUP BY viewer_id, member_id, valid_from
"""
