"""The leads service over gRPC, on a real database."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1 import ownership_pb2
from sfa.api.v1.channels_pb2 import Email, Phone
from sfa.api.v1.ownership_pb2_grpc import OwnershipServiceStub
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.leads.v1 import leads_pb2 as pb
from sfa.leads.v1 import leads_pb2_grpc as stubs

from chassis.ids import new_id
from tests.conftest import Join
from tests.stack import Stack


@pytest.fixture
async def service(shared: Join) -> Stack:
    return await shared("leads")


def leads(service: Stack, role: str | None = None, **claims: Any) -> stubs.LeadServiceAsyncStub:
    return stubs.LeadServiceStub(service.channel("leads", role, **claims))


def queues(service: Stack, role: str = "operations", **claims: Any) -> stubs.QueueServiceAsyncStub:
    return stubs.QueueServiceStub(service.channel("leads", role, **claims))


async def lead(service: Stack, role: str | None = None, **fields: Any) -> pb.Lead:
    made = pb.Lead(**{"company_name": "Acme", **fields})
    return await leads(service, role).CreateLead(pb.CreateLeadRequest(lead=made))


async def queue(service: Stack, *members: str) -> pb.Queue:
    ids = [str(service.callers.user(member)) for member in members]
    return await queues(service).CreateQueue(
        pb.CreateQueueRequest(queue=pb.Queue(name="Inbound", member_ids=ids))
    )


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """The status and the reason that a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info, status = ErrorInfo(), rpc_status.from_call(caught.value)
    assert status is not None, caught.value.details()
    status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def test_a_lead_comes_back_as_it_was_captured(service: Stack) -> None:
    made = await lead(
        service,
        given_name="Ada",
        family_name="Lovelace",
        title="Countess",
        website="https://acme.example/",
        source="Web",
        annual_revenue=Money(currency_code="EUR", units=12),
        estimated_amount=Money(currency_code="EUR", units=1000, nanos=500_000_000),
        estimated_close_date=Date(year=2027, month=3, day=1),
        phones=[Phone(number="+49 30 209300")],
        emails=[Email(address="ada@acme.example")],
        external_ids=[ExternalId(system="web", id="1")],
    )
    assert await leads(service).GetLead(pb.GetLeadRequest(id=made.id)) == made
    assert (made.state, made.owner_id) == (pb.Lead.NEW, str(service.callers.user()))


async def test_a_lead_goes_through_its_states_by_verbs(service: Stack) -> None:
    made = await lead(service)
    stub = leads(service)
    assert (await stub.WorkLead(pb.WorkLeadRequest(id=made.id))).state == pb.Lead.WORKING
    assert (await stub.QualifyLead(pb.QualifyLeadRequest(id=made.id))).state == pb.Lead.QUALIFIED
    given_up = await stub.DisqualifyLead(pb.DisqualifyLeadRequest(id=made.id, disqualify_reason="No budget"))
    assert (given_up.state, given_up.disqualify_reason) == (pb.Lead.DISQUALIFIED, "No budget")
    assert await refusal(stub.QualifyLead(pb.QualifyLeadRequest(id=made.id))) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "LEAD_ALREADY_DISQUALIFIED",
    )
    assert (await stub.RequalifyLead(pb.RequalifyLeadRequest(id=made.id))).state == pb.Lead.WORKING
    versions = (await stub.ListLeadVersions(pb.ListLeadVersionsRequest(id=made.id))).versions
    assert [version.event for version in versions] == [
        "LeadRequalified",
        "LeadDisqualified",
        "LeadQualified",
        "LeadWorkStarted",
        "LeadCreated",
    ]


async def test_state_and_owner_are_not_changed_by_an_update(service: Stack) -> None:
    made = await lead(service)
    for path in ("state", "owner_id"):
        request = pb.UpdateLeadRequest(id=made.id, lead=pb.Lead(), update_mask=FieldMask(paths=[path]))
        assert await refusal(leads(service).UpdateLead(request)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "UNKNOWN_FIELD",
        )
    changed = await leads(service).UpdateLead(pb.UpdateLeadRequest(id=made.id, lead=pb.Lead(title="CEO")))
    assert (changed.title, changed.company_name) == ("CEO", "Acme")


async def test_a_lead_about_nobody_is_refused(service: Stack) -> None:
    assert await refusal(lead(service, company_name="")) == (grpc.StatusCode.INVALID_ARGUMENT, "LEAD_UNNAMED")


async def test_the_members_of_a_queue_see_its_leads_and_take_them(service: Stack) -> None:
    inbound = await queue(service, "anne", "bert")
    made = await lead(service, "integration", queue_id=inbound.id)
    anne, carl = leads(service, "rep", name="anne"), leads(service, "rep", name="carl")
    assert made.owner_id == ""
    assert [each.id for each in (await anne.ListLeads(pb.ListLeadsRequest())).leads] == [made.id]
    assert [each.id for each in (await anne.SearchLeads(pb.SearchLeadsRequest(q="Acme"))).leads] == [made.id]
    assert not (await carl.ListLeads(pb.ListLeadsRequest())).leads
    assert (await refusal(carl.GetLead(pb.GetLeadRequest(id=made.id))))[0] == grpc.StatusCode.NOT_FOUND
    own = str(service.callers.user("anne"))
    taken = await anne.AssignLead(pb.AssignLeadRequest(id=made.id, owner_id=own))
    assert (taken.owner_id, taken.queue_id) == (own, inbound.id)
    bert = leads(service, "rep", name="bert")
    assert (await refusal(bert.GetLead(pb.GetLeadRequest(id=made.id))))[0] == grpc.StatusCode.NOT_FOUND
    back = await anne.AssignLead(pb.AssignLeadRequest(id=made.id, queue_id=inbound.id))
    assert back.owner_id == ""
    assert (await bert.GetLead(pb.GetLeadRequest(id=made.id))).id == made.id


async def test_a_rep_gives_leads_to_nobody_else(service: Stack) -> None:
    made = await lead(service)
    request = pb.AssignLeadRequest(id=made.id, owner_id=str(service.callers.user("anne")))
    assert await refusal(leads(service).AssignLead(request)) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "OWNER_OUT_OF_SIGHT",
    )
    assert (await leads(service, "operations").AssignLead(request)).owner_id == request.owner_id


async def test_a_queue_has_a_name_of_its_own_and_is_deleted_when_it_is_empty(service: Stack) -> None:
    inbound = await queue(service, "anne")
    assert await refusal(queue(service)) == (grpc.StatusCode.ALREADY_EXISTS, "QUEUE_NAME_TAKEN")
    made = await lead(service, "operations", queue_id=inbound.id)
    delete = pb.DeleteQueueRequest(id=inbound.id)
    assert (await refusal(queues(service).DeleteQueue(delete)))[1] == "QUEUE_NOT_EMPTY"
    own = str(service.callers.user("anne"))
    await leads(service, "operations").AssignLead(pb.AssignLeadRequest(id=made.id, owner_id=own))
    await queues(service).DeleteQueue(delete)
    assert not (await queues(service).ListQueues(pb.ListQueuesRequest())).queues
    assert (await refusal(lead(service, queue_id=inbound.id)))[1] == "QUEUE_NOT_FOUND"
    assert (await queue(service)).name == "Inbound"


async def test_queues_are_changed_by_operations_only(service: Stack) -> None:
    inbound = await queue(service)
    change = pb.UpdateQueueRequest(id=inbound.id, queue=pb.Queue(name="Outbound"))
    assert (await refusal(queues(service, "rep").UpdateQueue(change)))[0] == grpc.StatusCode.PERMISSION_DENIED
    assert (await queues(service).UpdateQueue(change)).name == "Outbound"


async def test_a_batch_brings_leads_to_the_states_that_its_rows_say(service: Stack) -> None:
    def row(id: str, **fields: Any) -> pb.BatchUpsertLeadsRequest.Row:
        made = pb.Lead(company_name=f"Acme {id}", external_ids=[ExternalId(system="crm", id=id)], **fields)
        return pb.BatchUpsertLeadsRequest.Row(lead=made)

    request = pb.BatchUpsertLeadsRequest(
        rows=[
            row("1"),
            row("2", state=pb.Lead.QUALIFIED),
            row("3", state=pb.Lead.DISQUALIFIED, disqualify_reason="No budget"),
            row("4", state=pb.Lead.DISQUALIFIED),
            row("5", state=pb.Lead.CONVERTED),
        ]
    )
    results = (await leads(service, "integration").BatchUpsertLeads(request)).results
    created, rejected, unchanged = RowResult.CREATED, RowResult.REJECTED, RowResult.UNCHANGED
    assert [result.outcome for result in results] == [created, created, created, rejected, rejected]
    assert [result.reason for result in results[3:]] == [
        "DISQUALIFY_REASON_MISSING",
        "CONVERSION_NOT_IMPORTABLE",
    ]
    keys = [ExternalId(system="crm", id=id) for id in "123"]
    found = await leads(service, "operations").BatchGetLeads(pb.BatchGetLeadsRequest(external_ids=keys))
    assert [each.state for each in found.leads] == [pb.Lead.NEW, pb.Lead.QUALIFIED, pb.Lead.DISQUALIFIED]
    again = (await leads(service, "integration").BatchUpsertLeads(request)).results
    assert [result.outcome for result in again] == [unchanged, unchanged, unchanged, rejected, rejected]


async def test_leads_are_filtered_by_their_fields(service: Stack) -> None:
    await lead(service, company_name="Acme", source="Web")
    other = await lead(service, company_name="Betasoloin", emails=[Email(address="hi@beta.example")])
    await leads(service).WorkLead(pb.WorkLeadRequest(id=other.id))
    for text, names in (
        ('source = "Web"', ["Acme"]),
        ("state = WORKING", ["Betasoloin"]),
        ('emails.address:"hi@beta.example"', ["Betasoloin"]),
    ):
        listed = await leads(service).ListLeads(pb.ListLeadsRequest(filter=text))
        assert [each.company_name for each in listed.leads] == names


async def test_a_leavers_open_leads_go_to_a_queue_and_back_and_decided_ones_stay(service: Stack) -> None:
    inbound = await queue(service, "anne")
    leaver = str(service.callers.user())
    first, second, given_up = [await lead(service) for _ in range(3)]
    await leads(service).DisqualifyLead(
        pb.DisqualifyLeadRequest(id=given_up.id, disqualify_reason="No budget")
    )
    ownership = OwnershipServiceStub(service.channel("leads", "administrator"))
    counted = (await ownership.CountOwned(ownership_pb2.CountOwnedRequest(owner_id=leaver))).counts
    assert [(each.entity, each.open, each.closed, each.accepts_queue) for each in counted] == [
        ("lead", 2, 1, True)
    ]
    there = ownership_pb2.TransferOwnedRequest(
        operation_id=str(new_id()),
        entity="lead",
        from_owner_id=leaver,
        to_queue_id=inbound.id,
        request_id="there",
    )
    moved = await ownership.TransferOwned(there)
    assert [each.id for each in moved.moved] == [first.id, second.id]
    waiting = (await leads(service, "rep", name="anne").ListLeads(pb.ListLeadsRequest())).leads
    assert {each.id for each in waiting} == {first.id, second.id}
    back = ownership_pb2.TransferOwnedRequest(
        operation_id=str(new_id()), entity="lead", from_queue_id=inbound.id, to_owner_id=leaver, request_id="back",
        ids=[first.id],
    )  # fmt: skip
    assert [each.id for each in (await ownership.TransferOwned(back)).moved] == [first.id]
    assert (await leads(service).GetLead(pb.GetLeadRequest(id=first.id))).owner_id == leaver
