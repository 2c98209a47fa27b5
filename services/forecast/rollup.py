"""Answering what a request asks for: the tree that it names, with the figures that the caller sees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.forecast.v1 import export_pb2
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis import convert, sight
from chassis.call import Call
from chassis.money import minor_unit
from services.forecast import wire
from services.forecast.book import Book, Books, Tenant
from services.forecast.book.grid import DEALS, Measure
from services.forecast.dimensions import Axis, Credit, GroupBy, Hierarchy, Question, RateDate, axis_of
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import Figures
from services.forecast.domain.trees import ALL
from services.forecast.figures import figures_of
from services.forecast.summing import Places, Sums, lacking_in, sums_of
from services.forecast.wire.heard import microseconds

Asked = (
    pb.GetForecastRequest
    | pb.ListForecastDealsRequest
    | pb.StreamForecastRequest
    | export_pb2.ExportForecastRequest
)


@dataclass(frozen=True)
class RolledUp:
    """A forecast: a tree with all its sums, and which of its nodes are answered."""

    book: Book
    question: Question
    axis: Axis
    sums: Sums
    shown: Places

    @cached_property
    def lacking(self) -> list[Lacking]:
        """The rates that are missing."""
        unconverted = self.sums.total(np.array([0], np.int32))[0, :, Measure.UNCONVERTED_DEALS]
        return lacking_in(self.book, self.question) if unconverted.any() else []

    @cached_property
    def totals(self) -> Any:
        """What each node that is shown has with everything below it: by node, period and measure."""
        return self.sums.total(self.shown)

    @cached_property
    def own(self) -> Any:
        """What each node that is shown has itself."""
        return self.sums.own[self.shown]

    def figures(self) -> dict[tuple[str, str], Figures]:
        """All figures, by node and period; those without a deal are left out."""
        unit = minor_unit(self.question.currency)
        return {
            (self.axis.tree.nodes[place].id, period.id): figures_of(row, unit)
            for place, rows in zip(self.shown.tolist(), self.totals.tolist(), strict=True)
            for period, row in zip(self.question.periods, rows, strict=True)
            if any(row[DEALS])
        }

    def to_proto(self, only: Sequence[int] | None = None) -> pb.Forecast:
        """The answer, without watermarks; with all nodes that are shown, or some of them by number."""
        question, currency = self.question, self.question.currency
        forecast = pb.Forecast(
            group_by=pb.Forecast.GroupBy.ValueType(question.group_by),
            currency=currency,
            periods=map(wire.period_to_proto, question.periods),
            missing_rates=(wire.lacking_to_proto(lacking, currency) for lacking in self.lacking),
            today=convert.date_to_proto(question.today),
            hierarchy=pb.Forecast.Hierarchy.ValueType(question.hierarchy),
            credit=pb.Forecast.Credit.ValueType(question.credit),
            rate_date=pb.Forecast.RateDate.ValueType(question.rate_date),
        )
        periods = [period.id for period in question.periods]
        for number in range(len(self.shown)) if only is None else only:
            place = int(self.shown[number])
            wire.set_node(
                forecast.nodes.add(),
                self.axis.tree,
                place,
                periods,
                self.totals[number].tolist(),
                self.own[number].tolist(),
                currency,
            )
        return forecast


class RollUp:
    """The forecast, as one caller sees it at the moment of one call."""

    def __init__(self, call: Call, book: Book, within: Collection[UUID] | None) -> None:
        self.call, self.book = call, book
        self.within = None if within is None else frozenset(within)
        self.tenant = book.at()

    @classmethod
    async def of(cls, call: Call, books: Books) -> RollUp:
        """With everything that was committed before; nothing may be awaited until it is used."""
        within = (await sight.owners_within(call)).within
        return cls(call, await books.of(call), within)

    def answer(
        self, asked: pb.GetForecastRequest | pb.StreamForecastRequest | export_pb2.ExportForecastRequest
    ) -> RolledUp:
        """The forecast that was asked for.

        Raises:
            PeriodUnknown, MonthsAreWeeks, PeriodRangeWrong, TooManyPeriods, NodeNotFound: the request is
                wrong.
            SettingsUnknown: the tenant's settings have not been heard.
        """
        question = self.question(asked, asked.periods)
        depth = asked.depth if asked.HasField("depth") else None
        return self.rolled_up(question, asked.node_id or ALL, depth)

    def rolled_up(self, question: Question, node_id: str = ALL, depth: int | None = None) -> RolledUp:
        """A node with what is below it: what has a deal in any of the periods, and the node itself.

        Raises:
            NodeNotFound: there is no such node.
        """
        axis = axis_of(self.book, question)
        top = axis.tree.place(node_id)
        sums = sums_of(self.book, axis, question)
        shown = axis.tree.within(top, depth)
        shown = shown[(sums.deals(shown) > 0) | (shown == top)]
        return RolledUp(self.book, question, axis, sums, shown)

    def question(self, asked: Asked, periods: Sequence[str]) -> Question:
        """What a request asks for, complete."""
        recorded_at, effective_at = _instants(asked)
        tenant = known_tenant(self.book, recorded_at)
        settings, now = tenant.settings, self.call.now
        today = settings.day_of(effective_at or recorded_at or now)
        return Question(
            group_by=GroupBy(asked.group_by or GroupBy.TEAM),
            periods=settings.calendar.selected(list(periods), today),
            currency=asked.currency or settings.reporting_currency,
            today=today,
            zone=settings.time_zone,
            now=now,
            recorded_at=recorded_at,
            effective_at=effective_at,
            hierarchy=Hierarchy(asked.hierarchy or Hierarchy.BOOKED),
            credit=Credit(asked.credit or Credit.REVENUE),
            rate_date=RateDate(asked.rate_date or RateDate.CLOSE),
            within=self.within,
        )


def known_tenant(book: Book, recorded_at: datetime | None) -> Tenant:
    """What was recorded of the tenant by an instant; before anything was, what is."""
    tenant = book.at(None if recorded_at is None else microseconds(recorded_at))
    return tenant if tenant.of("tenant") else book.at()


def _instants(asked: Asked) -> tuple[datetime | None, datetime | None]:
    """As of when something is asked for, in recorded and in business time."""
    if isinstance(asked, pb.StreamForecastRequest):
        return None, None
    return _time(asked, "as_of"), _time(asked, "effective_as_of")


def _time(asked: Any, name: str) -> datetime | None:
    timestamp: Timestamp = getattr(asked, name)
    return convert.datetime_of(timestamp) if asked.HasField(name) else None


__all__ = ["Asked", "RollUp", "RolledUp", "known_tenant"]
