"""The forecast over gRPC: real opportunities, a real broker, a real database."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.leads.v1 import leads_pb2
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.ids import new_id
from chassis.replay import replay
from tests.forecast.company import Company, day_of, money, value
from tests.stack import Stack

MIDSUMMER = datetime(2030, 6, 24, 12, tzinfo=UTC)
"""Today, in these tests."""
TREES = ("OWNER", "TEAM", "TERRITORY", "PRODUCT")


@pytest.fixture
async def company(stack: Stack) -> AsyncIterator[Company]:
    stack.clock.move_to(MIDSUMMER)
    company = Company(stack)
    await company.start()
    yield company
    await company.close()


async def test_categories_stand_alone_and_add_up_cumulatively(company: Company) -> None:
    won = await company.deal(amount="1000", close=date(2030, 5, 1))
    await company.win(won, date(2030, 6, 1), "900.50")
    await company.deal(amount="200", stage="Closing", close=date(2030, 6, 25))
    await company.deal(amount="40.10", stage="Shared vision", close=date(2030, 6, 30))
    await company.deal(amount="10", stage="Contact", close=date(2030, 6, 30))
    await company.lose(await company.deal(amount="7", close=date(2030, 6, 30)), date(2030, 6, 2))
    await company.settled()
    figures = (await company.ask("2030-Q2")).figures()
    alone, cumulative = figures.alone, figures.cumulative
    assert [value(each.amount) for each in (alone.closed, alone.commit, alone.best_case, alone.pipeline)] == [
        Decimal("900.50"), 200, Decimal("40.10"), 10,
    ]  # fmt: skip
    assert (alone.omitted.deals, figures.lost.deals, figures.deals) == (1, 1, 5)
    assert value(figures.lost.amount) == 7
    assert value(cumulative.commit.amount) == Decimal("1100.50")
    assert value(cumulative.best_case.amount) == Decimal("1140.60")
    assert (value(cumulative.pipeline.amount), cumulative.pipeline.deals) == (Decimal("1150.60"), 4)
    assert value(figures.weighted) == Decimal("200.55")  # 90 % of 200, 50 % of 40.10, 5 % of 10


async def test_won_deals_count_in_the_period_of_their_actual_close(company: Company) -> None:
    deal = await company.deal(amount="10", close=date(2030, 9, 30))
    await company.win(deal, date(2030, 6, 1))
    await company.settled()
    forecast = await company.ask("2030-Q2", "2030-Q3")
    assert forecast.figures(period="2030-Q2").alone.closed.deals == 1
    assert forecast.figures(period="2030-Q3").deals == 0


async def test_open_deals_without_a_date_are_undated_and_late_ones_overdue_in_their_own_period(
    company: Company,
) -> None:
    await company.deal(amount="5")
    await company.deal(amount="7", close=date(2030, 2, 1))
    await company.settled()
    forecast = await company.ask("2030-Q1", "2030-Q2")
    assert [period.id for period in forecast.answer.periods] == ["2030-Q1", "2030-Q2", "undated"]
    assert value(forecast.figures(period="undated").alone.pipeline.amount) == 5
    assert value(forecast.figures(period="2030-Q1").alone.pipeline.amount) == 7
    assert value(forecast.figures(period="2030-Q1").overdue.amount) == 7
    assert forecast.figures(period="2030-Q2").deals == 0


async def test_periods_follow_the_tenants_calendar_and_its_day(company: Company) -> None:
    company.stack.clock.move_to(datetime(2030, 6, 30, 23, tzinfo=UTC))
    await company.tenant(time_zone="Asia/Tokyo", start_month=4)
    await company.deal(amount="5", close=date(2030, 6, 30))
    await company.settled()
    forecast = await company.ask("2031-Q1")  # April to June 2030
    assert forecast.figures().overdue.deals == 1
    assert (forecast.answer.today.month, forecast.answer.today.day) == (7, 1)
    current = await company.ask()
    assert [period.id for period in current.answer.periods] == ["2031-Q2", "undated"]


async def hire(company: Company) -> None:
    """Head leads Ann and Bob; Ann leads Ray. Each has a deal; one belongs to a stranger."""
    await company.user("head")
    await company.user("ann", "head")
    await company.user("bob", "head")
    await company.user("ray", "ann")
    for number, owner in enumerate(("head", "ann", "bob", "ray", "stranger")):
        await company.deal(owner, str(10**number), close=date(2030, 6, 30))
    await company.settled()


async def test_a_team_is_a_manager_with_everyone_below(company: Company) -> None:
    await hire(company)
    forecast = await company.ask("2030-06")
    assert forecast.tree() | {"?": ""} == {
        "Head": "All", "Ann": "Head", "Bob": "Head", "Ray": "Ann", company.id("stranger"): "All", "?": "",
    }  # fmt: skip
    totals = {node.name: value(node.cells[0].total.alone.pipeline.amount) for node in forecast.answer.nodes}
    assert totals["Head"] == 1111
    assert totals["Ann"] == 1010
    assert totals["All"] == 11111
    own = {node.name: node.cells[0].own for node in forecast.answer.nodes if node.cells[0].HasField("own")}
    assert own.keys() == {"All", "Head", "Ann"}
    assert value(own["Ann"].alone.pipeline.amount) == 10


async def test_trees_are_cut_to_what_the_caller_sees(company: Company) -> None:
    await hire(company)
    sights = [
        ("rep", "ray", {"All", "Ray"}),
        ("rep", "head", {"All", "Head"}),
        ("manager", "ann", {"All", "Ann", "Ray"}),
        ("manager", "head", {"All", "Head", "Ann", "Bob", "Ray"}),
    ]
    for (role, name, seen), by in itertools.product(sights, ["OWNER", "TEAM"]):
        forecast = await company.ask("2030-06", by=by, role=role, name=name)
        assert forecast.names.keys() == seen, (role, name, by)
        assert forecast.figures().deals == len(seen) - 1


async def test_a_reorganisation_moves_figures_from_its_day_on(company: Company) -> None:
    await hire(company)
    await company.reports("ray", "ann", until=MIDSUMMER + timedelta(days=2))
    await company.settled()
    assert (await company.ask("2030-06")).tree()["Ray"] == "Ann"
    company.stack.clock.move(timedelta(days=3))
    assert (await company.ask("2030-06")).tree()["Ray"] == "All"


async def test_deals_roll_up_the_tree_of_territories(company: Company) -> None:
    await hire(company)
    await company.territory("world", "", "head")
    await company.territory("west", "world", "ann", "ray")
    await company.territory("east", "world")
    await company.settled()
    forecast = await company.ask("2030-06", by="TERRITORY")
    assert forecast.tree() == {"World": "All", "West": "World", "None": "All"}
    assert value(forecast.figures("West").alone.pipeline.amount) == 1010
    assert value(forecast.figures("World").alone.pipeline.amount) == 1011
    assert value(forecast.figures("None").alone.pipeline.amount) == 10100


async def test_a_deal_is_shared_out_to_its_products_and_is_one_deal(company: Company) -> None:
    await company.product("GTX Pro")
    await company.deal(close=date(2030, 6, 30), lines=[("GTX Pro", "2", "10"), ("unknown", "1", "13.33")])
    await company.deal(amount="5", close=date(2030, 6, 30))
    await company.settled()
    forecast = await company.ask("2030-06", by="PRODUCT")
    assert value(forecast.figures("GTX Pro").alone.pipeline.amount) == 20
    assert value(forecast.figures(company.id("unknown")).alone.pipeline.amount) == Decimal("13.33")
    assert value(forecast.figures("None").alone.pipeline.amount) == 5
    assert value(forecast.figures().alone.pipeline.amount) == Decimal("38.33")
    assert forecast.figures().deals == 2


async def test_each_deal_is_converted_at_its_rate_and_missing_rates_are_said(company: Company) -> None:
    await company.rate("USD", "EUR", date(2030, 1, 1), "0.5")
    await company.rate("USD", "EUR", date(2030, 6, 1), "0.8")
    won = await company.deal(amount="100.01", currency="USD", close=date(2030, 6, 30))
    await company.win(won, date(2030, 4, 1))
    await company.deal(amount="100", currency="USD", close=date(2030, 6, 30))
    await company.deal(amount="100", currency="CHF", close=date(2030, 6, 30))
    await company.settled()
    forecast = await company.ask("2030-Q2")
    assert value(forecast.figures().alone.closed.amount) == Decimal("50.01")
    assert value(forecast.figures().alone.pipeline.amount) == 80
    assert (forecast.figures().alone.pipeline.deals, forecast.figures().unconverted) == (2, 1)
    (missing,) = forecast.answer.missing_rates
    assert (missing.currency, missing.target, missing.date.day, missing.deals) == ("CHF", "EUR", 24, 1)
    in_dollars = await company.ask("2030-Q2", currency="USD")
    assert value(in_dollars.figures().alone.closed.amount) == Decimal("100.01")
    assert in_dollars.answer.currency == "USD"


async def test_editing_a_pipeline_moves_figures_at_once(company: Company) -> None:
    await company.deal(amount="100", stage="Contact", close=date(2030, 6, 30))
    stages = company.pipeline.stages
    stages[0].probability, stages[0].forecast_category = 80, deals_pb.COMMIT
    await company.pipelines.UpdatePipeline(
        deals_pb.UpdatePipelineRequest(id=company.pipeline.id, pipeline=deals_pb.Pipeline(stages=stages))
    )
    await company.settled()
    figures = (await company.ask("2030-06")).figures()
    assert value(figures.alone.commit.amount) == 100
    assert value(figures.weighted) == 80


async def test_a_deleted_deal_counts_no_more_and_a_restored_one_again(company: Company) -> None:
    deal = await company.deal(amount="100", close=date(2030, 6, 30))
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    await company.settled()
    assert (await company.ask("2030-06")).figures().deals == 0
    await company.deals().UndeleteOpportunity(deals_pb.UndeleteOpportunityRequest(id=deal.id))
    await company.settled()
    assert (await company.ask("2030-06")).figures().deals == 1


async def test_nothing_half_converted_is_counted(company: Company) -> None:
    lead = new_id()
    await company.lead(lead, leads_pb2.Lead.CONVERTING)
    await company.deal(amount="100", close=date(2030, 6, 30), lead_id=lead)
    await company.settled()
    assert (await company.ask("2030-06")).figures().deals == 0
    assert (await company.forecast().AuditForecast(pb.AuditForecastRequest())).consistent
    await company.lead(lead, leads_pb2.Lead.CONVERTED)
    await company.settled()
    assert (await company.ask("2030-06")).figures().deals == 1


async def test_one_node_and_some_levels_can_be_asked_for(company: Company) -> None:
    await hire(company)
    forecast = await company.ask("2030-06", node_id=company.id("head"), depth=1)
    assert forecast.names.keys() == {"Head", "Ann", "Bob"}
    assert value(forecast.figures("Ann").alone.pipeline.amount) == 1010


async def test_what_makes_no_sense_is_refused(company: Company) -> None:
    await company.settled()
    wrong, unknown = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    cases: list[tuple[dict[str, Any], grpc.StatusCode]] = [
        ({"periods": ["2030-Q9"]}, wrong),
        ({"periods": ["2030-Q2..2030-01"]}, wrong),
        ({"periods": ["1950-01..2030-01"]}, wrong),
        ({"periods": ["undated..undated"]}, wrong),
        ({"currency": "euro"}, wrong),
        ({"node_id": "nobody"}, unknown),
        ({"node_id": str(new_id()), "group_by": pb.Forecast.PRODUCT}, unknown),
        ({"node_id": "x" * 36, "group_by": pb.Forecast.OWNER}, unknown),
        ({"node_id": "\U0001f600", "group_by": pb.Forecast.TERRITORY}, unknown),
    ]
    for fields, code in cases:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await company.forecast().GetForecast(pb.GetForecastRequest(**fields))
        assert refused.value.code() is code, fields
    for by in TREES:
        request = pb.ListForecastDealsRequest(
            period_id="undated", node_id="x" * 36, group_by=pb.Forecast.GroupBy.Value(by)
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await company.forecast().ListForecastDeals(request)
        assert refused.value.code() is unknown, by


async def test_every_answer_says_how_far_each_source_was_heard(company: Company) -> None:
    await company.deal(amount="1")
    await company.user("ann")
    await company.product("GTX Pro")
    await company.settled()
    watermarks = {mark.source: mark for mark in (await company.ask()).answer.watermarks}
    assert watermarks.keys() == {"contacts", "identity", "leads", "opportunities", "quotes"}
    assert int(watermarks["opportunities"].position) > 0
    assert watermarks["opportunities"].HasField("recorded_time")
    assert watermarks["identity"].HasField("heartbeat_age")
    assert not watermarks["leads"].position  # it has never been heard


async def listed(company: Company, **fields: Any) -> list[pb.ForecastDeal]:
    """All pages, two deals each."""
    found: list[pb.ForecastDeal] = []
    token = ""
    while True:
        request = pb.ListForecastDealsRequest(page_size=2, page_token=token, **fields)
        page = await company.forecast().ListForecastDeals(request)
        found.extend(page.deals)
        token = page.next_page_token
        if not token:
            return found


async def test_every_figure_opens_down_to_its_deals(company: Company) -> None:
    await hire(company)
    await company.territory("world", "", "head")
    await company.territory("west", "world", "ann", "ray")
    await company.rate("USD", "EUR", date(2030, 1, 1), "0.333")
    await company.deal("ray", "100.01", currency="USD", stage="Closing", close=date(2030, 6, 1))
    lines = [("this", "3", "10.01"), ("that", "1", "7.77")]
    await company.deal("bob", lines=lines, currency="USD", close=date(2030, 6, 30))
    await company.settled()
    for by in TREES:
        forecast = await company.ask("2030-06", by=by)
        for node in forecast.answer.nodes:
            figure = {"period_id": "2030-06", "group_by": forecast.answer.group_by, "node_id": node.id}
            total = node.cells[0].total
            deals = await listed(company, **figure)
            assert len(deals) == total.deals, (by, node.name)
            assert sum(value(deal.converted_amount) for deal in deals) == value(
                total.cumulative.pipeline.amount
            )
            assert sum(value(deal.weighted_amount) for deal in deals) == value(total.weighted)
            overdue = await listed(company, **figure, overdue=True, category=deals_pb.COMMIT)
            assert len(overdue) == total.overdue.deals


async def test_an_audit_finds_no_difference_and_what_somebody_meddled_with(company: Company) -> None:
    await hire(company)
    await company.territory("west", "", "ann")
    await company.deal("bob", lines=[("this", "3", "10.01")], close=date(2030, 6, 30))
    await company.deal("bob", "5", currency="CHF")
    await company.settled()
    audit = await company.forecast().AuditForecast(pb.AuditForecastRequest(), timeout=20)
    assert audit.consistent, audit.differences
    assert audit.deals == 7
    assert audit.figures > 100
    database = await company.stack.connect("forecast", as_owner=True)
    await database.execute("UPDATE data.deal_versions SET amount = amount + 100 WHERE amount = 1000")
    await database.execute(
        "UPDATE data.reference_versions SET content = content || '{\"probability\": 6}'"
        " WHERE kind = 'stage' AND content ->> 'probability' = '5'"
    )
    await database.execute("UPDATE data.progress SET epoch = gen_random_uuid()")
    await database.close()
    audit = await company.forecast().AuditForecast(pb.AuditForecastRequest(), timeout=20)
    assert not audit.consistent
    kinds = {difference.kind for difference in audit.differences}
    assert kinds == {
        pb.AuditDifference.DEAL_DIFFERS,
        pb.AuditDifference.STAGE_DIFFERS,
        pb.AuditDifference.FIGURE_DIFFERS,
    }
    (differs,) = (each for each in audit.differences if each.kind == pb.AuditDifference.DEAL_DIFFERS)
    assert (differs.field, differs.recomputed, differs.forecast) == ("amount", "10.00", "11.00")


async def test_an_emptied_forecast_is_filled_again_from_history(company: Company) -> None:
    await hire(company)
    won = await company.deal("bob", "5", close=date(2030, 6, 30))
    await company.win(won, date(2030, 6, 1), "6")
    await company.settled()
    before = await company.ask("2030-06")
    database = await company.stack.connect("forecast", as_owner=True)
    await database.execute("TRUNCATE data.deal_versions, data.progress")
    await database.close()
    assert (await company.ask("2030-06")).figures().deals == 0
    forecast = company.stack.services["forecast"]
    await replay(
        "forecast", "opportunities", company.stack.tenant, database=forecast.database,
        subscriptions=forecast.service.subscriptions, peers=forecast.peers, clock=company.stack.clock,
    )  # fmt: skip
    assert (await company.ask("2030-06")).nodes == before.nodes
    assert (await company.forecast().AuditForecast(pb.AuditForecastRequest())).consistent


async def test_only_some_may_audit(company: Company) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await company.forecast("manager").AuditForecast(pb.AuditForecastRequest())
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_an_audit_is_not_confused_by_what_happens_meanwhile(company: Company) -> None:
    for number in range(20):
        await company.deal(amount=str(number), close=date(2030, 6, 30))
    done = asyncio.Event()

    async def bustle() -> None:
        number = 0
        while not done.is_set():
            number += 1
            deal = await company.deal(amount=str(number), close=date(2030, 6, 30))
            await company.win(deal, date(2030, 6, 1))

    busy = asyncio.create_task(bustle())
    for _ in range(5):
        audit = await company.forecast().AuditForecast(pb.AuditForecastRequest(), timeout=20)
        assert audit.consistent, audit.differences
    done.set()
    await busy


class Screen:
    """Somebody who follows a forecast."""

    def __init__(self, company: Company, by: str) -> None:
        self.by = by
        self.nodes: dict[str, pb.ForecastNode] = {}
        request = pb.StreamForecastRequest(
            periods=["2030-Q1..2030-Q3"], group_by=pb.Forecast.GroupBy.Value(by)
        )
        self.stream = aiter(company.forecast().StreamForecast(request, timeout=60))

    async def take(self) -> None:
        """Takes the next change in."""
        change = await anext(self.stream)
        for id in list(self.nodes) if change.reset else change.removed_node_ids:
            del self.nodes[id]
        self.nodes.update({node.id: node for node in change.forecast.nodes})


async def test_a_stream_sends_the_forecast_and_then_what_changes(company: Company) -> None:
    await hire(company)
    stream = company.forecast().StreamForecast(pb.StreamForecastRequest(periods=["2030-06"]), timeout=30)
    first = await anext(aiter(stream))
    assert first.reset
    assert len(first.forecast.nodes) == 6
    deal = await company.deal("ray", "5", close=date(2030, 6, 30))
    change = await anext(aiter(stream))
    assert not change.reset
    assert {node.name for node in change.forecast.nodes} == {"All", "Head", "Ann", "Ray"}
    assert change.forecast.watermarks
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    await anext(aiter(stream))
    await company.deal("zoe", "1")
    undated = await anext(aiter(stream))
    assert company.id("zoe") in {node.id for node in undated.forecast.nodes}
    stream.cancel()


async def test_what_a_stream_sends_adds_up_to_the_forecast(company: Company) -> None:
    await hire(company)
    await company.territory("west", "", "ann", "ray")
    screens = [Screen(company, by) for by in TREES]
    for screen in screens:
        await screen.take()
    choose = random.Random(7)
    deals = [
        await company.deal(
            "ray", "9", close=date(2030, 6, 30), lines=[("this", "1", "5"), ("that", "2", "2")]
        )
    ]
    for number in range(25):
        name, day = choose.choice(["head", "ann", "ray", "zoe", ""]), date(2030, choose.randint(1, 9), 5)
        match choose.randint(0, 3):
            case 0:
                deals.append(
                    await company.deal(name, str(number), close=day, currency=choose.choice(["EUR", "CHF"]))
                )
            case 1 if name:
                deal = deals_pb.Opportunity(owner_id=company.id(name), close_date=day_of(day))
                request_to_change = deals_pb.UpdateOpportunityRequest(id=deals[-1].id, opportunity=deal)
                await company.deals().UpdateOpportunity(request_to_change)
            case 2 if len(deals) > 1:
                await company.win(deals.pop(0), day)
            case 3 if number == 12:
                await company.reports("bob", "ann")
    await company.settled()
    for screen in screens:
        expected = (await company.ask("2030-Q1..2030-Q3", by=screen.by)).nodes
        async with asyncio.timeout(20):
            while screen.nodes != expected:
                await screen.take()


async def test_a_node_that_is_gone_is_said(company: Company) -> None:
    deal = await company.deal("ray", "5", close=date(2030, 6, 30))
    await company.settled()
    stream = company.forecast().StreamForecast(pb.StreamForecastRequest(periods=["2030-06"]), timeout=30)
    await anext(aiter(stream))
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    assert list((await anext(aiter(stream))).removed_node_ids) == [company.id("ray")]
    stream.cancel()


async def test_a_stream_goes_on_from_its_cursor(company: Company) -> None:
    await hire(company)
    request = pb.StreamForecastRequest(periods=["2030-06"])
    stream = company.forecast().StreamForecast(request, timeout=30)
    request.cursor = (await anext(aiter(stream))).cursor
    stream.cancel()
    again = company.forecast().StreamForecast(request, timeout=30)
    await company.deal("bob", "5", close=date(2030, 6, 30))
    change = await anext(aiter(again))
    assert not change.reset  # it was there already
    assert company.id("bob") in {node.id for node in change.forecast.nodes}
    again.cancel()
    late = company.forecast().StreamForecast(request, timeout=30)
    missed = await anext(aiter(late))  # what has happened since, and nothing else
    assert not missed.reset
    assert {node.name for node in missed.forecast.nodes} == {"All", "Head", "Bob"}
    late.cancel()


async def test_a_won_amount_is_counted_as_it_was_won(company: Company) -> None:
    deal = await company.deal(close=date(2030, 6, 30), lines=[("this", "1", "100"), ("that", "1", "50")])
    await company.win(deal, date(2030, 6, 1), "30")
    await company.settled()
    forecast = await company.ask("2030-06", by="PRODUCT")
    assert value(forecast.figures(company.id("this")).alone.closed.amount) == 20
    assert value(forecast.figures().alone.closed.amount) == value(money("30"))
