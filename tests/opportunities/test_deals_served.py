"""What a deal is made of, over gRPC on a real database: who sees it, what it is found by, how deals merge and
split exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.feed.v1 import feed_pb2, feed_pb2_grpc
from sfa.opportunities.v1 import deals_pb2 as parts
from sfa.opportunities.v1 import events_pb2 as events
from sfa.opportunities.v1 import merging_pb2, merging_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2_grpc as stubs

from chassis.ids import new_id
from tests.eventually import eventually
from tests.stack import Stack

JOINED = pb.ListOpportunitiesRequest.JOINED
REVENUE, OVERLAY = parts.Split.REVENUE, parts.Split.OVERLAY
READ, EDIT = parts.TeamMember.READ, parts.TeamMember.EDIT

if TYPE_CHECKING:
    Deals = stubs.OpportunityServiceAsyncStub


@pytest.fixture
async def service(shared: Callable[..., Awaitable[Stack]]) -> Stack:
    return await shared("opportunities")


def deals(service: Stack, role: str | None = None, **claims: Any) -> Deals:
    return stubs.OpportunityServiceStub(service.channel("opportunities", role, **claims))


def merging(service: Stack, role: str | None = None, **claims: Any) -> Any:
    return merging_pb2_grpc.OpportunityMergingServiceStub(service.channel("opportunities", role, **claims))


def euros(units: int, cents: int = 0) -> Money:
    return Money(currency_code="EUR", units=units, nanos=cents * 10_000_000)


def cents_of(money: Money) -> int:
    return int(money.units * 100 + money.nanos // 10_000_000)


async def make(stub: Deals, **fields: Any) -> pb.Opportunity:
    fields.setdefault("name", "Roof")
    return await stub.CreateOpportunity(pb.CreateOpportunityRequest(opportunity=pb.Opportunity(**fields)))


async def update(stub: Deals, id: str, *paths: str, **fields: Any) -> pb.Opportunity:
    return await stub.UpdateOpportunity(
        pb.UpdateOpportunityRequest(
            id=id, opportunity=pb.Opportunity(**fields), update_mask=FieldMask(paths=paths)
        )
    )


async def listed(stub: Deals, filter: str = "", scope: Any = 0) -> list[str]:
    answer = await stub.ListOpportunities(pb.ListOpportunitiesRequest(filter=filter, scope=scope))
    return [deal.id for deal in answer.opportunities]


async def refusal(call: Awaitable[Any]) -> str:
    """The reason that a call is refused for."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    info = ErrorInfo()
    if status is None:
        return caught.value.code().name
    status.details[0].Unpack(info)
    return info.reason or caught.value.code().name


async def test_everything_that_a_deal_may_have_comes_back_as_it_was_sent(service: Stack) -> None:
    stub = deals(service)
    ann, bob, contact = (str(new_id()) for _ in range(3))
    sent = pb.Opportunity(
        name="Roof",
        amount=euros(100, 1),
        next_step="Call",
        next_step_date=Date(year=2026, month=4, day=1),
        team=[parts.TeamMember(user_id=ann, role="Engineer", access=EDIT)],
        splits=[
            parts.Split(user_id=ann, type=REVENUE, percent="33.3333"),
            parts.Split(user_id=bob, type=REVENUE, percent="66.6667"),
            parts.Split(user_id=bob, type=OVERLAY, percent="100"),
        ],
        contact_roles=[
            parts.ContactRole(contact_id=contact, role=parts.ContactRole.CHAMPION, is_primary=True)
        ],
        tags=["Big Deal"],
        custom_dates=[parts.CustomDate(name="Contract ends", date=Date(year=2027, month=1, day=31))],
        win_reason="Service",
    )
    made = await make(stub, **{field.name: value for field, value in sent.ListFields()})
    assert [cents_of(split.amount) for split in made.splits] == [3334, 6667, 10001]
    assert (list(made.tags), list(made.contact_ids)) == (["big deal"], [contact])
    for name in ("team", "contact_roles", "custom_dates", "next_step_date", "win_reason"):
        assert getattr(made, name) == getattr(sent, name)
    assert await stub.GetOpportunity(pb.GetOpportunityRequest(id=made.id)) == made
    cleared = await update(stub, made.id, "splits", "team", "tags", "next_step_date", "win_reason")
    assert [*cleared.splits, *cleared.team, *cleared.tags] == []
    assert not cleared.HasField("next_step_date")


async def test_the_amounts_of_splits_follow_the_deals_amount(service: Stack) -> None:
    stub = deals(service)
    users = [str(new_id()) for _ in range(3)]
    thirds = [
        parts.Split(user_id=user, type=REVENUE, percent=percent)
        for user, percent in zip(users, ("33.33", "33.33", "33.34"), strict=True)
    ]
    made = await make(stub, splits=thirds)
    assert not any(split.HasField("amount") for split in made.splits)
    priced = await update(stub, made.id, "amount", amount=euros(0, 2))
    assert sum(cents_of(split.amount) for split in priced.splits) == 2


async def test_the_history_names_what_was_changed_and_reads_every_close_date(service: Stack) -> None:
    stub = deals(service)
    days = [Date(year=2026, month=month, day=1) for month in (4, 5, 6)]
    made = await make(stub, close_date=days[0])
    for day in days[1:]:
        await update(stub, made.id, "close_date", close_date=day)
    await update(stub, made.id, "tags", "team", tags=["x"], team=[parts.TeamMember(user_id=str(new_id()))])
    answer = await stub.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=made.id))
    assert list(answer.versions[0].changed_fields) == ["tags", "team"]
    dated = [
        each
        for each in reversed(answer.versions)
        if "close_date" in each.changed_fields or each.event.endswith("Created")
    ]
    assert [each.opportunity.close_date for each in dated] == days


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"splits": [("a", REVENUE, "99")]}, "REVENUE_SPLITS_INCOMPLETE"),
        ({"splits": [("a", REVENUE, "50"), ("a", REVENUE, "50")]}, "SPLIT_TWICE"),
        ({"splits": [("a", OVERLAY, "100.1")]}, "INVALID_REQUEST"),
        ({"splits": [("a", OVERLAY, "-1")]}, "INVALID_REQUEST"),
        ({"tags": [" "]}, "TAG_EMPTY"),
        ({"forecast_category": pb.CLOSED}, "INVALID_REQUEST"),
    ],
)
async def test_bad_input_is_refused(service: Stack, fields: dict[str, Any], reason: str) -> None:
    user = str(new_id())
    if "splits" in fields:
        fields = {
            "splits": [
                parts.Split(user_id=user, type=kind, percent=percent) for _, kind, percent in fields["splits"]
            ]
        }
    assert await refusal(make(deals(service), **fields)) == reason


async def test_deals_are_found_by_tag_member_contact_and_next_step(service: Stack) -> None:
    stub = deals(service, "operations")
    user, contact = str(new_id()), str(new_id())
    tagged = await make(stub, tags=["renewal", "ö b"])
    manned = await make(stub, team=[parts.TeamMember(user_id=user)])
    known = await make(stub, contact_roles=[parts.ContactRole(contact_id=contact)])
    dated = await make(stub, next_step_date=Date(year=2026, month=1, day=2))
    assert await listed(stub, 'tags:"renewal"') == [tagged.id]
    assert await listed(stub, 'tags:"ö b" AND tags:renewal') == [tagged.id]
    assert await listed(stub, f'team.user_id:"{user}"') == [manned.id]
    assert await listed(stub, f'contact_roles.contact_id:"{contact}"') == [known.id]
    assert await listed(stub, 'next_step_date < "2026-02-01"') == [dated.id]
    assert await listed(stub, "tags:*") == [tagged.id]
    assert set(await listed(stub, "NOT tags:renewal")) == {manned.id, known.id, dated.id}


# The team


async def test_the_team_sees_the_deal_and_nobody_else_does(service: Stack) -> None:
    ann, bob, carl = (deals(service, name=name) for name in ("ann", "bob", "carl"))
    bobs = str(service.callers.user("bob"))
    deal = await make(ann, team=[parts.TeamMember(user_id=bobs)])
    await make(ann)
    assert (await bob.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))).id == deal.id
    assert await refusal(carl.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))) == "NOT_FOUND"
    assert (await listed(bob), await listed(bob, scope=JOINED)) == ([], [deal.id])
    assert await listed(bob, 'name = "Cellar"', JOINED) == []
    assert await listed(carl, scope=JOINED) == []
    assert len(await listed(ann)) == 2
    await update(ann, deal.id, "team")
    assert await refusal(bob.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))) == "NOT_FOUND"


async def test_whoever_has_a_split_sees_the_deal(service: Stack) -> None:
    bobs = str(service.callers.user("bob"))
    deal = await make(
        deals(service, name="ann"), splits=[parts.Split(user_id=bobs, type=OVERLAY, percent="10")]
    )
    assert await listed(deals(service, name="bob"), scope=JOINED) == [deal.id]


async def test_a_member_changes_the_deal_only_where_that_is_allowed_and_never_whose_it_is(
    service: Stack,
) -> None:
    ann, bob = deals(service, name="ann"), deals(service, name="bob")
    bobs = str(service.callers.user("bob"))
    deal = await make(ann, team=[parts.TeamMember(user_id=bobs, access=READ)])
    assert await refusal(update(bob, deal.id, "next_step", next_step="x")) == "DEAL_ONLY_READABLE"
    await update(ann, deal.id, "team", team=[parts.TeamMember(user_id=bobs, access=EDIT)])
    assert (await update(bob, deal.id, "next_step", next_step="x")).next_step == "x"
    share = parts.Split(user_id=bobs, type=REVENUE, percent="100")
    for reserved in (
        update(bob, deal.id, "splits", splits=[share]),
        update(bob, deal.id, "team"),
        update(bob, deal.id, "owner_id", owner_id=bobs),
        bob.DeleteOpportunity(pb.DeleteOpportunityRequest(id=deal.id)),
    ):
        assert await refusal(reserved) == "RESERVED_TO_OWNER"


async def test_a_member_hears_of_the_deal_as_long_as_it_is_on_the_team(service: Stack) -> None:
    ann = deals(service, name="ann")
    feed = feed_pb2_grpc.FeedServiceStub(service.channel("opportunities", name="bob"))
    bobs = str(service.callers.user("bob"))
    cursor = ""
    heard: list[tuple[str, int]] = []

    async def hears() -> bool:
        """Something new: a moment late, where somebody else is still writing."""
        nonlocal cursor
        request = feed_pb2.ListChangesRequest(entities=["opportunity"], cursor=cursor)
        answer = await feed.ListChanges(request)
        cursor = answer.cursor
        heard[:] = [(each.entity_id, each.kind) for each in answer.changes]
        return bool(heard)

    await hears()
    deal = await make(ann, team=[parts.TeamMember(user_id=bobs)])
    await eventually(hears, "the member hears of the deal")
    assert heard == [(deal.id, feed_pb2.Change.UPSERTED)]
    await update(ann, deal.id, "team")
    await eventually(hears, "the member hears that it is gone")
    assert heard == [(deal.id, feed_pb2.Change.LEFT_SIGHT)]


# Merging and splitting


async def test_merged_deals_are_one_and_the_event_says_so(service: Stack) -> None:
    stub = deals(service)
    survivor, other = await make(stub, amount=euros(100)), await make(stub, amount=euros(50, 5), tags=["x"])
    request = merging_pb2.MergeOpportunitiesRequest(id=survivor.id, merged_ids=[other.id], etag=survivor.etag)
    merged = await merging(service).MergeOpportunities(request)
    assert (merged.amount, list(merged.tags), list(merged.merged_from_ids)) == (
        euros(150, 5),
        ["x"],
        [other.id],
    )
    assert await listed(stub) == [survivor.id]
    gone = await stub.GetOpportunity(pb.GetOpportunityRequest(id=other.id))
    assert (gone.merged_into_id, gone.HasField("delete_time")) == (survivor.id, True)
    assert gone.update_time == merged.update_time  # whoever looks back sees both or neither
    for id in (survivor.id, other.id):
        version = (await stub.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=id))).versions[0]
        assert version.event == "OpportunityMerged"
    undelete = stub.UndeleteOpportunity(pb.UndeleteOpportunityRequest(id=other.id))
    assert await refusal(undelete) == "MERGED_AWAY"


async def test_a_merge_is_carried_out_once_however_often_it_is_asked_for(service: Stack) -> None:
    stub = deals(service)
    survivor, other = await make(stub, amount=euros(100)), await make(stub, amount=euros(50))
    request = merging_pb2.MergeOpportunitiesRequest(id=survivor.id, merged_ids=[other.id], request_id="key")
    answers = await asyncio.gather(*(merging(service).MergeOpportunities(request) for _ in range(5)))
    assert {each.SerializeToString(deterministic=True) for each in answers} == {
        answers[0].SerializeToString(deterministic=True)
    }
    assert (answers[0].etag, answers[0].amount) == ("2", euros(150))
    request.request_id = "another"
    assert await refusal(merging(service).MergeOpportunities(request)) == "NOT_FOUND"


async def test_two_who_merge_one_deal_into_theirs_do_not_both_get_its_amount(service: Stack) -> None:
    stub = deals(service)
    first, second, wanted = [await make(stub, amount=euros(100)) for _ in range(3)]

    async def merge(id: str) -> int:
        request = merging_pb2.MergeOpportunitiesRequest(id=id, merged_ids=[wanted.id])
        try:
            return int((await merging(service).MergeOpportunities(request)).amount.units)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017  # one of the two, whichever
            return 0

    assert sorted(await asyncio.gather(merge(first.id), merge(second.id))) == [0, 200]
    left = await stub.ListOpportunities(pb.ListOpportunitiesRequest())
    assert sorted(deal.amount.units for deal in left.opportunities) == [100, 200]


async def test_a_deal_of_somebody_else_is_not_merged(service: Stack) -> None:
    mine, theirs = await make(deals(service, name="ann")), await make(deals(service, name="bob"))
    request = merging_pb2.MergeOpportunitiesRequest(id=mine.id, merged_ids=[theirs.id])
    assert await refusal(merging(service, name="ann").MergeOpportunities(request)) == "NOT_FOUND"


async def test_a_split_makes_deals_whose_first_event_is_the_split(service: Stack) -> None:
    stub = deals(service)
    whole = await make(stub, amount=euros(100), tags=["x"])
    east, west = (str(new_id()) for _ in range(2))
    request = merging_pb2.SplitOpportunityRequest(
        id=whole.id,
        parts=[
            merging_pb2.SplitOpportunityRequest.Part(id=east, name="East", amount=euros(30)),
            merging_pb2.SplitOpportunityRequest.Part(id=west, name="West", amount=euros(20)),
        ],
        request_id="key",
    )
    answers = await asyncio.gather(*(merging(service).SplitOpportunity(request) for _ in range(4)))
    assert {(each.etag, each.amount.units, tuple(each.split_into_ids)) for each in answers} == {
        ("2", 50, (east, west))
    }
    part = await stub.GetOpportunity(pb.GetOpportunityRequest(id=east))
    assert (part.name, part.amount, part.split_from_id, list(part.tags)) == (
        "East",
        euros(30),
        whole.id,
        ["x"],
    )
    assert part.update_time == answers[0].update_time
    version = (await stub.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=east))).versions[0]
    assert (version.event, part.etag) == ("OpportunitySplit", "1")
    assert len(await listed(stub)) == 3


async def test_what_is_split_off_does_not_go_to_anybody(service: Stack) -> None:
    whole = await make(deals(service, name="ann"), amount=euros(100))
    part = merging_pb2.SplitOpportunityRequest.Part(name="East", amount=euros(1), owner_id=str(new_id()))
    request = merging_pb2.SplitOpportunityRequest(id=whole.id, parts=[part])
    assert await refusal(merging(service, name="ann").SplitOpportunity(request)) == "OWNER_OUT_OF_SIGHT"


async def test_each_part_has_an_id_of_its_own(service: Stack) -> None:
    whole = await make(deals(service), amount=euros(100))
    for ids in ([whole.id], [str(new_id())] * 2):
        made = [merging_pb2.SplitOpportunityRequest.Part(id=id, name="P", amount=euros(1)) for id in ids]
        request = merging_pb2.SplitOpportunityRequest(id=whole.id, parts=made)
        assert await refusal(merging(service).SplitOpportunity(request)) == "PART_TWICE"


async def test_the_events_say_what_was_merged_and_split(service: Stack) -> None:
    stub = deals(service, "operations")
    whole = await make(stub, amount=euros(100))
    part = merging_pb2.SplitOpportunityRequest.Part(name="East", amount=euros(30))
    split = await merging(service, "operations").SplitOpportunity(
        merging_pb2.SplitOpportunityRequest(id=whole.id, parts=[part])
    )
    (east,) = split.split_into_ids
    await merging(service, "operations").MergeOpportunities(
        merging_pb2.MergeOpportunitiesRequest(id=whole.id, merged_ids=[east])
    )
    feed = feed_pb2_grpc.FeedServiceStub(service.channel("opportunities", "operations"))
    types = [
        each.DESCRIPTOR.full_name
        for each in (events.OpportunityCreated, events.OpportunitySplit, events.OpportunityMerged)
    ]
    heard: list[tuple[str, str, bytes]] = []

    async def hears_all() -> bool:
        """A moment late, where somebody else is still writing."""
        heard[:] = [
            (each.type.rpartition(".")[2], each.entity_id, each.event)
            async for answer in feed.StreamHistory(feed_pb2.StreamHistoryRequest(types=types))
            for each in answer.events
        ]
        return len(heard) >= 5

    await eventually(hears_all, "everything is told")
    assert [(name, id) for name, id, _ in heard] == [
        ("OpportunityCreated", whole.id),
        ("OpportunitySplit", whole.id),
        ("OpportunitySplit", east),
        ("OpportunityMerged", whole.id),
        ("OpportunityMerged", east),
    ]
    of_part, of_merged = events.OpportunitySplit(), events.OpportunityMerged()
    of_part.ParseFromString(heard[2][2])
    of_merged.ParseFromString(heard[4][2])
    assert (of_part.original_id, list(of_part.part_ids)) == (whole.id, [east])
    assert (of_merged.surviving_id, list(of_merged.merged_ids)) == (whole.id, [east])


@pytest.mark.parametrize("seed", range(3))
async def test_the_sum_of_all_deals_stays_whatever_is_merged_and_split(service: Stack, seed: int) -> None:
    chance = random.Random(seed)  # a test's choice
    stub, merger = deals(service), merging(service)
    cents = [chance.randint(1, 10**6) for _ in range(4)]
    for each in cents:
        await make(stub, amount=euros(each // 100, each % 100))

    async def there() -> list[pb.Opportunity]:
        return list((await stub.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities)

    for _ in range(12):
        found = await there()
        deal, other = chance.choice(found), chance.choice(found)
        part = cents_of(deal.amount) * chance.randint(1, 99) // 100
        if deal.id != other.id and chance.random() < 0.5:
            await merger.MergeOpportunities(
                merging_pb2.MergeOpportunitiesRequest(id=deal.id, merged_ids=[other.id])
            )
        elif part > 0:
            request = merging_pb2.SplitOpportunityRequest(id=deal.id)
            request.parts.add(name="Part", amount=euros(part // 100, part % 100))
            await merger.SplitOpportunity(request)
        assert sum(cents_of(deal.amount) for deal in await there()) == sum(cents)
