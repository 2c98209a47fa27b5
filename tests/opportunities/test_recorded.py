"""What is kept of events is the same whatever the order that they come in and however often they come."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.opportunities.v1 import events_pb2, metrics_pb2
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.envelope import Received
from chassis.ids import new_id
from chassis.subscriptions import service_call
from services.opportunities import keeping
from tests.conftest import Join
from tests.opportunities.sales import Sales, day_of, euros

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def sales(shared: Join) -> AsyncIterator[Sales]:
    team = await Sales.of(await shared("opportunities"))
    yield team
    await team.close()


def life(sales: Sales, chance: random.Random) -> list[Received]:
    """The events of one deal: it is made, changed, moved and in the end closed."""
    id, names = new_id(), list(sales.stages)
    deal = pb.Opportunity(id=str(id), name="D", pipeline_id=sales.pipeline, state=pb.Opportunity.OPEN)
    deal.stage_id = sales.stages["Contact"]
    result = []
    for version in range(1, 9):
        before = deal.stage_id
        event: Any
        if version == 1:
            event = events_pb2.OpportunityCreated()
        elif version == 8:
            event = events_pb2.OpportunityWon(from_stage_id=before)
            deal.stage_id, deal.state = sales.stages["Won"], pb.Opportunity.WON
        elif chance.random() < 0.5:
            deal.stage_id = sales.stages[chance.choice(names[:6])]
            event = events_pb2.OpportunityMoved(from_stage_id=before)
        else:
            deal.amount.CopyFrom(euros(chance.randint(1, 999)))
            deal.close_date.CopyFrom(day_of(date(2026, 3, 1) + timedelta(days=chance.randint(0, 60))))
            event = events_pb2.OpportunityUpdated()
        event.opportunity.CopyFrom(deal)
        at = BEGIN + timedelta(days=version)
        result.append(received(sales, id, event, version, at, at - timedelta(hours=chance.randint(0, 50))))
    return result


def received(sales: Sales, id: UUID, event: Any, version: int, at: datetime, effective: datetime) -> Received:
    return Received(
        message=event, type=event.DESCRIPTOR.full_name, source="opportunities", tenant=sales.stack.tenant,
        entity="opportunity", entity_id=id, version=version, recorded_at=at, effective_at=effective,
        actor="ada", via=None, id=str(new_id()), position=version, sequence=version, incarnation=1,
        traceparent=None,
    )  # fmt: skip


async def hear(sales: Sales, batches: Sequence[Sequence[Received]]) -> None:
    service = sales.stack.services["opportunities"]
    for batch in batches:
        async with service.database.transaction(sales.stack.tenant) as tx:
            call = service_call("opportunities", sales.stack.tenant, tx, sales.stack.clock, "test", None)
            await keeping.deal_changed(batch, call)


async def kept(database: asyncpg.Connection[asyncpg.Record], deal: UUID) -> tuple[list[Any], list[Any]]:
    versions = await database.fetch(
        "SELECT version, recorded_at, recorded_until, stage_id, amount FROM data.deal_versions"
        " WHERE id = $1 ORDER BY version", deal,
    )  # fmt: skip
    visits = await database.fetch(
        "SELECT version, entered_at, stage_id FROM data.stage_visits WHERE deal_id = $1 ORDER BY version",
        deal,
    )
    return [tuple(row) for row in versions], [tuple(row) for row in visits]


async def test_any_order_and_any_duplicates_leave_the_same(sales: Sales) -> None:
    database = await sales.stack.connect("opportunities", as_owner=True)
    try:
        for seed in range(12):
            chance = random.Random(seed)
            events = life(sales, chance)
            deal = events[0].entity_id
            shuffled = [*events, *chance.choices(events, k=5)]
            chance.shuffle(shuffled)
            cuts = sorted(chance.sample(range(1, len(shuffled)), 3))
            batches = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
            await hear(sales, batches)
            versions, visits = await kept(database, deal)
            assert [row[0] for row in versions] == list(range(1, 9))
            assert [row[1] for row in versions] == [event.recorded_at for event in events]
            # each holds until the next one
            assert [row[2] for row in versions][:-1] == [event.recorded_at for event in events][1:]
            assert versions[-1][2].year == 9999
            moved = [
                (event.version, event.effective_at, UUID(event.message.opportunity.stage_id))
                for event in events
                if event.version == 1
                or getattr(event.message, "from_stage_id", event.message.opportunity.stage_id)
                != event.message.opportunity.stage_id
            ]
            assert visits == moved
            assert (
                await database.fetchval("SELECT count(*) FROM data.deal_watches WHERE deal_id = $1", deal)
                == 0
            )
    finally:
        await database.close()


async def test_the_board_as_of_now_is_the_board(sales: Sales) -> None:
    deals = [await sales.deal(f"D{number}", amount=euros(number)) for number in range(5)]
    await sales.move(deals[0], "Negotiation")
    await sales.deals().DeleteOpportunity(pb.DeleteOpportunityRequest(id=deals[1].id))
    await sales.lose(deals[2], "Price")
    await sales.stack.settled()
    now = Timestamp()
    now.FromDatetime(sales.stack.clock.now())
    live, then = [
        await sales.metrics().GetPipelineBoard(
            metrics_pb2.GetPipelineBoardRequest(id=sales.pipeline, currency="EUR", as_of=at)
        )
        for at in (None, now)
    ]
    assert list(live.stages) == list(then.stages)
    assert (live.is_open, live.open_deals) == (True, 3)
