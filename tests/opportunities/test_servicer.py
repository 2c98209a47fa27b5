"""The opportunities service over gRPC, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2_grpc as stubs

from chassis.ids import new_id
from tests.stack import Stack

OPEN, WON, LOST = pb.Opportunity.OPEN, pb.Opportunity.WON, pb.Opportunity.LOST


@pytest.fixture
async def service(stack: Stack) -> Stack:
    await stack.start("opportunities")
    return stack


def deals(service: Stack, role: str | None = None, **claims: Any) -> stubs.OpportunityServiceAsyncStub:
    return stubs.OpportunityServiceStub(service.channel("opportunities", role, **claims))


async def stages(service: Stack) -> dict[str, str]:
    pipelines = stubs.PipelineServiceStub(service.channel("opportunities"))
    answer = await pipelines.ListPipelines(pb.ListPipelinesRequest())
    return {stage.name: stage.id for stage in answer.pipelines[0].stages}


def create(name: str = "Roof", **fields: Any) -> pb.CreateOpportunityRequest:
    return pb.CreateOpportunityRequest(opportunity=pb.Opportunity(name=name, **fields))


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """The status and the reason that a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    info = ErrorInfo()
    if status is not None:
        status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def test_a_new_deal_belongs_to_its_maker_and_stands_in_the_first_stage(service: Stack) -> None:
    deal = await deals(service).CreateOpportunity(create())
    assert deal.owner_id == str(service.callers.user())
    assert deal.stage_id == (await stages(service))["Contact"]
    assert (deal.etag, deal.state) == ("1", OPEN)
    assert await deals(service).GetOpportunity(pb.GetOpportunityRequest(id=deal.id)) == deal


async def test_two_first_calls_of_a_new_tenant_do_not_get_into_each_others_way(service: Stack) -> None:
    made = await asyncio.gather(*(deals(service).CreateOpportunity(create()) for _ in range(4)))
    assert len({deal.pipeline_id for deal in made}) == 1


async def test_every_verb_makes_a_version_that_can_be_read_again(service: Stack) -> None:
    stub, stage = deals(service), await stages(service)
    deal = await stub.CreateOpportunity(create(amount=Money(currency_code="EUR", units=100)))
    await stub.MoveOpportunity(pb.MoveOpportunityRequest(id=deal.id, stage_id=stage["Negotiation"]))
    won = await stub.WinOpportunity(pb.WinOpportunityRequest(id=deal.id))
    assert (won.state, won.stage_id, won.etag) == (WON, stage["Won"], "3")
    open_ = await stub.ReopenOpportunity(pb.ReopenOpportunityRequest(id=deal.id))
    assert (open_.state, open_.stage_id) == (OPEN, stage["Negotiation"])
    await stub.LoseOpportunity(pb.LoseOpportunityRequest(id=deal.id, lost_reason="Price"))
    history = await stub.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=deal.id, page_size=3))
    assert [version.event for version in history.versions] == [
        "OpportunityLost",
        "OpportunityReopened",
        "OpportunityWon",
    ]
    assert "stage_id" in history.versions[0].changed_fields
    rest = await stub.ListOpportunityVersions(
        pb.ListOpportunityVersionsRequest(id=deal.id, page_token=history.next_page_token)
    )
    assert [version.event for version in rest.versions] == ["OpportunityMoved", "OpportunityCreated"]
    assert rest.versions[-1].opportunity == deal


async def test_a_deal_can_be_read_as_it_was(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    await stub.UpdateOpportunity(
        pb.UpdateOpportunityRequest(id=deal.id, opportunity=pb.Opportunity(name="Cellar"))
    )
    then = await stub.GetOpportunity(pb.GetOpportunityRequest(id=deal.id, as_of=deal.update_time))
    assert then == deal
    before = Timestamp(seconds=deal.create_time.seconds - 1)
    code, _ = await refusal(stub.GetOpportunity(pb.GetOpportunityRequest(id=deal.id, as_of=before)))
    assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.caller(role="operations")
async def test_imported_history_is_true_at_its_own_time_and_recorded_now(service: Stack) -> None:
    stub, stage = deals(service), await stages(service)
    opened, closed = (Timestamp(seconds=seconds) for seconds in (1_480_000_000, 1_490_000_000))
    key = ExternalId(system="maven", id="1C1I7A6R")
    row = pb.BatchUpsertOpportunitiesRequest.Row(
        opportunity=pb.Opportunity(
            name="GTX",
            stage_id=stage["Won"],
            amount=Money(currency_code="USD", units=1054),
            external_ids=[key],
        ),
        effective_time=closed,
        history=[
            pb.BatchUpsertOpportunitiesRequest.Past(
                opportunity=pb.Opportunity(name="GTX", amount=Money(currency_code="USD", units=1096)),
                effective_time=opened,
            )
        ],
    )
    request = pb.BatchUpsertOpportunitiesRequest(rows=[row])
    first = (await stub.BatchUpsertOpportunities(request)).results[0]
    assert (first.outcome, first.etag) == (RowResult.CREATED, "2")
    again = (await stub.BatchUpsertOpportunities(request)).results[0]
    assert (again.outcome, again.id, again.etag) == (RowResult.UNCHANGED, first.id, "2")
    then = await stub.GetOpportunity(pb.GetOpportunityRequest(id=first.id, effective_as_of=opened))
    assert (then.state, then.amount.units) == (OPEN, 1096)
    now = await stub.GetOpportunity(pb.GetOpportunityRequest(id=first.id))
    assert (now.state, now.amount.units, now.effective_time, now.close_time) == (WON, 1054, closed, closed)
    assert now.update_time.seconds > closed.seconds


@pytest.mark.caller(role="operations")
async def test_a_rejected_row_does_not_stop_the_others(service: Stack) -> None:
    rows = [
        pb.BatchUpsertOpportunitiesRequest.Row(opportunity=pb.Opportunity(name=name, stage_id=stage))
        for name, stage in (("A", ""), ("", ""), ("B", str(new_id())), ("C", ""))
    ]
    answer = await deals(service).BatchUpsertOpportunities(pb.BatchUpsertOpportunitiesRequest(rows=rows))
    assert [result.outcome for result in answer.results] == [
        RowResult.CREATED,
        RowResult.REJECTED,
        RowResult.REJECTED,
        RowResult.CREATED,
    ]
    assert (answer.results[1].reason, answer.results[1].field) == ("NAME_MISSING", "opportunity.name")
    assert (answer.results[2].reason, answer.results[2].field) == ("STAGE_NOT_FOUND", "opportunity.stage_id")
    listed = await deals(service).ListOpportunities(pb.ListOpportunitiesRequest(order_by="name"))
    assert [deal.name for deal in listed.opportunities] == ["A", "C"]


@pytest.mark.caller(role="operations")
async def test_what_a_rejected_row_changed_is_not_written_by_a_later_one(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    rows = [
        pb.BatchUpsertOpportunitiesRequest.Row(
            opportunity=pb.Opportunity(id=deal.id, next_step="Lost with its row", stage_id=str(new_id()))
        ),
        pb.BatchUpsertOpportunitiesRequest.Row(opportunity=pb.Opportunity(id=deal.id, description="Kept")),
    ]
    answer = await stub.BatchUpsertOpportunities(pb.BatchUpsertOpportunitiesRequest(rows=rows))
    assert [result.outcome for result in answer.results] == [RowResult.REJECTED, RowResult.UPDATED]
    now = await stub.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))
    assert (now.next_step, now.description) == ("", "Kept")


@pytest.mark.caller(role="operations")
async def test_a_dry_run_says_what_would_happen_and_writes_nothing(service: Stack) -> None:
    row = pb.BatchUpsertOpportunitiesRequest.Row(opportunity=pb.Opportunity(name="A"))
    stub = deals(service)
    request = pb.BatchUpsertOpportunitiesRequest(rows=[row], validate_only=True)
    answer = await stub.BatchUpsertOpportunities(request)
    assert answer.results[0].outcome == RowResult.CREATED
    assert not (await stub.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities


async def test_a_rep_may_not_say_that_something_was_true_earlier(service: Stack) -> None:
    request = create()
    request.effective_time.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    code, reason = await refusal(deals(service).CreateOpportunity(request))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "HISTORY_NOT_ALLOWED")


@pytest.mark.caller(role="operations")
async def test_nothing_is_true_in_the_future_yet(service: Stack) -> None:
    request = create()
    request.effective_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    code, reason = await refusal(deals(service).CreateOpportunity(request))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "EFFECTIVE_TIME_IN_FUTURE")


async def test_the_mask_says_what_is_cleared(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create(next_step="Call", description="Old"))
    request = pb.UpdateOpportunityRequest(
        id=deal.id, opportunity=pb.Opportunity(description="New"), update_mask=FieldMask(paths=["next_step"])
    )
    changed = await stub.UpdateOpportunity(request)
    assert (changed.next_step, changed.description) == ("", "Old")
    request.update_mask.paths[:] = ["stage_id"]
    code, reason = await refusal(stub.UpdateOpportunity(request))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELD")


async def test_a_write_that_changes_nothing_makes_no_version(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    same = await stub.UpdateOpportunity(
        pb.UpdateOpportunityRequest(id=deal.id, opportunity=pb.Opportunity(name="Roof"))
    )
    assert same == deal


async def test_an_old_version_is_not_overwritten(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    change = pb.UpdateOpportunityRequest(
        id=deal.id, etag=deal.etag, opportunity=pb.Opportunity(name="Cellar")
    )
    await stub.UpdateOpportunity(change)
    change.opportunity.name = "Attic"
    assert await refusal(stub.UpdateOpportunity(change)) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_of_two_writers_with_one_etag_one_wins(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())

    async def rename(name: str) -> str:
        request = pb.UpdateOpportunityRequest(id=deal.id, etag="1", opportunity=pb.Opportunity(name=name))
        try:
            return (await stub.UpdateOpportunity(request)).name
        except grpc.aio.AioRpcError as error:
            return error.code().name

    outcomes = await asyncio.gather(*(rename(f"Name {number}") for number in range(8)))
    assert sorted(outcomes)[:7] == ["ABORTED"] * 7
    assert (await stub.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))).etag == "2"


async def test_writers_without_an_etag_are_all_served(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    await asyncio.gather(
        *(
            stub.UpdateOpportunity(pb.UpdateOpportunityRequest(id=deal.id, opportunity=change))
            for change in (
                pb.Opportunity(next_step="x"),
                pb.Opportunity(description="x"),
                pb.Opportunity(lost_reason="x"),
            )
        )
    )
    assert (await stub.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))).etag == "4"


async def test_one_idempotency_key_makes_one_deal_however_often_and_at_once(service: Stack) -> None:
    stub = deals(service)
    request = create()
    request.request_id = "key"
    answers = await asyncio.gather(*(stub.CreateOpportunity(request) for _ in range(8)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len((await stub.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities) == 1


async def test_a_key_with_another_body_is_refused(service: Stack) -> None:
    stub = deals(service)
    request = create()
    request.request_id = "key"
    deal = await stub.CreateOpportunity(request)
    request.opportunity.name = "Cellar"
    wanted = (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert await refusal(stub.CreateOpportunity(request)) == wanted
    update = pb.UpdateOpportunityRequest(
        id=deal.id, opportunity=pb.Opportunity(name="Cellar"), request_id="key"
    )
    await stub.UpdateOpportunity(update)
    await stub.UpdateOpportunity(update)
    update.opportunity.name = "Cellar "
    assert await refusal(stub.UpdateOpportunity(update)) == wanted


async def test_a_replay_is_answered_before_the_etag_is_looked_at(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    win = pb.WinOpportunityRequest(id=deal.id, etag=deal.etag, request_id="win")
    won = await stub.WinOpportunity(win)
    assert await stub.WinOpportunity(win) == won


async def test_a_refusal_stores_nothing_under_the_key(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    reopen = pb.ReopenOpportunityRequest(id=deal.id, request_id="key")
    assert (await refusal(stub.ReopenOpportunity(reopen)))[1] == "OPPORTUNITY_OPEN"
    await stub.WinOpportunity(pb.WinOpportunityRequest(id=deal.id))
    assert (await stub.ReopenOpportunity(reopen)).state == OPEN


async def test_a_batch_is_not_written_twice_under_one_key(service: Stack) -> None:
    stub = deals(service, "operations")
    request = pb.BatchUpsertOpportunitiesRequest(
        rows=[pb.BatchUpsertOpportunitiesRequest.Row(opportunity=pb.Opportunity(name="A"))], request_id="key"
    )
    first, second = [await stub.BatchUpsertOpportunities(request) for _ in range(2)]
    assert first == second
    assert len((await stub.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities) == 1


async def test_an_external_id_belongs_to_one_deal(service: Stack) -> None:
    stub = deals(service)
    key = ExternalId(system="erp", id="4711:a")
    deal = await stub.CreateOpportunity(create(external_ids=[key]))
    other = await refusal(stub.CreateOpportunity(create(external_ids=[key])))
    assert other == (grpc.StatusCode.ALREADY_EXISTS, "EXTERNAL_ID_TAKEN")
    await stub.UpdateOpportunity(
        pb.UpdateOpportunityRequest(
            id=deal.id, opportunity=pb.Opportunity(), update_mask=FieldMask(paths=["external_ids"])
        )
    )
    again = await stub.CreateOpportunity(create(external_ids=[key]))
    found = await stub.BatchGetOpportunities(pb.BatchGetOpportunitiesRequest(external_ids=[key]))
    assert [each.id for each in found.opportunities] == [again.id]


async def test_a_client_may_bring_its_own_id_once(service: Stack) -> None:
    id = str(new_id())
    assert (await deals(service).CreateOpportunity(create(id=id))).id == id
    assert (await refusal(deals(service).CreateOpportunity(create(id=id))))[1] == "ID_TAKEN"


async def test_a_rep_sees_own_deals_and_nobody_elses(service: Stack) -> None:
    mine, theirs = deals(service, name="ann"), deals(service, name="bob")
    deal = await mine.CreateOpportunity(create())
    assert (await refusal(theirs.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))))[0] is (
        grpc.StatusCode.NOT_FOUND
    )
    assert not (await theirs.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities
    code, _ = await refusal(theirs.WinOpportunity(pb.WinOpportunityRequest(id=deal.id)))
    assert code is grpc.StatusCode.NOT_FOUND
    everything = await deals(service, "operations").ListOpportunities(pb.ListOpportunitiesRequest())
    assert [each.id for each in everything.opportunities] == [deal.id]


async def test_a_rep_makes_no_deals_in_the_name_of_others(service: Stack) -> None:
    other = str(service.callers.user("bob"))
    code, reason = await refusal(deals(service, name="ann").CreateOpportunity(create(owner_id=other)))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "OWNER_OUT_OF_SIGHT")


async def test_another_tenant_sees_nothing(service: Stack) -> None:
    deal = await deals(service).CreateOpportunity(create())
    stranger = deals(service, "administrator", tenant=new_id())
    code, _ = await refusal(stranger.GetOpportunity(pb.GetOpportunityRequest(id=deal.id)))
    assert code is grpc.StatusCode.NOT_FOUND
    assert not (await stranger.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities


async def test_a_deleted_deal_leaves_the_list_and_comes_back(service: Stack) -> None:
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    await stub.DeleteOpportunity(pb.DeleteOpportunityRequest(id=deal.id))
    assert not (await stub.ListOpportunities(pb.ListOpportunitiesRequest())).opportunities
    shown = await stub.ListOpportunities(pb.ListOpportunitiesRequest(show_deleted=True))
    assert shown.opportunities[0].HasField("delete_time")
    assert (await stub.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))).HasField("delete_time")
    assert (await refusal(stub.WinOpportunity(pb.WinOpportunityRequest(id=deal.id))))[0] is (
        grpc.StatusCode.NOT_FOUND
    )
    back = await stub.UndeleteOpportunity(pb.UndeleteOpportunityRequest(id=deal.id))
    assert not back.HasField("delete_time")


async def test_lists_are_filtered_ordered_and_paged(service: Stack) -> None:
    stub = deals(service)
    for units in (3, 1, 2):
        await stub.CreateOpportunity(
            create(name=f"Deal {units}", amount=Money(currency_code="EUR", units=units))
        )
    request = pb.ListOpportunitiesRequest(
        page_size=1, order_by="amount desc", filter="state = OPEN AND amount < 3"
    )
    first = await stub.ListOpportunities(request)
    request.page_token = first.next_page_token
    second = await stub.ListOpportunities(request)
    assert [first.opportunities[0].name, second.opportunities[0].name] == ["Deal 2", "Deal 1"]
    assert not second.next_page_token
    request.filter = "state = WON"
    assert (await refusal(stub.ListOpportunities(request)))[1] == "PAGE_TOKEN_INVALID"


async def test_a_tenants_pipeline_can_be_changed_and_new_deals_follow(service: Stack) -> None:
    pipelines = stubs.PipelineServiceStub(service.channel("opportunities", "operations"))
    pipeline = (await pipelines.ListPipelines(pb.ListPipelinesRequest())).pipelines[0]
    stub = deals(service)
    deal = await stub.CreateOpportunity(create())
    changed = pb.Pipeline(stages=[stage for stage in pipeline.stages if stage.name != "Contact"])
    request = pb.UpdatePipelineRequest(id=pipeline.id, pipeline=changed)
    assert (await refusal(pipelines.UpdatePipeline(request)))[1] == "STAGE_IN_USE"
    stage = next(stage.id for stage in pipeline.stages if stage.name == "Closing")
    await stub.MoveOpportunity(pb.MoveOpportunityRequest(id=deal.id, stage_id=stage))
    await pipelines.UpdatePipeline(request)
    assert (await stub.CreateOpportunity(create())).stage_id == changed.stages[0].id
    rep = stubs.PipelineServiceStub(service.channel("opportunities"))
    assert (await refusal(rep.UpdatePipeline(request)))[0] is grpc.StatusCode.PERMISSION_DENIED
