"""How far quotas are attained: what comes up from below, what is missing, and the pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from services.forecast.domain.currencies import rounded
from services.forecast.domain.periods import FiscalCalendar, Period
from services.forecast.domain.quotas import Target

_PLACES: Final = Decimal("0.0001")
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a node is to win: stated for it, for the deals that are its own, and what comes up."""

    stated: Target | None
    rolled_up: Target | None

    @property
    def target(self) -> Target | None:
        """What counts."""
        return self.stated or self.rolled_up


@dataclass(frozen=True, slots=True)
class Seat:
    """A node of the tree in which quotas come up, with what is stated there."""

    id: str
    parent_id: str
    own: Target | None = None
    """For its own deals: a person's."""
    stated: Target | None = None
    """For it with everything below: a team's, a territory's, a product's."""


def assign(seats: Sequence[Seat], *, by_person: bool = True) -> dict[str, Assigned]:
    """What each node is to win; parents stand before their children.

    In trees of people what comes up is what they are to win, one by one: so the roots of all trees are
    the same. Only where nobody below has a quota of their own does what is stated for a team come up
    instead. In other trees what is stated for a node comes up, whatever is stated below it.
    """
    below: dict[str, Target] = {}
    has_children = {seat.parent_id for seat in seats}
    result: dict[str, Assigned] = {}
    for seat in reversed(seats):
        rolled_up = _plus(seat.own, below.get(seat.id))
        stated = seat.stated
        if stated is None and seat.id not in has_children:
            stated = seat.own
        comes_up = rolled_up or seat.stated if by_person else seat.stated or rolled_up
        result[seat.id] = Assigned(stated, rolled_up or seat.stated)
        if comes_up is not None:
            below[seat.parent_id] = _sum(below.get(seat.parent_id), comes_up)
    return {seat.id: result[seat.id] for seat in seats}


def _plus(one: Target | None, other: Target | None) -> Target | None:
    return other if one is None else _sum(other, one)


def _sum(one: Target | None, other: Target) -> Target:
    return other if one is None else one + other


def attainment(closed: Decimal, quota: Decimal) -> str:
    """What is won as a part of the quota; empty where that is 0."""
    return ratio(closed, quota)


def coverage(open_pipeline: Decimal, missing: Decimal) -> str:
    """How often the open pipeline covers what is missing; empty where nothing is."""
    return ratio(open_pipeline, missing) if missing > 0 else ""


def ratio(part: Decimal, whole: Decimal) -> str:
    """A quotient to four places, half away from zero; empty where there is no divisor."""
    if not whole:
        return ""
    with localcontext(prec=60):
        return f"{(part / whole).quantize(_PLACES, ROUND_HALF_UP):f}"


# The pace


@dataclass(frozen=True, slots=True)
class SameDay:
    """A former period, and the day in it that today compares with."""

    period: Period
    day: date


def day_in(period: Period, today: date) -> int:
    """Which day of the period it is: 0 before the first, the last for every day after it."""
    assert period.start is not None
    assert period.end is not None
    return max(0, min((today - period.start).days + 1, days_of(period)))


def days_of(period: Period) -> int:
    """How many days it has."""
    assert period.start is not None
    assert period.end is not None
    return (period.end - period.start).days + 1


def same_days(calendar: FiscalCalendar, period: Period, today: date, count: int) -> list[SameDay]:
    """The former periods of the same length, the latest first, each with the day that compares with
    today. The last day of this one compares with the last of each."""
    assert period.start is not None
    day, found, before = day_in(period, today), [], period.start - timedelta(days=1)
    is_last = day == days_of(period)
    for _ in range(count if day else 0):
        former = calendar.period_of(before, period.granularity)
        assert former.start is not None
        assert former.end is not None
        then = former.start + timedelta(days=day - 1)
        found.append(SameDay(former, former.end if is_last else min(then, former.end)))
        before = former.start - timedelta(days=1)
    return found


@dataclass(frozen=True, slots=True)
class Former:
    """What a node had won in a former period by the same day, and in all of it."""

    same_day: SameDay
    by_then: Decimal
    in_all: Decimal


@dataclass(frozen=True, slots=True)
class Pace:
    """How a period goes, compared with former ones."""

    average: Decimal
    difference: Decimal
    ratio: str
    projected: Decimal | None


def pace(closed: Decimal, former: Sequence[Former], currency: str) -> Pace | None:
    """Compares what is won by now with what former periods had won by the same day; None without any.

    It goes on as they did: what is won by now, divided by the part of their total that they had won by
    then.
    """
    if not former:
        return None
    by_then = sum((each.by_then for each in former), _ZERO)
    in_all = sum((each.in_all for each in former), _ZERO)
    with localcontext(prec=60):
        average = rounded(by_then / len(former), currency)
        projected = rounded(closed * in_all / by_then, currency) if by_then > 0 else None
        return Pace(average, closed - average, ratio(closed * len(former), by_then), projected)


def with_history(former: Mapping[str, Sequence[Former]], root: str) -> dict[str, list[Former]]:
    """Without the periods in which nothing at all was won at the root: there was no history yet."""
    empty = {each.same_day.period.id for each in former.get(root, ()) if not each.in_all}
    return {
        node: [each for each in of_node if each.same_day.period.id not in empty]
        for node, of_node in former.items()
    }
