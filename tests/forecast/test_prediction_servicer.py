"""The prediction over gRPC: a simulated company's history brought in as imports are, on real engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.forecast.v1 import forecast_pb2, judgement_pb2, judgement_pb2_grpc, prediction_pb2_grpc
from sfa.forecast.v1 import prediction_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from services.forecast.prediction.histories import Status
from tests.conftest import Join
from tests.forecast.company import Company, day_of, money, value
from tests.forecast.simulated_company import Laws, SimulatedCompany

REPS = ("ann", "bob", "cleo", "dan")
LAST = "2011-02"
AT = datetime(2010, 12, 31, 23, tzinfo=UTC)
QUARTER = "2011-Q1"
TEAM = forecast_pb2.Forecast.TEAM


@pytest.fixture
async def company(shared: Join) -> AsyncIterator[Company]:
    """Head leads East and West, who lead two reps each; fourteen months of deals."""
    stack = await shared("opportunities", "forecast")
    company = Company(stack)
    await company.start()
    await company.user("head")
    for manager, *reps in (("east", "ann", "bob"), ("west", "cleo", "dan")):
        await company.user(manager, "head")
        for rep in reps:
            await company.user(rep, manager)
    yield company
    await company.close()


async def bring(company: Company, seed: int = 5) -> SimulatedCompany:
    """A simulated company's deals, each with how it came to be."""
    simulated = SimulatedCompany(seed, LAST, laws=Laws(reps=4, managers=2, arrivals=9.0))
    histories, rows = simulated.histories, []
    for deal in range(histories.deals):
        states = np.flatnonzero(histories.deal == deal).tolist()
        told: list[tuple[deals_pb.Opportunity, Timestamp]] = []
        for state in states:
            status = Status(histories.status[state])
            stage = {Status.WON: "Won", Status.LOST: "Lost"}.get(status, "Prospecting")
            amount = int(histories.amount[state])
            opportunity = deals_pb.Opportunity(
                name=f"Deal {deal}",
                owner_id=company.id(REPS[histories.features["owner"][state]]),
                stage_id=company.stages.get(stage) or next(iter(company.stages.values())),
                amount=money(f"{amount // 100}.{amount % 100:02}"),
            )
            if status is not Status.OPEN:
                day = date(1970, 1, 1) + timedelta(int(histories.closes_on[state]))
                opportunity.close_date.CopyFrom(day_of(day))
            if status is Status.LOST:
                opportunity.lost_reason = "Price"
            told.append((opportunity, noon(int(histories.since[state]), len(told))))
        *past, (now, since) = told
        rows.append(
            deals_pb.BatchUpsertOpportunitiesRequest.Row(
                opportunity=now,
                effective_time=since,
                history=[
                    deals_pb.BatchUpsertOpportunitiesRequest.Past(opportunity=then, effective_time=at)
                    for then, at in past
                ],
            )
        )
    for start in range(0, len(rows), 400):
        answer = await company.deals().BatchUpsertOpportunities(
            deals_pb.BatchUpsertOpportunitiesRequest(rows=rows[start : start + 400], skip_gates=True)
        )
        assert not [result.error for result in answer.results if result.error]
    await company.settled()
    return simulated


def noon(day: int, minute: int) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(datetime(1970, 1, 1, 12, minute, tzinfo=UTC) + timedelta(day))
    return result


def stamp(at: datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(at)
    return result


def predictions(company: Company, role: str = "operations", **claims: Any) -> Any:
    return prediction_pb2_grpc.PredictionServiceStub(company.stack.channel("forecast", role, **claims))


async def ask(
    company: Company,
    role: str = "operations",
    by: forecast_pb2.Forecast.GroupBy.ValueType = TEAM,
    **fields: Any,
) -> pb.Prediction:
    request = pb.GetPredictionRequest(
        periods=fields.pop("periods", [QUARTER]), group_by=by, effective_as_of=stamp(AT), **fields
    )
    answer = await predictions(company, role).GetPrediction(request)
    assert isinstance(answer, pb.Prediction)
    return answer


def only(node: pb.PredictionNode) -> pb.PredictionCell:
    return node.cells[0]


async def test_a_quarter_is_predicted_for_every_node_and_explained(company: Company) -> None:
    simulated = await bring(company)
    answer = await ask(company, quota="1000000")
    nodes = {node.name: node for node in answer.nodes}
    assert {"All", "Head", "East", "Ann", "Bob", "West", "Cleo", "Dan"} <= nodes.keys()
    root = only(nodes["All"])
    p10, p50, p90 = (value(amount) for amount in (root.outcome.p10, root.outcome.p50, root.outcome.p90))
    assert 0 < p10 < p50 < p90
    assert value(root.won) == 0
    assert value(root.open_mean) > 0
    assert value(root.new_mean) > 0
    assert 0 <= float(root.quota_probability) <= 1
    # means add up, quantiles do not: the sum of the reps' P10 is below the P10 of the sum
    reps = [only(nodes[name.title()]) for name in REPS]
    means = sum(value(cell.open_mean) + value(cell.new_mean) for cell in reps)
    assert abs(means - value(root.open_mean) - value(root.new_mean)) < 1
    assert sum(value(cell.outcome.p10) for cell in reps) < p10
    assert [band.date.month for band in answer.bands] == [1, 2, 3]
    assert value(answer.bands[-1].outcome.p50) == p50
    assert abs(sum(float(source.share_of_variance) for source in answer.sources) - 1) < 0.001
    assert answer.model.won > 100
    assert answer.model.until_date == day_of(date(2010, 12, 31))
    # the root is the same in every tree
    for by in (forecast_pb2.Forecast.OWNER, forecast_pb2.Forecast.TERRITORY, forecast_pb2.Forecast.PRODUCT):
        other = await ask(company, by=by)
        assert only(other.nodes[0]).outcome == root.outcome
    page = await predictions(company).ListPredictedDeals(
        pb.ListPredictedDealsRequest(periods=[QUARTER], effective_as_of=stamp(AT), page_size=20)
    )
    known = simulated.histories.lives(int(np.datetime64("2010-12-31").astype(int)))
    assert len(page.deals) == 20
    assert page.next_page_token
    for deal in page.deals:
        outcome = deal.outcomes[0]
        whole = float(outcome.won) + float(outcome.lost) + float(deal.still_open)
        assert abs(whole - 1) < 0.001
        assert {reason.feature for reason in deal.reasons} >= {"owner", "age", "phase"}
        assert deal.name.startswith("Deal ")
    rest = 0
    token = page.next_page_token
    while token:
        page = await predictions(company).ListPredictedDeals(
            pb.ListPredictedDealsRequest(
                periods=[QUARTER], effective_as_of=stamp(AT), page_size=200, page_token=token
            )
        )
        rest, token = rest + len(page.deals), page.next_page_token
    assert rest + 20 == int((~known.is_closed).sum())
    # a manager sees the own part of the same worlds
    east = await predictions(company, "manager", name="east").GetPrediction(
        pb.GetPredictionRequest(periods=[QUARTER], effective_as_of=stamp(AT))
    )
    seen = {node.name: node for node in east.nodes}
    assert "Cleo" not in seen
    assert only(seen["Ann"]).outcome == only(nodes["Ann"]).outcome


async def said_by_east(company: Company) -> None:
    """What East said of two months before each, imported; and too late of the second."""
    rows = [
        judgement_pb2.BatchUpsertForecastSubmissionsRequest.Row(
            forecast_submission=judgement_pb2.ForecastSubmission(
                user_id=company.id("east"),
                author_id=company.id("east"),
                period_id=period,
                category=deals_pb.COMMIT,
                amount=money(amount),
            ),
            effective_time=stamp(at),
        )
        for period, amount, at in (
            ("2010-12", "500", datetime(2010, 11, 30, 12, tzinfo=UTC)),
            ("2011-01", "400", datetime(2010, 12, 20, tzinfo=UTC)),
            ("2011-01", "9000", datetime(2011, 1, 15, tzinfo=UTC)),
        )
    ]
    stub = judgement_pb2_grpc.JudgementServiceStub(company.stack.channel("forecast", "operations"))
    answer = await stub.BatchUpsertForecastSubmissions(
        judgement_pb2.BatchUpsertForecastSubmissionsRequest(rows=rows)
    )
    assert not [result.error for result in answer.results if result.error]


async def test_history_is_replayed_without_knowing_it_and_scored(company: Company) -> None:
    await bring(company, seed=6)
    await said_by_east(company)
    steps = [
        step
        async for step in predictions(company).BacktestForecast(
            pb.BacktestForecastRequest(first_period="2010-02", last_period="2011-01", depth=2)
        )
    ]
    *months, done = steps
    assert [step.period_id for step in months][:2] == ["2010-02", "2010-03"]
    assert len(months) == 12
    assert "are needed" in months[0].refused
    assert not months[-1].refused
    methods = {forecast.method for forecast in months[-1].forecasts}
    assert methods == {
        "system", "last period", "weighted pipeline", "same month of the last quarter", "judgement",
    }  # fmt: skip
    said = {
        (month.period_id, forecast.node_name): forecast
        for month in months
        for forecast in month.forecasts
        if forecast.method == "judgement"
    }
    east = said["2010-12", "East"]
    assert said.keys() == {
        (month, node) for month in ("2010-12", "2011-01") for node in ("East", "Head", "All")
    }
    assert {value(getattr(east.predicted, name)) for name in ("p10", "p50", "p90")} == {value(money("500"))}
    later = said["2011-01", "East"]  # by then it is known how far off the first was
    came = value(east.actual) / value(east.predicted.p50)
    assert abs(value(later.predicted.p50) - came * 400) < 1
    assert done.is_done
    scores = {(score.method, score.depth): score for score in done.scores}
    ours = scores["system", -1]
    assert len(ours.pinball) == 3
    assert float(ours.coverage_between[0]) <= float(ours.coverage) <= float(ours.coverage_between[1])
    assert sum(bin.deals for bin in done.calibration) > 50
    assert 0 < float(done.brier) < 0.3


async def test_what_cannot_be_predicted_is_refused_with_a_sentence(company: Company) -> None:
    await company.deal("ann", "100", close=date(2030, 5, 1))
    await company.settled()
    cases: tuple[tuple[dict[str, Any], grpc.StatusCode, str], ...] = (
        ({"periods": ["2031-Q1"]}, grpc.StatusCode.INVALID_ARGUMENT, "is not predicted"),
        ({"periods": []}, grpc.StatusCode.FAILED_PRECONDITION, "history is too short"),
    )
    for fields, status, sentence in cases:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await predictions(company).GetPrediction(pb.GetPredictionRequest(**fields))
        assert refused.value.code() is status
        assert sentence in (refused.value.details() or "")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await predictions(company).TrainPrediction(pb.TrainPredictionRequest())
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
