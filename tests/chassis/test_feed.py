"""The change feed of a real service: what a replica needs to stay equal to what its holder may see."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from sfa.feed.v1 import feed_pb2 as pb
from sfa.feed.v1 import feed_pb2_grpc
from sfa.opportunities.v1 import events_pb2, opportunities_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.call import Call
from chassis.client import Peers
from chassis.database import Database
from chassis.ids import new_id
from chassis.replay import replay
from chassis.subscriptions import Received, Subscriptions
from tests.chassis.events import write
from tests.eventually import eventually
from tests.stack import Stack

UPSERTED, DELETED, LEFT = pb.Change.UPSERTED, pb.Change.DELETED, pb.Change.LEFT_SIGHT


@pytest.fixture
async def service(stack: Stack) -> Stack:
    await stack.start("opportunities")
    return stack


def feed(service: Stack, role: str = "rep", **claims: Any) -> feed_pb2_grpc.FeedServiceAsyncStub:
    return feed_pb2_grpc.FeedServiceStub(service.channel("opportunities", role, **claims))


def deals(
    service: Stack, role: str = "rep", **claims: Any
) -> opportunities_pb2_grpc.OpportunityServiceAsyncStub:
    return opportunities_pb2_grpc.OpportunityServiceStub(service.channel("opportunities", role, **claims))


async def create(service: Stack, title: str = "Roof", **who: Any) -> deals_pb.Opportunity:
    request = deals_pb.CreateOpportunityRequest(opportunity=deals_pb.Opportunity(name=title))
    return await deals(service, **who).CreateOpportunity(request)


async def give(service: Stack, deal: deals_pb.Opportunity, owner: str) -> None:
    request = deals_pb.UpdateOpportunityRequest(
        id=deal.id,
        opportunity=deals_pb.Opportunity(owner_id=str(service.callers.user(owner))),
        update_mask=FieldMask(paths=["owner_id"]),
    )
    await deals(service, "operations").UpdateOpportunity(request)


async def changes(
    service: Stack,
    cursor: str = "",
    *,
    size: int = 0,
    entities: Sequence[str] = ("opportunity",),
    at_once: bool = False,
    **who: Any,
) -> pb.ListChangesResponse:
    if not at_once:
        await nobody_is_writing(service)
    request = pb.ListChangesRequest(cursor=cursor, entities=entities, page_size=size)
    return await feed(service, **who).ListChanges(request)


async def nobody_is_writing(service: Stack) -> None:
    """Waits for whoever was writing anywhere in the cluster, another test for one: the feed does so too."""
    connection = await service.connect("opportunities")
    begun = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")

    async def have_ended() -> bool:
        running = await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return bool(running >= begun)

    await eventually(have_ended, "what was being written is written")
    await connection.close()


def said(answer: pb.ListChangesResponse) -> dict[str, pb.Change.Kind.ValueType]:
    return {change.entity_id: change.kind for change in answer.changes}


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = ErrorInfo()
    status = rpc_status.from_call(caught.value)
    if status is not None:
        status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def test_it_says_what_is_new_what_changed_and_what_was_deleted(service: Stack) -> None:
    one, other = await create(service), await create(service)
    first = await changes(service)
    assert said(first) == {one.id: UPSERTED, other.id: UPSERTED}
    assert not first.has_more
    resource = deals_pb.Opportunity()
    assert first.changes[0].resource.Unpack(resource)
    assert resource == one
    assert said(await changes(service, first.cursor)) == {}
    await deals(service).DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=one.id))
    second = await changes(service, first.cursor)
    assert said(second) == {one.id: DELETED}
    await deals(service).UndeleteOpportunity(deals_pb.UndeleteOpportunityRequest(id=one.id))
    assert said(await changes(service, second.cursor)) == {one.id: UPSERTED}


async def test_what_is_given_away_leaves_one_sight_and_enters_another(service: Stack) -> None:
    deal = await create(service)
    mine, theirs, third = [(await changes(service, name=name)).cursor for name in ("rep", "other", "third")]
    await give(service, deal, "other")
    assert said(await changes(service, mine)) == {deal.id: LEFT}
    assert said(await changes(service, theirs, name="other")) == {deal.id: UPSERTED}
    assert said(await changes(service, third, name="third")) == {}, "nobody learns of what they never saw"


async def test_a_commit_that_overtakes_another_hides_nothing(service: Stack) -> None:
    tenant, early = service.tenant, new_id()
    connection = await service.connect("opportunities")
    slow = connection.transaction()
    await slow.start()
    await connection.execute(f"SET LOCAL app.tenant = '{tenant}'")
    position = await write(connection, early, 1)
    late = await create(service)
    during = await changes(service, at_once=True, role="operations")
    assert said(during) == {}, "what comes after the one that is still running has to wait for it"
    await slow.commit()
    after = await changes(service, during.cursor, role="operations")
    assert [change.entity_id for change in after.changes] == [str(early), late.id]
    assert position > 0
    await connection.close()


async def test_a_cursor_of_before_a_restore_is_answered_start_again(service: Stack) -> None:
    await create(service)
    cursor = (await changes(service)).cursor
    owner = await service.connect("opportunities", as_owner=True)
    await owner.execute("UPDATE app.incarnation SET number = number + 1")
    await owner.close()
    refused = grpc.StatusCode.FAILED_PRECONDITION, "CURSOR_FROM_ANOTHER_INCARNATION"
    assert await refusal(changes(service, cursor)) == refused
    assert len((await changes(service)).changes) == 1


@pytest.mark.parametrize("cursor", ["x", "!!", "MS4yLjM", "\u2603", "A" * 200])
async def test_a_cursor_that_is_none_is_refused(service: Stack, cursor: str) -> None:
    assert await refusal(changes(service, cursor)) == (grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")


async def test_a_cursor_of_another_tenant_is_refused(service: Stack) -> None:
    cursor = (await changes(service)).cursor
    stranger = changes(service, cursor, tenant=new_id())
    assert await refusal(stranger) == (grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")


async def test_records_that_may_not_be_read_are_not_in_the_feed(service: Stack) -> None:
    await create(service)
    blind = frozenset({"events.read"})
    assert said(await changes(service, entities=(), permissions=blind)) == {}
    unknown = grpc.StatusCode.INVALID_ARGUMENT, "ENTITY_UNKNOWN"
    assert await refusal(changes(service, permissions=blind)) == unknown
    assert await refusal(changes(service, entities=("secret",))) == unknown


async def test_a_change_of_whom_one_looks_after_is_said_once_and_not_record_by_record(service: Stack) -> None:
    manager, rep = service.callers.user("manager"), service.callers.user("rep")
    first = await changes(service, role="manager")
    assert list(first.sight.owner_ids) == [str(manager)]
    assert not (await changes(service, first.cursor, role="manager")).HasField("sight")
    connection = await service.connect("opportunities", as_owner=True)
    now = service.clock.now()
    await connection.execute(
        "INSERT INTO data.sight_members (tenant_id, viewer_id, member_id, valid_from, valid_to)"
        " VALUES ($1, $2, $3, $4, $5)",
        service.tenant, manager, rep, now - timedelta(days=1), now + timedelta(days=1),
    )  # fmt: skip
    await connection.close()
    # nobody heard of identity: what is known of reporting lines counts as fresh only where it was
    service.services["opportunities"].eventing.freshness.sources = frozenset()
    widened = await changes(service, first.cursor, role="manager")
    assert set(widened.sight.owner_ids) == {str(manager), str(rep)}
    assert (await changes(service, role="operations")).sight.all


async def test_a_replica_that_follows_the_feed_equals_what_its_holder_may_see(service: Stack) -> None:
    dice = random.Random(20_26)
    made = [await create(service)]
    replica: dict[str, deals_pb.Opportunity] = {}
    cursor, all_seeing = "", deals(service, "operations")

    async def follow(pages: int) -> bool:
        nonlocal cursor
        for _ in range(pages):
            answer = await changes(service, cursor, size=dice.randint(1, 7), name="rep")
            cursor = answer.cursor
            for change in answer.changes:
                replica.pop(change.entity_id, None)
                if change.kind == UPSERTED:
                    change.resource.Unpack(replica.setdefault(change.entity_id, deals_pb.Opportunity()))
            if not answer.has_more:
                return True
        return False

    async def act() -> None:
        what = dice.random()
        if what < 0.4:
            made.append(await create(service, "New", name=dice.choice(["rep", "other"])))
            return
        deal = dice.choice(made)
        # a deal may be deleted, or be changed by the other one at the same moment
        with contextlib.suppress(grpc.aio.AioRpcError):
            if what < 0.7:
                await give(service, deal, dice.choice(["rep", "other"]))
            elif what < 0.85:
                await all_seeing.DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
            else:
                await all_seeing.UndeleteOpportunity(deals_pb.UndeleteOpportunityRequest(id=deal.id))

    for _ in range(40):
        # acting and following at the same time, as it happens outside
        await asyncio.gather(act(), act(), follow(2))
    while not await follow(10):
        pass
    listed = await deals(service, name="rep").ListOpportunities(
        deals_pb.ListOpportunitiesRequest(page_size=500)
    )
    assert replica == {deal.id: deal for deal in listed.opportunities}
    assert len(replica) > 3


async def test_history_comes_whole_in_order_and_can_be_gone_on_with(service: Stack) -> None:
    made = [await create(service, f"Roof {number}") for number in range(3)]
    await give(service, made[0], "other")
    history = feed(service, "operations")
    parts = [part async for part in history.StreamHistory(pb.StreamHistoryRequest())]
    events = [event for part in parts for event in part.events if event.entity == "opportunity"]
    assert [(event.entity_id, event.version) for event in events] == [(deal.id, 1) for deal in made] + [
        (made[0].id, 2)
    ]
    assert events[0].type == "sfa.opportunities.v1.OpportunityCreated"
    assert events_pb2.OpportunityCreated.FromString(events[0].event).opportunity == made[0]
    assert parts[-1].is_complete
    only = pb.StreamHistoryRequest(types=["sfa.opportunities.v1.OpportunityUpdated"])
    assert [len(part.events) async for part in history.StreamHistory(only)] == [1, 0]
    await create(service)
    rest = [part async for part in history.StreamHistory(pb.StreamHistoryRequest(cursor=parts[-1].cursor))]
    assert [len(part.events) for part in rest] == [1, 0]


async def test_only_who_sees_all_reads_the_history_of_all(service: Stack) -> None:
    reading = feed(service, "rep").StreamHistory(pb.StreamHistoryRequest())
    refused = await refusal(anext(aiter(reading)))
    assert refused == (grpc.StatusCode.PERMISSION_DENIED, "HISTORY_NEEDS_FULL_SIGHT")


async def test_a_projection_is_rebuilt_from_the_owners_history(service: Stack) -> None:
    made = [await create(service, f"Roof {number}") for number in range(5)]
    subscriptions, seen = Subscriptions(), list[Received]()

    @subscriptions.on(events_pb2.OpportunityCreated)
    async def handle(events: Sequence[Received], call: Call) -> None:
        assert call.caller.actor == "service:forecast"
        seen.extend(events)

    place = await service.postgres.clone("forecast")
    database = await Database.connect(place.url)
    peers = Peers(
        {"opportunities": service.address("opportunities")},
        token_source=service.callers.token_source("forecast"),
    )
    try:
        number = await replay(
            "forecast", "opportunities", service.tenant, database=database, subscriptions=subscriptions, peers=peers,
            clock=service.clock,
        )  # fmt: skip
    finally:
        await peers.close()
        await database.close()
        await service.postgres.drop(place)
    assert number == 5
    assert [event.message.opportunity for event in seen] == made
    assert all(event.tenant == service.tenant and event.source == "opportunities" for event in seen)
