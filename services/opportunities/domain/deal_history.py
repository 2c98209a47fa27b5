"""What became of a deal, in business time: the stages that it stood in, and how its close date moved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from services.opportunities.domain.pipelines import State

_DAY = Decimal(86_400_000_000)


@dataclass(frozen=True, slots=True)
class DealVersion:
    """What one version of a deal says about its way."""

    version: int
    stage_id: UUID
    state: State
    close_date: date | None
    recorded_at: datetime
    effective_at: datetime
    event: str
    actor: str
    via: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One version and the one before it, in recorded time or in business time; each with its whole resource."""

    version: int
    event_type: str
    recorded_at: datetime
    effective_at: datetime
    actor: str
    via: str
    before: Any | None
    after: Any


@dataclass(frozen=True, slots=True)
class Visit:
    """A deal standing in a stage, once; `left_at` is None where it still does."""

    stage_id: UUID
    state: State
    entered_at: datetime
    left_at: datetime | None
    event: str
    actor: str

    def days(self, until: datetime) -> Decimal | None:
        """How long it stood there, open visits until an instant; None for won and lost stages."""
        if self.state is not State.OPEN:
            return None
        return days_between(self.entered_at, self.left_at or max(until, self.entered_at))


@dataclass(frozen=True, slots=True)
class DateMove:
    """The close date was set, moved or cleared by a version."""

    old: date | None
    new: date | None
    is_slip: bool
    by: DealVersion

    @property
    def days(self) -> int:
        """By how many days it moved; 0 where one of the dates is missing."""
        return (self.new - self.old).days if self.old and self.new else 0

    @property
    def is_to_a_later_month(self) -> bool:
        """Whether it slipped into another calendar month."""
        if not self.is_slip or self.old is None or self.new is None:
            return False
        return (self.old.year, self.old.month) != (self.new.year, self.new.month)


def days_between(begin: datetime, end: datetime) -> Decimal:
    """A time in days, to two decimals."""
    passed = end - begin
    microseconds = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    return (Decimal(microseconds) / _DAY).quantize(Decimal("0.01"), ROUND_HALF_UP)


def in_business_time(versions: Iterable[DealVersion]) -> list[DealVersion]:
    """In the order in which they were true; of two at one instant the later recorded one comes later."""
    return sorted(versions, key=lambda each: (each.effective_at, each.version))


def visits(versions: Iterable[DealVersion]) -> list[Visit]:
    """The stages that a deal stood in. A deleted deal stands in none until it is restored."""
    result: list[Visit] = []
    current: DealVersion | None = None
    for version in in_business_time(versions):
        stays = current is not None and not version.is_deleted and version.stage_id == current.stage_id
        if stays:
            continue
        if current is not None:
            result.append(_visit(current, version.effective_at))
        current = None if version.is_deleted else version
    if current is not None:
        result.append(_visit(current, None))
    return result


def date_moves(versions: Iterable[DealVersion]) -> list[DateMove]:
    """How the close date moved. Only a move to a later date of a deal that is and stays open is a slip."""
    result = []
    old, was_open = None, False
    for version in in_business_time(versions):
        is_open = version.state is State.OPEN
        if version.close_date != old:
            later = old is not None and version.close_date is not None and version.close_date > old
            result.append(DateMove(old, version.close_date, later and was_open and is_open, version))
        old, was_open = version.close_date, is_open
    return result


def time_in_stages(found: Sequence[Visit], until: datetime) -> list[tuple[UUID, int, Decimal]]:
    """Stage, number of visits and days altogether, in the order of the first visit; open stages only."""
    result: dict[UUID, tuple[int, Decimal]] = {}
    for visit in found:
        if (days := visit.days(until)) is not None:
            number, before = result.get(visit.stage_id, (0, Decimal(0)))
            result[visit.stage_id] = number + 1, before + days
    return [(stage, number, days) for stage, (number, days) in result.items()]


def _visit(begun: DealVersion, left_at: datetime | None) -> Visit:
    return Visit(begun.stage_id, begun.state, begun.effective_at, left_at, begun.event, begun.actor)
