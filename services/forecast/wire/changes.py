"""Between the protos and what changed in the forecast."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from google.type.money_pb2 import Money as MoneyProto
from sfa.forecast.v1 import changes_pb2 as pb
from sfa.forecast.v1 import forecast_pb2
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.money import Money, minor_unit
from services.forecast.book import MISSING, Book, date_of
from services.forecast.book.interning import Interner
from services.forecast.waterfall.answers import Answer, Behind, Stood, Waterfall
from services.forecast.waterfall.asked import Asked
from services.forecast.wire.answers import lacking_to_proto, period_to_proto


def waterfall_to_proto(answer: Answer, asked: Asked, *, path: bool) -> pb.ForecastWaterfall:
    """A waterfall, without watermarks."""
    closing, currency = asked.closing, asked.closing.currency
    result = pb.ForecastWaterfall(
        group_by=forecast_pb2.Forecast.GroupBy.ValueType(closing.group_by),
        currency=currency,
        period=period_to_proto(asked.period),
        categories=sorted(map(opportunities_pb2.ForecastCategory.ValueType, asked.categories)),
        axis=pb.ForecastWaterfall.EFFECTIVE if asked.is_effective else pb.ForecastWaterfall.RECORDED,
        path=path,
        hierarchy=forecast_pb2.Forecast.Hierarchy.ValueType(closing.hierarchy),
        credit=forecast_pb2.Forecast.Credit.ValueType(closing.credit),
        rate_date=forecast_pb2.Forecast.RateDate.ValueType(closing.rate_date),
        missing_rates=(lacking_to_proto(each, currency) for each in answer.lacking),
    )
    convert.set_timestamp(result.opening_time, asked.opens_at)
    convert.set_timestamp(result.closing_time, asked.closes_at)
    convert.set_timestamp(result.as_of, closing.recorded_at or closing.now)
    unit = minor_unit(currency)
    for place in answer.shown():
        node = _node(answer, place)
        _set_sum(
            node.opening, int(answer.opening.amount[place]) * unit, answer.opening.deals[place], currency
        )
        for reason in sorted(answer.bars.by_reason):
            bar = answer.bars.by_reason[reason]
            if not bar.deals[place]:
                continue
            made = node.bars.add(reason=pb.WaterfallBar.Reason.ValueType(reason), deals=int(bar.deals[place]))
            _set(made.amount, int(bar.total[place]) * unit, currency)
            _set(made.open_amount, int(bar.open[place]) * unit, currency)
            _set(made.closed_amount, int(bar.closed[place]) * unit, currency)
        _set_sum(
            node.closing, int(answer.closing.amount[place]) * unit, answer.closing.deals[place], currency
        )
        result.nodes.append(node)
    return result


def changed_deals_to_proto(
    waterfall: Waterfall, behind: Behind, names: Mapping[UUID, str]
) -> list[pb.ForecastChangedDeal]:
    """Some of the deals behind a bar."""
    book, currency = waterfall.book, waterfall.asked.closing.currency
    unit = minor_unit(currency)
    was, now = waterfall.stood(behind.opening, True), waterfall.stood(behind.closing, False)
    result = []
    for place, deal in enumerate(behind.deal.tolist()):
        id = book.codes.deals.id(deal)
        made = pb.ForecastChangedDeal(
            opportunity_id=str(id),
            name=names.get(id, ""),
            reason=pb.WaterfallBar.Reason.ValueType(int(behind.reason[place])),
        )
        _set(made.amount, int(behind.total[place]) * unit, currency)
        _set(made.open_amount, int(behind.open[place]) * unit, currency)
        _set(made.closed_amount, int(behind.closed[place]) * unit, currency)
        for target, stood, counted in (
            (made.opening, was[place], behind.opening_amount[place]),
            (made.closing, now[place], behind.closing_amount[place]),
        ):
            if stood is not None:
                _set_standing(target, stood, book)
                _set(target.counted_amount, int(counted) * unit, currency)
        result.append(made)
    return result


def _node(answer: Answer, place: int) -> pb.WaterfallNode:
    shown = answer.nodes[place]
    return pb.WaterfallNode(
        id=shown.stand.id,
        name=shown.stand.name,
        parent_id=shown.above,
        kind=forecast_pb2.ForecastNode.Kind.ValueType(shown.stand.kind),
        depth=shown.depth,
    )


def _set_standing(target: pb.DealStanding, stood: Stood, book: Book) -> None:
    versions, codes, row = book.versions, book.codes, stood.row
    target.etag = str(int(versions.version[row]))
    target.owner_id = _named(codes.users, int(versions.owner[row]))
    target.stage_id = _named(codes.stages, int(versions.stage[row]))
    target.state = opportunities_pb2.Opportunity.State.ValueType(int(versions.state[row]))
    target.category = opportunities_pb2.ForecastCategory.ValueType(stood.category)
    day = date_of(int(versions.closes_on[row]))
    if day is not None:
        convert.set_date(target.close_date, day)
    if stood.amount is not None:
        _set(target.amount, stood.amount * minor_unit(stood.currency), stood.currency)


def _named(interner: Interner, code: int) -> str:
    return "" if code == MISSING else str(interner.id(code))


def _set_sum(target: forecast_pb2.Sum, amount: Decimal, deals: Any, currency: str) -> None:
    target.deals = int(deals)
    _set(target.amount, amount, currency)


def _set(target: MoneyProto, amount: Decimal, currency: str) -> None:
    if amount:
        convert.set_money(target, Money(amount, currency))
    else:
        target.currency_code = currency
