"""A backtest over a tenant's history: each step in a thread, so that others are served meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from sfa.forecast.v1 import prediction_pb2 as pb

from chassis.errors import InvalidArgument
from chassis.money import minor_unit
from services.forecast.book import Book, day_number
from services.forecast.book.valuing import EPOCH
from services.forecast.dimensions import Question, axis_of
from services.forecast.domain.periods import FiscalCalendar, Granularity, Period
from services.forecast.predicting.reading import TREE, Seats, calendar_between, first_day_of, read
from services.forecast.prediction.backtest import LEVELS, Forecasted, Node, Replay, Replayed, brier, score
from services.forecast.prediction.refusals import HistoryTooShort
from services.forecast.rollup import known_tenant
from services.forecast.wire import prediction as wire

MOST_MONTHS: Final = 36
MOST_NODES: Final = 200
JUDGEMENT: Final = "judgement"
_LENGTHS: Final = {1: Granularity.MONTH, 3: Granularity.QUARTER, 12: Granularity.YEAR}


class MonthsNotReplayed(InvalidArgument):
    """The months asked for are the wrong way round, too many, or not over."""

    def __init__(self, why: str) -> None:
        super().__init__(f"These months cannot be replayed: {why}.", field="last_period")


class TooManyNodes(InvalidArgument):
    """The depth asked for has more nodes than a backtest looks at."""

    def __init__(self) -> None:
        super().__init__(
            f"A backtest scores at most {MOST_NODES} nodes: ask for fewer levels.", field="depth"
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is replayed."""

    question: Question
    first: Period | None
    last: Period | None
    depth: int
    months: int


class Backtesting:
    """One backtest of one tenant."""

    def __init__(self, book: Book, wanted: Wanted) -> None:
        question = wanted.question
        tenant = known_tenant(book, None)
        # business time: imported history was recorded today
        question = replace(question, effective_at=question.now)
        record = read(book, question, tenant)
        if not len(record.histories.deal):
            raise HistoryTooShort("there are no deals.")
        self.fiscal = tenant.settings.calendar
        self.question, self.currency = question, question.currency
        self._spoken: list[tuple[int, str, float]] = []
        """What came of what people had said, as a share of it: month, level, share."""
        histories = record.histories
        self.calendar = calendar_between(self.fiscal, first_day_of(histories), question.today)
        axis = axis_of(book, question)
        tree = axis.tree
        self.places = [place for place in range(len(tree)) if tree.depth[place] <= wanted.depth]
        if len(self.places) > MOST_NODES:
            raise TooManyNodes
        self.depths = {tree.nodes[place].id: int(tree.depth[place]) for place in self.places}
        self.names = {tree.nodes[place].id: tree.nodes[place].name for place in self.places}
        nodes = [
            Node(
                tree.nodes[place].id,
                str(tree.depth[place]),
                TREE,
                tuple(range(place, int(tree.after[place]))),
            )
            for place in self.places
        ]
        self.chosen = self._months(wanted, day_number(question.today))
        self.replay = Replay(
            histories, self.calendar, nodes, Seats(book, tenant, axis, question), horizon=wanted.months
        )
        seen = np.asarray(self.replay.truth.any(axis=1))
        seen[0] = True
        self.replay.nodes = [node for node, there in zip(nodes, seen, strict=True) if there]
        self.replay.naive.nodes = self.replay.nodes
        self.replay.truth = self.replay.truth[seen]
        self.replay.naive.pipeline = self.replay.naive.pipeline[seen]

    def _months(self, wanted: Wanted, today: int) -> range:
        over = int(np.searchsorted(self.calendar.starts, today, side="right")) - wanted.months
        first = self._number(wanted.first) if wanted.first else max(over - MOST_MONTHS, 1)
        last = self._number(wanted.last) + 1 if wanted.last else over
        if last > over:
            raise MonthsNotReplayed("what they brought is not known before they are over")
        if first >= last or last - first > MOST_MONTHS:
            raise MonthsNotReplayed(f"name 1 to {MOST_MONTHS} months, the earlier first")
        if first < 1:
            raise MonthsNotReplayed("nothing is known before the first of them")
        return range(first, last)

    def _number(self, period: Period) -> int:
        assert period.start
        return int(np.searchsorted(self.calendar.starts, day_number(period.start)))

    def period_id(self, month: int) -> str:
        """What a month is called."""
        day = EPOCH + timedelta(int(self.calendar.starts[month]))
        return self.fiscal.period_of(day, Granularity.MONTH).id

    def period(self, month: int) -> Period | None:
        """The period that is predicted from a month on, where it is one that people have a say in."""
        length = _LENGTHS.get(self.replay.horizon)
        if length is None:
            return None
        starts = self.calendar.starts
        first, after = (EPOCH + timedelta(int(starts[at])) for at in (month, month + self.replay.horizon))
        period = self.fiscal.period_of(first, length)
        return period if (period.start, period.end) == (first, after - timedelta(1)) else None

    def with_judgement(self, one: Replayed, judged: Mapping[str, Decimal]) -> Replayed:
        """The month with what people had said of it: the number, and quantiles of their own past errors."""
        came = {each.node: each for each in one.forecasts}
        unit, found = minor_unit(self.currency), []
        for node, amount in judged.items():
            if (known := came.get(node)) is None:
                continue
            said = float(amount / unit)
            until = one.month - self.replay.horizon
            errors = [
                share for month, level, share in self._spoken if level == known.level and month <= until
            ]
            low, middle, high = np.quantile(errors, LEVELS).tolist() if errors else (1.0, 1.0, 1.0)
            quantiles = (low * said, middle * said, high * said)
            found.append(Forecasted(JUDGEMENT, node, known.level, one.month, quantiles, known.actual))
            if said > 0:
                self._spoken.append((one.month, known.level, known.actual / said))
        return replace(one, forecasts=(*one.forecasts, *found)) if found else one

    def progress(self, one: Replayed) -> pb.BacktestProgress:
        """What is told of a month."""
        period_id = self.period_id(one.month)
        return pb.BacktestProgress(
            period_id=period_id,
            refused=one.refused,
            currency=self.currency,
            forecasts=(self._told(each, period_id) for each in one.forecasts),
        )

    def _told(self, forecast: Forecasted, period_id: str) -> pb.BacktestForecast:
        told = wire.forecast_to_proto(
            forecast, forecast.node, self.depths[forecast.node], period_id, self.currency
        )
        told.node_name = self.names[forecast.node]
        return told

    def result(self, found: Sequence[Replayed]) -> pb.BacktestProgress:
        """The scores.

        Raises:
            HistoryTooShort: all months were refused.
        """
        forecasts = [each for one in found for each in one.forecasts]
        if not forecasts:
            raise HistoryTooShort("none of these months can be predicted.")
        done = pb.BacktestProgress(is_done=True, currency=self.currency)
        for depth, chosen in self._by_depth(forecasts):
            for method in dict.fromkeys(each.method for each in chosen):
                scored = score(method, str(depth), [each for each in chosen if each.method == method])
                done.scores.append(wire.score_to_proto(scored, depth, self.currency))
        chance = np.concatenate([one.chance for one in found])
        won = np.concatenate([one.won for one in found])
        constant = np.concatenate([np.full(len(one.won), one.constant) for one in found])
        if len(won):
            done.calibration.extend(wire.calibration(chance, won))
            done.brier = wire.decimal(brier(chance, won))
            done.brier_of_constant = wire.decimal(brier(constant, won))
        return done

    def _by_depth(self, forecasts: Sequence[Forecasted]) -> Iterator[tuple[int, list[Forecasted]]]:
        yield -1, list(forecasts)
        for depth in sorted({self.depths[each.node] for each in forecasts}):
            yield depth, [each for each in forecasts if self.depths[each.node] == depth]


def month_named(calendar: FiscalCalendar, text: str, field: str) -> Period | None:
    """The month that a request names."""
    return calendar.named(text, field) if text else None
