"""Judgement: what somebody says that a person, with everyone below, will bring in a period.

It stands beside what the system computes and never alters it. What is said of one node by several
people is ordered from the person's own number upward; the highest of them counts in the sums above.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID, uuid5

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from chassis.money import Money
from services.forecast.domain.figures import Category
from services.forecast.domain.periods import Period

JUDGED: Final = (Category.COMMIT, Category.BEST_CASE, Category.PIPELINE)
"""The categories that people have a say in: what is closed is a fact, what is omitted is not forecast."""
_ZERO: Final = Decimal(0)


class SubmissionState(Enum):
    """Whether a submission counts."""

    IN_FORCE = "IN_FORCE"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


class FieldMissing(InvalidArgument):
    """Something was left out that has to be said."""

    def __init__(self, what: str, field: str) -> None:
        super().__init__(f"Say {what}.", field=field)


class CategoryNotJudged(InvalidArgument):
    """A category was named that nobody has a say in."""

    def __init__(self, field: str = "forecast_submission.category") -> None:
        super().__init__("A submission is about COMMIT, BEST_CASE or PIPELINE.", field=field)


class AmountNegative(InvalidArgument):
    """An amount is below zero that cannot be."""

    def __init__(self, field: str) -> None:
        super().__init__("The amount cannot be below zero.", field=field)


class AmountTooFine(InvalidArgument):
    """An amount has more decimal places than its currency."""

    def __init__(self, currency: str, field: str) -> None:
        super().__init__(f"The amount has more decimal places than {currency} has.", field=field)


class PeriodUndated(InvalidArgument):
    """Nobody can say what will close at no time."""

    def __init__(self, field: str) -> None:
        super().__init__("Name a month, a quarter or a year.", field=field)


class ExpiresTooEarly(InvalidArgument):
    """A submission would no longer count when it is made."""

    def __init__(self) -> None:
        super().__init__("The expire time has to be later than now.", field="forecast_submission.expire_time")


class PeriodOver(FailedPrecondition):
    """The period has ended: what came of it is known."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is over; only with an effective time within or before it can something be said of it.",
            field="forecast_submission.period_id",
        )


class AuthorNotCaller(PermissionDenied):
    """Somebody spoke in another's name."""

    def __init__(self, field: str = "forecast_submission.author_id") -> None:
        super().__init__(
            "You can submit only in your own name; imports need the permission history.write.", field=field
        )


class PersonNotBelow(PermissionDenied):
    """Somebody judged a person who does not report to them."""

    def __init__(self) -> None:
        super().__init__(
            "You can submit for yourself and for people who report to you, directly or by way of others.",
            field="forecast_submission.user_id",
        )


class AlreadyWithdrawn(FailedPrecondition):
    """There is nothing to take back."""

    def __init__(self) -> None:
        super().__init__("The submission is withdrawn already.", field="id")


@dataclass(frozen=True, slots=True)
class ForecastSubmitted(Event):
    """Somebody said what a period will bring."""


@dataclass(frozen=True, slots=True)
class ForecastSubmissionRevised(Event):
    """Somebody said so anew."""


@dataclass(frozen=True, slots=True)
class ForecastSubmissionWithdrawn(Event):
    """Somebody took it back."""


@dataclass(frozen=True, slots=True)
class ForecastSubmissionExpired(Event):
    """Its time ran out."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a submission stands over, in its own currency."""

    system: Decimal | None = None
    amount: Decimal | None = None
    author_id: UUID | None = None
    """Who had said the amount; None where it came up from below."""


def submission_id(tenant: UUID, author: UUID, user: UUID, period: str, category: Category) -> UUID:
    """One submission for each author, person, period and category, so that revising is a version of it."""
    return uuid5(tenant, f"submission {author} {user} {period} {category.name}")


def checked(money: Money | None, field: str) -> Money:
    """An amount of a submission or a quota.

    Raises:
        FieldMissing, AmountNegative, AmountTooFine: it is none.
    """
    if money is None:
        raise FieldMissing("the amount, with its currency", field)
    if money.amount < 0:
        raise AmountNegative(field)
    if money.rounded().amount != money.amount:
        raise AmountTooFine(money.currency, field)
    return money


@dataclass(slots=True, kw_only=True)
class ForecastSubmission(Entity):
    """What an author says of a person, in one period and category; cumulative, as categories are."""

    user_id: UUID
    author_id: UUID
    period_id: str
    category: Category
    amount: Money | None = None
    note: str = ""
    expires_at: datetime | None = None
    state: SubmissionState = SubmissionState.IN_FORCE
    system_amount: Decimal | None = None
    replaced_amount: Decimal | None = None
    replaced_author_id: UUID | None = None

    def submit(
        self, amount: Money | None, note: str, expires_at: datetime | None, replaced: Replaced, at: datetime
    ) -> Event:
        """Says it, for the first time or anew.

        Raises:
            CategoryNotJudged, FieldMissing, AmountNegative, AmountTooFine, ExpiresTooEarly: it makes no
                sense.
        """
        if self.category not in JUDGED:
            raise CategoryNotJudged
        amount = checked(amount, "forecast_submission.amount")
        if expires_at is not None and expires_at <= at:
            raise ExpiresTooEarly
        self.amount, self.note, self.expires_at = amount, note, expires_at
        self.state = SubmissionState.IN_FORCE
        self.system_amount, self.replaced_amount = replaced.system, replaced.amount
        self.replaced_author_id = replaced.author_id
        return ForecastSubmissionRevised() if self.version else ForecastSubmitted()

    def withdraw(self) -> ForecastSubmissionWithdrawn:
        """Takes it back.

        Raises:
            AlreadyWithdrawn: it is.
        """
        if self.state is SubmissionState.WITHDRAWN:
            raise AlreadyWithdrawn
        self.state = SubmissionState.WITHDRAWN
        return ForecastSubmissionWithdrawn()

    def expire(self, at: datetime) -> ForecastSubmissionExpired | None:
        """Its time has run out; None where it has not, or where it does not count anyway."""
        if self.state is not SubmissionState.IN_FORCE or self.expires_at is None or self.expires_at > at:
            return None
        self.state = SubmissionState.EXPIRED
        return ForecastSubmissionExpired()

    def counts_at(self, at: datetime) -> bool:
        """Whether it is in force at an instant, whether or not its end has been recorded."""
        return self.state is SubmissionState.IN_FORCE and (self.expires_at is None or self.expires_at > at)


def open_for_judgement(period: Period, day: date) -> None:
    """Raises where nothing can be said of a period on a day.

    Raises:
        PeriodUndated: it has no days.
        PeriodOver: it has ended before that day.
    """
    if period.start is None or period.end is None:
        raise PeriodUndated("forecast_submission.period_id")
    if day > period.end:
        raise PeriodOver(period.name)


# What comes of it


@dataclass(frozen=True, slots=True)
class Said:
    """A submission that counts, in the currency of the answer; no amount where a rate is missing."""

    id: UUID
    user_id: str
    author_id: str
    amount: Decimal | None
    note: str
    submitted_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Level:
    """What one level says of a node, and by how much it replaced the number of the level before."""

    said: Said
    levels_above: int
    adjustment: Decimal | None


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and what the system computes for it in one period and category; `person` judges there."""

    id: str
    parent_id: str
    person: str
    own: Decimal
    system: Decimal
    outcome: Decimal


@dataclass(frozen=True, slots=True)
class Judged:
    """Everything that is said of a node, the three kinds apart."""

    system: Decimal
    rolled_up: Decimal
    levels: tuple[Level, ...]
    judged: Decimal
    outcome: Decimal


def judge(places: Sequence[Place], said: Iterable[Said]) -> dict[str, Judged]:
    """What counts at each node; parents stand before their children in `places`.

    What comes up is the node's own deals and the judgement of those directly below. A submission counts
    where its author is the node's person or stands above it; those of others are left out.
    """
    of_person: dict[str, dict[str, Said]] = {}
    for each in said:
        of_person.setdefault(each.user_id, {})[each.author_id] = each
    by_id = {place.id: place for place in places}
    rolled_up = {place.id: place.own for place in places}
    result: dict[str, Judged] = {}
    for place in reversed(places):
        judged = before = rolled_up[place.id]
        levels = []
        for levels_above, each in _from_below(place, by_id, of_person.get(place.person, {})):
            adjustment = None if each.amount is None else each.amount - before
            levels.append(Level(each, levels_above, adjustment))
            if each.amount is not None:
                judged = before = each.amount
        result[place.id] = Judged(place.system, rolled_up[place.id], tuple(levels), judged, place.outcome)
        if place.parent_id in rolled_up:
            rolled_up[place.parent_id] += judged
    return {place.id: result[place.id] for place in places}


def replaced_by(judged: Judged | None, author: str) -> Replaced:
    """What a submission of an author stands over: the highest level below the author, else what came up."""
    if judged is None:
        return Replaced(_ZERO, _ZERO)
    amount, author_id = judged.rolled_up, None
    for level in judged.levels:
        if level.said.author_id == author:
            break
        if level.said.amount is not None:
            amount, author_id = level.said.amount, UUID(level.said.author_id)
    return Replaced(judged.system, amount, author_id)


def _from_below(
    place: Place, by_id: Mapping[str, Place], said: Mapping[str, Said]
) -> Iterable[tuple[int, Said]]:
    """What is said of a node, by the person first, then by each of those above."""
    at: Place | None = place
    levels_above, seen = 0, set[str]()
    while at is not None and said:
        if at.person in said and at.person not in seen:
            seen.add(at.person)
            yield levels_above, said[at.person]
        at = by_id.get(at.parent_id)
        levels_above += 1
