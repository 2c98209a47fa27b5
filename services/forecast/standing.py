"""The nodes of one tree with their sums, as judgement and quotas are set against them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Protocol
from uuid import UUID

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from chassis import sight
from chassis.call import Call
from chassis.money import minor_unit
from services.forecast.book import MISSING, Book, Measure, Settings, day_number
from services.forecast.book.exact import Amounts
from services.forecast.book.versions import UNDATED
from services.forecast.dimensions import Axis, Credit, GroupBy, Hierarchy, Question, RateDate, axis_of
from services.forecast.dimensions.tree import Stand, Tree
from services.forecast.domain.currencies import Lacking, Rates, rounded
from services.forecast.domain.periods import Granularity, Period
from services.forecast.domain.trees import ALL, NodeKind
from services.forecast.rollup import known_tenant
from services.forecast.store.spoken import Instant
from services.forecast.summing import Sums, lacking_in, sums_of

OPEN = (Measure.COMMIT, Measure.BEST_CASE, Measure.PIPELINE)
"""What is open and not omitted, from the surest on."""


class Asked(Protocol):
    """What every request about an instant says."""

    @property
    def currency(self) -> str: ...
    @property
    def hierarchy(self) -> int: ...
    @property
    def as_of(self) -> Timestamp: ...
    @property
    def effective_as_of(self) -> Timestamp: ...


def instant_of(asked: Asked) -> Instant:
    """As of when something is asked for."""
    return Instant(_time(asked.as_of), _time(asked.effective_as_of))


def question_of(
    call: Call, book: Book, asked: Asked, *, group_by: GroupBy = GroupBy.TEAM, within: frozenset[UUID] | None
) -> Question:
    """The question that a request asks, for no period yet.

    Raises:
        SettingsUnknown: the tenant's settings have not been heard.
    """
    instant = instant_of(asked)
    settings = known_tenant(book, instant.recorded_at).settings
    return Question(
        group_by=group_by,
        periods=(),
        currency=asked.currency or settings.reporting_currency,
        today=settings.day_of(instant.or_now(call.now)),
        zone=settings.time_zone,
        now=call.now,
        recorded_at=instant.recorded_at,
        effective_at=instant.effective_at,
        hierarchy=Hierarchy(asked.hierarchy or Hierarchy.BOOKED),
        credit=Credit(getattr(asked, "credit", 0) or Credit.REVENUE),
        rate_date=RateDate(getattr(asked, "rate_date", 0) or RateDate.CLOSE),
        within=within,
    )


async def seen_by(call: Call) -> frozenset[UUID] | None:
    """The users whose deals the caller sees; None for all."""
    return (await sight.owners_within(call)).within


def chosen(settings: Settings, texts: Sequence[str], today: date) -> list[Period]:
    """The periods that a request names, without what has no date."""
    selected = settings.calendar.selected(list(texts), today)
    return [period for period in selected if period.granularity is not Granularity.UNDATED]


@dataclass(frozen=True)
class Standing:
    """A tree, and what each of its nodes comes to in each period of a question."""

    book: Book
    question: Question
    axis: Axis
    sums: Sums

    @classmethod
    def of(cls, book: Book, question: Question, axis: Axis | None = None) -> Standing:
        """The sums of a question, in its own tree or in another's."""
        axis = axis or axis_of(book, question)
        return cls(book, question, axis, sums_of(book, axis, question))

    @property
    def tree(self) -> Tree:
        """The nodes."""
        return self.axis.tree

    @property
    def rates(self) -> Rates:
        """The exchange rates that were known."""
        return known_tenant(self.book, self.question.recorded_at).rates

    def own(self, period: int, *measures: Measure) -> list[Decimal]:
        """The sum of some measures of what each node has itself, in one of the periods."""
        return self._amounts(self.sums.own, period, measures)

    def total(self, period: int, *measures: Measure) -> list[Decimal]:
        """The same with everything below."""
        return self._amounts(self._totals, period, measures)

    def has_deals(self, period: int) -> list[bool]:
        """Which nodes have any deal in one of the periods."""
        counts = self._totals[:, period, Measure.OMITTED_DEALS : Measure.CLOSED_DEALS + 1]
        return [bool(count) for count in counts.sum(axis=1).tolist()]

    @cached_property
    def _totals(self) -> Amounts:
        return self.sums.total(np.arange(len(self.tree), dtype=np.int32))

    def above(self, place: int) -> str:
        """The id of the node above one; empty for the root."""
        above = int(self.tree.above[place])
        return self.tree.nodes[above].id if above >= 0 else ""

    def seat(self, user: UUID, period: Period) -> str:
        """The node at which somebody stands for a period: where at its end, or now while it lasts. The
        root where the tree has no place for that person."""
        code = self.book.codes.users.code(user)
        if code == MISSING:
            place = self.tree.places.get(str(user), -1)
        else:
            assert period.end is not None
            is_over = period.end < self.question.today
            day = day_number(period.end) if is_over else UNDATED
            member = np.array([2 * code + 1 + is_over], np.int64)
            place = int(self.axis.place(member, np.array([day], np.int64))[0])
        return self.tree.nodes[place].id if place >= 0 else ALL

    def within(self, node_id: str, depth: int | None) -> list[int]:
        """The places of the part of the tree that is asked for.

        Raises:
            NodeNotFound: there is no such node.
        """
        places: list[int] = self.tree.within(self.tree.place(node_id or ALL), depth).tolist()
        return places

    def shown(self, places: Sequence[int], wanted: Collection[int]) -> list[int]:
        """Of a part of the tree those places that are wanted, those above them, and the first."""
        keep = {places[0]}
        for place in reversed(places):
            if place in wanted or place in keep:
                keep |= {place, int(self.tree.above[place])}
        return [place for place in places if place in keep]

    def _amounts(self, sums: Amounts, period: int, measures: Sequence[Measure]) -> list[Decimal]:
        unit = minor_unit(self.question.currency)
        columns = sums[:, period, list(measures)]
        return [int(amount) * unit for amount in columns.sum(axis=1).tolist()]


def is_a_persons(stand: Stand) -> bool:
    """Whether it is where somebody stands, and not where somebody stood once."""
    return stand.kind is NodeKind.USER and not stand.subject


class Conversion:
    """Amounts that people have set for a period, in the currency of an answer."""

    def __init__(self, standing: Standing) -> None:
        self._rates, self._question, self._book = standing.rates, standing.question, standing.book
        root = standing.sums.total(np.array([0], np.int32))
        self._has_unconverted = bool(root[0, :, Measure.UNCONVERTED_DEALS].any())
        self._lacking: dict[tuple[str, date], int] = {}

    def __call__(self, amount: Decimal, currency: str, period: Period) -> Decimal | None:
        """At the rate of the period's last day, or today's while it lasts; None where there is none."""
        day = min(period.end or date.max, self._question.today)
        factor = self._rates.factor(currency, self._question.currency, day)
        if factor is None:
            self._lacking[currency, day] = self._lacking.get((currency, day), 0) + 1
            return None
        return rounded(amount * factor, self._question.currency)

    def lacking(self) -> list[Lacking]:
        """The rates that are missing: for what people have set, and for deals."""
        found = dict(self._lacking)
        if self._has_unconverted:
            for each in lacking_in(self._book, self._question):
                found[each.currency, each.day] = found.get((each.currency, each.day), 0) + each.deals
        return [Lacking(currency, day, count) for (currency, day), count in sorted(found.items())]


def _time(timestamp: Timestamp) -> datetime | None:
    return timestamp.ToDatetime(UTC) if timestamp.seconds or timestamp.nanos else None
