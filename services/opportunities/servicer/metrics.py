"""The pipeline in figures: one short method for each RPC."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sfa.opportunities.v1 import metrics_pb2 as pb

from chassis.call import Call
from chassis.convert import uuid_of
from chassis.positions import Positions
from services.opportunities.domain.figures import (
    CurrencyUnknown,
    Dimension,
    InstantInFuture,
    PeriodInvalid,
    Question,
)
from services.opportunities.store import PipelineStore
from services.opportunities.store.board import BoardStore, Shown
from services.opportunities.store.metrics import MetricsStore
from services.opportunities.store.tenant_settings import Tenant, tenant_of
from services.opportunities.wire import figures as wire

_DEFAULT_DAYS = 365
_DEFAULT_GROUPS = 100


_SOURCES = ("opportunities", "identity")
"""Whose events answers are made of."""


class PipelineMetricsServicer:
    """The pipeline in figures."""

    def __init__(self, positions: Callable[[], Positions]) -> None:
        self._positions = positions

    async def GetPipelineBoard(self, request: pb.GetPipelineBoardRequest, call: Call) -> pb.PipelineBoard:
        pipeline = await PipelineStore(call).get(request.id)
        asked, tenant = await _question(request, call, pipeline.id)
        shown = Shown(
            wire.date_of(request, "close_from"),
            wire.date_of(request, "close_to"),
            request.closed_days or 30,
            request.top or 5,
        )
        store = BoardStore(call, tenant)
        columns, missing = await store.columns(pipeline, asked, shown)
        ids = [id for column in columns.values() for _, id, _ in column.top]
        board = wire.board_to_proto(pipeline, columns, await store.details(ids, asked, shown), asked)
        wire.set_head(board, asked, missing, call.now)
        wire.set_watermark(board, self._watermark(call))
        return board

    async def GetStageConversion(
        self, request: pb.GetStageConversionRequest, call: Call
    ) -> pb.StageConversion:
        pipeline = await PipelineStore(call).get(request.id)
        as_of = wire.instant_of(request, "as_of")
        if as_of is not None and as_of > call.now:
            raise InstantInFuture("as_of")
        tenant = await tenant_of(call, as_of)
        first, last = _period(request, tenant.day(as_of or call.now))
        owners = tuple(map(UUID, request.owner_ids))
        outcomes = await MetricsStore(call, tenant).outcomes(pipeline, first, last, owners, as_of)
        result = wire.conversion_to_proto(pipeline, outcomes)
        wire.set_period(result, first, last)
        result.as_of.FromDatetime(as_of or call.now)
        wire.set_watermark(result, self._watermark(call))
        return result

    async def GetPipelineMetrics(
        self, request: pb.GetPipelineMetricsRequest, call: Call
    ) -> pb.PipelineMetrics:
        asked, tenant = await _question(request, call, uuid_of(request.pipeline_id))
        first, last = _period(request, asked.today)
        most = request.limit or _DEFAULT_GROUPS
        by = wire.dimension_of(request.group_by)
        total, groups, missing = await MetricsStore(call, tenant).sums(asked, first, last, by, most)
        result = wire.metrics_to_proto(total, groups, asked, most)
        wire.set_period(result, first, last)
        wire.set_head(result, asked, missing, call.now)
        wire.set_watermark(result, self._watermark(call))
        return result

    async def AnalyzeLostOpportunities(
        self, request: pb.AnalyzeLostOpportunitiesRequest, call: Call
    ) -> pb.LostAnalysis:
        asked, tenant = await _question(request, call, uuid_of(request.pipeline_id))
        first, last = _period(request, asked.today)
        most = request.limit or _DEFAULT_GROUPS
        by = [each for number in request.group_by if (each := wire.dimension_of(number)) is not None]
        total, groups, missing = await MetricsStore(call, tenant).lost(
            asked, first, last, by or [Dimension.LOST_REASON], most
        )
        result = wire.lost_to_proto(total, groups, asked, most)
        wire.set_period(result, first, last)
        wire.set_head(result, asked, missing, call.now)
        wire.set_watermark(result, self._watermark(call))
        return result

    def _watermark(self, call: Call) -> datetime | None:
        """Up to when everything that was recorded has been taken in; None before that is known."""
        marks = [self._positions().applied(source, call.caller.tenant) for source in _SOURCES]
        times = [mark.time for mark in marks if mark is not None and mark.time is not None]
        return min(times) if len(times) == len(_SOURCES) else None


async def _question(request: Any, call: Call, pipeline: UUID | None) -> tuple[Question, Tenant]:
    """Which deals, as of when, in which currency.

    Raises:
        InstantInFuture: it is asked for as it will be.
        CurrencyUnknown: nobody has said in which currency.
    """
    as_of, effective = wire.instant_of(request, "as_of"), wire.instant_of(request, "effective_as_of")
    for name, at in (("as_of", as_of), ("effective_as_of", effective)):
        if at is not None and at > call.now:
            raise InstantInFuture(name)
    tenant = await tenant_of(call, as_of)
    currency = request.currency or tenant.reporting_currency
    if not currency:
        raise CurrencyUnknown
    at = min(at for at in (call.now, as_of, effective) if at is not None)
    owners = tuple(map(UUID, request.owner_ids))
    policy = wire.policy_of(request.rate_policy)
    return Question(currency, policy, tenant.day(at), pipeline, owners, as_of, effective), tenant


def _period(request: Any, today: date) -> tuple[date, date]:
    """The first and the last day asked about: the last 365 days where nothing is said.

    Raises:
        PeriodInvalid: it ends before it begins.
    """
    last = wire.date_of(request, "to") or today
    first = wire.date_of(request, "from") or _days_before(last)
    if last < first:
        raise PeriodInvalid
    return first, last


def _days_before(day: date) -> date:
    return day - timedelta(days=min(_DEFAULT_DAYS, (day - date.min).days))
