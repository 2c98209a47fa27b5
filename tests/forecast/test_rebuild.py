"""The forecast is filled again from what the other services have recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from uuid import uuid4

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation
from sfa.api.v1 import operations_pb2, operations_pb2_grpc
from sfa.forecast.v1 import forecast_pb2, rebuild_pb2_grpc
from sfa.forecast.v1 import rebuild_pb2 as pb

from services.forecast import rebuild
from tests.forecast.company import Company
from tests.stack import Stack

_PATIENCE = 30.0


@pytest.fixture
async def company(stack: Stack) -> AsyncIterator[Company]:
    stack.clock.move_to(datetime(2030, 6, 24, 12, tzinfo=UTC))
    company = Company(stack)
    await company.start()
    # what these tests say of others is on the broker only, and in nobody's history
    yield company
    await company.close()


async def begun(company: Company, role: str = "operations", **fields: object) -> Operation:
    """A rebuild of what the opportunities service has recorded."""
    stub = rebuild_pb2_grpc.ForecastRebuildServiceStub(company.stack.channel("forecast", role))
    return await stub.RebuildForecast(pb.RebuildForecastRequest(**fields))  # type: ignore[arg-type]


async def ended(company: Company, operation: Operation) -> Operation:
    """The same when there is no more to do."""
    stub = operations_pb2_grpc.OperationServiceStub(company.stack.channel("forecast", "operations"))
    async with asyncio.timeout(_PATIENCE):
        while not operation.done:
            id = operation.name.removeprefix("operations/")
            operation = await stub.GetOperation(operations_pb2.GetOperationRequest(id=id))
            await asyncio.sleep(0.02)
    return operation


async def versions(company: Company) -> list[tuple[object, ...]]:
    """Everything that is kept of deals, but for the numbers of the batches."""
    database = await company.stack.connect("forecast", as_owner=True)
    rows = await database.fetch(
        "SELECT * FROM data.deal_versions WHERE tenant_id = $1 ORDER BY id, version", company.stack.tenant
    )
    await database.close()
    return [tuple(value for name, value in row.items() if name != "counted") for row in rows]


async def test_a_forecast_is_rebuilt_from_history_with_every_version(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_STEP_EVENTS", 10)
    service = company.stack.services["forecast"].service.subscriptions
    # the other services do not run here: their history cannot be asked for
    monkeypatch.setattr(type(service), "sources", ["opportunities"])
    for number in range(12):
        line = [("p", "1", str(number + 1))]
        deal = await company.deal("ann", close=date(2030, 6, 30), lines=line)
        if number % 3 == 0:
            await company.win(deal, date(2030, 6, 1), "7.77")
    await company.settled()
    kept, before = await versions(company), await company.ask("2030-06", by="PRODUCT")
    assert len(kept) == 16
    database = await company.stack.connect("forecast", as_owner=True)
    await database.execute(
        "DELETE FROM data.deal_versions WHERE version = 1 AND tenant_id = $1", company.stack.tenant
    )
    await database.close()

    gaps = await ended(company, await begun(company))
    result = pb.RebuildForecastResponse.FromString(gaps.response.value)
    assert result.events == 17  # with the pipeline
    assert await versions(company) == kept

    database = await company.stack.connect("forecast", as_owner=True)
    await database.execute(
        "UPDATE data.deal_versions SET amount = 5 WHERE tenant_id = $1", company.stack.tenant
    )
    await database.execute(
        "UPDATE data.reference_versions SET counted = 0 WHERE tenant_id = $1", company.stack.tenant
    )
    await database.close()
    await ended(company, await begun(company, from_nothing=True))
    await company.tenant()
    await company.settled()
    assert await versions(company) == kept
    assert (await company.ask("2030-06", by="PRODUCT")).nodes == before.nodes
    audit = await company.forecast().AuditForecast(forecast_pb2.AuditForecastRequest(), timeout=20)
    assert audit.consistent, audit.differences


async def test_a_repeated_request_finds_the_same_rebuild(company: Company) -> None:
    key = str(uuid4())
    first = await begun(company, request_id=key)
    assert (await begun(company, request_id=key)).name == first.name
    assert (await begun(company, request_id=str(uuid4()))).name != first.name


async def test_only_some_may_rebuild(company: Company) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await begun(company, "manager")
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
