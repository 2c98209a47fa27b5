"""Between what is predicted and the protos."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from google.type.money_pb2 import Money as MoneyProto
from sfa.forecast.v1 import forecast_pb2
from sfa.forecast.v1 import prediction_pb2 as pb

from chassis import convert
from chassis.money import Money, minor_unit
from services.forecast.book import exponent
from services.forecast.book.valuing import EPOCH
from services.forecast.dimensions import Tree
from services.forecast.prediction.backtest import LEVELS, Forecasted, Score
from services.forecast.prediction.model import Model

_BINS: Final = 10


def money(amount: float, currency: str) -> MoneyProto:
    """An amount in minor units."""
    found = convert.money_to_proto(Money(round(float(amount)) * minor_unit(currency), currency))
    assert found is not None
    return found


def decimal(value: float) -> str:
    """A share, a factor or a probability."""
    return f"{value:.4f}"


def quantiles(values: Sequence[float] | Any, currency: str) -> pb.Quantiles:
    """P10, P50 and P90."""
    p10, p50, p90 = (money(value, currency) for value in values)
    return pb.Quantiles(p10=p10, p50=p50, p90=p90)


def quantiles_of(outcomes: Any, currency: str) -> pb.Quantiles:
    """Of what came in each world."""
    return quantiles(np.quantile(outcomes, LEVELS), currency)


def node(tree: Tree, place: int, cells: Sequence[pb.PredictionCell]) -> pb.PredictionNode:
    """A node."""
    stand, above = tree.nodes[place], int(tree.above[place])
    return pb.PredictionNode(
        id=stand.id,
        name=stand.name,
        parent_id=tree.nodes[above].id if above >= 0 else "",
        kind=forecast_pb2.ForecastNode.Kind.ValueType(stand.kind),
        depth=int(tree.depth[place]),
        cells=cells,
    )


def model_card(model: Model, trained_at: datetime | None = None) -> pb.PredictionModel:
    """What a model was learnt from."""
    card = model.card
    found = pb.PredictionModel(
        until_date=convert.date_to_proto(EPOCH + timedelta(model.until)),
        won=int(card["won"]),
        lost=int(card["lost"]),
        open=int(card["open"]),
        months=int(card["months"]),
        month_speed=decimal(card["month_speed"]),
        month_odds=decimal(card["month_odds"]),
        month_arrivals=decimal(card["month_arrivals"]),
        pace=decimal(card["pace"]),
        trust=decimal(model.track.trust),
    )
    if trained_at is not None:
        convert.set_timestamp(found.train_time, trained_at)
    return found


def forecast_to_proto(
    forecast: Forecasted, node_id: str, depth: int, period_id: str, currency: str
) -> pb.BacktestForecast:
    """A past forecast."""
    return pb.BacktestForecast(
        method=forecast.method,
        node_id=node_id,
        node_name=forecast.node,
        depth=depth,
        period_id=period_id,
        predicted=quantiles(forecast.quantiles, currency),
        actual=money(forecast.actual, currency),
    )


def score_to_proto(score: Score, depth: int, currency: str) -> pb.BacktestScore:
    """How a method did."""
    digits = exponent(currency)

    def units(value: float) -> str:
        return f"{value / 10**digits:.{digits}f}"

    return pb.BacktestScore(
        method=score.method,
        depth=depth,
        forecasts=score.count,
        error=decimal(score.error),
        bias=decimal(score.bias),
        pinball=map(units, score.pinball),
        loss=units(score.loss),
        coverage=decimal(score.coverage),
        coverage_between=map(decimal, score.coverage_between),
    )


def calibration(chance: Any, won: Any) -> list[pb.CalibrationBin]:
    """Deals by the tenth that their probability lies in."""
    which = np.minimum((chance * _BINS).astype(int), _BINS - 1)
    return [
        pb.CalibrationBin(
            low=decimal(number / _BINS),
            high=decimal((number + 1) / _BINS),
            predicted=decimal(float(chance[which == number].mean())),
            observed=decimal(float(won[which == number].mean())),
            deals=int((which == number).sum()),
        )
        for number in range(_BINS)
        if (which == number).any()
    ]


def reasons(points: Mapping[str, Any], speed: Mapping[str, Any], number: int) -> list[pb.PredictionReason]:
    """Why a deal is predicted as it is, the weightiest first."""
    found = []
    for name in dict.fromkeys([*points, *speed]):
        point = float(points[name][number]) if name in points else 0.0
        factor = float(speed[name][number]) if name in speed else 1.0
        weight = abs(point) + 0.25 * abs(float(np.log(factor)))
        found.append((weight, pb.PredictionReason(
            feature=name, win_points=f"{point:+.4f}", speed_factor=decimal(factor)
        )))  # fmt: skip
    return [reason for _, reason in sorted(found, key=lambda each: -each[0])]
