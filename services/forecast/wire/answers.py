"""Between what the forecast answers and the protos."""

from collections.abc import Sequence
from typing import Any, Final

from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.money import Money, minor_unit
from services.forecast.book.grid import DEALS, Measure
from services.forecast.dimensions.tree import Tree
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import CountedDeal
from services.forecast.domain.periods import Period
from services.forecast.wire.heard import UNDATED

_NANO: Final = 10**9
_SUREST_FIRST: Final = (
    ("closed", Measure.CLOSED),
    ("commit", Measure.COMMIT),
    ("best_case", Measure.BEST_CASE),
    ("pipeline", Measure.PIPELINE),
)


def period_to_proto(period: Period) -> pb.ForecastPeriod:
    """A period."""
    return pb.ForecastPeriod(
        id=period.id,
        name=period.name,
        kind=pb.ForecastPeriod.Kind.ValueType(period.granularity),
        start_date=convert.date_to_proto(period.start),
        end_date=convert.date_to_proto(period.end),
    )


def _set_amount(target: Any, amount: int, currency: str, scale: int) -> None:
    """An amount in minor units, of which `scale` make a unit."""
    target.currency_code = currency
    if amount:
        units, rest = divmod(abs(amount), scale)
        target.units = units if amount > 0 else -units
        target.nanos = (rest if amount > 0 else -rest) * (_NANO // scale)


def _set_sum(target: pb.Sum, amount: int, deals: int, currency: str, scale: int) -> None:
    target.deals = deals
    _set_amount(target.amount, amount, currency, scale)


def set_figures(target: pb.Figures, row: Sequence[int], currency: str) -> None:
    """All figures of a node in a period, from its measures."""
    scale = int(1 / minor_unit(currency))
    counts = Measure.OMITTED_DEALS
    target.deals = sum(row[DEALS])
    target.unpriced, target.unconverted = row[Measure.UNPRICED_DEALS], row[Measure.UNCONVERTED_DEALS]
    amount = deals = 0
    for name, measure in _SUREST_FIRST:
        amount, deals = amount + row[measure], deals + row[measure + counts]
        _set_sum(getattr(target.alone, name), row[measure], row[measure + counts], currency, scale)
        _set_sum(getattr(target.cumulative, name), amount, deals, currency, scale)
    for each in (target.alone, target.cumulative):
        _set_sum(each.omitted, row[Measure.OMITTED], row[Measure.OMITTED_DEALS], currency, scale)
    _set_amount(target.weighted, row[Measure.WEIGHTED], currency, scale)
    _set_sum(target.overdue, row[Measure.OVERDUE], row[Measure.OVERDUE_DEALS], currency, scale)
    _set_sum(target.lost, row[Measure.LOST], row[Measure.LOST_DEALS], currency, scale)


def set_node(
    target: pb.ForecastNode,
    tree: Tree,
    place: int,
    periods: Sequence[str],
    total: Sequence[Sequence[int]],
    own: Sequence[Sequence[int]],
    currency: str,
) -> None:
    """A node with its figures; periods without a deal are left out."""
    node, above = tree.nodes[place], int(tree.above[place])
    target.id, target.name = node.id, node.name
    target.parent_id = tree.nodes[above].id if above >= 0 else ""
    target.kind = pb.ForecastNode.Kind.ValueType(node.kind)
    target.depth = int(tree.depth[place])
    target.own_deals = sum(sum(row[DEALS]) for row in own)
    target.subject_id, target.is_former = node.subject, bool(node.subject)
    has_children = tree.has_children(place)
    for period, row, own_row in zip(periods, total, own, strict=True):
        if not any(row[DEALS]):
            continue
        cell = target.cells.add(period_id=period)
        set_figures(cell.total, row, currency)
        if has_children:
            set_figures(cell.own, own_row, currency)


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
        pipeline_id=str(deal.pipeline_id or ""),
    )
    if deal.closes_on < UNDATED:
        convert.set_date(result.close_date, deal.closes_on)
    if deal.amount is not None:
        convert.set_money(result.amount, Money(deal.amount, deal.currency))
    if deal.converted is not None:
        convert.set_money(result.converted_amount, Money(deal.converted, currency))
        convert.set_money(result.weighted_amount, Money(deal.weighted, currency))
    return result
