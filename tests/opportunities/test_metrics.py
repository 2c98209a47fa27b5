"""Win rate, cycle, velocity, lost deals by anything, and how deals go from stage to stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from sfa.opportunities.v1 import deals_pb2
from sfa.opportunities.v1 import metrics_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.opportunities.sales import Sales, day_of, euros

CHAIR, TABLE = str(new_id()), str(new_id())
YEAR: dict[str, Any] = {"from": day_of(date(2026, 1, 1)), "to": day_of(date(2026, 12, 31))}
_MANY = (pb.PRODUCT, pb.TAG, pb.COMPETITOR)


@pytest.fixture
async def sales(shared: Join) -> AsyncIterator[Sales]:
    team = await Sales.of(await shared("opportunities"))
    yield team
    await team.close()


async def figures(
    sales: Sales, role: str = "operations", name: str | None = None, **asked: Any
) -> pb.PipelineMetrics:
    await sales.stack.settled()
    request = pb.GetPipelineMetricsRequest(currency="EUR", **(YEAR | asked))
    return await sales.metrics(role, name=name).GetPipelineMetrics(request)


async def lost(sales: Sales, *by: pb.Dimension.ValueType, **asked: Any) -> pb.LostAnalysis:
    await sales.stack.settled()
    request = pb.AnalyzeLostOpportunitiesRequest(currency="EUR", group_by=by, **(YEAR | asked))
    return await sales.metrics().AnalyzeLostOpportunities(request)


def same(answer: pb.PipelineMetrics) -> pb.PipelineMetrics:
    """Without how far events had been taken in when it was given."""
    answer.ClearField("watermark_time")
    answer.ClearField("is_open")
    return answer


def line(product: str, units: int) -> deals_pb.LineItem:
    return deals_pb.LineItem(product_id=product, quantity="1", unit_price=euros(units))


async def company(sales: Sales) -> None:
    """Two won, two lost, one open; of two owners."""
    a = await sales.deal("A", at="2026-02-01", owner="ada", amount=euros(1000), tags=["new"])
    await sales.move(a, "Negotiation", at="2026-02-05")
    await sales.win(a, at="2026-02-21", close_date=day_of(date(2026, 2, 21)))
    b = await sales.deal(
        "B",
        at="2026-02-01",
        owner="bob",
        line_items=[line(CHAIR, 300), line(TABLE, 200)],
        lead_id=str(new_id()),
    )
    await sales.win(b, at="2026-03-13", close_date=day_of(date(2026, 3, 13)))
    c = await sales.deal(
        "C", at="2026-02-01", owner="ada", line_items=[line(CHAIR, 400)], tags=["new", "big"]
    )
    await sales.move(c, "Negotiation", at="2026-02-11")
    await sales.lose(c, "Price", at="2026-03-03")
    d = await sales.deal("D", at="2026-02-01", owner="bob", close_date=day_of(date(2026, 2, 1)))
    await sales.change(d, at="2026-02-02", close_date=day_of(date(2026, 2, 9)))
    await sales.lose(d, "No budget", at="2026-02-08")
    e = await sales.deal("E", at="2026-02-01", owner="ada", amount=euros(700))
    await sales.move(e, "Negotiation", at="2026-02-03")
    await sales.move(e, "Contact", at="2026-02-07")


async def test_win_rate_cycle_and_velocity_are_of_the_deals_closed_in_the_period(sales: Sales) -> None:
    await company(sales)
    answer = await figures(sales)
    total = answer.total
    assert (total.won, total.lost, total.open) == (2, 2, 1)
    assert (total.won_amount, total.lost_amount, total.open_amount) == (euros(1500), euros(400), euros(700))
    assert (total.win_rate_percent, total.amount_win_rate_percent) == ("50.0", "78.9")
    assert (total.average_deal, total.average_cycle_days) == (euros(750), "30.0")
    # 1 open deal x 50 % x 750 / 30 days
    assert total.velocity_per_day == euros(12, 500_000_000)
    february = await figures(sales, to=day_of(date(2026, 2, 28)))
    assert (february.total.won, february.total.lost) == (1, 1)
    assert (await figures(sales, "rep", "bob")).total.won == 1
    nothing = (await figures(sales, owner_ids=[str(new_id())])).total
    assert (nothing.win_rate_percent, nothing.average_cycle_days, nothing.HasField("velocity_per_day")) == (
        "",
        "",
        False,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await figures(sales, to=day_of(date(2025, 1, 1)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_figures_are_told_apart_by_any_dimension(sales: Sales) -> None:
    await company(sales)

    async def by(dimension: pb.Dimension.ValueType) -> dict[str, tuple[int, int, int]]:
        answer = await figures(sales, group_by=dimension)
        return {group.key: (group.won, group.lost, group.open) for group in answer.groups}

    ada, bob = str(sales.stack.callers.user("ada")), str(sales.stack.callers.user("bob"))
    assert await by(pb.OWNER) == {ada: (1, 1, 1), bob: (1, 1, 0)}
    assert await by(pb.CREDIT) == {ada: (1, 1, 1), bob: (1, 1, 0)}
    assert await by(pb.PRODUCT) == {CHAIR: (1, 1, 0), TABLE: (1, 0, 0), "": (1, 1, 1)}
    assert await by(pb.TAG) == {"new": (1, 1, 0), "big": (0, 1, 0), "": (1, 1, 1)}
    assert await by(pb.SOURCE) == {"DIRECT": (1, 2, 1), "LEAD": (1, 0, 0)}
    assert await by(pb.STAGE) == {
        sales.stages["Negotiation"]: (1, 1, 0), sales.stages["Contact"]: (1, 1, 1),
    }  # fmt: skip
    assert await by(pb.SIZE) == {"SMALL": (2, 1, 1), "": (0, 1, 0)}
    assert await by(pb.MONTH) == {"2026-02": (1, 1, 0), "2026-03": (1, 1, 0), "": (0, 0, 1)}
    assert await by(pb.QUARTER) == {"2026-Q1": (2, 2, 0), "": (0, 0, 1)}
    assert await by(pb.SLIPS) == {"0": (2, 1, 1), "1": (0, 1, 0)}
    assert await by(pb.PIPELINE_ID) == {sales.pipeline: (2, 2, 1)}
    for number, value in pb.Dimension.items():
        if value:
            found = await by(value)
            assert value in _MANY or sum(map(sum, found.values())) == 5, number
    products = {group.key: group.won_amount for group in (await figures(sales, group_by=pb.PRODUCT)).groups}
    assert products == {CHAIR: euros(300), TABLE: euros(200), "": euros(1000)}
    cut = await figures(sales, group_by=pb.PRODUCT, limit=1)
    assert cut.is_truncated
    assert [group.key for group in cut.groups] == [""]  # the largest won amount first


async def test_each_split_is_converted_and_rounded_by_itself(sales: Sales) -> None:
    await sales.tenant("EUR")
    await sales.rate("USD", "EUR", "2020-01-01", "0.333")
    ada, bob, eve = (str(sales.stack.callers.user(name)) for name in ("ada", "bob", "eve"))
    percents = ((ada, "33.3333"), (bob, "33.3333"), (eve, "33.3334"))
    splits = [
        deals_pb2.Split(user_id=user, type=deals_pb2.Split.REVENUE, percent=text) for user, text in percents
    ]
    splits.append(deals_pb2.Split(user_id=bob, type=deals_pb2.Split.OVERLAY, percent="100"))
    deal = await sales.deal(
        at="2026-02-01", owner="ada", amount=Money(currency_code="USD", units=100), splits=splits,
        stage="Closing",
    )  # fmt: skip
    await sales.win(deal, at="2026-02-21", close_date=day_of(date(2026, 2, 21)))
    answer = await figures(sales, group_by=pb.CREDIT)
    told = {group.key: group.won_amount for group in answer.groups}
    # 33.33, 33.33 and 33.34 dollars, each at 0.333
    assert told == {ada: euros(11, 100_000_000), bob: euros(11, 100_000_000), eve: euros(11, 100_000_000)}
    assert answer.total.won_amount == euros(33, 300_000_000)


async def test_lost_deals_are_analysed_by_one_dimension_or_two(sales: Sales) -> None:
    await company(sales)
    answer = await lost(sales)
    told = {group.keys[0]: (group.deals, group.amount, group.average_cycle_days) for group in answer.groups}
    assert told == {"Price": (1, euros(400), "30.0"), "No budget": (1, euros(0), "7.0")}
    assert (answer.total.deals, answer.total.unpriced, answer.total.average_cycle_days) == (2, 1, "18.5")
    assert {group.share_percent for group in answer.groups} == {"50.0"}
    ada, bob = str(sales.stack.callers.user("ada")), str(sales.stack.callers.user("bob"))
    two = await lost(sales, pb.OWNER, pb.TAG)
    assert {(*group.keys, group.deals) for group in two.groups} == {
        (ada, "big", 1), (ada, "new", 1), (bob, "", 1),
    }  # fmt: skip
    assert [group.deals for group in (await lost(sales, pipeline_id=str(new_id()))).groups] == []


async def test_stage_to_stage_conversion_follows_the_deals_that_came_in(sales: Sales) -> None:
    await company(sales)
    await sales.stack.settled()
    answer = await sales.metrics().GetStageConversion(pb.GetStageConversionRequest(id=sales.pipeline, **YEAR))
    outcomes = {each.name: each for each in answer.stages}
    contact = outcomes["Contact"]
    assert (contact.entered, contact.advanced, contact.won, contact.lost, contact.standing) == (6, 4, 1, 1, 1)
    assert (contact.conversion_percent, contact.median_days) == ("80.0", "4.00")
    assert contact.average_days == "14.00"  # 4, 40, 10 and 2 days
    negotiation = outcomes["Negotiation"]
    assert (negotiation.entered, negotiation.won, negotiation.lost, negotiation.returned) == (3, 1, 1, 1)
    moves = {(each.from_stage_id, each.to_stage_id): each.deals for each in answer.transitions}
    assert moves[sales.stages["Contact"], sales.stages["Negotiation"]] == 3
    assert moves[sales.stages["Negotiation"], sales.stages["Contact"]] == 1
    late = pb.GetStageConversionRequest(id=sales.pipeline, **(YEAR | {"from": day_of(date(2026, 2, 10))}))
    later = {each.name: each for each in (await sales.metrics().GetStageConversion(late)).stages}
    assert (later["Contact"].entered, later["Negotiation"].entered) == (0, 1)
    ada = await sales.metrics("rep", name="ada").GetStageConversion(
        pb.GetStageConversionRequest(id=sales.pipeline, **YEAR)
    )
    assert {each.name: each.entered for each in ada.stages}["Contact"] == 4


async def test_the_conversion_of_an_instant_stays_as_it_was(sales: Sales) -> None:
    await company(sales)
    deal = await sales.deal(at="2026-02-01", owner="ada")
    await sales.stack.settled()
    then = Timestamp()
    then.FromDatetime(sales.stack.clock.now())
    ada = [str(sales.stack.callers.user("ada"))]

    async def entered(**asked: Any) -> int:
        request = pb.GetStageConversionRequest(id=sales.pipeline, owner_ids=ada, **(YEAR | asked))
        return (await sales.metrics().GetStageConversion(request)).stages[0].entered

    assert await entered(as_of=then) == 5
    await sales.change(deal, owner_id=str(sales.stack.callers.user("bob")))
    other = await sales.deal(at="2026-02-01", owner="ada")
    await sales.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=other.id))
    await sales.stack.settled()
    assert (await entered(), await entered(as_of=then)) == (4, 5)
    await sales.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    await sales.stack.settled()
    assert (await entered(), await entered(as_of=then)) == (4, 5)


async def test_a_stage_that_was_taken_out_is_still_later_than_those_before_it(sales: Sales) -> None:
    deal = await sales.deal(at="2026-02-01")
    await sales.move(deal, "Qualification", at="2026-02-03")
    pipeline = (await sales.pipelines().ListPipelines(deals_pb.ListPipelinesRequest())).pipelines[0]
    stages = {stage.name: stage for stage in pipeline.stages}
    pipeline.stages.remove(stages["Qualification"])
    mapped = deals_pb.MigratePipelineRequest.Mapping(
        from_stage_id=stages["Qualification"].id, to_stage_id=stages["Negotiation"].id
    )
    migrate = deals_pb.MigratePipelineRequest(id=pipeline.id, pipeline=pipeline, stage_map=[mapped])
    await sales.pipelines().MigratePipeline(migrate)
    await sales.stack.settled()
    answer = await sales.metrics().GetStageConversion(pb.GetStageConversionRequest(id=pipeline.id, **YEAR))
    contact = answer.stages[0]
    assert (contact.name, contact.entered, contact.advanced, contact.returned) == ("Contact", 1, 1, 0)


async def test_a_deal_is_closed_on_the_day_that_it_is_where_the_tenant_is(sales: Sales) -> None:
    await sales.tenant("EUR", "Pacific/Auckland")
    won = await sales.win(await sales.deal(at="2026-02-01"), at="2026-02-28T13:00")
    lost = await sales.lose(await sales.deal(at="2026-02-01"), "Price", at="2026-02-28T13:00")
    assert won.close_date == lost.close_date == day_of(date(2026, 3, 1))


async def test_a_deal_whose_lines_cancel_out_is_counted(sales: Sales) -> None:
    back = deals_pb.LineItem(product_id=TABLE, quantity="1", unit_price=euros(-100))
    await sales.deal(line_items=[line(CHAIR, 100), back])
    answer = await figures(sales, group_by=pb.PRODUCT)
    assert {group.key: (group.open, group.open_amount) for group in answer.groups} == {
        CHAIR: (1, euros(0)), TABLE: (1, euros(0)),
    }  # fmt: skip


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/New_York"])
async def test_figures_reach_from_one_end_of_the_calendar_to_the_other(sales: Sales, zone: str) -> None:
    await sales.tenant("EUR", zone)
    await sales.deal(close_date=day_of(date.max))
    ever: dict[str, Any] = {"from": day_of(date.min), "to": day_of(date.max)}
    assert (await figures(sales, **ever)).total.open == 1
    conversion = pb.GetStageConversionRequest(id=sales.pipeline, **ever)
    assert (await sales.metrics().GetStageConversion(conversion)).stages[0].entered == 1
    first = Timestamp()
    first.FromDatetime(datetime(1, 1, 1, tzinfo=UTC))
    instants: list[dict[str, Any]] = [{"as_of": first}, {"effective_as_of": first}]
    for asked in instants:
        board = pb.GetPipelineBoardRequest(id=sales.pipeline, **asked)
        assert (await sales.metrics().GetPipelineBoard(board)).open_deals == 0
        assert (await figures(sales, **asked)).total.open == 0


async def test_figures_of_an_instant_stay_as_they_were(sales: Sales) -> None:
    await sales.tenant("EUR")
    await sales.rate("USD", "EUR", "2020-01-01", "0.5")
    deal = await sales.deal("A", at="2026-02-01", amount=Money(currency_code="USD", units=100))
    await sales.win(deal, at="2026-02-21", close_date=day_of(date(2026, 2, 21)))
    await sales.stack.settled()
    then = Timestamp()
    then.FromDatetime(sales.stack.clock.now())
    before = await figures(sales, as_of=then)
    assert before.total.won_amount == euros(50)
    await sales.rate("USD", "EUR", "2020-01-01", "0.6")
    await sales.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    other = await sales.deal("B", at="2026-02-01", amount=Money(currency_code="GBP", units=7))
    await sales.lose(other, "Price", at="2026-02-03")
    assert same(await figures(sales, as_of=then)) == same(before)
    after = await figures(sales)
    assert (after.total.won, after.total.lost, after.total.unconverted) == (0, 1, 1)
    (lacking,) = after.missing_rates
    assert (lacking.from_currency, lacking.date) == ("GBP", day_of(date(2026, 2, 3)))
    early = Timestamp()
    early.FromDatetime(datetime(2026, 2, 10, tzinfo=UTC) + timedelta(hours=1))
    assert (await figures(sales, effective_as_of=early, as_of=then)).total.open == 1
