"""Between what the forecast answers and the protos."""

from collections.abc import Iterable

from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.money import Money
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import CountedDeal, Figures, Sum
from services.forecast.domain.periods import Period
from services.forecast.domain.trees import Node
from services.forecast.wire.heard import UNDATED


def period_to_proto(period: Period) -> pb.ForecastPeriod:
    """A period."""
    return pb.ForecastPeriod(
        id=period.id,
        name=period.name,
        kind=pb.ForecastPeriod.Kind.ValueType(period.granularity),
        start_date=convert.date_to_proto(period.start),
        end_date=convert.date_to_proto(period.end),
    )


def _set_sum(target: pb.Sum, value: Sum, currency: str) -> None:
    target.deals = value.deals
    if value.amount:
        convert.set_money(target.amount, Money(value.amount, currency))
    else:
        target.amount.currency_code = currency


def figures_to_proto(figures: Figures, currency: str) -> pb.Figures:
    """All figures of a node in a period."""
    result = pb.Figures(deals=figures.deals, unpriced=figures.unpriced, unconverted=figures.unconverted)
    for name in ("closed", "commit", "best_case", "pipeline", "omitted"):
        _set_sum(getattr(result.alone, name), getattr(figures, name), currency)
    _set_sum(result.cumulative.closed, figures.closed, currency)
    _set_sum(result.cumulative.commit, figures.commit_cumulative, currency)
    _set_sum(result.cumulative.best_case, figures.best_case_cumulative, currency)
    _set_sum(result.cumulative.pipeline, figures.pipeline_cumulative, currency)
    _set_sum(result.cumulative.omitted, figures.omitted, currency)
    convert.set_money(result.weighted, Money(figures.weighted, currency))
    _set_sum(result.overdue, figures.overdue, currency)
    _set_sum(result.lost, figures.lost, currency)
    return result


def node_to_proto(node: Node, periods: Iterable[Period], currency: str) -> pb.ForecastNode:
    """A node with its figures."""
    result = pb.ForecastNode(
        id=node.id,
        name=node.name,
        parent_id=node.parent_id,
        kind=pb.ForecastNode.Kind.ValueType(node.kind),
        depth=node.depth,
        own_deals=sum(figures.deals for figures in node.own.values()),
    )
    for period in periods:
        if period.id not in node.total:
            continue
        cell = result.cells.add(period_id=period.id, total=figures_to_proto(node.total[period.id], currency))
        if node.has_children:
            cell.own.CopyFrom(figures_to_proto(node.own.get(period.id, Figures()), currency))
    return result


def lacking_to_proto(lacking: Lacking, target: str) -> pb.MissingRate:
    """A rate that is missing."""
    return pb.MissingRate(
        currency=lacking.currency, target=target, date=convert.date_to_proto(lacking.day), deals=lacking.deals
    )


def deal_row_to_proto(deal: CountedDeal, currency: str) -> pb.ForecastDeal:
    """A deal as it is counted."""
    result = pb.ForecastDeal(
        opportunity_id=str(deal.id),
        etag=str(deal.version),
        name=deal.name,
        owner_id=str(deal.owner_id or ""),
        account_id=str(deal.account_id or ""),
        stage_id=str(deal.stage_id or ""),
        state=opportunities_pb2.Opportunity.State.ValueType(deal.state),
        category=opportunities_pb2.ForecastCategory.ValueType(deal.category),
        probability=deal.probability,
        overdue=deal.overdue,
    )
    if deal.closes_on < UNDATED:
        convert.set_date(result.close_date, deal.closes_on)
    if deal.amount is not None:
        convert.set_money(result.amount, Money(deal.amount, deal.currency))
    if deal.converted is not None:
        convert.set_money(result.converted_amount, Money(deal.converted, currency))
        convert.set_money(result.weighted_amount, Money(deal.weighted, currency))
    return result
