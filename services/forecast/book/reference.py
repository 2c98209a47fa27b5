"""What deals are counted by, with its whole history: settings, stages, rates, people, territories …

It is small beside the deals, so it is plain Python. What was recorded by an instant is a `Tenant`.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from chassis.errors import Unavailable
from chassis.fiscal import MONTHS, Pattern, YearEnd
from services.forecast.domain.currencies import Rate, Rates
from services.forecast.domain.figures import Category, Stage
from services.forecast.domain.periods import FiscalCalendar

Content = Mapping[str, Any]

_VALUING: Final = frozenset({"tenant", "stage", "exchange_rate"})
"""What decides how a deal is valued."""
_KEPT_STATES: Final = 8
_NOTHING: Final[Mapping[str, Content]] = {"account": {"segment": ""}}
"""What says as much of a thing as if it had never been heard of."""
SUNDAY: Final = 7


class SettingsUnknown(Unavailable):
    """Identity's event about the tenant has not arrived yet."""

    def __init__(self) -> None:
        super().__init__(
            "The forecast has not heard the tenant's currency and calendar yet; try again shortly."
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of one thing; the time is in microseconds."""

    kind: str
    id: UUID
    version: int
    recorded_at: int
    content: Content


@dataclass(frozen=True, slots=True)
class Settings:
    """What the tenant has set for all its figures."""

    reporting_currency: str
    time_zone: ZoneInfo
    calendar: FiscalCalendar

    def day_of(self, instant: datetime) -> date:
        """The tenant's day at an instant."""
        return instant.astimezone(self.time_zone).date()


@dataclass(frozen=True, slots=True)
class Interval:
    """Who reports to whom, or who covers which territory, from one instant to another (microseconds)."""

    id: UUID
    user: UUID
    other: UUID
    """The manager, or the territory."""
    valid_from: int
    valid_to: int
    content: Content

    def holds(self, at: int) -> bool:
        """Whether it does at an instant."""
        return self.valid_from <= at < self.valid_to


@dataclass(frozen=True, slots=True)
class Territory:
    """A territory."""

    id: UUID
    name: str
    parent: UUID | None


class Tenant:
    """What was recorded of the tenant by an instant."""

    def __init__(self, contents: Mapping[str, Mapping[UUID, Content]], valued: int) -> None:
        self._contents = contents
        self.valued = valued
        """Another number where deals are valued otherwise."""
        self.by_stage: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]] | None = None
        self.factors: dict[tuple[int, int, str], tuple[int, int] | None] = {}
        """What was worked out already, by currency, day and currency asked for (`valuing`)."""

    def of(self, kind: str) -> Mapping[UUID, Content]:
        """Everything of a kind, by id."""
        return self._contents.get(kind, {})

    def names(self, kind: str) -> dict[UUID, str]:
        """What everything of a kind is called."""
        return {id: content["name"] for id, content in self.of(kind).items()}

    @cached_property
    def settings(self) -> Settings:
        """The tenant's settings.

        Raises:
            SettingsUnknown: they have not been heard.
        """
        for content in self.of("tenant").values():
            zone = ZoneInfo(content["time_zone"] or "UTC")
            return Settings(content["reporting_currency"], zone, _calendar(content))
        raise SettingsUnknown

    @cached_property
    def stages(self) -> dict[UUID, Stage]:
        """All stages of all pipelines."""
        return {
            id: Stage(id, Category(stage["category"]), stage["probability"], stage["name"])
            for id, stage in self.of("stage").items()
        }

    @cached_property
    def rates(self) -> Rates:
        """All exchange rates."""
        return Rates(
            self.settings.reporting_currency,
            (
                Rate(each["currency"], each["target"], date.fromisoformat(each["valid_from"]), Decimal(each["rate"]))
                for each in self.of("exchange_rate").values()
                if not each["deleted"]
            ),
        )  # fmt: skip

    @cached_property
    def users(self) -> dict[UUID, str]:
        """What people are called."""
        return self.names("user")

    @cached_property
    def products(self) -> dict[UUID, str]:
        """What products are called."""
        return self.names("product")

    @cached_property
    def lines(self) -> list[Interval]:
        """The reporting lines; `other` is the manager."""
        return _intervals(self.of("reporting_line"), "manager_id")

    @cached_property
    def assignments(self) -> list[Interval]:
        """Who covers which territory; `other` is the territory."""
        return _intervals(self.of("territory_assignment"), "territory_id")

    @cached_property
    def territories(self) -> dict[UUID, Territory]:
        """The territories that are not deleted."""
        return {
            id: Territory(id, each["name"], UUID(each["parent_id"]) if each["parent_id"] else None)
            for id, each in self.of("territory").items()
            if not each["deleted"]
        }


def _calendar(content: Content) -> FiscalCalendar:
    return FiscalCalendar(
        start_month=content["first_month"],
        pattern=Pattern(content.get("pattern") or Pattern.CALENDAR_MONTHS),
        first_weekday=content.get("first_weekday") or SUNDAY,
        year_end=YearEnd(content.get("year_end") or YearEnd.NEAREST),
        long_month=content.get("long_month") or MONTHS,
    )


def _intervals(contents: Mapping[UUID, Content], other: str) -> list[Interval]:
    return [
        Interval(id, UUID(each["user_id"]), UUID(each[other]), each["valid_from"], each["valid_to"], each)
        for id, each in contents.items()
        if each["valid_from"] < each["valid_to"]
    ]


class References:
    """Every version of everything but the deals."""

    def __init__(self) -> None:
        self._histories: dict[str, dict[UUID, list[Reference]]] = {}
        self._recorded: list[int] = []
        """When each of them was recorded, in order: between two of these nothing changed."""
        self._states: OrderedDict[int, Tenant] = OrderedDict()
        self._valued = 0
        self.leads = Conversions()

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        return 1000 * len(self._recorded) + 100 * len(self.leads)

    def add(self, references: Iterable[Reference]) -> set[str]:
        """Takes versions in, in any order; those that are there already are passed over.

        Returns:
            The kinds that there is something new of.
        """
        news: set[str] = set()
        for reference in references:
            if reference.kind == "lead":
                if self.leads.add(reference):
                    news.add("lead")
                continue
            history = self._histories.setdefault(reference.kind, {}).setdefault(reference.id, [])
            if any(known.version == reference.version for known in reversed(history)):
                continue
            insort(history, reference, key=_version)
            if (changed := _changed_by(reference, history)) is None:
                continue
            self._recorded += changed
            news.add(reference.kind)
        if news - {"lead"}:
            self._recorded.sort()
            self._states.clear()
        if news & _VALUING:
            self._valued += 1
        return news

    def at(self, recorded_at: int | None) -> Tenant:
        """What was recorded by an instant, or by now."""
        place = len(self._recorded) if recorded_at is None else bisect_right(self._recorded, recorded_at)
        tenant = self._states.get(place)
        if tenant is None:
            until = self._recorded[place - 1] if place else -1
            is_all = place == len(self._recorded)
            contents = {
                kind: {
                    id: known[-1].content
                    for id, history in histories.items()
                    if (known := history if is_all else [one for one in history if one.recorded_at <= until])
                }
                for kind, histories in self._histories.items()
            } if place else {}  # fmt: skip
            tenant = self._states[place] = Tenant(contents, self._valued)
            if len(self._states) > _KEPT_STATES:
                self._states.popitem(last=False)
        else:
            self._states.move_to_end(place)
        return tenant


def _changed_by(reference: Reference, history: list[Reference]) -> list[int] | None:
    """When something became another thing by a version that was taken in: when it was recorded, and the one
    after it, if that is there already; None where it is the last and says what the one before it said, or
    the first and says nothing."""
    place = history.index(reference)
    if place + 1 < len(history):
        return [reference.recorded_at, history[place + 1].recorded_at]
    said = history[place - 1].content if place else _NOTHING.get(reference.kind)
    return None if reference.content == said else [reference.recorded_at]


class Conversions:
    """Which leads are being converted when: their deals do not count before all of it is there."""

    def __init__(self) -> None:
        self._histories: dict[UUID, list[tuple[int, int, bool]]] = {}
        """By lead: version, recorded_at, whether its conversion is under way."""
        self.under_way: set[UUID] = set()

    def __len__(self) -> int:
        return len(self._histories)

    def add(self, reference: Reference) -> bool:
        """Takes a version in; False where it was there already."""
        history = self._histories.setdefault(reference.id, [])
        if any(version == reference.version for version, _, _ in history):
            return False
        insort(history, (reference.version, reference.recorded_at, reference.content["converting"]))
        (self.under_way.add if history[-1][2] else self.under_way.discard)(reference.id)
        return True

    def at(self, recorded_at: int | None) -> Iterable[UUID]:
        """The leads whose conversion was under way by what was recorded at an instant, or is now."""
        if recorded_at is None:
            return self.under_way
        return [lead for lead, history in self._histories.items() if _converting(history, recorded_at)]


def _converting(history: list[tuple[int, int, bool]], recorded_at: int) -> bool:
    known = [converting for _, recorded, converting in history if recorded <= recorded_at]
    return bool(known) and known[-1]


def _version(reference: Reference) -> int:
    return reference.version
