"""What people say, set beside what the system computes and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2
from sfa.forecast.v1 import judgement_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.call import Call
from services.forecast import wire
from services.forecast.book import Books, Measure
from services.forecast.dimensions import GroupBy, Question, axis_of
from services.forecast.domain.figures import Category
from services.forecast.domain.judgement import (
    JUDGED,
    CategoryNotJudged,
    ForecastSubmission,
    Judged,
    Place,
    Replaced,
    Said,
    judge,
    replaced_by,
)
from services.forecast.domain.periods import Period
from services.forecast.edges import Edge
from services.forecast.rollup import known_tenant
from services.forecast.standing import (
    OPEN,
    Conversion,
    Standing,
    chosen,
    instant_of,
    is_a_persons,
    question_of,
    seen_by,
)
from services.forecast.store.judgement import SubmissionStore
from services.forecast.store.spoken import Instant
from services.forecast.watermarks import Watermarks
from services.forecast.wire import judgement as judgement_wire


class Judgements:
    """Puts the three side by side, and never lets one into another."""

    def __init__(self, books: Books, watermarks: Watermarks) -> None:
        self.books, self.watermarks = books, watermarks

    async def answer(self, asked: pb.GetForecastJudgementRequest, call: Call) -> pb.ForecastJudgement:
        """What a request asks for.

        Raises:
            PeriodUnknown, PeriodRangeWrong, TooManyPeriods, CategoryNotJudged, NodeNotFound: it is wrong.
            ForecastNotFinal: it may still change, and the caller wants none that may.
        """
        categories = [Category(category) for category in asked.categories] or list(JUDGED)
        if not set(categories) <= set(JUDGED):
            raise CategoryNotJudged("categories")
        edge = await Edge.of(call, self.watermarks, asked)
        within = await seen_by(call)
        book = await self.books.of(call)
        question = question_of(call, book, asked, within=within)
        periods = chosen(known_tenant(book, question.recorded_at).settings, asked.periods, question.today)
        submissions = await SubmissionStore(call).counting(
            [period.id for period in periods], instant_of(asked)
        )
        book = await self.books.of(call)  # as fresh as what people say of it; nothing is awaited from here on
        question = replace(question, periods=periods)
        standing = Standing.of(book, question)
        today = book.at().settings.day_of(call.now)
        outcome = standing
        if not question.is_live:
            outcome = Standing.of(book, _live(question, today), standing.axis)
        conversion = Conversion(standing)
        users = known_tenant(book, question.recorded_at).users
        shown = standing.within(asked.node_id, asked.depth if asked.HasField("depth") else None)
        cells: dict[int, list[pb.JudgementCell]] = {}
        for number, period in enumerate(periods):
            has_deals = standing.has_deals(number)
            for category in categories:
                said = _said(submissions, period, category, conversion)
                judged = judge(_places(standing, outcome, number, category), said)
                for place in shown:
                    stand = standing.tree.nodes[place]
                    if has_deals[place] or _is_said_of(judged[stand.id]):
                        cell = pb.JudgementCell(
                            period_id=period.id,
                            category=opportunities_pb2.ForecastCategory.ValueType(category),
                        )
                        is_over = period.end is not None and period.end < today
                        judgement_wire.set_judged(cell, judged[stand.id], question.currency, is_over=is_over)
                        for level in cell.levels:
                            level.author_name = users.get(UUID(level.author_id), level.author_id)
                        cells.setdefault(place, []).append(cell)
        shown = standing.shown(shown, cells)
        answer = pb.ForecastJudgement(
            currency=question.currency,
            periods=map(wire.period_to_proto, periods),
            nodes=(_node(standing, place, cells.get(place, ())) for place in shown),
            missing_rates=(wire.lacking_to_proto(each, question.currency) for each in conversion.lacking()),
            today=convert.date_to_proto(question.today),
            hierarchy=forecast_pb2.Forecast.Hierarchy.ValueType(question.hierarchy),
        )
        edge.mark(answer)
        return answer

    async def replaced(self, call: Call, named: ForecastSubmission, currency: str) -> Replaced:
        """What a submission stands over now, in a currency: what the system computes, and what the level
        below the author says."""
        store = SubmissionStore(call)
        below = await store.below(named.author_id)
        submissions = await store.counting([named.period_id], Instant())
        within = await seen_by(call)
        book = await self.books.of(call)
        settings = book.at().settings
        period = settings.calendar.named(named.period_id)
        question = Question(
            group_by=GroupBy.TEAM,
            periods=[period],
            currency=currency or settings.reporting_currency,
            today=settings.day_of(call.now),
            zone=settings.time_zone,
            now=call.now,
            within=within,
        )
        standing = Standing.of(book, question)
        known = [each for each in submissions if each.author_id in (named.author_id, *below)]
        said = _said(known, period, named.category, Conversion(standing))
        judged = judge(_places(standing, standing, 0, named.category), said)
        return replaced_by(judged.get(str(named.user_id)), str(named.author_id))


async def judged_before(
    call: Call, books: Books, question: Question, periods: Sequence[Period]
) -> dict[str, dict[str, Decimal]]:
    """What people said of commit on the last day before each of some periods: by the period's id, then by
    node. Only where anybody had said anything of the node or of what is below it.

    In business time, so that what was imported counts from when it was said; nodes are those of the
    question's own tree of people.
    """
    store = SubmissionStore(call)
    said_of: dict[str, list[ForecastSubmission]] = {}
    for period in periods:
        instant = Instant(effective_at=_eve(period, question))
        if submissions := await store.counting([period.id], instant):
            said_of[period.id] = submissions
    book = await books.of(call)
    axis = axis_of(book, question)
    found: dict[str, dict[str, Decimal]] = {}
    for period in periods:
        if period.id in said_of:
            eve = _eve(period, question)
            asked = replace(
                question, periods=[period], effective_at=eve, today=eve.astimezone(question.zone).date()
            )
            standing = Standing.of(book, asked, axis)
            said = _said(said_of[period.id], period, Category.COMMIT, Conversion(standing))
            places = _places(standing, standing, 0, Category.COMMIT)
            judged = judge(places, said)
            has_word: set[str] = set()
            for place in reversed(places):
                if place.id in has_word or any(
                    level.said.amount is not None for level in judged[place.id].levels
                ):
                    has_word |= {place.id, place.parent_id}
            found[period.id] = {place.id: judged[place.id].judged for place in places if place.id in has_word}
    return found


def _eve(period: Period, question: Question) -> datetime:
    """The last instant before a period."""
    assert period.start is not None
    return datetime.combine(period.start, time.min, question.zone).astimezone(UTC) - timedelta(microseconds=1)


def _live(question: Question, today: date) -> Question:
    """The same about everything that is known now: for what came of it."""
    return replace(question, recorded_at=None, effective_at=None, today=today)


def _measures(category: Category) -> tuple[Measure, ...]:
    """What a category has with everything surer."""
    return (Measure.CLOSED, *OPEN[: JUDGED.index(category) + 1])


def _places(standing: Standing, outcome: Standing, period: int, category: Category) -> list[Place]:
    own = standing.own(period, *_measures(category))
    total = standing.total(period, *_measures(category))
    came = outcome.total(period, Measure.CLOSED)
    return [
        Place(
            stand.id,
            standing.above(place),
            stand.id if is_a_persons(stand) else "",
            own[place],
            total[place],
            came[place],
        )
        for place, stand in enumerate(standing.tree.nodes)
    ]


def _said(
    submissions: Iterable[ForecastSubmission], period: Period, category: Category, conversion: Conversion
) -> list[Said]:
    found = []
    for each in submissions:
        if each.period_id == period.id and each.category is category and each.amount is not None:
            amount = conversion(each.amount.amount, each.amount.currency, period)
            found.append(
                Said(
                    each.id,
                    str(each.user_id),
                    str(each.author_id),
                    amount,
                    each.note,
                    _later(each.effective_at, each.updated_at),
                    each.expires_at,
                )
            )
    return found


def _later(effective_at: datetime | None, recorded_at: datetime | None) -> datetime | None:
    """When it was said: in business time, where that is known."""
    return effective_at or recorded_at


def _is_said_of(judged: Judged) -> bool:
    """Whether anybody says anything of a node or of what is below it."""
    return bool(judged.levels) or judged.judged != judged.system


def _node(standing: Standing, place: int, cells: Sequence[pb.JudgementCell]) -> pb.JudgementNode:
    stand = standing.tree.nodes[place]
    return pb.JudgementNode(
        id=stand.id,
        name=stand.name,
        parent_id=standing.above(place),
        kind=forecast_pb2.ForecastNode.Kind.ValueType(stand.kind),
        depth=int(standing.tree.depth[place]),
        cells=cells,
        subject_id=stand.subject,
        is_former=bool(stand.subject),
    )
