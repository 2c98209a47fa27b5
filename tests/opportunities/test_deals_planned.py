"""What deals are found by is found by an index, for every sort of sight: planned as the service's own role."""

from __future__ import annotations

import contextlib
from typing import Any

import grpc
import pytest
from sfa.opportunities.v1 import competitors_pb2, competitors_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2_grpc as stubs

from chassis.ids import new_id
from services.opportunities.store import OpportunityStore
from tests.architecture.test_no_sequential_scans import _scans
from tests.stack import Stack
from tests.statements import Statement, noted

ID = str(new_id())


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """Everything that is asked of the database."""
    return noted(monkeypatch)


async def test_no_search_among_the_details_and_no_report_reads_a_whole_table(
    stack: Stack, statements: list[Statement]
) -> None:
    await stack.start("opportunities")
    for role in ("rep", "manager", "administrator"):
        deals: Any = stubs.OpportunityServiceStub(stack.channel("opportunities", role))
        for filter in (
            "",
            "tags:renewal",
            f'team.user_id:"{ID}"',
            f'splits.user_id:"{ID}"',
            f'competitors.competitor_id:"{ID}"',
            f'contact_roles.contact_id:"{ID}"',
        ):
            for scope in (pb.ListOpportunitiesRequest.OWNED, pb.ListOpportunitiesRequest.JOINED):
                await deals.ListOpportunities(pb.ListOpportunitiesRequest(filter=filter, scope=scope))
        reports: Any = competitors_pb2_grpc.WinLossServiceStub(stack.channel("opportunities", role))
        dimensions = competitors_pb2.GetWinLossRequest.Dimension.values()[1:]
        for dimension in dimensions:
            request = competitors_pb2.GetWinLossRequest(group_by=[dimension], competitor_id=ID)
            await reports.GetWinLoss(request)
            request.ClearField("competitor_id")
            await reports.GetWinLoss(request)
    found = [
        sql
        for sql, arguments in dict(statements).items()
        if await _scans(stack, "opportunities", sql, arguments)
    ]
    assert not found


async def test_the_statement_that_gets_a_deal_is_the_same_for_every_caller(stack: Stack) -> None:
    """It is compiled once: to compile it anew would take longer than all the rest."""
    await stack.start("opportunities")
    deals: Any = stubs.OpportunityServiceStub(stack.channel("opportunities", "rep"))
    deal = await deals.CreateOpportunity(pb.CreateOpportunityRequest(opportunity=pb.Opportunity(name="Roof")))
    OpportunityStore._statements.clear()
    for name in ("ann", "bob", "rep"):
        caller: Any = stubs.OpportunityServiceStub(stack.channel("opportunities", "rep", name=name))
        with contextlib.suppress(grpc.aio.AioRpcError):
            await caller.GetOpportunity(pb.GetOpportunityRequest(id=deal.id))
        await caller.ListOpportunities(pb.ListOpportunitiesRequest())
    assert len(OpportunityStore._statements) == 2
