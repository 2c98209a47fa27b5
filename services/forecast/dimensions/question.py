"""What a forecast is asked for: by what, as of when, in which organisation, by whose credit, at which rate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from services.forecast.book.reference import Interval
from services.forecast.domain.hierarchies import BEGINNING, END
from services.forecast.domain.periods import Period
from services.forecast.wire.heard import microseconds


class GroupBy(IntEnum):
    """What the nodes are; the numbers are those of the proto's enum."""

    OWNER = 1
    TEAM = 2
    TERRITORY = 3
    PRODUCT = 4
    PRODUCT_FAMILY = 5
    PIPELINE = 6
    SEGMENT = 7


class Hierarchy(IntEnum):
    """In which organisation deals stand; the numbers are those of the proto's enum."""

    BOOKED = 1
    AS_OF = 2
    CURRENT = 3


class Credit(IntEnum):
    """Whose a deal is; the numbers are those of the proto's enum."""

    REVENUE = 1
    OVERLAY = 2
    OWNED = 3


class RateDate(IntEnum):
    """At the rate of which day a deal is converted; the numbers are those of the proto's enum."""

    CLOSE = 1
    BOOKING = 2
    TODAY = 3


@dataclass(frozen=True, slots=True)
class Question:
    """One forecast that is asked for, complete: nothing is left out or relative any more."""

    group_by: GroupBy
    periods: Sequence[Period]
    currency: str
    today: date
    zone: ZoneInfo
    now: datetime
    recorded_at: datetime | None = None
    """By what was recorded up to then; all where it is None."""
    effective_at: datetime | None = None
    """In business time, as it was then; in recorded time where it is None."""
    hierarchy: Hierarchy = Hierarchy.BOOKED
    credit: Credit = Credit.REVENUE
    rate_date: RateDate = RateDate.CLOSE
    within: frozenset[UUID] | None = None
    """The users whose deals the caller sees; all where it is None."""

    @property
    def is_live(self) -> bool:
        """Whether it is about everything that is known now."""
        return self.recorded_at is None and self.effective_at is None

    @property
    def instant(self) -> datetime:
        """The instant that the answer is for."""
        return self.effective_at or self.recorded_at or self.now

    @property
    def recorded(self) -> int | None:
        """`recorded_at` in microseconds."""
        return None if self.recorded_at is None else microseconds(self.recorded_at)

    @property
    def effective(self) -> int | None:
        """`effective_at` in microseconds."""
        return None if self.effective_at is None else microseconds(self.effective_at)

    @property
    def standing(self) -> int:
        """The instant at which whoever stands somewhere is looked up (microseconds)."""
        return microseconds(self.now if self.hierarchy is Hierarchy.CURRENT else self.instant)

    @property
    def organisation(self) -> int | None:
        """By what was recorded up to when the organisation is known; all where it is None."""
        return None if self.hierarchy is Hierarchy.CURRENT else self.recorded


_EVER_SINCE = microseconds(datetime(2, 1, 1, tzinfo=UTC))
_ON_AND_ON = microseconds(datetime(9999, 1, 1, tzinfo=UTC))


def opened(interval: Interval) -> Interval:
    """The same, without the first and the last day that there are: what begins or ends there never does."""
    return replace(
        interval,
        valid_from=interval.valid_from if interval.valid_from > _EVER_SINCE else BEGINNING,
        valid_to=interval.valid_to if interval.valid_to < _ON_AND_ON else END,
    )


def first_day(start: int, zone: ZoneInfo) -> int:
    """The first day (days since 1970) in the middle of which something holds that began at `start`.

    Who stands where on a day is looked up in the middle of it: lines begin and end with a day, and it may
    have been another time zone's.
    """
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)
    day = at.astimezone(zone).date()
    noon = datetime.combine(day, time(12), zone)
    return (day - date(1970, 1, 1)).days + (microseconds(noon) < start)
