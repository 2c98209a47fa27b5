"""Queries of approval rules, approvals and delegations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.call import Call, Sight
from chassis.database import Prepared
from chassis.store import EntityStore, Page, PageRequest
from services.quotes.domain.approval_rules import ApprovalRule
from services.quotes.domain.approvals import Approval, ApprovalState, Person
from services.quotes.domain.delegations import ApprovalDelegation
from services.quotes.tables.approvals import (
    APPROVAL,
    APPROVAL_DELEGATION,
    APPROVAL_RULE,
    approval_rules,
    approvals,
)

_STANDS_IN_FOR: Final = Prepared(
    sa.text(
        "SELECT d.delegator_id, a.roles FROM approval_delegations AS d"
        " LEFT JOIN approvers AS a ON a.user_id = d.delegator_id"
        " WHERE d.delegate_id = :me AND d.start_on <= :day AND d.end_on >= :day AND d.deleted_at IS NULL"
        " AND coalesce(a.is_active, true)"
    )
)
_MANAGERS: Final = Prepared(
    sa.text(
        "WITH RECURSIVE up (user_id, depth) AS ("
        " SELECT manager_id, 1 FROM sight_lines"
        " WHERE user_id = :of AND valid_from <= :now AND valid_to > :now"
        " UNION ALL SELECT line.manager_id, up.depth + 1 FROM up"
        " JOIN sight_lines AS line ON line.user_id = up.user_id"
        " AND line.valid_from <= :now AND line.valid_to > :now WHERE up.depth < 50)"
        " SELECT up.user_id, coalesce(a.is_active, true) AS is_active FROM up"
        " LEFT JOIN approvers AS a ON a.user_id = up.user_id ORDER BY up.depth"
    )
)
_KEEP: Final = Prepared(
    sa.text(
        "INSERT INTO approvers AS known (user_id, version, roles, is_active)"
        " VALUES (:user_id, :version, :roles, :is_active)"
        " ON CONFLICT (tenant_id, user_id) DO UPDATE SET version = excluded.version, roles = excluded.roles,"
        " is_active = excluded.is_active WHERE known.version < excluded.version"
    )
)
_INACTIVE: Final = Prepared(
    sa.text("SELECT user_id FROM approvers WHERE user_id = ANY(:users) AND NOT is_active")
)


class ApprovalRuleStore(EntityStore[ApprovalRule]):
    """The approval rules."""

    type = APPROVAL_RULE

    async def active(self) -> list[ApprovalRule]:
        """Those that ask, in the order of their levels."""
        rows = await self.tx.fetch(
            self.select()
            .where(approval_rules.c.is_active, approval_rules.c.deleted_at.is_(None))
            .order_by(approval_rules.c.level, approval_rules.c.name, approval_rules.c.id)
        )
        return [self._load(row) for row in rows]


class ApprovalStore(EntityStore[Approval]):
    """The approvals: seen by whoever sees the quote's owner, and by those whom they concern.

    `keys` are the seats that the caller may fill; the caller's own where they are left out.
    """

    type = APPROVAL

    def __init__(self, call: Call, keys: Collection[str] | None = None) -> None:
        super().__init__(call)
        self.keys = sorted(_own_keys(call) if keys is None else keys)

    def visible(self) -> sa.ColumnElement[bool] | None:
        """Besides those of owners in sight, what concerns the caller."""
        within_sight = super().visible()
        if within_sight is None:
            return None
        return sa.or_(within_sight, _overlaps(approvals.c.audience, self.keys))

    async def waiting(self, request: PageRequest) -> Page[Approval]:
        """What waits for the caller, longest first, but for what is the caller's own."""
        me = self.call.caller.user_id
        return await self.page(
            _ByWait(request),
            _overlaps(approvals.c.waiting_for, self.keys),
            approvals.c.owner_id != me,
            approvals.c.submitter_id.is_distinct_from(me),
        )

    async def pending_of(self, quote_id: UUID) -> Approval | None:
        """The quote's approval that waits for somebody."""
        return await self._last(quote_id, [ApprovalState.PENDING])

    async def standing_of(self, quote_id: UUID) -> Approval | None:
        """The quote's approval that was granted, and still holds."""
        return await self._last(quote_id, [ApprovalState.PENDING, ApprovalState.APPROVED])

    async def _last(self, quote_id: UUID, states: Sequence[ApprovalState]) -> Approval | None:
        rows = await self.tx.fetch(
            self.type.rows.select.where(
                approvals.c.quote_id == quote_id,
                approvals.c.state
                == sa.any_(sa.literal([state.value for state in states], sa.ARRAY(sa.Text))),
            )
            .order_by(approvals.c.submitted_at.desc())
            .limit(1)
        )
        return self._load(rows[0]) if rows else None


class ApprovalDelegationStore(EntityStore[ApprovalDelegation]):
    """The delegations."""

    type = APPROVAL_DELEGATION


async def person_of(call: Call) -> Person | None:
    """The caller as one who decides; None for a service."""
    me = call.caller.user_id
    if me is None:
        return None
    rows = await call.tx.fetch(_STANDS_IN_FOR, {"me": me, "day": call.now.date()})
    places = {UUID(str(row["delegator_id"])): frozenset(row["roles"] or ()) for row in rows}
    return Person(me, frozenset(call.caller.roles), places)


async def managers_of(call: Call, user: UUID) -> list[UUID]:
    """The manager of a user, the manager's manager and so on; those who left are left out."""
    rows = await call.tx.fetch(_MANAGERS, {"of": user, "now": call.now})
    return [UUID(str(row["user_id"])) for row in rows if row["is_active"]]


async def inactive(call: Call, users: Iterable[UUID]) -> set[UUID]:
    """Those of the users who have left."""
    rows = await call.tx.fetch(_INACTIVE, {"users": list(users)})
    return {UUID(str(row["user_id"])) for row in rows}


async def keep_approver(
    call: Call, user_id: UUID, version: int, roles: Sequence[str], *, is_active: bool
) -> None:
    """Takes up what identity says of a user; the highest version counts."""
    call.tx.wrote = True
    values = {"user_id": user_id, "version": version, "roles": list(roles), "is_active": is_active}
    await call.tx.execute(_KEEP, values)


def beyond_sight(call: Call) -> Call:
    """The same call where a rule, and not who owns what, says whether it may be done: an approver decides
    on quotes of owners whom the approver does not look after."""
    return replace(call, caller=replace(call.caller, sight=Sight.ALL))


def _own_keys(call: Call) -> set[str]:
    caller = call.caller
    own = {f"user:{caller.user_id}"} if caller.user_id else set()
    return own | {f"role:{role}" for role in caller.roles}


def _overlaps(column: sa.ColumnElement[list[str]], keys: Sequence[str]) -> sa.ColumnElement[bool]:
    return column.op("&&", is_comparison=True)(sa.literal(list(keys), ARRAY(sa.Text)))


class _ByWait:
    """A request whose order is given."""

    filter = ""
    order_by = "submit_time"
    show_deleted = False

    def __init__(self, request: PageRequest) -> None:
        self.page_size = request.page_size
        self.page_token = request.page_token
