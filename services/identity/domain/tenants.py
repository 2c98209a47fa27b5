"""The tenant: its currency, its days, and how its fiscal years are divided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument
from chassis.fiscal import MONTHS, FiscalYears


class TenantIncomplete(InvalidArgument):
    """A tenant needs a name and a currency."""


class TimeZoneUnknown(InvalidArgument):
    """The time zone is not in the IANA database."""

    def __init__(self, field: str) -> None:
        super().__init__("The time zone must be an IANA name such as Europe/Rome.", field=field)


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def check_time_zone(name: str, field: str) -> None:
    """Raises TimeZoneUnknown where a name is given that names none."""
    if name and zone_named(name) is None:
        raise TimeZoneUnknown(field)


@dataclass(frozen=True, slots=True)
class TenantCreated(Event):
    """A tenant was made."""


@dataclass(frozen=True, slots=True)
class TenantUpdated(Event):
    """A tenant was changed."""


@dataclass(slots=True, kw_only=True)
class Tenant(Entity):
    """A company that uses the system."""

    name: str = ""
    reporting_currency: str = ""
    time_zone: str = "UTC"
    fiscal_start_month: int = 1
    fiscal_weeks: FiscalYears | None = None
    """How its years are divided where they are years of weeks."""

    @property
    def fiscal_calendar(self) -> FiscalYears:
        """How its years are divided."""
        return self.fiscal_weeks or FiscalYears(self.fiscal_start_month)

    @fiscal_calendar.setter
    def fiscal_calendar(self, calendar: FiscalYears) -> None:
        self.fiscal_start_month = calendar.start_month
        self.fiscal_weeks = calendar if calendar.is_weekly else None

    def create(self, fields: Mapping[str, Any] | None = None) -> TenantCreated:
        """Takes its first values on, by the names of the fields, and checks that this can be a tenant.

        Raises:
            TenantIncomplete, TimeZoneUnknown: it cannot.
        """
        self.change(fields or {})
        return TenantCreated()

    def change(self, fields: Mapping[str, Any]) -> TenantUpdated:
        """Takes new values on, by the names of the fields.

        Raises:
            TenantIncomplete, TimeZoneUnknown: the values do not make a tenant.
        """
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()
        return TenantUpdated()

    def start_of(self, day: date | None) -> datetime | None:
        """The instant at which a day begins here; None for None."""
        zone = zone_named(self.time_zone)
        return None if day is None else datetime.combine(day, time.min, zone).astimezone(UTC)

    def day_of(self, at: datetime) -> date:
        """Which day it is here at an instant."""
        return at.astimezone(zone_named(self.time_zone)).date()

    def _check(self) -> None:
        self.time_zone = self.time_zone or "UTC"
        if not self.name:
            raise TenantIncomplete("A tenant needs a name.", field="tenant.name")
        if not self.reporting_currency:
            raise TenantIncomplete("A tenant needs a reporting currency.", field="tenant.reporting_currency")
        check_time_zone(self.time_zone, "tenant.time_zone")


class PeriodKind(Enum):
    """How long a fiscal period is."""

    YEAR = "YEAR"
    QUARTER = "QUARTER"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class FiscalPeriod:
    """A part of a fiscal year, from its first day to the first day after it."""

    name: str
    kind: PeriodKind
    year: int
    number: int
    start_date: date
    end_date: date


def fiscal_periods(year: int, calendar: FiscalYears) -> list[FiscalPeriod]:
    """The periods of a fiscal year: itself, its quarters, its months, each without gap or overlap."""
    starts = calendar.months(year)

    def period(name: str, kind: PeriodKind, number: int, months: int) -> FiscalPeriod:
        first = (number - 1) * months
        return FiscalPeriod(name, kind, year, number, starts[first], starts[first + months])

    return [
        period(str(year), PeriodKind.YEAR, 1, MONTHS),
        *(period(f"{year}-Q{number}", PeriodKind.QUARTER, number, 3) for number in range(1, 5)),
        *(period(f"{year}-P{number:02}", PeriodKind.MONTH, number, 1) for number in range(1, MONTHS + 1)),
    ]
