"""The backtest on the Maven files: on the last day of the month before, by what was known then."""

from __future__ import annotations

import numpy as np
import pytest

from services.forecast.prediction.backtest import BASELINES, SYSTEM, Backtest, Node, backtest, brier
from services.forecast.prediction.histories import Status
from services.forecast.prediction.model import Model, learn
from services.forecast.prediction.prediction import deal_chances
from services.forecast.prediction.simulation import OpenDeals
from tests.forecast.maven import CALENDAR, REGIONS, Maven, month
from tests.shared_data import shared_data

MONTHS = [month(f"2017-{number:02}") for number in range(4, 13)]
NODES = [Node(region, "region", "region", (number,)) for number, region in enumerate(REGIONS)]
NODES.append(Node("all", "total", "region", tuple(range(len(REGIONS)))))


@pytest.fixture(scope="module")
def maven() -> Maven:
    return Maven(shared_data("maven_crm"))


@pytest.fixture(scope="module")
def monthly(maven: Maven) -> Backtest:
    return backtest(maven.histories, CALENDAR, MONTHS, NODES, maven.placing)


def test_the_files_are_read_right(maven: Maven) -> None:
    """Won by quarter, and what is open at the end of September."""
    lives = maven.histories.lives(int(CALENDAR.starts[-1]) - 1)
    amount = maven.histories.amount[lives.last]
    won = []
    for first in ("2017-01", "2017-04", "2017-07", "2017-10"):
        start, end = CALENDAR.starts[month(first)], CALENDAR.starts[month(first) + 3]
        won.append(int(amount[lives.won & (lives.closed >= start) & (lives.closed < end)].sum()) // 100)
    assert won == [1_134_672, 3_086_111, 2_982_255, 2_802_496]
    september = int(CALENDAR.starts[month("2017-10")]) - 1
    known = maven.histories.known(september)
    rows = known.rows_at(september)
    open_rows = rows[known.status[rows] == Status.OPEN]
    assert len(open_rows) == 2_409
    # an open deal is worth its list price, whatever it closed at: one of seven prices
    assert len(np.unique(known.amount[open_rows])) == 7


def test_earlier_months_are_refused(monthly: Backtest) -> None:
    assert set(monthly.refused) == {month("2017-04"), month("2017-05")}
    assert "2 whole months with closed deals" in monthly.refused[month("2017-05")]
    assert {each.month for each in monthly.forecasts} == set(MONTHS[2:])


def test_the_system_loses_no_more_than_the_best_naive_baseline(monthly: Backtest) -> None:
    losses = {score.method: score.loss for score in monthly.scores()}
    assert losses.keys() == {SYSTEM, *BASELINES}
    assert losses[SYSTEM] <= min(losses[method] for method in BASELINES)


def test_october_to_december_are_off_by_no_more_than_the_last_quarter(monthly: Backtest) -> None:
    errors = [
        abs(each.error) / each.actual
        for each in monthly.forecasts
        if each.method == SYSTEM and each.level == "total" and each.month >= month("2017-10")
    ]
    assert len(errors) == 3
    assert sum(errors) / 3 <= 0.086


def test_the_fourth_quarter_is_predicted_within_a_tenth(maven: Maven) -> None:
    quarter = backtest(
        maven.histories, CALENDAR, [month("2017-10")], NODES, maven.placing, horizon=3, draws=4000
    )
    (total,) = [each for each in quarter.forecasts if each.method == SYSTEM and each.level == "total"]
    assert total.actual == 280_249_600
    assert abs(total.error) / total.actual <= 0.10
    assert total.is_covered


def scored(maven: Maven, model: Model, lives: np.ndarray, first: str, last: str) -> np.ndarray:
    """How likely deals are won, provided that they close in some months; as they were opened."""
    everything = maven.histories.lives(int(CALENDAR.starts[-1]) - 1)
    rows, opened = everything.first[lives], everything.opened[lives]
    looked_at = np.maximum(opened.astype(np.int64) - 1, model.until)
    deals = OpenDeals(opened, maven.histories.amount[rows], model.codes(maven.histories, rows, looked_at), {})
    return deal_chances(model, deals, CALENDAR.slice(month(first), month(last))).win_if_closed


def test_single_deals_are_scored_without_the_future(maven: Maven) -> None:
    """At 30 September no better than knowing next to nothing; at the start of the closing month by the season."""
    everything = maven.histories.lives(int(CALENDAR.starts[-1]) - 1)
    october = CALENDAR.starts[month("2017-10")]
    closed = np.flatnonzero((everything.closed >= october) & everything.is_closed)
    won = everything.won[closed]
    assert len(closed) == 1_985
    model = learn(maven.histories, CALENDAR, int(october) - 1)
    at_september = scored(maven, model, closed, "2017-10", "2017-12")
    assert 0.21 < brier(at_september, won) <= 0.2432
    was_open = everything.opened[closed] < october
    assert 0.21 < brier(at_september[was_open], won[was_open]) <= 0.2432
    in_month = np.empty(len(closed))
    for name in ("2017-10", "2017-11", "2017-12"):
        start, end = CALENDAR.starts[month(name)], CALENDAR.starts[month(name) + 1]
        chosen = (everything.closed[closed] >= start) & (everything.closed[closed] < end)
        learnt = learn(maven.histories, CALENDAR, int(start) - 1)
        in_month[chosen] = scored(maven, learnt, closed[chosen], name, name)
    assert 0.21 < brier(in_month, won) <= 0.23
