"""Puts dated lines in their place, one user's among the others of that user, and writes what changed:
what a single request and a row of a batch have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Generic
from uuid import UUID

from chassis.call import Call
from chassis.entity import Event
from services.identity.domain.reporting import (
    D,
    ReportingLine,
    ReportingLineChanged,
    TerritoryAssignment,
    TerritoryAssignmentChanged,
    check_hierarchy,
    fit,
    put_in,
    to_be_bound,
)
from services.identity.domain.tenants import Tenant
from services.identity.store import ReportingLineStore, TenantStore, TerritoryAssignmentStore, of_user


class Lines(Generic[D]):
    """The lines of one kind, of the whole tenant, during one call."""

    def __init__(
        self,
        store: ReportingLineStore | TerritoryAssignmentStore,
        lines: list[D],
        tenant: Tenant,
        field: str,
        changed: Event,
    ) -> None:
        self.store = store
        self.lines = lines
        self.tenant = tenant
        self._field = field
        self._changed = changed

    def put(self, new: D, beside: Sequence[D] = ()) -> None:
        """Stages a new line, and what it changes among the others of the user; `beside` it, others that
        hold for the same time.

        Raises:
            NeverHolds, ReportsToThemselves, HierarchyTooDeep: it has no place.
        """
        others = of_user(self.lines, new.user_id)
        fit(new, others, self._field)
        if isinstance(new, ReportingLine):
            check_hierarchy(new, [line for line in self.lines if isinstance(line, ReportingLine)])
        changed = put_in(new, others, self.store.call.now, self._field)
        for other in beside:
            other.end_date = new.end_date
        # the new ones first: the first is what the request is answered with again
        for line in (new, *beside, *reversed(changed[:-1])):
            self.write(line)
        self.lines.extend((new, *beside))

    def write(self, line: D) -> None:
        """Stages a line as it is now."""
        line.dated(self.tenant)
        self.store.stage(line, self._changed)  # type: ignore[arg-type]  # each store is given its own kind

    def needed(
        self, user: UUID, target: UUID | None, start_date: date | None, make: Callable[[date | None], D]
    ) -> D | None:
        """The line that has to be put in for the user to have `target`; None where there is one."""
        if target is None:
            return None
        today = self.tenant.day_of(self.store.call.now)
        needed, start = to_be_bound(target, of_user(self.lines, user), start_date, today)
        return make(start) if needed else None


async def reporting_lines(call: Call, *, beside: bool = False) -> Lines[ReportingLine]:
    """All reporting lines of the tenant, to be changed by nobody else meanwhile; `beside` other records
    that the call is about."""
    store = ReportingLineStore(_beside(call) if beside else call)
    tenant = await TenantStore(call).own()
    return Lines(store, await store.all(), tenant, "reporting_line", ReportingLineChanged())


async def territory_assignments(call: Call, *, beside: bool = False) -> Lines[TerritoryAssignment]:
    """All territory assignments of the tenant, to be changed by nobody else meanwhile; `beside` other
    records that the call is about."""
    store = TerritoryAssignmentStore(_beside(call) if beside else call)
    tenant = await TenantStore(call).own()
    return Lines(store, await store.all(), tenant, "territory_assignment", TerritoryAssignmentChanged())


def _beside(call: Call) -> Call:
    """What a row of a batch writes besides its own record is found by what it says, not by the request,
    when the request comes again."""
    return replace(call, request_id=None, request_hash=None)
