"""What a waterfall is asked for: the two instants, the period and what is measured, complete."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sfa.forecast.v1 import changes_pb2 as pb

from chassis import convert
from chassis.errors import InvalidArgument
from services.forecast.book import Book
from services.forecast.book.reference import Tenant
from services.forecast.dimensions.question import Credit, GroupBy, Hierarchy, Question, RateDate
from services.forecast.domain.figures import Category
from services.forecast.domain.periods import Granularity, Period
from services.forecast.waterfall.history import Instant
from services.forecast.wire.heard import microseconds

Request = pb.GetForecastChangesRequest | pb.ListForecastChangedDealsRequest

_WEEK: Final = timedelta(days=7)
_EVERYTHING: Final = frozenset(Category) - {Category.OMITTED}
_EFFECTIVE: Final = pb.ForecastWaterfall.TimeAxis.EFFECTIVE


class OpeningAfterClosing(InvalidArgument):
    """The first instant is after the second."""

    def __init__(self) -> None:
        super().__init__(
            "The opening is after the closing; the earlier instant comes first.", field="opening_time"
        )


class ClosingInFuture(InvalidArgument):
    """What is to be recorded cannot be known yet."""

    def __init__(self, field: str) -> None:
        super().__init__("This instant is still to come; nothing is recorded up to it yet.", field=field)


class KnowledgeNotAsked(InvalidArgument):
    """What is known by an instant was said for instants that are about just that."""

    def __init__(self) -> None:
        super().__init__(
            "`as_of` goes with the axis EFFECTIVE: recorded instants say it themselves.", field="as_of"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A waterfall that is asked for; nothing is left out or relative any more."""

    opening: Question
    closing: Question
    period: Period
    categories: frozenset[Category]
    is_effective: bool

    @property
    def opens_at(self) -> datetime:
        """The first instant."""
        return self.opening.instant

    @property
    def closes_at(self) -> datetime:
        """The second instant."""
        return self.closing.instant

    @classmethod
    def of(cls, request: Request, book: Book, now: datetime, within: Collection[UUID] | None) -> "Asked":
        """What a request asks for.

        Raises:
            OpeningAfterClosing, ClosingInFuture, KnowledgeNotAsked, PeriodUnknown: it makes no sense.
            SettingsUnknown: the tenant's settings have not been heard.
        """
        is_effective = request.axis == _EFFECTIVE
        closes_at = convert.datetime_of(request.closing_time) if request.HasField("closing_time") else now
        opens_at = closes_at - _WEEK
        if request.HasField("opening_time"):
            opens_at = convert.datetime_of(request.opening_time)
        if opens_at > closes_at:
            raise OpeningAfterClosing
        known = now
        if request.HasField("as_of"):
            known = convert.datetime_of(request.as_of)
            if not is_effective and known != closes_at:
                raise KnowledgeNotAsked
        if known > now:
            raise ClosingInFuture("as_of")
        if closes_at > now and not is_effective:
            raise ClosingInFuture("closing_time")
        tenant = _known(book, known if is_effective else closes_at)
        calendar, zone = tenant.settings.calendar, tenant.settings.time_zone
        today = tenant.settings.day_of(closes_at)
        named = request.period_id
        period = (
            calendar.named(named, "period_id") if named else calendar.period_of(today, Granularity.QUARTER)
        )
        closing = Question(
            group_by=GroupBy(request.group_by or GroupBy.TEAM),
            periods=[period],
            currency=request.currency or tenant.settings.reporting_currency,
            today=today,
            zone=zone,
            now=now,
            recorded_at=known if is_effective else closes_at,
            effective_at=closes_at if is_effective else None,
            hierarchy=Hierarchy(request.hierarchy or Hierarchy.BOOKED),
            credit=Credit(request.credit or Credit.REVENUE),
            rate_date=RateDate(request.rate_date or RateDate.CLOSE),
            within=frozenset(within) if within is not None else None,
        )
        opening = replace(
            closing,
            today=tenant.settings.day_of(opens_at),
            recorded_at=known if is_effective else opens_at,
            effective_at=opens_at if is_effective else None,
        )
        categories = frozenset(Category(each) for each in request.categories) or _EVERYTHING
        return cls(opening, closing, period, categories, is_effective)

    def instant(self, question: Question, book: Book) -> Instant:
        """One of the two ends, as the book knows it."""
        known = question.recorded_at or question.now
        return Instant(question.recorded, question.effective, _known(book, known), question.today)


def _known(book: Book, at: datetime) -> Tenant:
    """What was recorded of the tenant by an instant; before anything was, what is."""
    tenant = book.at(microseconds(at))
    return tenant if tenant.of("tenant") else book.at()
