"""The prediction's parts by themselves: nothing of the future, worlds that add up, and whether it covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.forecast.prediction.backtest import SYSTEM, Backtest, Node, backtest, binomial_interval
from services.forecast.prediction.clock import exposure
from services.forecast.prediction.histories import NEVER, Status, calendar_months
from services.forecast.prediction.model import learn
from services.forecast.prediction.places import Places
from services.forecast.prediction.prediction import deal_chances, predict
from services.forecast.prediction.refusals import HistoryTooShort
from tests.forecast.simulated_company import Laws, SimulatedCompany

SMALL = Laws(reps=6, managers=3, arrivals=12.0)


@pytest.fixture(scope="module")
def company() -> SimulatedCompany:
    return SimulatedCompany(3, "2011-12", laws=SMALL)


def eve(company: SimulatedCompany, month: int) -> int:
    """The day before a month."""
    return int(company.calendar.starts[month]) - 1


def test_what_is_known_on_a_day_does_not_depend_on_what_comes(company: SimulatedCompany) -> None:
    day = eve(company, 18)
    histories = company.histories
    later = histories.since > day
    other = replace(
        histories,
        amount=np.where(later, 1, histories.amount),
        status=np.where(later, Status.LOST, histories.status).astype(np.int8),
        closes_on=np.where(later, day + 1, histories.closes_on).astype(np.int32),
    )
    months = company.calendar.slice(18, 20)
    ours, theirs = (
        predict(learn(each, company.calendar, day), each, months, company.placing, draws=40, workers=2)
        for each in (histories, other)
    )
    assert np.array_equal(ours.worlds.won["rep"], theirs.worlds.won["rep"])


def test_a_deal_that_is_still_open_counts_as_long_as_it_was_seen() -> None:
    company = SimulatedCompany(3, "2010-06", laws=SMALL)
    day = eve(company, 4)
    lives = company.histories.lives(day)
    at_risk, closes = exposure(lives, company.calendar, int(company.calendar.starts[0]))
    assert closes.sum() == lives.is_closed.sum()
    ended = np.where(lives.closed == NEVER, day, lives.closed)
    assert at_risk.sum() == (ended - lives.opened + 1).sum()


def test_won_lost_and_still_open_are_all_that_can_become_of_a_deal(company: SimulatedCompany) -> None:
    model = learn(company.histories, company.calendar, eve(company, 18))
    months = company.calendar.slice(18, 23)
    prediction = predict(model, company.histories, months, company.placing, draws=40)
    chances = deal_chances(model, prediction.deals, months)
    assert (chances.won >= 0).all()
    assert (chances.lost >= 0).all()
    assert (chances.still_open > 0).all()
    assert np.allclose(chances.won.sum(1) + chances.lost.sum(1) + chances.still_open, 1)


def test_too_little_history_is_refused_with_what_is_missing(company: SimulatedCompany) -> None:
    with pytest.raises(HistoryTooShort, match="3 are needed"):
        learn(company.histories, company.calendar, eve(company, 2))
    with pytest.raises(HistoryTooShort, match="no deal has been won or lost"):
        learn(company.histories.known(0), company.calendar, eve(company, 2))
    few = SimulatedCompany(3, "2010-12", laws=Laws(reps=1, managers=1, arrivals=2.0))
    with pytest.raises(HistoryTooShort, match="won and"):
        learn(few.histories, few.calendar, eve(few, 8))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), parts=st.integers(1, 3), workers=st.integers(1, 2))
def test_in_every_world_every_tree_adds_up_to_the_minor_unit(
    company: SimulatedCompany, seed: int, parts: int, workers: int
) -> None:
    """Whole deals by rep, deals in odd parts by another tree, deals of which some stand nowhere: one sum."""
    rng = np.random.default_rng(seed)

    def placing(histories, rows, owners):  # type: ignore[no-untyped-def]
        owners = histories.features["owner"][rows] if owners is None else owners
        many = len(rows)
        cuts = np.sort(rng.random((many, parts - 1)), axis=1)
        bounds = np.concatenate([np.zeros((many, 1)), cuts, np.ones((many, 1))], axis=1)
        shared = Places(
            rng.integers(0, 5, many * parts).astype(np.int32),
            bounds[:, :-1].ravel(),
            bounds[:, 1:].ravel(),
            np.arange(many) * parts,
            np.full(many, parts, np.int32),
            5,
        )
        return {"rep": Places.whole(owners, SMALL.reps), "all": Places.whole(owners * 0, 1), "shared": shared}

    model = learn(company.histories, company.calendar, eve(company, 12))
    months = company.calendar.slice(12, 14)
    worlds = predict(
        model, company.histories, months, placing, draws=64, seed=(seed,), workers=workers
    ).worlds
    totals = {name: won.sum(axis=0) for name, won in worlds.won.items()}
    assert totals["all"].any()
    assert np.array_equal(totals["rep"], totals["all"])
    assert np.array_equal(totals["shared"], totals["all"])


def test_one_seed_makes_one_set_of_worlds(company: SimulatedCompany) -> None:
    model = learn(company.histories, company.calendar, eve(company, 18))
    months = company.calendar.slice(18, 18)
    one, same, other = (
        predict(model, company.histories, months, company.placing, draws=80, seed=(seed,)).worlds.won["rep"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.fixture(scope="module")
def known_truth() -> Backtest:
    """A company of 60 reps under 12 managers, predicted for 28 months: 2,044 node-months."""
    company = SimulatedCompany(11, "2013-04", laws=Laws(reps=60, managers=12, arrivals=12.0))
    reps = range(company.laws.reps)
    nodes = [Node(f"rep {rep}", "leaf", "rep", (rep,)) for rep in reps]
    nodes += [
        Node(f"manager {number}", "middle", "rep", tuple(np.flatnonzero(company.manager == number).tolist()))
        for number in range(company.laws.managers)
    ]
    nodes.append(Node("all", "root", "rep", tuple(reps)))
    months = range(len(company.calendar) - 28, len(company.calendar))
    return backtest(company.histories, company.calendar, months, nodes, company.placing, draws=400)


def test_between_p10_and_p90_lie_four_fifths_of_what_comes(known_truth: Backtest) -> None:
    """Of the levels, where chance leaves that to be seen: few root-months of one company say little."""
    ours = [each for each in known_truth.forecasts if each.method == SYSTEM]
    assert len(ours) >= 2_000
    for level in ("leaf", "middle", "root"):
        (score,) = [each for each in known_truth.scores(level) if each.method == SYSTEM]
        low, high = score.coverage_between
        assert low <= 0.82, (level, score)
        assert high >= 0.78, (level, score)


def test_chances_are_calibrated_where_the_truth_is_known(known_truth: Backtest) -> None:
    chance, won = known_truth.chance, known_truth.won
    assert len(won) > 5_000
    for low in (0.3, 0.4, 0.5, 0.6):
        chosen = (chance >= low) & (chance < low + 0.1)
        between = binomial_interval(int(won[chosen].sum()), int(chosen.sum()), 0.999)
        assert between[0] - 0.02 <= chance[chosen].mean() <= between[1] + 0.02


def test_periods_are_fiscal_months_with_their_place_in_the_quarter() -> None:
    calendar = calendar_months("2017-01", "2017-06", first_of_quarter=2)
    assert calendar.phase.tolist() == [2, 0, 1, 2, 0, 1]
    assert np.diff(calendar.starts).tolist() == [31, 28, 31, 30, 31, 30]
