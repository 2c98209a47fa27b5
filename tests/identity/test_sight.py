"""From a reporting line in identity to what a manager sees in another service."""

from __future__ import annotations

from typing import Any

from google.type.date_pb2 import Date
from sfa.identity.v1 import auth_pb2, auth_pb2_grpc
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2, opportunities_pb2_grpc

from tests.eventually import eventually
from tests.identity.conftest import SECRET, Company


async def signed_in(company: Company, name: str, role: pb.Role.ValueType) -> str:
    """A new user's id, who has a password."""
    user = await company.user(name, email=f"{name}@example.com", roles=[role])
    sessions = auth_pb2_grpc.SessionServiceStub(
        company.stack.channel("identity", "administrator", name="ada")
    )
    await sessions.SetPassword(auth_pb2.SetPasswordRequest(id=user.id, new_password=SECRET))
    return user.id


async def seen_by(company: Company, name: str) -> list[str]:
    """The names of the deals that somebody sees who signs in now."""
    tokens = await company.sign_in(f"{name}@example.com")
    deals = opportunities_pb2_grpc.OpportunityServiceStub(company.stack.bare_channel("opportunities"))
    request = opportunities_pb2.ListOpportunitiesRequest(order_by="name")
    seen: list[str] = []

    async def is_whole() -> bool:
        call = deals.ListOpportunities(
            request, metadata=(("authorization", f"Bearer {tokens.access_token}"),)
        )
        seen[:] = [deal.name for deal in (await call).opportunities]
        # a service that did not hear of the newest lines in time serves own records only, and says so
        return "own-records-only" not in dict(await call.trailing_metadata()).values()

    await eventually(is_whole, "sight as new as the token")
    return seen


async def report(company: Company, user: str, manager: str, **dates: Any) -> pb.ReportingLine:
    return await company.lines.CreateReportingLine(
        pb.CreateReportingLineRequest(
            reporting_line=pb.ReportingLine(user_id=user, manager_id=manager, **dates)
        )
    )


async def test_a_manager_sees_what_those_below_own_from_the_next_token_on(company: Company) -> None:
    await company.stack.start("opportunities")
    await company.stack.settled()
    company.believe("opportunities")
    anna, bert = [await signed_in(company, name, pb.REP) for name in ("anna", "bert")]
    dustin, melvin = [await signed_in(company, name, pb.MANAGER) for name in ("dustin", "melvin")]
    deals = opportunities_pb2_grpc.OpportunityServiceStub(
        company.stack.channel("opportunities", "operations")
    )
    for owner, name in ((anna, "Anna's"), (bert, "Bert's"), (dustin, "Dustin's")):
        await deals.CreateOpportunity(
            opportunities_pb2.CreateOpportunityRequest(
                opportunity=opportunities_pb2.Opportunity(name=name, owner_id=owner)
            )
        )
    assert await seen_by(company, "dustin") == ["Dustin's"]

    await report(company, anna, dustin)
    line = await report(company, dustin, melvin)
    # The token says how new sight has to be, and the service waits for that.
    assert await seen_by(company, "dustin") == ["Anna's", "Dustin's"]
    assert await seen_by(company, "melvin") == ["Anna's", "Dustin's"]
    assert await seen_by(company, "anna") == ["Anna's"]

    await report(company, bert, melvin, start_date=Date(year=2090, month=1, day=1))
    assert await seen_by(company, "melvin") == ["Anna's", "Dustin's"]

    await company.lines.DeleteReportingLine(pb.DeleteReportingLineRequest(id=line.id))
    assert await seen_by(company, "melvin") == []
    assert await seen_by(company, "ada") == ["Anna's", "Bert's", "Dustin's"]
