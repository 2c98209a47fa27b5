"""The pipeline board: every deal converted, rounded, then added; as it is and as it was at any instant."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from sfa.opportunities.v1 import metrics_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.convert import money_of, money_to_proto
from chassis.money import Money as Amount
from services.forecast.domain.currencies import Rate, Rates, rounded
from tests.conftest import Join
from tests.opportunities.sales import Sales, day_of, euros

OPEN_STAGES = ("Contact", "Qualification", "Shared vision", "Negotiation")
CHANCES = {"Contact": 5, "Qualification": 10, "Shared vision": 50, "Negotiation": 75}


@pytest.fixture
async def sales(shared: Join) -> AsyncIterator[Sales]:
    team = await Sales.of(await shared("opportunities"))
    yield team
    await team.close()


def now(sales: Sales) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(sales.stack.clock.now())
    return result


async def board(
    sales: Sales, role: str = "operations", name: str | None = None, **asked: Any
) -> pb.PipelineBoard:
    return await sales.metrics(role, name=name).GetPipelineBoard(
        pb.GetPipelineBoardRequest(id=sales.pipeline, **asked)
    )


def columns(found: pb.PipelineBoard) -> dict[str, pb.BoardStage]:
    return {stage.name: stage for stage in found.stages}


def worth(money: Money) -> Decimal:
    return money_of(money, "amount").amount


async def test_slips_count_up_to_the_instant_asked_about(sales: Sales) -> None:
    await sales.tenant("EUR")
    deal = await sales.deal(at="2026-02-01", close_date=day_of(date(2026, 4, 1)))
    deal = await sales.change(deal, at="2026-02-10", close_date=day_of(date(2026, 5, 1)))
    await sales.change(deal, at="2026-03-10", close_date=day_of(date(2026, 6, 1)))
    await sales.stack.settled()
    then = Timestamp()
    then.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))

    async def slips(**asked: Any) -> tuple[int, str]:
        (top,) = columns(await board(sales, **asked))["Contact"].top_deals
        request = pb.GetPipelineMetricsRequest(group_by=pb.SLIPS, **asked)
        (group,) = (await sales.metrics().GetPipelineMetrics(request)).groups
        return top.slips, group.key

    assert await slips() == (2, "2")
    assert await slips(effective_as_of=then) == (1, "1")


async def test_the_board_shows_every_stage_with_its_deals_in_one_call(sales: Sales) -> None:
    await sales.tenant("EUR")
    today = sales.stack.clock.now().date()
    for name, units, stage in (
        ("A", 100, "Contact"),
        ("B", 300, "Contact"),
        ("C", 200, "Contact"),
        ("D", 50, "Negotiation"),
    ):
        await sales.deal(name, stage=stage, amount=euros(units), close_date=day_of(today + timedelta(days=9)))
    await sales.deal("E", stage="Contact", close_date=day_of(today - timedelta(days=1)))
    won = await sales.deal("F", stage="Closing", amount=euros(70))
    await sales.win(won)
    old = await sales.deal("G", stage="Closing", amount=euros(1))
    day = day_of(today - timedelta(days=31))
    await sales.win(old, close_date=day)
    answer = await board(sales, top=2)
    assert [stage.name for stage in answer.stages][:2] == ["Contact", "Qualification"]
    contact = columns(answer)["Contact"]
    assert (contact.deals, contact.unpriced, contact.overdue, contact.probability) == (4, 1, 1, 5)
    assert (contact.amount, contact.weighted_amount) == (euros(600), euros(30))
    assert [(deal.name, deal.converted_amount) for deal in contact.top_deals] == [
        ("B", euros(300)),
        ("C", euros(200)),
    ]
    closed = columns(answer)["Won"]
    assert (closed.deals, closed.amount, closed.weighted_amount) == (1, euros(70), euros(0))
    assert columns(answer)["Lost"].deals == 0
    assert (answer.open_deals, answer.open_amount, answer.currency) == (5, euros(650), "EUR")
    assert answer.open_weighted_amount == euros(67, 500_000_000)
    narrow = await board(sales, close_to=day_of(today))
    assert columns(narrow)["Contact"].deals == 1


async def test_what_is_shown_of_a_deal_says_how_it_stands(sales: Sales) -> None:
    deal = await sales.deal(at="2026-03-01", amount=euros(100), close_date=day_of(date(2026, 4, 1)))
    await sales.change(deal, at="2026-03-10", close_date=day_of(date(2026, 5, 1)))
    await sales.move(deal, "Negotiation", at="2026-03-12")
    await sales.stack.settled()
    (shown,) = columns(await board(sales, currency="EUR"))["Negotiation"].top_deals
    assert (shown.id, shown.slips, shown.active_alerts) == (deal.id, 1, 3)
    assert shown.stage_enter_time.ToDatetime(UTC) == datetime(2026, 3, 12, tzinfo=UTC)


async def test_everybody_sees_the_board_of_the_deals_they_see(sales: Sales) -> None:
    await sales.deal("A", owner="ada", amount=euros(10))
    await sales.deal("B", owner="bob", amount=euros(5))
    own = columns(await board(sales, "rep", "ada", currency="EUR"))["Contact"]
    assert (own.deals, own.amount) == (1, euros(10))
    all_ = columns(await board(sales, currency="EUR"))["Contact"]
    assert (all_.deals, all_.amount) == (2, euros(15))
    chosen = await board(sales, currency="EUR", owner_ids=[str(sales.stack.callers.user("bob"))])
    assert columns(chosen)["Contact"].amount == euros(5)
    then = now(sales)
    await sales.stack.settled()
    seen = await board(sales, "rep", "ada", currency="EUR", as_of=then)
    assert columns(seen)["Contact"].amount == euros(10)


async def test_nothing_is_added_up_that_cannot_be_converted(sales: Sales) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await board(sales)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    await sales.tenant("EUR")
    await sales.deal("A", amount=euros(100))
    await sales.deal("B", amount=Money(currency_code="USD", units=1000))
    answer = await board(sales)
    contact = columns(answer)["Contact"]
    assert (contact.amount, contact.unconverted, contact.deals) == (euros(100), 1, 2)
    assert [(each.amount.currency_code, each.amount.units) for each in contact.by_currency] == [
        ("EUR", 100),
        ("USD", 1000),
    ]
    today = sales.stack.clock.now().date()
    (lacking,) = answer.missing_rates
    assert (lacking.from_currency, lacking.to_currency, lacking.date, lacking.deals) == (
        "USD",
        "EUR",
        day_of(today),
        1,
    )
    await sales.rate("USD", "EUR", "2020-01-01", "0.9")
    again = await board(sales)
    assert not again.missing_rates
    assert columns(again)["Contact"].amount == euros(1000)


async def test_a_corrected_rate_does_not_alter_what_was_answered_before(sales: Sales) -> None:
    await sales.tenant("EUR")
    await sales.rate("USD", "EUR", "2020-01-01", "0.9")
    deal = await sales.deal(amount=Money(currency_code="USD", units=100))
    await sales.stack.settled()
    before = now(sales)
    first = await board(sales, as_of=before)
    assert columns(first)["Contact"].amount == euros(90)
    await sales.rate("USD", "EUR", "2020-01-01", "0.8")
    await sales.change(deal, amount=Money(currency_code="USD", units=200))
    await sales.stack.settled()
    assert columns(await board(sales))["Contact"].amount == euros(160)
    assert columns(await board(sales, as_of=now(sales)))["Contact"].amount == euros(160)
    again = await board(sales, as_of=before)
    for answer in (first, again):
        answer.ClearField("watermark_time")
        answer.ClearField("is_open")
    assert again == first


async def test_the_board_can_be_seen_as_it_was_in_the_world(sales: Sales) -> None:
    deal = await sales.deal(at="2026-03-01", amount=euros(100))
    await sales.move(deal, "Negotiation", at="2026-03-10")
    await sales.win(deal, at="2026-03-20")
    await sales.stack.settled()

    async def at(day: int) -> dict[str, int]:
        when = Timestamp()
        when.FromDatetime(datetime(2026, 3, day, tzinfo=UTC))
        found = await board(sales, currency="EUR", effective_as_of=when)
        return {stage.name: stage.deals for stage in found.stages if stage.deals}

    assert [await at(day) for day in (2, 15, 25)] == [{"Contact": 1}, {"Negotiation": 1}, {"Won": 1}]
    ahead = Timestamp()
    ahead.FromDatetime(sales.stack.clock.now() + timedelta(days=1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await board(sales, currency="EUR", as_of=ahead)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_deals_of_a_stage_that_was_taken_out_count_where_they_go(sales: Sales) -> None:
    await sales.deal("A", stage="Qualification", amount=euros(100))
    await sales.deal("B", stage="Negotiation", amount=euros(7))
    pipelines = sales.pipelines()
    pipeline = (await pipelines.ListPipelines(deals_pb.ListPipelinesRequest())).pipelines[0]
    left = [stage for stage in pipeline.stages if stage.name != "Qualification"]
    mapping = deals_pb.MigratePipelineRequest.Mapping(
        from_stage_id=sales.stages["Qualification"], to_stage_id=sales.stages["Negotiation"]
    )
    await pipelines.MigratePipeline(
        deals_pb.MigratePipelineRequest(
            id=pipeline.id, pipeline=deals_pb.Pipeline(stages=left), stage_map=[mapping]
        )
    )

    async def shown() -> tuple[int, int, list[str]]:  # whether they have moved by now or not
        found = columns(await board(sales, currency="EUR"))["Negotiation"]
        assert found.weighted_amount == euros(80, 250_000_000)
        return found.deals, found.amount.units, [deal.name for deal in found.top_deals]

    assert await shown() == (2, 107, ["A", "B"])
    await sales.stack.settled()
    assert await shown() == (2, 107, ["A", "B"])


async def test_sums_are_those_of_every_deal_converted_and_rounded_by_itself(sales: Sales) -> None:
    chance = random.Random(7)
    today = sales.stack.clock.now().date()
    await sales.tenant("EUR")
    rates = []
    for source, target in (("USD", "EUR"), ("GBP", "EUR"), ("JPY", "EUR"), ("USD", "GBP")):
        for days in (0, 40, 400):
            rate = Decimal(chance.randint(1, 10**9)) / 10 ** chance.randint(6, 9)
            day = today - timedelta(days=days)
            await sales.rate(source, target, day.isoformat(), f"{rate:f}")
            rates.append(Rate(source, target, day, rate))
    known = Rates("EUR", rates)
    rows, expected = [], []
    for number in range(150):
        currency = chance.choice(["EUR", "USD", "GBP", "JPY", "KWD"])
        amount = Decimal(chance.randint(0, 10**8)).scaleb(-chance.choice([0, 1, 2]))
        booked, closes = (
            today - timedelta(days=chance.randint(0, 60)),
            today - timedelta(days=chance.randint(0, 25)),
        )
        stage = chance.choice((*OPEN_STAGES, "Won"))
        booked = min(booked, closes)
        deal = deals_pb.Opportunity(
            name=f"D{number}", stage_id=sales.stages[stage], amount=money_to_proto(Amount(amount, currency)),
            close_date=day_of(closes),
        )  # fmt: skip
        row = deals_pb.BatchUpsertOpportunitiesRequest.Row(opportunity=deal)
        row.effective_time.FromDatetime(datetime.combine(booked, datetime.min.time(), UTC))
        rows.append(row)
        expected.append((stage, Amount(amount, currency), booked, closes))
    answer = await sales.deals().BatchUpsertOpportunities(
        deals_pb.BatchUpsertOpportunitiesRequest(rows=rows, skip_gates=True)
    )
    assert not [result.error for result in answer.results if result.error]
    await sales.stack.settled()
    for target in ("EUR", "GBP", "JPY", "USD"):
        for policy in (pb.CLOSE, pb.BOOKING, pb.TODAY):
            sums: dict[str, Decimal] = defaultdict(Decimal)
            weighted: dict[str, Decimal] = defaultdict(Decimal)
            missing: dict[str, int] = defaultdict(int)
            for stage, money, booked, closes in expected:
                day = {pb.BOOKING: booked, pb.TODAY: today}.get(policy, closes if stage == "Won" else today)
                factor = known.factor(money.currency, target, day)
                if factor is None:
                    missing[stage] += 1
                    continue
                converted = rounded(money.amount * factor, target)
                sums[stage] += converted
                weighted[stage] += rounded(converted * CHANCES.get(stage, 0) / 100, target)
            for at in (None, now(sales)):
                found = await board(sales, currency=target, rate_policy=policy, as_of=at)
                for name, column in columns(found).items():
                    assert worth(column.amount) == sums[name], (target, policy, name)
                    assert worth(column.weighted_amount) == weighted[name]
                    assert column.unconverted == missing[name]
                assert sum(each.deals for each in found.missing_rates) == sum(missing.values())
