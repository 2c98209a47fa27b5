"""What callers are answered of a prediction: nodes with quantiles, what moves them, and the deals behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import numpy as np
from sfa.forecast.v1 import forecast_pb2
from sfa.forecast.v1 import prediction_pb2 as pb

from chassis import convert
from chassis.paging import PageTokenInvalid
from services.forecast.book import Book, exponent
from services.forecast.book.valuing import EPOCH
from services.forecast.domain.trees import ALL
from services.forecast.predicting.predictions import Basis
from services.forecast.predicting.reading import ROW, TREE
from services.forecast.prediction.explanation import reasons, shares_of_variance
from services.forecast.prediction.histories import UNPRICED, Floats, Longs
from services.forecast.prediction.prediction import deal_chances
from services.forecast.wire import period_to_proto
from services.forecast.wire import prediction as wire

_PAGE: Final = 50


def answer(basis: Basis, request: pb.GetPredictionRequest) -> pb.Prediction:
    """What the periods will bring.

    Raises:
        NodeNotFound: there is no such node.
    """
    question, tree, worlds = basis.question, basis.axis.tree, basis.prediction.worlds
    currency = question.currency
    top = tree.place(request.node_id or ALL)
    depth = request.depth if request.HasField("depth") else None
    won, of_open, past = (
        basis.totals(each) for each in (worlds.won[TREE], worlds.from_open[TREE], basis.past)
    )
    shown = tree.within(top, depth)
    has = won[shown].any(axis=(1, 2)) | past[shown].any(axis=1) | (shown == top)
    quota = Decimal(request.quota) if request.quota else None
    nodes = []
    for place in shown[has].tolist():
        cells = []
        for period in question.periods:
            coming, everything = basis.months_of(period)
            already = int(past[place, everything].sum())
            outcomes = won[place, coming].sum(axis=0) + already
            still = of_open[place, coming].sum(axis=0)
            cell = pb.PredictionCell(
                period_id=period.id,
                outcome=wire.quantiles_of(outcomes, currency),
                won=wire.money(already, currency),
                open_mean=wire.money(still.mean(), currency),
                new_mean=wire.money((outcomes - already - still).mean(), currency),
            )
            if quota is not None and place == top:
                wanted = int(quota * 10 ** exponent(currency))
                cell.quota.CopyFrom(wire.money(wanted, currency))
                cell.quota_probability = wire.decimal(float(np.mean(outcomes >= wanted)))
            cells.append(cell)
        nodes.append(wire.node(tree, place, cells))
    return pb.Prediction(
        group_by=forecast_pb2.Forecast.GroupBy.ValueType(question.group_by),
        currency=currency,
        periods=map(period_to_proto, question.periods),
        nodes=nodes,
        bands=_bands(basis, won[top], past[top]),
        sources=_sources(basis, won[top], of_open[top]),
        model=wire.model_card(basis.model),
        draws=worlds.draws,
        unconverted=basis.record.unconverted,
    )


def _bands(basis: Basis, won: Longs, past: Longs) -> list[pb.PredictionBand]:
    bands = []
    for period in basis.question.periods:
        coming, everything = basis.months_of(period)
        already = int(past[everything].sum())
        path = np.cumsum(won[coming], axis=0) + already
        for number, month in enumerate(range(coming.start, coming.stop)):
            end = EPOCH + timedelta(int(basis.months.starts[month + 1]) - 1)
            bands.append(
                pb.PredictionBand(
                    period_id=period.id,
                    date=convert.date_to_proto(end),
                    outcome=wire.quantiles_of(path[number], basis.question.currency),
                )
            )
    return bands


def _sources(basis: Basis, won: Longs, of_open: Longs) -> list[pb.PredictionSource]:
    months = sorted(
        {
            month
            for period in basis.question.periods
            for month in range(*basis.months_of(period)[0].indices(len(basis.months)))
        }
    )
    still = of_open[months].sum(axis=0)
    new = won[months].sum(axis=0) - still
    shares = shares_of_variance({"open": still, "new": new})
    kinds = pb.PredictionSource
    return [
        pb.PredictionSource(
            kind=kind,
            mean=wire.money(values.mean(), basis.question.currency),
            share_of_variance=wire.decimal(shares[name]),
        )
        for kind, name, values in ((kinds.OPEN_DEALS, "open", still), (kinds.NEW_DEALS, "new", new))
    ]


class PredictedDeals:
    """The open deals of a node, those first that move its total the most."""

    def __init__(self, basis: Basis, book: Book, node_id: str) -> None:
        self.basis, self.book = basis, book
        tree, prediction = basis.axis.tree, basis.prediction
        top = tree.place(node_id or ALL)
        places = prediction.deals.places[TREE]
        part = np.repeat(np.arange(len(prediction.deals)), places.count)
        inside = (places.node >= top) & (places.node < tree.after[top])
        mine = np.unique(part[inside])
        self.chances = deal_chances(basis.model, prediction.deals, basis.months)
        amount = np.maximum(prediction.deals.amount, 0)
        periods = range(len(basis.question.periods))
        self.wins = np.stack([self._in(self.chances.won, number) for number in periods], 1)
        self.losses = np.stack([self._in(self.chances.lost, number) for number in periods], 1)
        chance = np.clip(self.wins.sum(axis=1), 0, 1)
        moves = amount * np.sqrt(chance * (1 - chance))
        self.order = mine[np.lexsort((mine, -moves[mine]))]
        self.mean = amount * chance * basis.model.amounts.later.mean()

    def _in(self, chances: Floats, period: int) -> Floats:
        coming, _ = self.basis.months_of(self.basis.question.periods[period])
        return np.asarray(chances[:, coming].sum(axis=1))

    def page(self, token: str, size: int) -> tuple[Longs, str]:
        """Some of them, and where the next page begins.

        Raises:
            PageTokenInvalid: it is no token of this list.
        """
        if token and not (token.isdecimal() and int(token) <= len(self.order)):
            raise PageTokenInvalid
        begin = int(token or 0)
        end = begin + (size or _PAGE)
        return self.order[begin:end], str(end) if end < len(self.order) else ""

    def key(self, number: int) -> tuple[UUID, int]:
        """A deal's id and version."""
        row = self._row(number)
        versions = self.book.versions
        return self.book.codes.deals.id(int(versions.deal[row])), int(versions.version[row])

    def to_proto(self, numbers: Sequence[int], names: dict[UUID, str]) -> list[pb.PredictedDeal]:
        """Some of them."""
        basis, currency = self.basis, self.basis.question.currency
        deals = basis.prediction.deals
        why = reasons(basis.model, deals, basis.months)
        found = []
        for number in numbers:
            id, _ = self.key(number)
            won, lost = self.wins[number], self.losses[number]
            closed = float(won.sum() + lost.sum())
            owner = int(self.book.versions.owner[self._row(number)])
            deal = pb.PredictedDeal(
                opportunity_id=str(id),
                name=names.get(id, ""),
                owner_id=str(self.book.codes.users.id(owner)) if owner >= 0 else "",
                win_probability=wire.decimal(float(won.sum()) / closed if closed > 0 else 0.0),
                outcomes=(
                    pb.DealOutcome(
                        period_id=period.id, won=wire.decimal(won[place]), lost=wire.decimal(lost[place])
                    )
                    for place, period in enumerate(basis.question.periods)
                ),
                still_open=wire.decimal(max(float(self.chances.still_open[number]), 0.0)),
                mean=wire.money(self.mean[number], currency),
                reasons=wire.reasons(why.win_points, why.speed, number),
            )
            if deals.amount[number] != UNPRICED:
                deal.amount.CopyFrom(wire.money(int(deals.amount[number]), currency))
            found.append(deal)
        return found

    def _row(self, number: int) -> int:
        known = self.basis.record.histories.known(self.basis.model.until)
        return int(known.features[ROW][self.basis.prediction.rows[number]])
