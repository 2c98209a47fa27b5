"""What was won and lost, as the proto says it."""

from sfa.opportunities.v1 import competitors_pb2 as pb

from chassis import convert
from services.opportunities.domain.pipelines import State
from services.opportunities.domain.win_loss import WinLossBy, WinLossFigures

DIMENSIONS = {pb.GetWinLossRequest.Dimension.Value(each.name): each for each in WinLossBy}


def figures_to_proto(figures: WinLossFigures) -> pb.WinLossFigures:
    """The figures of a group."""
    rate, gap = figures.win_rate, figures.average_price_gap
    return pb.WinLossFigures(
        won_count=figures.won_count,
        lost_count=figures.lost_count,
        win_rate="" if rate is None else f"{rate:f}",
        won_amounts=map(convert.money_to_proto, figures.amounts(State.WON)),
        lost_amounts=map(convert.money_to_proto, figures.amounts(State.LOST)),
        lost_to_count=figures.lost_to_count,
        average_price_gap="" if gap is None else f"{gap:f}",
        price_gap_count=figures.price_gap_count,
        unpriced_count=figures.unpriced_count,
    )
