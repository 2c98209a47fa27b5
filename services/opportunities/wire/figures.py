"""The pipeline in figures between the protos and the domain."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message
from google.type.money_pb2 import Money as MoneyProto
from sfa.opportunities.v1 import metrics_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.money import Money
from services.opportunities.domain.figures import (
    Column,
    Dimension,
    Lost,
    Missing,
    Question,
    RatePolicy,
    StageOutcomes,
    Sums,
    decimals,
    percent,
    ratio,
)
from services.opportunities.domain.pipelines import Pipeline, Stage, State

_POLICIES: Final = {policy: pb.RatePolicy.Value(policy.name) for policy in RatePolicy}
_POLICY_OF: Final[dict[int, RatePolicy]] = {number: policy for policy, number in _POLICIES.items()}
_DIMENSION_OF: Final[dict[int, Dimension]] = {pb.Dimension.Value(each.name): each for each in Dimension}
_KINDS: Final = {state: opportunities_pb2.Stage.Kind.Value(state.name) for state in State}
_DAY: Final = 86_400


def policy_of(number: int) -> RatePolicy:
    """The policy; at the close where it is not said."""
    return _POLICY_OF.get(number, RatePolicy.CLOSE)


def dimension_of(number: int) -> Dimension | None:
    """The dimension; None where it is not said."""
    return _DIMENSION_OF.get(number)


def set_head(result: Any, asked: Question, missing: Sequence[Missing], at: datetime) -> None:
    """What every answer says of how it was computed."""
    result.currency = asked.currency
    result.rate_policy = _POLICIES[asked.policy]
    for lacking in missing:
        rate = result.missing_rates.add(
            from_currency=lacking.currency, to_currency=asked.currency, deals=lacking.deals
        )
        convert.set_date(rate.date, lacking.day)
    convert.set_timestamp(result.as_of, asked.as_of or at)
    convert.set_timestamp(result.effective_as_of, asked.effective_as_of)


def set_watermark(result: Any, watermark: datetime | None) -> None:
    """Up to when everything has been taken in, and whether the answer is of a later instant."""
    convert.set_timestamp(result.watermark_time, watermark)
    result.is_open = watermark is None or convert.datetime_of(result.as_of) > watermark


def set_period(result: Any, first: date, last: date) -> None:
    """The days that an answer is about; `from` is a word of Python's."""
    convert.set_date(getattr(result, "from"), first)
    convert.set_date(result.to, last)


def board_to_proto(
    pipeline: Pipeline,
    columns: Mapping[UUID, Column],
    details: Mapping[UUID, Mapping[str, Any]],
    asked: Question,
) -> pb.PipelineBoard:
    """The board; stages without deals stand there too."""
    result = pb.PipelineBoard(pipeline_id=str(pipeline.id))
    amount, weighted = Decimal(0), Decimal(0)
    for stage in pipeline.stages:
        column = columns.get(stage.id, Column())
        _add_stage(result, stage, column, details, asked.currency)
        if stage.kind is State.OPEN:
            amount, weighted = amount + column.amount, weighted + column.weighted
            result.open_deals += column.deals
    _set_money(result.open_amount, amount, asked.currency)
    _set_money(result.open_weighted_amount, weighted, asked.currency)
    return result


def _add_stage(
    result: pb.PipelineBoard,
    stage: Stage,
    column: Column,
    details: Mapping[UUID, Mapping[str, Any]],
    currency: str,
) -> None:
    message = result.stages.add(
        stage_id=str(stage.id),
        name=stage.name,
        kind=_KINDS[stage.kind],
        probability=stage.probability,
        deals=column.deals,
        unpriced=column.unpriced,
        unconverted=column.unconverted,
        overdue=column.overdue,
    )
    _set_money(message.amount, column.amount, currency)
    _set_money(message.weighted_amount, column.weighted, currency)
    for own, (amount, deals) in sorted(column.by_currency.items()):
        _set_money(message.by_currency.add(deals=deals).amount, amount, own)
    for _, id, converted in column.top:
        if (row := details.get(id)) is None:  # gone between the two questions
            continue
        deal = message.top_deals.add(
            id=str(id), name=row["name"], slips=row["slips"], active_alerts=row["active_alerts"]
        )
        if row["account_id"] is not None:
            deal.account_id = str(row["account_id"])
        if row["owner_id"] is not None:
            deal.owner_id = str(row["owner_id"])
        if row["amount"] is not None:
            _set_money(deal.amount, row["amount"], row["currency"])
        if converted is not None:
            _set_money(deal.converted_amount, converted, currency)
        if row["close_date"] is not None:
            convert.set_date(deal.close_date, row["close_date"])
        convert.set_timestamp(deal.stage_enter_time, row["entered_at"])


def metrics_to_proto(total: Sums, groups: Sequence[Sums], asked: Question, most: int) -> pb.PipelineMetrics:
    """Total and groups, at most so many."""
    result = pb.PipelineMetrics(is_truncated=len(groups) > most)
    _set_sums(result.total, total, asked.currency)
    for group in groups[:most]:
        _set_sums(result.groups.add(), group, asked.currency)
    return result


def _set_sums(message: pb.DealMetrics, sums: Sums, currency: str) -> None:
    message.key = sums.key
    message.won, message.lost, message.open = sums.won, sums.lost, sums.open
    message.unconverted = sums.unconverted
    _set_money(message.won_amount, sums.won_amount, currency)
    _set_money(message.lost_amount, sums.lost_amount, currency)
    _set_money(message.open_amount, sums.open_amount, currency)
    message.win_rate_percent = percent(sums.win_rate)
    message.amount_win_rate_percent = percent(sums.amount_win_rate)
    message.average_cycle_days = decimals(sums.average_cycle, "0.1")
    message.average_lost_cycle_days = decimals(sums.average_lost_cycle, "0.1")
    for target, value in (
        (message.average_deal, sums.average_deal),
        (message.velocity_per_day, sums.velocity),
    ):
        if value is not None:
            _set_money(target, value, currency)


def lost_to_proto(total: Lost, groups: Sequence[Lost], asked: Question, most: int) -> pb.LostAnalysis:
    """Total and groups, at most so many, with their shares of the total."""
    result = pb.LostAnalysis(is_truncated=len(groups) > most)
    _set_lost(result.total, total, total, asked.currency)
    for group in groups[:most]:
        _set_lost(result.groups.add(), group, total, asked.currency)
    return result


def _set_lost(message: pb.LostGroup, group: Lost, total: Lost, currency: str) -> None:
    message.keys.extend(group.keys)
    message.deals, message.unpriced, message.unconverted = group.deals, group.unpriced, group.unconverted
    _set_money(message.amount, group.amount, currency)
    message.share_percent = percent(ratio(Decimal(group.deals), Decimal(total.deals)))
    message.amount_share_percent = percent(ratio(Decimal(group.amount), Decimal(total.amount)))
    message.average_cycle_days = decimals(ratio(Decimal(group.days), Decimal(group.deals)), "0.1")


def conversion_to_proto(pipeline: Pipeline, outcomes: Mapping[UUID, StageOutcomes]) -> pb.StageConversion:
    """What became of the deals that entered each stage."""
    result = pb.StageConversion(pipeline_id=str(pipeline.id))
    for stage in pipeline.stages:
        outcome = outcomes[stage.id]
        result.stages.add(
            stage_id=str(stage.id),
            name=stage.name,
            kind=_KINDS[stage.kind],
            entered=outcome.entered,
            advanced=outcome.advanced,
            won=outcome.won,
            lost=outcome.lost,
            returned=outcome.returned,
            standing=outcome.standing,
            conversion_percent=percent(outcome.conversion),
            average_days=_days(outcome.average),
            median_days=_days(outcome.median),
            p80_days=_days(outcome.p80),
        )
        for target, deals in sorted(outcome.to.items()):
            result.transitions.add(from_stage_id=str(stage.id), to_stage_id=str(target), deals=deals)
    return result


def instant_of(request: Message, name: str) -> datetime | None:
    """An instant of a request, where it is set."""
    return convert.datetime_of(getattr(request, name)) if request.HasField(name) else None


def date_of(request: Message, name: str) -> date | None:
    """A date of a request, where it is set."""
    return convert.date_of(getattr(request, name), name) if request.HasField(name) else None


def _days(seconds: Any) -> str:
    return decimals(None if seconds is None else Decimal(seconds) / _DAY, "0.01")


def _set_money(target: MoneyProto, amount: Decimal, currency: str) -> None:
    convert.set_money(target, Money(Decimal(amount), currency).rounded())
