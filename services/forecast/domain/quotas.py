"""Quotas: what people, teams, territories and products are to bring in a period."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, InvalidArgument
from chassis.money import Money
from services.forecast.domain.judgement import FieldMissing, PeriodUndated, checked
from services.forecast.domain.periods import FiscalCalendar, Granularity, Period

_SHORTER: Final = {Granularity.YEAR: Granularity.QUARTER, Granularity.QUARTER: Granularity.MONTH}


class QuotaKind(Enum):
    """Whose a quota is."""

    USER = "USER"
    TEAM = "TEAM"
    TERRITORY = "TERRITORY"
    PRODUCT = "PRODUCT"

    @property
    def is_of_a_person(self) -> bool:
        """Whether somebody's sight of a person decides who sees it."""
        return self in (QuotaKind.USER, QuotaKind.TEAM)


class QuotaTaken(AlreadyExists):
    """A subject has one quota for a period."""

    def __init__(self) -> None:
        super().__init__("There is a quota for this subject and period already.", field="quota.period_id")


class QuotaSubjectFixed(InvalidArgument):
    """A quota would become another's, or that of another period."""

    def __init__(self, field: str) -> None:
        super().__init__(
            "Whose a quota is, and for which period, cannot be changed: delete it and set another.",
            field=f"quota.{field}",
        )


@dataclass(frozen=True, slots=True)
class QuotaCreated(Event):
    """A quota was set."""


@dataclass(frozen=True, slots=True)
class QuotaUpdated(Event):
    """A quota was changed."""


@dataclass(frozen=True, slots=True)
class QuotaDeleted(Event):
    """A quota was deleted."""


@dataclass(frozen=True, slots=True)
class QuotaUndeleted(Event):
    """A deleted quota was restored."""


@dataclass(slots=True, kw_only=True)
class Quota(Entity):
    """What its subject is to win in a period."""

    kind: QuotaKind | None = None
    subject_id: UUID | None = None
    owner_id: UUID | None = None
    """The person whose sight it follows: the person or manager of a quota of those kinds."""
    period_id: str = ""
    amount: Money | None = None
    note: str = ""

    def create(self, period: Period | None) -> QuotaCreated:
        """Checks that it makes sense; `period` is the one that its id names.

        Raises:
            FieldMissing, PeriodUndated, AmountNegative, AmountTooFine: it does not.
        """
        if self.kind is None:
            raise FieldMissing("whose quota it is", "quota.kind")
        if self.subject_id is None:
            raise FieldMissing("the person, territory or product", "quota.subject_id")
        if period is None:
            raise FieldMissing("the period", "quota.period_id")
        if period.start is None:
            raise PeriodUndated("quota.period_id")
        self.period_id = period.id
        self.owner_id = self.subject_id if self.kind.is_of_a_person else None
        checked(self.amount, "quota.amount")
        return QuotaCreated()

    def change(self, fields: Mapping[str, Any]) -> QuotaUpdated:
        """Takes new values on.

        Raises:
            QuotaSubjectFixed: it would be another's.
            FieldMissing, AmountNegative, AmountTooFine: the amount makes no sense.
        """
        for name, value in fields.items():
            if name in ("kind", "subject_id", "period_id") and value != getattr(self, name):
                raise QuotaSubjectFixed(name)
            setattr(self, name, value)
        checked(self.amount, "quota.amount")
        return QuotaUpdated()


def parts_of(calendar: FiscalCalendar, period: Period) -> list[Period]:
    """The quarters of a year, the months of a quarter; nothing of a month."""
    shorter = _SHORTER.get(period.granularity)
    if shorter is None or period.start is None or period.end is None:
        return []
    parts = [calendar.period_of(period.start, shorter)]
    while (end := parts[-1].end) is not None and end < period.end:
        parts.append(calendar.period_of(end + timedelta(days=1), shorter))
    return parts


def within(calendar: FiscalCalendar, period: Period) -> Iterator[Period]:
    """The period itself and every shorter one that it consists of."""
    yield period
    for part in parts_of(calendar, period):
        yield from within(calendar, part)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be won, and how many shorter periods say nothing where it was added up from them."""

    amount: Decimal
    missing: int = 0

    def __add__(self, other: Target) -> Target:
        return Target(self.amount + other.amount, self.missing + other.missing)


def target(calendar: FiscalCalendar, period: Period, stated: Mapping[str, Decimal]) -> Target | None:
    """What one subject is to win in a period: what is stated for exactly it, else what its quarters or
    months come to; None where nothing is stated at all. `stated` has amounts by the ids of periods."""
    if period.id in stated:
        return Target(stated[period.id])
    parts = [target(calendar, part, stated) for part in parts_of(calendar, period)]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    result = Target(Decimal(0), len(parts) - len(found))
    for part in found:
        result += part
    return result
