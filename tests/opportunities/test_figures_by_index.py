"""Figures are computed from what indexes find: none of their statements reads a whole table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.opportunities.v1 import metrics_pb2 as pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.opportunities.sales import Sales, euros
from tests.statements import noted


@pytest.fixture
async def sales(shared: Join) -> AsyncIterator[Sales]:
    team = await Sales.of(await shared("opportunities"))
    yield team
    await team.close()


async def test_no_figure_reads_a_whole_table(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    await sales.tenant("EUR")
    await sales.deal(amount=euros(5))
    await sales.stack.settled()
    now = Timestamp()
    now.FromDatetime(sales.stack.clock.now())
    asked = noted(monkeypatch)
    owners = [str(new_id())]
    for role in ("rep", "manager", "operations"):
        stub = sales.metrics(role)
        whens: tuple[dict[str, Any], ...] = ({}, {"as_of": now}, {"effective_as_of": now})
        for when in whens:
            for policy in (pb.CLOSE, pb.BOOKING):
                await stub.GetPipelineBoard(
                    pb.GetPipelineBoardRequest(id=sales.pipeline, currency="USD", rate_policy=policy, **when)
                )
            for dimension in pb.Dimension.values():
                await stub.GetPipelineMetrics(
                    pb.GetPipelineMetricsRequest(group_by=dimension, pipeline_id=sales.pipeline, **when)
                )
            await stub.AnalyzeLostOpportunities(pb.AnalyzeLostOpportunitiesRequest(owner_ids=owners, **when))
        await stub.GetStageConversion(pb.GetStageConversionRequest(id=sales.pipeline))
    found = dict(asked)
    assert len(found) > 50
    database = await asyncpg.connect(
        sales.stack.databases["opportunities"].url,
        server_settings={"search_path": "app, public", "enable_seqscan": "off"},
    )
    try:
        async with database.transaction():
            await database.execute(f"SET LOCAL app.tenant = '{sales.stack.tenant}'")
            for sql, arguments in found.items():
                if sql.lstrip().upper().startswith(("SELECT", "WITH")) and "FROM" in sql:
                    plan = await database.fetch(f"EXPLAIN {sql}", *arguments)
                    assert not any("Seq Scan on" in row[0] for row in plan), sql
    finally:
        await database.close()
