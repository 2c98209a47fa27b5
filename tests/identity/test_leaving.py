"""Somebody leaves: their tokens end at once, and their open records go to somebody else, and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation
from sfa.identity.v1 import auth_pb2, auth_pb2_grpc
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.leads.v1 import leads_pb2, leads_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2, opportunities_pb2_grpc

from services.identity.deactivation import Ownerships
from tests.eventually import eventually
from tests.identity.conftest import Company, Refused

KEEPERS = ("contacts", "leads", "opportunities", "quotes")


@pytest.fixture
async def everybody(company: Company) -> Company:
    """All services that keep records, and two reps: Anna leaves, Bert stays."""
    await company.stack.start(*KEEPERS)
    await company.stack.settled()
    await company.user("anna", email="anna@example.com")
    await company.user("bert")
    return company


def deals(company: Company, role: str = "operations", **claims: Any) -> Any:
    return opportunities_pb2_grpc.OpportunityServiceStub(
        company.stack.channel("opportunities", role, **claims)
    )


def leads(company: Company, role: str = "operations", **claims: Any) -> Any:
    return leads_pb2_grpc.LeadServiceStub(company.stack.channel("leads", role, **claims))


async def give(company: Company, owner: str, count: int) -> list[str]:
    """Open deals of somebody; their ids."""
    row = opportunities_pb2.BatchUpsertOpportunitiesRequest.Row
    owner_id = str(company.stack.callers.user(owner))
    ids = []
    for start in range(0, count, 500):
        rows = [
            row(opportunity=opportunities_pb2.Opportunity(name=f"Deal {number}", owner_id=owner_id))
            for number in range(start, min(start + 500, count))
        ]
        answer = await deals(company).BatchUpsertOpportunities(
            opportunities_pb2.BatchUpsertOpportunitiesRequest(rows=rows)
        )
        ids += [result.id for result in answer.results]
    return ids


async def owners(company: Company) -> dict[str, int]:
    """How many deals each owns."""
    names = {str(company.stack.callers.user(name)): name for name in ("anna", "bert", "carl")}
    connection = await company.stack.connect("opportunities", as_owner=True)
    try:
        rows = await connection.fetch("SELECT owner_id, count(*) FROM data.opportunities GROUP BY owner_id")
        return {names[str(row[0])]: row[1] for row in rows}
    finally:
        await connection.close()


async def deactivate(company: Company, **request: Any) -> Operation:
    return await company.users.DeactivateUser(
        pb.DeactivateUserRequest(id=str(company.stack.callers.user("anna")), **request)
    )


async def finished(company: Company, operation: Operation) -> pb.Deactivation:
    found = pb.Deactivation()
    operation.metadata.Unpack(found)

    async def is_finished() -> bool:
        found.CopyFrom(await company.users.GetDeactivation(pb.GetDeactivationRequest(id=found.id)))
        return found.state in (pb.Deactivation.DONE, pb.Deactivation.UNDONE)

    await eventually(is_finished, "the deactivation's end", 30)
    return found


async def test_a_preview_counts_what_would_move_and_what_would_stay(everybody: Company) -> None:
    ids = await give(everybody, "anna", 5)
    await deals(everybody).WinOpportunity(opportunities_pb2.WinOpportunityRequest(id=ids[0]))
    anna, bert = (str(everybody.stack.callers.user(name)) for name in ("anna", "bert"))
    await everybody.lines.CreateReportingLine(
        pb.CreateReportingLineRequest(reporting_line=pb.ReportingLine(user_id=bert, manager_id=anna))
    )
    preview = await everybody.users.PreviewDeactivation(pb.PreviewDeactivationRequest(id=anna))
    counts = {part.count.entity: (part.service, part.count.open, part.count.closed) for part in preview.parts}
    assert counts["opportunity"] == ("opportunities", 4, 1)
    assert {"account", "contact", "lead", "quote"} <= set(counts)
    assert preview.direct_reports == 1


async def test_open_records_move_closed_ones_stay_and_undoing_brings_exactly_those_back(
    everybody: Company,
) -> None:
    bert = str(everybody.stack.callers.user("bert"))
    ids = await give(everybody, "anna", 1203)
    await give(everybody, "bert", 7)
    await deals(everybody).WinOpportunity(opportunities_pb2.WinOpportunityRequest(id=ids[0]))
    operation = await deactivate(everybody, successor_id=bert)
    assert not operation.done
    done = await finished(everybody, operation)
    assert await owners(everybody) == {"anna": 1, "bert": 1202 + 7}
    assert [(part.moved, part.remaining) for part in done.parts if part.entity == "opportunity"] == [
        (1202, 0)
    ]
    moved = await deals(everybody).ListOpportunityVersions(
        opportunities_pb2.ListOpportunityVersionsRequest(id=ids[1])
    )
    assert moved.versions[0].event == "OpportunityUpdated"
    assert list(moved.versions[0].changed_fields) == ["owner_id"]

    # What was decided or given away since stays where it is.
    await deals(everybody).WinOpportunity(opportunities_pb2.WinOpportunityRequest(id=ids[1]))
    await deals(everybody).UpdateOpportunity(
        opportunities_pb2.UpdateOpportunityRequest(
            id=ids[2],
            opportunity=opportunities_pb2.Opportunity(owner_id=str(everybody.stack.callers.user("carl"))),
        )
    )
    undoing = await everybody.users.UndoDeactivation(pb.UndoDeactivationRequest(id=done.id))
    undone = await finished(everybody, undoing)
    assert undone.state == pb.Deactivation.UNDONE
    assert await owners(everybody) == {"anna": 1 + 1200, "bert": 7 + 1, "carl": 1}
    anna = await everybody.users.GetUser(pb.GetUserRequest(id=str(everybody.stack.callers.user("anna"))))
    assert anna.active
    async with Refused("NOT_UNDOABLE", grpc.StatusCode.FAILED_PRECONDITION):
        await everybody.users.UndoDeactivation(pb.UndoDeactivationRequest(id=done.id))


async def test_open_records_need_a_successor_who_is_there(everybody: Company) -> None:
    await give(everybody, "anna", 3)
    async with Refused("SUCCESSOR_MISSING", grpc.StatusCode.FAILED_PRECONDITION):
        await deactivate(everybody)
    async with Refused("USER_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await deactivate(everybody, successor_id=str(UUID(int=5)))
    async with Refused("SUCCESSOR_IS_SAME"):
        await deactivate(everybody, successor_id=str(everybody.stack.callers.user("anna")))
    anna = await everybody.users.GetUser(pb.GetUserRequest(id=str(everybody.stack.callers.user("anna"))))
    assert anna.active


async def test_somebody_without_open_records_leaves_at_once(everybody: Company) -> None:
    operation = await deactivate(everybody)
    assert operation.done
    user = pb.User()
    operation.response.Unpack(user)
    assert not user.active
    assert await deactivate(everybody) == operation
    async with Refused("USER_INACTIVE", grpc.StatusCode.FAILED_PRECONDITION):
        await deactivate(everybody, successor_id=str(everybody.stack.callers.user("bert")))
    await everybody.users.ReactivateUser(pb.ReactivateUserRequest(id=user.id))


async def test_the_last_administrator_does_not_leave(everybody: Company) -> None:
    async with Refused("LAST_ADMINISTRATOR", grpc.StatusCode.FAILED_PRECONDITION):
        await everybody.users.DeactivateUser(
            pb.DeactivateUserRequest(id=str(everybody.stack.callers.user("ada")))
        )


async def test_a_leaver_is_refused_everywhere_and_does_not_come_back_with_an_old_token(
    everybody: Company,
) -> None:
    anna = str(everybody.stack.callers.user("anna"))
    sessions = auth_pb2_grpc.SessionServiceStub(
        everybody.stack.channel("identity", "administrator", name="ada")
    )
    await sessions.SetPassword(auth_pb2.SetPasswordRequest(id=anna, new_password="another good password"))
    tokens = await everybody.sign_in("anna@example.com", "another good password")
    await deactivate(everybody)
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await everybody.refresh(tokens.refresh_token)
    async with Refused("SIGN_IN_REFUSED"):
        await everybody.sign_in("anna@example.com", "another good password")
    await everybody.users.ReactivateUser(pb.ReactivateUserRequest(id=anna))
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await everybody.refresh(tokens.refresh_token)
    await everybody.sign_in("anna@example.com", "another good password")


async def test_leads_go_to_the_queue_and_come_back(everybody: Company) -> None:
    queues = leads_pb2_grpc.QueueServiceStub(everybody.stack.channel("leads", "operations"))
    queue = await queues.CreateQueue(leads_pb2.CreateQueueRequest(queue=leads_pb2.Queue(name="Inbound")))
    anna = str(everybody.stack.callers.user("anna"))
    lead = await leads(everybody).CreateLead(
        leads_pb2.CreateLeadRequest(
            lead=leads_pb2.Lead(company_name="Acme", family_name="Low", owner_id=anna)
        )
    )
    done = await finished(everybody, await deactivate(everybody, queue_id=queue.id))
    moved = await leads(everybody).GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    assert (moved.owner_id, moved.queue_id) == ("", queue.id)
    await finished(everybody, await everybody.users.UndoDeactivation(pb.UndoDeactivationRequest(id=done.id)))
    back = await leads(everybody).GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    assert back.owner_id == anna


async def test_a_service_that_is_away_is_waited_for(everybody: Company) -> None:
    await give(everybody, "anna", 3)
    await everybody.stack.stop("opportunities")
    async with Refused("KEEPER_AWAY", grpc.StatusCode.UNAVAILABLE):
        await deactivate(everybody)
    operation = await deactivate(everybody, successor_id=str(everybody.stack.callers.user("bert")))
    user = await everybody.users.GetUser(pb.GetUserRequest(id=str(everybody.stack.callers.user("anna"))))
    assert not user.active  # at once, whoever is away
    await everybody.stack.start("opportunities")
    await finished(everybody, operation)
    assert await owners(everybody) == {"bert": 3}


async def test_identity_goes_on_where_it_was_after_a_restart(everybody: Company) -> None:
    await give(everybody, "anna", 1100)
    operation = await deactivate(everybody, successor_id=str(everybody.stack.callers.user("bert")))
    await everybody.stack.stop("identity")
    await everybody.start()
    done = await finished(everybody, operation)
    assert [part.moved for part in done.parts if part.entity == "opportunity"] == [1100]
    assert await owners(everybody) == {"bert": 1100}


async def test_a_step_whose_answer_was_lost_is_neither_made_twice_nor_forgotten(
    everybody: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks right after the records have moved; then the whole is undone."""
    await give(everybody, "anna", 600)
    transfer = Ownerships.transfer
    lost: list[int] = []

    async def losing(self: Ownerships, service: str, request: Any) -> Any:
        answer = await transfer(self, service, request)
        if service == "opportunities" and len(lost) < 2:
            lost.append(len(answer.moved))
            raise ConnectionResetError("the answer was lost")
        return answer

    monkeypatch.setattr(Ownerships, "transfer", losing)
    operation = await deactivate(everybody, successor_id=str(everybody.stack.callers.user("bert")))
    started = pb.Deactivation()
    operation.metadata.Unpack(started)
    await eventually(lambda: bool(lost), "a lost answer")
    undone = await finished(
        everybody, await everybody.users.UndoDeactivation(pb.UndoDeactivationRequest(id=started.id))
    )
    assert await owners(everybody) == {"anna": 600}
    assert [(part.moved, part.moved_back) for part in undone.parts if part.entity == "opportunity"] == [
        (500, 500)
    ]
