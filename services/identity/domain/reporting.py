"""Who reports to whom and who covers what: intervals of days, of which one holds on any day.

Intervals are half open: they begin on their start date (None: ever since) and hold until the day
before their end date (None: on and on).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from chassis.ids import new_id
from services.identity.domain.tenants import Tenant

_MAX_DEPTH = 50


class NeverHolds(InvalidArgument):
    """The interval ends before it begins."""

    def __init__(self, field: str) -> None:
        super().__init__("The end date must be later than the start date.", field=field)


class ReportsToThemselves(FailedPrecondition):
    """Somebody would come to be above themselves."""

    def __init__(self) -> None:
        super().__init__(
            "The user would come to be above themselves: the manager reports to the user, directly or by way of"
            " others, at some time in this interval.",
            field="reporting_line.manager_id",
        )


class HierarchyTooDeep(FailedPrecondition):
    """More levels than anybody has."""

    def __init__(self) -> None:
        super().__init__(f"A hierarchy has at most {_MAX_DEPTH} levels.", field="reporting_line.manager_id")


@dataclass(slots=True, kw_only=True)
class Dated(Entity):
    """Something that holds for a user from one day to another."""

    user_id: UUID
    start_date: date | None = None
    end_date: date | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def target(self) -> UUID:
        """Whom or what the user is bound to."""
        raise NotImplementedError

    @property
    def first(self) -> date:
        """The first day on which it holds."""
        return self.start_date or date.min

    @property
    def after(self) -> date:
        """The first day on which it no longer holds."""
        return self.end_date or date.max

    def holds_on(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.deleted_at is None and self.first <= day < self.after

    @property
    def is_whole(self) -> bool:
        """Whether it holds by itself, not as one of several with shares."""
        return True

    def end(self, day: date) -> None:
        """Holds until the day before.

        Raises:
            NeverHolds: it would end before it begins.
        """
        if day <= self.first:
            raise NeverHolds("end_date")
        self.end_date = min(day, self.after)

    def dated(self, tenant: Tenant) -> None:
        """Says at which instants it begins and ends, by the days of the tenant."""
        self.starts_at, self.ends_at = tenant.start_of(self.start_date), tenant.start_of(self.end_date)


D = TypeVar("D", bound=Dated)


@dataclass(frozen=True, slots=True)
class ReportingLineChanged(Event):
    """A reporting line was made, ended or deleted."""


@dataclass(slots=True, kw_only=True)
class ReportingLine(Dated):
    """A user reports to a manager."""

    manager_id: UUID

    @property
    def target(self) -> UUID:
        return self.manager_id


class SharesNotWhole(InvalidArgument):
    """What a user covers is more or less than the whole."""

    def __init__(self) -> None:
        super().__init__(
            "The shares of the territories that a user covers at a time must be 1 in all, each territory once.",
            field="territory_assignment.share",
        )


class OneOfSeveral(FailedPrecondition):
    """A part of what a user covers cannot go by itself."""

    def __init__(self) -> None:
        super().__init__(
            "The user covers several territories, whose shares are 1 in all: assign anew what the user covers."
        )


@dataclass(frozen=True, slots=True)
class TerritoryAssignmentChanged(Event):
    """A territory assignment was made, ended or deleted."""


@dataclass(slots=True, kw_only=True)
class TerritoryAssignment(Dated):
    """A user covers a territory."""

    territory_id: UUID
    share: Decimal = Decimal(1)

    @property
    def target(self) -> UUID:
        return self.territory_id

    @property
    def is_whole(self) -> bool:
        return self.share == 1

    def check_alone(self) -> None:
        """Raises OneOfSeveral where the user covers other territories beside it."""
        if not self.is_whole:
            raise OneOfSeveral


def check_shares(together: Sequence[TerritoryAssignment]) -> None:
    """Raises SharesNotWhole where what a user covers at a time is not 1 in all."""
    territories = {each.territory_id for each in together}
    is_whole = sum(each.share for each in together) == 1 and all(each.share > 0 for each in together)
    if len(territories) < len(together) or not is_whole:
        raise SharesNotWhole


def fit(new: D, among: Iterable[D], field: str) -> None:
    """Lets a new interval end where a later one of the same user begins.

    Raises:
        NeverHolds: it ends before it begins.
    """
    if new.after <= new.first:
        raise NeverHolds(f"{field}.end_date")
    for other in among:
        if other.deleted_at is None and other.id != new.id and new.first < other.first < new.after:
            new.end_date = other.start_date


def put_in(new: D, among: Iterable[D], at: datetime, field: str) -> list[D]:
    """Puts an interval among the others of the same user; answers those that changed, the new one last.

    Those that hold when the new one begins end there; those that begin on the same day are deleted; the
    new one ends where a later one begins.

    Raises:
        NeverHolds: it ends before it begins.
    """
    among = [other for other in among if other.deleted_at is None and other.id != new.id]
    fit(new, among, field)
    changed = []
    for other in among:
        if other.first == new.first:
            other.mark_deleted(at)
            changed.append(other)
        elif other.first < new.first < other.after:
            other.end_date = new.start_date
            changed.append(other)
    return [*changed, new]


def to_be_bound(
    target: UUID, among: Sequence[D], start_date: date | None, today: date
) -> tuple[bool, date | None]:
    """Whether a user has to be bound anew to have `target` from a date on, and from which date.

    Without a date it is ever since for a user who was bound to nothing, else from today.
    """
    live = [other for other in among if other.deleted_at is None]
    if start_date is None and live:
        start_date = today
    day = start_date or date.min
    bound = any(other.holds_on(day) and other.target == target and other.is_whole for other in live)
    return not bound, start_date


def check_hierarchy(new: ReportingLine, lines: Iterable[ReportingLine]) -> None:
    """Checks that nobody comes to be above themselves at any time.

    Raises:
        ReportsToThemselves: somebody would.
        HierarchyTooDeep: there would be too many levels.
    """
    above: dict[UUID, list[ReportingLine]] = {}
    for line in lines:
        if line.deleted_at is None and line.id != new.id:
            above.setdefault(line.user_id, []).append(line)
    steps = [(new.manager_id, new.first, new.after)]
    for _ in range(_MAX_DEPTH):
        if any(person == new.user_id for person, _, _ in steps):
            raise ReportsToThemselves
        steps = list(
            {
                (line.manager_id, max(first, line.first), min(after, line.after))
                for person, first, after in steps
                for line in above.get(person, ())
                if max(first, line.first) < min(after, line.after)
            }
        )
        if not steps:
            return
    raise HierarchyTooDeep


# Territories


class TerritoryNameMissing(InvalidArgument):
    """A territory without a name."""

    def __init__(self) -> None:
        super().__init__("A territory needs a name.", field="territory.name")


class TerritoryBelowItself(FailedPrecondition):
    """A territory would come to be a part of itself."""

    def __init__(self) -> None:
        super().__init__("The territory would come to be a part of itself.", field="territory.parent_id")


class TerritoryInUse(FailedPrecondition):
    """Others depend on the territory."""

    def __init__(self, by: str) -> None:
        super().__init__(f"The territory cannot be deleted while {by}.")


class TerritoryUnknown(NotFound):
    """A territory is named that is not there."""

    def __init__(self, field: str) -> None:
        super().__init__("There is no such territory.", field=field)


@dataclass(frozen=True, slots=True)
class TerritoryCreated(Event):
    """A territory was made."""


@dataclass(frozen=True, slots=True)
class TerritoryUpdated(Event):
    """A territory was changed."""


@dataclass(frozen=True, slots=True)
class TerritoryDeleted(Event):
    """A territory was deleted."""


@dataclass(slots=True, kw_only=True)
class Territory(Entity):
    """A part of the market."""

    name: str = ""
    parent_id: UUID | None = None

    @classmethod
    def create(
        cls, fields: Mapping[str, Any], parents: Mapping[UUID, UUID | None], id: UUID | None = None
    ) -> tuple["Territory", TerritoryCreated]:
        """A new territory.

        Raises:
            TerritoryNameMissing, TerritoryUnknown: the values do not make a territory.
        """
        territory = cls(id=id or new_id())
        territory.change(fields, parents)
        return territory, TerritoryCreated()

    def change(self, fields: Mapping[str, Any], parents: Mapping[UUID, UUID | None]) -> TerritoryUpdated:
        """Takes new values on; `parents` says of every territory what it is a part of.

        Raises:
            TerritoryNameMissing, TerritoryUnknown: the values do not make a territory.
            TerritoryBelowItself: it would be a part of itself.
        """
        for name, value in fields.items():
            setattr(self, name, value)
        if not self.name:
            raise TerritoryNameMissing
        above = self.parent_id
        if above is not None and above not in parents:
            raise TerritoryUnknown("territory.parent_id")
        for _ in range(_MAX_DEPTH):
            if above is None:
                return TerritoryUpdated()
            if above == self.id:
                raise TerritoryBelowItself
            above = parents.get(above)
        raise TerritoryBelowItself

    def delete(self, at: datetime, *, has_parts: bool, is_covered: bool) -> TerritoryDeleted:
        """Is deleted.

        Raises:
            TerritoryInUse: there are territories below it, or users who cover it or will.
        """
        if has_parts:
            raise TerritoryInUse("others are parts of it")
        if is_covered:
            raise TerritoryInUse("users cover it, or will")
        self.mark_deleted(at)
        return TerritoryDeleted()
