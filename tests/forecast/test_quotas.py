"""Quotas and how far they are attained, over gRPC."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.forecast.v1 import forecast_pb2
from sfa.forecast.v1 import quotas_pb2 as pb
from sfa.forecast.v1 import quotas_pb2_grpc as stubs

from tests.conftest import Join
from tests.forecast.company import Company, money, value

MIDSUMMER = datetime(2030, 6, 24, 12, tzinfo=UTC)
QUARTER = "2030-Q2"
USER, TEAM, TERRITORY, PRODUCT = pb.Quota.USER, pb.Quota.TEAM, pb.Quota.TERRITORY, pb.Quota.PRODUCT


@pytest.fixture
async def company(shared: Join, clock: Any) -> AsyncIterator[Company]:
    """Head leads Ann and Bob; Ann leads Ray."""
    stack = await shared("opportunities", "forecast")
    clock.move_to(MIDSUMMER)
    company = Company(stack)
    await company.start()
    await company.user("head")
    await company.user("ann", "head")
    await company.user("bob", "head")
    await company.user("ray", "ann")
    await company.settled()
    yield company
    await company.close()


def quotas(company: Company, role: str = "operations", **claims: Any) -> stubs.QuotaServiceAsyncStub:
    return stubs.QuotaServiceStub(company.stack.channel("forecast", role, **claims))


def quota(
    company: Company, kind: pb.Quota.Kind.ValueType, of: str, amount: str, period: str = QUARTER
) -> pb.Quota:
    return pb.Quota(kind=kind, subject_id=company.id(of), period_id=period, amount=money(amount))


async def create(company: Company, *arguments: Any, role: str = "operations") -> pb.Quota:
    return await quotas(company, role).CreateQuota(pb.CreateQuotaRequest(quota=quota(company, *arguments)))


async def attained(
    company: Company, *periods: str, by: str = "TEAM", role: str = "operations", **fields: Any
) -> dict[str, pb.AttainmentCell]:
    """How far each node is in the first period, by name."""
    name = {"name": fields.pop("name")} if "name" in fields else {}
    request = pb.GetQuotaAttainmentRequest(
        periods=periods or [QUARTER], group_by=forecast_pb2.Forecast.GroupBy.Value(by), **fields
    )
    answer = await quotas(company, role, **name).GetQuotaAttainment(request)
    return {node.name: node.cells[0] for node in answer.nodes if node.cells}


def whole(amount: Money) -> int:
    return int(value(amount))


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status, info = rpc_status.from_call(caught.value), ErrorInfo()
    if status is not None:
        status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def test_quotas_are_records_with_a_history(company: Company) -> None:
    stub = quotas(company)
    made = await create(company, USER, "ray", "100")
    assert (made.period_id, made.etag, whole(made.amount)) == (QUARTER, "1", 100)
    changed = await stub.UpdateQuota(
        pb.UpdateQuotaRequest(id=made.id, quota=pb.Quota(amount=money("120")), etag="1")
    )
    assert whole(changed.amount) == 120
    assert await stub.GetQuota(pb.GetQuotaRequest(id=made.id, as_of=made.update_time)) == made
    await stub.DeleteQuota(pb.DeleteQuotaRequest(id=made.id))
    await create(company, USER, "ray", "130")
    assert (await refusal(stub.UndeleteQuota(pb.UndeleteQuotaRequest(id=made.id))))[1] == "QUOTA_TAKEN"
    history = await stub.ListQuotaVersions(pb.ListQuotaVersionsRequest(id=made.id))
    assert [each.event for each in history.versions] == ["QuotaDeleted", "QuotaUpdated", "QuotaCreated"]
    listed = await stub.ListQuotas(pb.ListQuotasRequest(filter=f'kind = USER AND period_id = "{QUARTER}"'))
    assert [whole(each.amount) for each in listed.quotas] == [130]


async def test_what_makes_no_sense_is_refused(company: Company) -> None:
    stub = quotas(company)
    made = await create(company, USER, "ray", "100")
    assert (await refusal(create(company, USER, "ray", "1")))[1] == "QUOTA_TAKEN"
    assert (await refusal(create(company, USER, "bob", "-1")))[1] == "AMOUNT_NEGATIVE"
    assert (await refusal(create(company, USER, "bob", "1", "")))[1] == "FIELD_MISSING"
    assert (await refusal(stub.CreateQuota(pb.CreateQuotaRequest(quota=pb.Quota()))))[1] == "FIELD_MISSING"
    fixed = pb.UpdateQuotaRequest(id=made.id, quota=pb.Quota(kind=TEAM))
    assert (await refusal(stub.UpdateQuota(fixed)))[1] == "QUOTA_SUBJECT_FIXED"
    cleared = pb.UpdateQuotaRequest(id=made.id, quota=pb.Quota(), update_mask=FieldMask(paths=["amount"]))
    assert (await refusal(stub.UpdateQuota(cleared)))[1] == "FIELD_MISSING"
    denied = await refusal(create(company, USER, "bob", "1", role="manager"))
    assert denied[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_quotas_are_imported_by_whose_they_are_and_for_which_period(company: Company) -> None:
    def row(*arguments: Any, **fields: Any) -> pb.BatchUpsertQuotasRequest.Row:
        made = quota(company, *arguments)
        made.MergeFrom(pb.Quota(**fields))
        return pb.BatchUpsertQuotasRequest.Row(quota=made)

    key = [ExternalId(system="erp", id="q-1")]
    rows = [
        row(USER, "ray", "100"),
        row(USER, "ray", "100", "2030-P07"),
        row(USER, "bob", "7", external_ids=key),
        row(USER, "ray", "-1", "2030-Q4"),
        row(USER, "ray", "1", "1750-Q4"),
    ]
    first = await quotas(company).BatchUpsertQuotas(pb.BatchUpsertQuotasRequest(rows=rows))
    assert [each.outcome for each in first.results] == [RowResult.CREATED] * 3 + [RowResult.REJECTED] * 2
    assert [each.field for each in first.results[3:]] == ["quota.amount", "quota.period_id"]
    rows = [
        row(USER, "ray", "100"),
        row(USER, "ray", "150", "2030-07"),
        row(USER, "bob", "8", external_ids=key),
        row(USER, "ann", "1"),
        row(USER, "ann", "2"),
    ]
    second = await quotas(company).BatchUpsertQuotas(pb.BatchUpsertQuotasRequest(rows=rows))
    assert [each.outcome for each in second.results] == [
        RowResult.UNCHANGED, RowResult.UPDATED, RowResult.UPDATED, RowResult.CREATED, RowResult.UPDATED,
    ]  # fmt: skip
    assert [each.id for each in second.results[:3]] == [each.id for each in first.results[:3]]


async def test_quotas_come_up_and_say_what_is_attained_missing_and_covered(company: Company) -> None:
    for person, amount in (("ray", "200"), ("ann", "100"), ("bob", "50")):
        await create(company, USER, person, amount)
    await create(company, TEAM, "ann", "280")
    won = await company.deal("ray", "150", close=date(2030, 6, 1))
    await company.win(won, date(2030, 6, 1))
    await company.deal("ray", "90", stage="Closing", close=date(2030, 6, 28))
    await company.deal("ann", "60", close=date(2030, 6, 28))
    await company.settled()
    cells = await attained(company)
    ray, ann, root = cells["Ray"], cells["Ann"], cells["All"]
    assert (ray.attainment, whole(ray.gap), ray.coverage) == ("0.7500", 50, "1.8000")
    assert [whole(each) for each in (ann.quota, ann.stated_quota, ann.rolled_up_quota)] == [
        280,
        280,
        300,
    ]
    assert (ann.attainment, whole(ann.gap), ann.coverage) == ("0.5357", 130, "1.1538")
    assert whole(ann.open_commit) == 90
    assert whole(root.quota) == 350
    assert not cells["Bob"].HasField("pace")  # there is no history yet
    assert (cells["Bob"].attainment, whole(cells["Bob"].gap)) == ("0.0000", 50)


async def test_a_quota_that_is_exceeded_needs_no_cover(company: Company) -> None:
    await create(company, USER, "ray", "100")
    await company.win(await company.deal("ray", "150"), date(2030, 6, 1))
    await company.settled()
    ray = (await attained(company))["Ray"]
    assert (ray.attainment, whole(ray.gap), ray.coverage) == ("1.5000", -50, "")


async def test_a_quarter_is_what_its_months_come_to_and_a_year_its_quarters(company: Company) -> None:
    for period, amount in (("2030-04", "10"), ("2030-05", "20"), ("2030-Q1", "100")):
        await create(company, USER, "ray", amount, period)
    quarter, year = await attained(company, QUARTER), await attained(company, "FY2030")
    assert (int(whole((await attained(company, "2030-05"))["Ray"].quota))) == 20
    assert (whole(quarter["Ray"].quota), quarter["Ray"].periods_without_quota) == (30, 1)
    assert (whole(year["All"].quota), year["All"].periods_without_quota) == (130, 3)


async def test_the_pace_compares_with_the_same_day_of_former_periods(company: Company) -> None:
    # 24 June is the 85th day of the quarter: 26 March, and 24 December
    for day, amount in ((date(2030, 6, 1), "60"), (date(2030, 3, 26), "40"), (date(2030, 3, 27), "60"),
                        (date(2029, 12, 24), "60"), (date(2029, 12, 25), "40")):  # fmt: skip
        await company.win(await company.deal("ray", amount), day)
    await company.settled()
    cells = await attained(company)
    pace = cells["Ann"].pace
    assert (pace.day, pace.days, pace.ratio) == (85, 91, "1.2000")
    amounts = pace.average_closed_by_then, pace.difference, pace.projected
    assert [whole(each) for each in amounts] == [50, 10, 120]
    former = pace.former_periods
    assert [each.period_id for each in former] == ["2030-Q1", "2029-Q4"]  # before, nothing was won at all
    assert [(whole(each.closed_by_then), whole(each.closed)) for each in former] == [
        (40, 100),
        (60, 100),
    ]
    assert not (await attained(company, former_periods=0))["Ray"].HasField("pace")


async def test_territories_and_products_have_quotas_too(company: Company) -> None:
    await company.territory("west")
    await company.territory("coast", "west", "ray")
    await company.product("gtx")
    await create(company, TERRITORY, "west", "500")
    await create(company, TERRITORY, "coast", "80")
    await create(company, PRODUCT, "gtx", "70")
    deal = await company.deal("ray", lines=[("gtx", "2", "20")])
    await company.win(deal, date(2030, 6, 2))
    await company.settled()
    west = await attained(company, by="TERRITORY")
    assert (west["Coast"].attainment, west["West"].attainment) == ("0.5000", "0.0800")
    assert whole(west["All"].quota) == 500
    products = await attained(company, by="PRODUCT", role="rep", name="ray")
    assert (products["gtx"].attainment, products["All"].attainment) == ("0.5714", "0.5714")


async def test_a_quota_is_seen_by_its_person_and_those_above(company: Company) -> None:
    for person in ("ray", "bob"):
        await create(company, USER, person, "100")
    for role, name, seen in (
        ("rep", "ray", 1),
        ("manager", "ann", 1),
        ("manager", "head", 2),
        ("rep", "ann", 0),
    ):
        stub = quotas(company, role, name=name)
        assert len((await stub.ListQuotas(pb.ListQuotasRequest())).quotas) == seen
    own = await attained(company, role="rep", name="ray")
    assert whole(own["All"].quota) == 100


async def test_quotas_stand_where_their_people_stood_and_roots_are_the_same(company: Company) -> None:
    """Ray leaves Ann for Bob in the middle of the next quarter."""
    for person, amount in (("ray", "100"), ("ann", "10"), ("bob", "1")):
        for period in (QUARTER, "2030-Q3"):
            await create(company, USER, person, amount, period)
    await company.win(await company.deal("ray", "40"), date(2030, 6, 20))
    moves = datetime(2030, 8, 1, tzinfo=UTC)
    await company.reports("ray", "ann", until=moves)
    await company.reports("ray", "bob", since=moves)
    company.stack.clock.move_to(datetime(2030, 8, 15, 12, tzinfo=UTC))
    await company.settled()
    found = {}
    for hierarchy, period in itertools.product(("BOOKED", "AS_OF", "CURRENT"), (QUARTER, "2030-Q3")):
        value_of = forecast_pb2.Forecast.Hierarchy.Value(hierarchy)
        cells = await attained(company, period, hierarchy=value_of)
        found[hierarchy, period] = cells
        assert whole(cells["All"].rolled_up_quota) == 111
    assert whole(found["BOOKED", QUARTER]["Ann"].rolled_up_quota) == 110
    assert found["BOOKED", QUARTER]["Ann"].attainment == "0.3636"
    assert whole(found["AS_OF", QUARTER]["Ann"].rolled_up_quota) == 10
    for hierarchy in ("BOOKED", "AS_OF", "CURRENT"):
        assert whole(found[hierarchy, "2030-Q3"]["Bob"].rolled_up_quota) == 101


async def test_attainment_can_be_read_as_of_any_instant(company: Company) -> None:
    made = await create(company, USER, "ray", "100")
    company.stack.clock.move(timedelta(hours=1))
    await quotas(company).UpdateQuota(pb.UpdateQuotaRequest(id=made.id, quota=pb.Quota(amount=money("120"))))
    assert int(whole((await attained(company))["Ray"].quota)) == 120
    assert int(whole((await attained(company, as_of=made.update_time))["Ray"].quota)) == 100


async def test_a_part_of_the_tree_can_be_asked_for(company: Company) -> None:
    await create(company, USER, "ray", "100")
    assert (await attained(company, depth=1)).keys() == {"All", "Head"}
    assert (await attained(company, node_id=company.id("ann"))).keys() == {"Ann", "Ray"}
    code, reason = await refusal(attained(company, node_id="nobody"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "NODE_NOT_FOUND")
