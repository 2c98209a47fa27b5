"""How far quotas are attained, at every node of a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from google.type.money_pb2 import Money as MoneyProto
from sfa.forecast.v1 import forecast_pb2
from sfa.forecast.v1 import quotas_pb2 as pb

from chassis import convert
from chassis.call import Call
from chassis.money import Money
from services.forecast import wire
from services.forecast.book import Books, Measure
from services.forecast.dimensions import GroupBy
from services.forecast.domain.attainment import (
    Assigned,
    Former,
    SameDay,
    Seat,
    assign,
    attainment,
    coverage,
    day_in,
    days_of,
    pace,
    same_days,
    with_history,
)
from services.forecast.domain.periods import FiscalCalendar, Period
from services.forecast.domain.quotas import Quota, QuotaKind, Target, target, within
from services.forecast.domain.trees import ALL
from services.forecast.edges import Edge
from services.forecast.rollup import known_tenant
from services.forecast.standing import (
    OPEN,
    Conversion,
    Standing,
    chosen,
    instant_of,
    question_of,
    seen_by,
)
from services.forecast.store.quotas import QuotaStore
from services.forecast.watermarks import Watermarks

FORMER_PERIODS: Final = 4
_KINDS: Final[Mapping[GroupBy, tuple[QuotaKind, ...]]] = {
    GroupBy.OWNER: (QuotaKind.USER,),
    GroupBy.TEAM: (QuotaKind.USER, QuotaKind.TEAM),
    GroupBy.TERRITORY: (QuotaKind.TERRITORY,),
    GroupBy.PRODUCT: (QuotaKind.PRODUCT,),
}
"""Whose quotas stand in which tree; in the others there are none."""
Stated = Mapping[tuple[QuotaKind, UUID], Mapping[str, Decimal]]
"""What each subject is to win, by the ids of periods."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The periods that are added up for one that is asked for: itself, and of former ones the part up to
    the same day and the whole. Numbers are places among all periods that are added up."""

    period: Period
    number: int
    former: Sequence[tuple[SameDay, int, int]]


class Attainment:
    """Sets quotas against what is won."""

    def __init__(self, books: Books, watermarks: Watermarks) -> None:
        self.books, self.watermarks = books, watermarks

    async def answer(self, asked: pb.GetQuotaAttainmentRequest, call: Call) -> pb.QuotaAttainment:
        """What a request asks for.

        Raises:
            PeriodUnknown, PeriodRangeWrong, TooManyPeriods, NodeNotFound: it is wrong.
            ForecastNotFinal: it may still change, and the caller wants none that may.
        """
        edge = await Edge.of(call, self.watermarks, asked)
        visible = await seen_by(call)
        group_by = GroupBy(asked.group_by or GroupBy.TEAM)
        book = await self.books.of(call)
        question = question_of(call, book, asked, group_by=group_by, within=visible)
        settings = known_tenant(book, question.recorded_at).settings
        calendar = settings.calendar
        periods = chosen(settings, asked.periods, question.today)
        ids = {part.id for period in periods for part in within(calendar, period)}
        quotas = await QuotaStore(call).stated(_KINDS.get(group_by, ()), ids, instant_of(asked))
        book = await self.books.of(call)  # nothing is awaited from here on
        count = asked.former_periods if asked.HasField("former_periods") else FORMER_PERIODS
        windows, added = _windows(calendar, periods, question.today, count)
        standing = Standing.of(book, replace(question, periods=added))
        conversion = Conversion(standing)
        stated = _stated(quotas, calendar, conversion)
        depth = asked.depth if asked.HasField("depth") else None
        places = standing.within(asked.node_id, depth)
        cells: dict[int, list[pb.AttainmentCell]] = {}
        for each in windows:
            assigned = _assigned(standing, stated, calendar, each.period)
            for place, cell in _cells(standing, each, assigned, places):
                cells.setdefault(place, []).append(cell)
        shown = standing.shown(places, cells)
        answer = pb.QuotaAttainment(
            group_by=forecast_pb2.Forecast.GroupBy.ValueType(group_by),
            currency=question.currency,
            periods=map(wire.period_to_proto, periods),
            nodes=(_node(standing, place, cells.get(place, ())) for place in shown),
            missing_rates=(wire.lacking_to_proto(each, question.currency) for each in conversion.lacking()),
            today=convert.date_to_proto(question.today),
            hierarchy=forecast_pb2.Forecast.Hierarchy.ValueType(question.hierarchy),
            credit=forecast_pb2.Forecast.Credit.ValueType(question.credit),
            rate_date=forecast_pb2.Forecast.RateDate.ValueType(question.rate_date),
        )
        edge.mark(answer)
        return answer


def _windows(
    calendar: FiscalCalendar, periods: Sequence[Period], today: date, count: int
) -> tuple[list[Windows], list[Period]]:
    added: list[Period] = []

    def number_of(period: Period) -> int:
        if period not in added:
            added.append(period)
        return added.index(period)

    windows = []
    for period in periods:
        former = []
        for each in same_days(calendar, period, today, count):
            part = replace(each.period, id=f"{each.period.id} to {each.day}", end=each.day)
            former.append((each, number_of(part), number_of(each.period)))
        windows.append(Windows(period, number_of(period), former))
    return windows, added


def _stated(quotas: Sequence[Quota], calendar: FiscalCalendar, conversion: Conversion) -> Stated:
    stated: dict[tuple[QuotaKind, UUID], dict[str, Decimal]] = {}
    for quota in quotas:
        assert quota.kind is not None
        assert quota.subject_id is not None
        assert quota.amount is not None
        period = calendar.named(quota.period_id)
        amount = conversion(quota.amount.amount, quota.amount.currency, period)
        if amount is not None:
            stated.setdefault((quota.kind, quota.subject_id), {})[period.id] = amount
    return stated


def _assigned(
    standing: Standing, stated: Stated, calendar: FiscalCalendar, period: Period
) -> dict[str, Assigned]:
    """What each node is to win in a period."""
    own: dict[str, Target] = {}
    whole: dict[str, Target] = {}
    for (kind, subject), amounts in stated.items():
        found = target(calendar, period, amounts)
        if found is None:
            continue
        if kind.is_of_a_person:
            node = standing.seat(subject, period)
        else:
            node = str(subject) if str(subject) in standing.tree.places else ALL
        of_kind = own if kind is QuotaKind.USER or node == ALL else whole
        of_kind[node] = of_kind[node] + found if node in of_kind else found
    seats = [
        Seat(stand.id, standing.above(place), own.get(stand.id), whole.get(stand.id))
        for place, stand in enumerate(standing.tree.nodes)
    ]
    return assign(seats, by_person=standing.question.group_by in (GroupBy.OWNER, GroupBy.TEAM))


def _cells(
    standing: Standing, windows: Windows, assigned: Mapping[str, Assigned], places: Sequence[int]
) -> list[tuple[int, pb.AttainmentCell]]:
    closed = standing.total(windows.number, Measure.CLOSED)
    commit = standing.total(windows.number, Measure.COMMIT)
    open_ = standing.total(windows.number, *OPEN)
    has_deals = standing.has_deals(windows.number)
    former = _former(standing, windows, places)
    currency, today, period = standing.question.currency, standing.question.today, windows.period
    found = []
    for place in places:
        stand = standing.tree.nodes[place]
        quota = assigned[stand.id]
        if not has_deals[place] and quota.target is None:
            continue
        cell = pb.AttainmentCell(period_id=period.id)
        _put(cell.closed, closed[place], currency)
        _put(cell.open_pipeline, open_[place], currency)
        _put(cell.open_commit, commit[place], currency)
        _set_quota(cell, quota, closed[place], open_[place], currency)
        gone = pace(closed[place], former[stand.id], currency)
        if gone is not None:
            cell.pace.day, cell.pace.days = day_in(period, today), days_of(period)
            _put(cell.pace.average_closed_by_then, gone.average, currency)
            _put(cell.pace.difference, gone.difference, currency)
            cell.pace.ratio = gone.ratio
            if gone.projected is not None:
                _put(cell.pace.projected, gone.projected, currency)
            for each in former[stand.id]:
                before = cell.pace.former_periods.add(period_id=each.same_day.period.id)
                convert.set_date(before.date, each.same_day.day)
                _put(before.closed_by_then, each.by_then, currency)
                _put(before.closed, each.in_all, currency)
        found.append((place, cell))
    return found


def _set_quota(
    cell: pb.AttainmentCell, quota: Assigned, closed: Decimal, open_: Decimal, currency: str
) -> None:
    if quota.stated is not None:
        _put(cell.stated_quota, quota.stated.amount, currency)
    if quota.rolled_up is not None:
        _put(cell.rolled_up_quota, quota.rolled_up.amount, currency)
    if quota.target is not None:
        missing = quota.target.amount - closed
        _put(cell.quota, quota.target.amount, currency)
        cell.periods_without_quota = quota.target.missing
        cell.attainment = attainment(closed, quota.target.amount)
        _put(cell.gap, missing, currency)
        cell.coverage = coverage(open_, missing)


def _former(standing: Standing, windows: Windows, places: Sequence[int]) -> dict[str, list[Former]]:
    """What each node had won in each former period; the root's decides whether there was any history."""
    nodes = {place: standing.tree.nodes[place].id for place in (*places, standing.tree.place(ALL))}
    by_node: dict[str, list[Former]] = {id: [] for id in nodes.values()}
    for same_day, part, whole in windows.former:
        by_then, in_all = (standing.total(number, Measure.CLOSED) for number in (part, whole))
        for place, id in nodes.items():
            by_node[id].append(Former(same_day, by_then[place], in_all[place]))
    return with_history(by_node, ALL)


def _put(target: MoneyProto, amount: Decimal, currency: str) -> None:
    convert.set_money(target, Money(amount, currency))


def _node(standing: Standing, place: int, cells: Sequence[pb.AttainmentCell]) -> pb.AttainmentNode:
    stand = standing.tree.nodes[place]
    return pb.AttainmentNode(
        id=stand.id,
        name=stand.name,
        parent_id=standing.above(place),
        kind=forecast_pb2.ForecastNode.Kind.ValueType(stand.kind),
        depth=int(standing.tree.depth[place]),
        cells=cells,
        subject_id=stand.subject,
        is_former=bool(stand.subject),
    )
