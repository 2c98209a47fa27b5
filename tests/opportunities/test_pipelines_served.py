"""Pipelines over gRPC on a real database: gates, teams and product lines, and deals that follow a changed
pipeline whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1 import operations_pb2
from sfa.api.v1.operations_pb2_grpc import OperationServiceStub
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2_grpc as stubs

from chassis import sight
from chassis.call import Call
from chassis.ids import new_id
from chassis.subscriptions import service_call
from services.opportunities.store import BelongingStore, DealQuoteStore
from services.opportunities.store.retirement import AT_ONCE
from tests.architecture.test_no_sequential_scans import _scans
from tests.eventually import eventually
from tests.stack import Stack
from tests.statements import noted

if TYPE_CHECKING:
    from sfa.api.v1.operations_pb2_grpc import OperationServiceAsyncStub

OPEN, WON, LOST = pb.Opportunity.OPEN, pb.Opportunity.WON, pb.Opportunity.LOST
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


def euros(units: int) -> Money:
    return Money(currency_code="EUR", units=units)


class Team:
    """The test's tenant, as somebody sees it."""

    def __init__(self, stack: Stack, role: str = "operations", **claims: Any) -> None:
        self.stack = stack
        channel = stack.channel("opportunities", role, **claims)
        self.deals: stubs.OpportunityServiceAsyncStub = stubs.OpportunityServiceStub(channel)
        self.pipelines: stubs.PipelineServiceAsyncStub = stubs.PipelineServiceStub(channel)
        self.operations: OperationServiceAsyncStub = OperationServiceStub(channel)

    async def pipeline(self) -> pb.Pipeline:
        return (await self.pipelines.ListPipelines(pb.ListPipelinesRequest())).pipelines[0]

    async def configure(self, *stages: pb.Stage, **fields: Any) -> pb.Pipeline:
        """Gives the tenant's first pipeline other stages, won and lost ones kept."""
        now = await self.pipeline()
        closed = [stage for stage in now.stages if stage.kind != pb.Stage.OPEN]
        changed = pb.Pipeline(stages=[*stages, *closed], **fields)
        return await self.pipelines.UpdatePipeline(pb.UpdatePipelineRequest(id=now.id, pipeline=changed))

    async def deal(self, **fields: Any) -> pb.Opportunity:
        asked = pb.Opportunity(**{"name": "Roof", **fields})
        return await self.deals.CreateOpportunity(pb.CreateOpportunityRequest(opportunity=asked))

    async def read(self, id: str) -> pb.Opportunity:
        return await self.deals.GetOpportunity(pb.GetOpportunityRequest(id=id))

    async def move(self, deal: pb.Opportunity, stage: pb.Stage) -> pb.Opportunity:
        return await self.deals.MoveOpportunity(pb.MoveOpportunityRequest(id=deal.id, stage_id=stage.id))

    async def check(self, deal: pb.Opportunity, stage: str = "", **values: Any) -> list[pb.MoveCheck]:
        asked = pb.CheckMoveRequest(id=deal.id, stage_id=stage)
        if values:
            asked.opportunity.CopyFrom(pb.Opportunity(**values))
        return list((await self.deals.CheckMove(asked)).moves)

    async def migrated(
        self, asked: pb.MigratePipelineRequest
    ) -> tuple[Operation, operations_pb2.OperationMetadata]:
        """A migration, once it is through."""
        name = (await self.pipelines.MigratePipeline(asked)).name

        request = operations_pb2.GetOperationRequest(id=name.removeprefix("operations/"))

        async def is_done() -> bool:
            return bool((await self.operations.GetOperation(request)).done)

        await eventually(is_done, seconds=30)
        operation = await self.operations.GetOperation(request)
        metadata = operations_pb2.OperationMetadata()
        operation.metadata.Unpack(metadata)
        return operation, metadata


@pytest.fixture
async def service(shared: Callable[..., Awaitable[Stack]]) -> Stack:
    return await shared("opportunities")


@pytest.fixture
def office(service: Stack) -> Team:
    return Team(service)


@pytest.fixture
def rep(service: Stack) -> Team:
    return Team(service, "rep")


def stage(name: str, **fields: Any) -> pb.Stage:
    return pb.Stage(
        id=str(new_id()),
        name=name,
        probability=20,
        forecast_category=pb.PIPELINE,
        kind=pb.Stage.OPEN,
        **fields,
    )


def criterion(name: str, expression: str, message: str = "") -> pb.ExitCriterion:
    return pb.ExitCriterion(name=name, expression=expression, message=message)


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, list[str], str]:
    """Status, reason, fields and sentence of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    reason, fields = "", list[str]()
    status = rpc_status.from_call(caught.value)
    for detail in status.details if status is not None else ():
        info, bad = ErrorInfo(), BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            fields = [each.field for each in bad.field_violations]
    return caught.value.code(), reason, fields, caught.value.details() or ""


def gated() -> list[pb.Stage]:
    """Stages of which two hold deals."""
    return [
        stage("Qualify", required_fields=["next_step"], expected_days=7, stuck_after_days=14),
        stage(
            "Negotiate",
            exit_criteria=[criterion("Budget", "opportunity.amount.value >= 1000", "Have 1,000 confirmed.")],
        ),
        stage("Close"),
    ]


# Gates


async def test_a_gate_says_what_is_missing_before_and_after_it_is_tried(office: Team, rep: Team) -> None:
    first, second, third = stages = gated()
    pipeline = await office.configure(*stages)
    assert [each.stuck_after_days for each in pipeline.stages] == [14, 0, 0, 0, 0]
    deal = await rep.deal()
    assert deal.stage_id == first.id
    checks = {check.stage_id: check for check in await rep.check(deal)}
    assert len(checks) == 4
    asked = checks[third.id]
    assert (asked.is_allowed, asked.reason) == (False, "GATE_NOT_PASSED")
    assert [(each.stage_name, each.criterion, each.message, list(each.fields)) for each in asked.unmet] == [
        ("Qualify", "", "Fill in next_step.", ["next_step"]),
        ("Negotiate", "Budget", "Have 1,000 confirmed.", ["amount"]),
    ]
    code, reason, fields, sentence = await refusal(rep.move(deal, third))
    assert (code, reason) == (PRECONDITION, "GATE_NOT_PASSED")
    assert fields == ["opportunity.next_step", "opportunity.amount"]
    assert sentence == asked.message
    (with_step,) = await rep.check(deal, second.id, next_step="Call")
    assert with_step.is_allowed
    assert not (await rep.read(deal.id)).next_step
    await rep.deals.UpdateOpportunity(
        pb.UpdateOpportunityRequest(
            id=deal.id, opportunity=pb.Opportunity(next_step="Call", amount=euros(1000))
        )
    )
    assert (await rep.move(deal, third)).stage_id == third.id
    assert (await rep.move(deal, first)).stage_id == first.id


async def test_gates_hold_for_winning_where_the_pipeline_says_so(office: Team, rep: Team) -> None:
    await office.configure(*gated())
    deal = await rep.deal(next_step="Call")
    win = pb.WinOpportunityRequest(id=deal.id, amount=euros(999))
    code, reason, fields, _ = await refusal(rep.deals.WinOpportunity(win))
    assert (code, reason, fields) == (PRECONDITION, "GATE_NOT_PASSED", ["opportunity.amount"])
    win.amount.units = 1000
    assert (await rep.deals.WinOpportunity(win)).state == WON
    assert (await refusal(rep.deals.WinOpportunity(win)))[1] == "OPPORTUNITY_CLOSED"
    assert {check.reason for check in await rep.check(deal)} == {"OPPORTUNITY_CLOSED"}
    other = await rep.deal(next_step="Call")
    stages = (await office.pipeline()).stages[:3]
    await office.configure(*stages, win_gate=pb.Pipeline.CURRENT_STAGE)
    assert (await rep.deals.WinOpportunity(pb.WinOpportunityRequest(id=other.id))).state == WON
    third = await rep.deal()
    assert (await refusal(rep.deals.WinOpportunity(pb.WinOpportunityRequest(id=third.id))))[
        1
    ] == "GATE_NOT_PASSED"
    lose = pb.LoseOpportunityRequest(id=third.id, lost_reason="Price")
    assert (await rep.deals.LoseOpportunity(lose)).state == LOST


async def test_a_deal_goes_only_where_its_stage_lets_it_go(office: Team, rep: Team) -> None:
    first, second, third = (stage(name) for name in ("A", "B", "C"))
    first.allowed_stage_ids.append(second.id)
    await office.configure(first, second, third)
    deal = await rep.deal()
    code, reason, fields, sentence = await refusal(rep.move(deal, third))
    assert (code, reason, fields) == (PRECONDITION, "MOVE_NOT_ALLOWED", ["stage_id"])
    assert sentence == "From A an opportunity goes to B, not to C."
    assert [check.is_allowed for check in await rep.check(deal)] == [True, False, False, True]
    await rep.move(deal, second)
    assert (await rep.move(deal, third)).stage_id == third.id


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"exit_criteria": [criterion("Sum", "opportunity.amout.value > 1")]}, "exit_criteria[0].expression",
         "criterion “Sum” of the stage Wrong"),
        ({"exit_criteria": [criterion("Sum", "opportunity.amount.value >")]}, "exit_criteria[0].expression",
         "cannot be read at character"),
        ({"required_fields": ["amout"]}, "required_fields[0]", "The stage Wrong requires amout"),
        ({"allowed_stage_ids": [str(new_id())]}, "allowed_stage_ids", "not in the pipeline"),
    ],
)  # fmt: skip
async def test_a_pipeline_that_could_not_be_judged_by_is_not_saved(
    office: Team, wrong: dict[str, Any], field: str, words: str
) -> None:
    kept = (await office.pipeline()).stages
    request = pb.UpdatePipelineRequest(
        id=(await office.pipeline()).id,
        pipeline=pb.Pipeline(stages=[*kept[:-2], stage("Wrong", **wrong), *kept[-2:]]),
    )
    code, _, fields, sentence = await refusal(office.pipelines.UpdatePipeline(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert fields == [f"pipeline.stages[{len(kept) - 2}].{field}"]
    assert words in sentence
    assert (await office.pipeline()).stages == kept


async def test_imported_history_may_pass_the_gates_and_nothing_else_may(office: Team, rep: Team) -> None:
    _, second, _ = stages = gated()
    pipeline = await office.configure(*stages)
    won = next(each.id for each in pipeline.stages if each.kind == pb.Stage.WON)
    began, closed = (Timestamp(seconds=seconds) for seconds in (1_577_836_800, 1_577_923_200))

    def row(key: str) -> pb.BatchUpsertOpportunitiesRequest.Row:
        deal = pb.Opportunity(name="Old", stage_id=won, external_ids=[ExternalId(system="old", id=key)])
        past = pb.BatchUpsertOpportunitiesRequest.Past(
            opportunity=pb.Opportunity(name="Old", stage_id=second.id), effective_time=began
        )
        return pb.BatchUpsertOpportunitiesRequest.Row(opportunity=deal, effective_time=closed, history=[past])

    request = pb.BatchUpsertOpportunitiesRequest(rows=[row("1")])
    (held,) = (await office.deals.BatchUpsertOpportunities(request)).results
    assert (held.outcome, held.reason) == (RowResult.REJECTED, "GATE_NOT_PASSED")
    request.skip_gates = True
    code, reason, *_ = await refusal(rep.deals.BatchUpsertOpportunities(request))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "GATES_HOLD")
    (brought,) = (await office.deals.BatchUpsertOpportunities(request)).results
    assert brought.outcome == RowResult.CREATED
    assert (await office.read(brought.id)).state == WON
    plain = await rep.deal()
    pushed = pb.BatchUpsertOpportunitiesRequest.Row(
        opportunity=pb.Opportunity(id=plain.id, stage_id=second.id)
    )
    request = pb.BatchUpsertOpportunitiesRequest(rows=[pushed])
    (held,) = (await rep.deals.BatchUpsertOpportunities(request)).results
    assert held.reason == "GATE_NOT_PASSED"
    pushed.opportunity.next_step = "Call"
    request = pb.BatchUpsertOpportunitiesRequest(rows=[pushed])
    (passed,) = (await rep.deals.BatchUpsertOpportunities(request)).results
    assert passed.outcome == RowResult.UPDATED
    assert (await refusal(rep.deal(stage_id=second.id)))[1] == "GATE_NOT_PASSED"


# Teams and product lines


async def acting(service: Stack, work: Callable[[Call], Awaitable[None]]) -> None:
    """Something that an event would cause, in a transaction of the service's own."""
    running = service.services["opportunities"]
    tx = running.database.transaction(service.tenant)
    await work(service_call("opportunities", service.tenant, tx, service.clock, "test", None))
    await tx.commit()


async def test_a_new_deal_enters_the_pipeline_of_its_product_line_or_team(
    service: Stack, office: Team
) -> None:
    company = await office.pipeline()
    boss, manager, rep = (service.callers.user(name) for name in ("boss", "manager", "ann"))
    begun = service.clock.now() - timedelta(days=1)
    until = begun + timedelta(days=3650)

    async def report(call: Call) -> None:
        lines = [(rep, manager), (manager, boss), (service.callers.user("bob"), boss)]
        await sight.keep_lines(
            call.tx, [sight.Line(new_id(), 1, user, above, begun, until) for user, above in lines]
        )

    roof, tile, chair = new_id(), new_id(), new_id()

    async def sell(call: Call) -> None:
        store = BelongingStore(call)
        families = {"Roofing": None, "Tiles": "Roofing"}
        ids = {name: new_id() for name in families}
        await store.keep_families(
            [
                {"id": ids[name], "version": 1, "name": name, "parent_id": ids[above] if above else None}
                for name, above in families.items()
            ]
        )
        await store.keep_products(
            [
                {"id": id, "version": 1, "family": family}
                for id, family in ((roof, "Roofing"), (tile, "Tiles"), (chair, "Chairs"))
            ]
        )

    await acting(service, report)
    await acting(service, sell)

    async def create(name: str, **fields: Any) -> pb.Pipeline:
        stages = [stage("Open"), *(each for each in company.stages if each.kind != pb.Stage.OPEN)]
        for each in stages:
            each.id = str(new_id())
        asked = pb.Pipeline(name=name, stages=stages, **fields)
        return await office.pipelines.CreatePipeline(pb.CreatePipelineRequest(pipeline=asked))

    team = await create("Team", manager_ids=[str(manager)])
    region = await create("Region", manager_ids=[str(boss)])
    roofs = await create("Roofs", product_families=["Roofing"])

    def of(product: Any) -> list[pb.LineItem]:
        return [pb.LineItem(product_id=str(product), quantity="1", unit_price=euros(9))]

    async def entered(name: str, **fields: Any) -> str:
        mine = Team(service, "rep", name=name)
        return (await mine.deal(**fields)).pipeline_id

    assert await entered("eve") == company.id
    assert await entered("ann") == team.id
    assert await entered("manager") == team.id
    assert await entered("bob") == region.id
    assert await entered("ann", line_items=of(tile)) == roofs.id
    assert await entered("eve", line_items=of(roof)) == roofs.id
    assert await entered("ann", line_items=of(chair)) == team.id
    assert await entered("ann", pipeline_id=company.id) == company.id
    assert await entered("eve", stage_id=team.stages[0].id) == team.id
    rows = [
        pb.BatchUpsertOpportunitiesRequest.Row(opportunity=pb.Opportunity(name="R", owner_id=str(owner)))
        for owner in (rep, service.callers.user("bob"), service.callers.user("eve"))
    ]
    results = (
        await office.deals.BatchUpsertOpportunities(pb.BatchUpsertOpportunitiesRequest(rows=rows))
    ).results
    found = [(await office.read(result.id)).pipeline_id for result in results]
    assert found == [team.id, region.id, company.id]
    wrong = refusal(entered("eve", stage_id=team.stages[0].id, pipeline_id=company.id))
    assert (await wrong)[1] == "STAGE_NOT_FOUND"
    assert (await refusal(entered("eve", pipeline_id=str(new_id()))))[1] == "PIPELINE_NOT_FOUND"
    assert (await refusal(create("Again", manager_ids=[str(boss)])))[1] == "PIPELINE_SCOPE_TAKEN"


async def test_a_deal_in_the_wrong_pipeline_goes_to_another_one(office: Team, rep: Team) -> None:
    company = await office.pipeline()
    first, second, third = stages = gated()
    closed = [pb.Stage(**{**_plain(each), "id": str(new_id())}) for each in company.stages[-2:]]
    other = await office.pipelines.CreatePipeline(
        pb.CreatePipelineRequest(pipeline=pb.Pipeline(name="Other", stages=[*stages, *closed]))
    )
    deal = await rep.deal(amount=euros(5000))

    async def go(stage: str, pipeline: str = "") -> pb.Opportunity:
        asked = pb.MoveOpportunityRequest(id=deal.id, stage_id=stage, pipeline_id=pipeline)
        return await rep.deals.MoveOpportunity(asked)

    assert (await refusal(go(second.id)))[1:3] == ("STAGE_NOT_FOUND", ["stage_id"])
    assert (await refusal(go(second.id, str(new_id()))))[1:3] == ("PIPELINE_NOT_FOUND", ["pipeline_id"])
    assert (await refusal(go(company.stages[1].id, other.id)))[1] == "STAGE_NOT_FOUND"
    assert (await refusal(go(second.id, other.id)))[1:3] == ("GATE_NOT_PASSED", ["opportunity.next_step"])
    assert (await refusal(go(closed[0].id, other.id)))[1] == "STAGE_NOT_OPEN"
    moved = await go(first.id, other.id)
    assert (moved.pipeline_id, moved.stage_id) == (other.id, first.id)
    history = await rep.deals.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=deal.id))
    assert (history.versions[0].event, history.versions[1].opportunity.pipeline_id) == (
        "OpportunityMoved",
        company.id,
    )
    assert (await refusal(rep.move(deal, third)))[1] == "GATE_NOT_PASSED"


def _plain(stage: pb.Stage) -> dict[str, Any]:
    return {"name": stage.name, "probability": stage.probability, "kind": stage.kind,
            "forecast_category": stage.forecast_category}  # fmt: skip


# What it costs where there is no gate


async def test_gates_cost_no_statement(office: Team, rep: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = stages = gated()
    del first.required_fields[:]
    await office.configure(*stages)
    plain, held = await rep.deal(amount=euros(5000)), await rep.deal(amount=euros(5000))
    await rep.move(await rep.deal(), second)
    statements = noted(monkeypatch)
    await rep.move(plain, second)
    await rep.move(held, third)

    def about(deal: pb.Opportunity) -> list[str]:
        return [sql for sql, arguments in statements if UUID(deal.id) in arguments]

    assert len(about(plain)) == 1
    assert about(held) == about(plain)


async def test_no_search_for_pipelines_or_their_deals_reads_a_whole_table(
    service: Stack, office: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = noted(monkeypatch)
    before = await office.pipeline()
    manager = str(service.callers.user("boss"))
    await office.configure(*before.stages[:6], manager_ids=[manager], product_families=["Roofs"])
    line = pb.LineItem(product_id=str(new_id()), quantity="1", unit_price=euros(1))
    await office.deal(line_items=[line])
    await office.migrated(migration(await office.pipeline(), before.stages[0], before.stages[1]))

    async def quoted(call: Call) -> None:
        await DealQuoteStore(call).open_besides(new_id(), new_id())

    await acting(service, quoted)
    asked = {sql: arguments for sql, arguments in statements if "deal_watches" not in sql}
    assert len(asked) > 8
    assert not [
        sql for sql, arguments in asked.items() if await _scans(service, "opportunities", sql, arguments)
    ]


# Migration


def migration(
    pipeline: pb.Pipeline, gone: pb.Stage, to: pb.Stage, **fields: Any
) -> pb.MigratePipelineRequest:
    stages = [each for each in pipeline.stages if each.id != gone.id]
    if to.id not in [each.id for each in stages]:
        stages.insert(0, to)
    mapping = pb.MigratePipelineRequest.Mapping(from_stage_id=gone.id, to_stage_id=to.id)
    return pb.MigratePipelineRequest(
        id=pipeline.id, pipeline=pb.Pipeline(stages=stages), stage_map=[mapping], **fields
    )


async def many(office: Team, count: int, **fields: Any) -> list[str]:
    """Deals, by the hundred."""
    ids: list[str] = []
    while len(ids) < count:
        rows = [
            pb.BatchUpsertOpportunitiesRequest.Row(opportunity=pb.Opportunity(name="Roof", **fields))
            for _ in range(min(500, count - len(ids)))
        ]
        answer = await office.deals.BatchUpsertOpportunities(pb.BatchUpsertOpportunitiesRequest(rows=rows))
        ids += [result.id for result in answer.results]
    return ids


async def test_deals_follow_a_changed_pipeline_by_the_map_and_history_stays_readable(office: Team) -> None:
    before = await office.pipeline()
    contact, qualification = before.stages[:2]
    ids = await many(office, 2 * AT_ONCE + 50)
    lost = await office.deals.LoseOpportunity(pb.LoseOpportunityRequest(id=ids[0], lost_reason="Price"))
    await office.deals.DeleteOpportunity(pb.DeleteOpportunityRequest(id=ids[1]))
    discover = stage("Discover")
    asked = migration(before, contact, discover, etag=before.etag, request_id="once")
    operation, metadata = await office.migrated(asked)
    result = pb.MigratePipelineResponse()
    assert operation.response.Unpack(result)
    assert (metadata.done, metadata.total, result.moved_count) == (len(ids) - 2, len(ids) - 2, len(ids) - 2)
    (retired,) = result.pipeline.retired_stages
    assert (retired.name, retired.replaced_by_stage_id) == ("Contact", discover.id)
    assert retired.HasField("retire_time")
    moved = await office.read(ids[-1])
    assert (moved.stage_id, moved.state, moved.etag) == (discover.id, OPEN, "2")
    history = await office.deals.ListOpportunityVersions(pb.ListOpportunityVersionsRequest(id=ids[-1]))
    assert [(each.event, each.opportunity.stage_id) for each in history.versions] == [
        ("OpportunityMoved", discover.id),
        ("OpportunityCreated", contact.id),
    ]
    assert (history.versions[0].actor, history.versions[0].via) == (
        "service:opportunities",
        str(office.stack.callers.user("operations")),
    )
    # asked again under the same key, it is the same operation
    assert (await office.pipelines.MigratePipeline(asked)).name == operation.name
    # what closed or was deleted comes back where its stage's deals went
    reopened = await office.deals.ReopenOpportunity(pb.ReopenOpportunityRequest(id=lost.id))
    assert reopened.stage_id == discover.id
    restored = await office.deals.UndeleteOpportunity(pb.UndeleteOpportunityRequest(id=ids[1]))
    assert restored.stage_id == discover.id
    # the pipeline can be read as it was, and what became of it
    then = await office.pipelines.GetPipeline(pb.GetPipelineRequest(id=before.id, as_of=before.update_time))
    assert then == before
    versions = await office.pipelines.ListPipelineVersions(pb.ListPipelineVersionsRequest(id=before.id))
    assert [each.event for each in versions.versions] == ["PipelineUpdated", "PipelineCreated"]
    assert "stages" in versions.versions[0].changed_fields
    assert versions.versions[1].pipeline == before
    assert qualification in result.pipeline.stages


async def test_a_migration_that_does_not_say_where_deals_go_changes_nothing(office: Team) -> None:
    before = await office.pipeline()
    contact, qualification, *_ = before.stages
    await office.deal()
    asked = migration(before, contact, qualification)
    del asked.stage_map[:]
    assert (await refusal(office.pipelines.MigratePipeline(asked)))[:2] == (PRECONDITION, "STAGE_IN_USE")
    asked = migration(before, contact, qualification)
    asked.stage_map[0].to_stage_id = before.stages[-1].id
    code, reason, fields, _ = await refusal(office.pipelines.MigratePipeline(asked))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "STAGE_MAP_WRONG")
    assert fields == ["stage_map[0].to_stage_id"]
    asked = migration(before, contact, qualification, etag="999")
    assert (await refusal(office.pipelines.MigratePipeline(asked)))[1] == "ETAG_MISMATCH"
    assert await office.pipeline() == before
    rep = Team(office.stack, "rep")
    asked = migration(before, contact, qualification)
    assert (await refusal(rep.pipelines.MigratePipeline(asked)))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_deals_that_people_work_on_meanwhile_are_neither_lost_nor_moved_twice(office: Team) -> None:
    before = await office.pipeline()
    contact, closing = before.stages[0], before.stages[5]
    ids = await many(office, AT_ONCE + 60)
    discover = stage("Discover")

    async def work() -> None:
        for id in ids[::7]:
            await office.deals.MoveOpportunity(pb.MoveOpportunityRequest(id=id, stage_id=closing.id))
        for id in ids[1::7]:
            await office.deals.WinOpportunity(pb.WinOpportunityRequest(id=id))

    await asyncio.gather(office.migrated(migration(before, contact, discover)), work())
    for index, id in enumerate(ids):
        deal = await office.read(id)
        if index % 7 == 0:
            assert deal.stage_id == closing.id
        elif index % 7 == 1:
            assert deal.state == WON
        else:
            assert (deal.stage_id, deal.etag) == (discover.id, "2")


async def test_a_deal_that_slipped_into_a_stage_after_it_was_taken_out_follows(
    service: Stack, office: Team
) -> None:
    before = await office.pipeline()
    contact, qualification = before.stages[:2]
    deal = await office.deal()
    await office.migrated(migration(before, contact, qualification))
    owner = await service.connect("opportunities", as_owner=True)
    try:  # as another replica would have left it that knew the stage for two more seconds
        await owner.execute("UPDATE data.opportunities SET stage_id = $1 WHERE id = $2", contact.id, deal.id)
    finally:
        await owner.close()
    won = next(each.id for each in before.stages if each.kind == pb.Stage.WON)
    assert [check.stage_id for check in await office.check(deal) if check.is_allowed][-2] == won
    service.clock.move(timedelta(seconds=11))

    async def followed() -> bool:
        return (await office.read(deal.id)).stage_id == qualification.id

    await eventually(followed, seconds=20)


async def test_a_migration_that_is_cancelled_leaves_no_deal_behind(service: Stack, office: Team) -> None:
    before = await office.pipeline()
    ids = await many(office, 3 * AT_ONCE)
    discover = stage("Discover")
    operation = await office.pipelines.MigratePipeline(migration(before, before.stages[0], discover))
    id = operation.name.removeprefix("operations/")
    await office.operations.CancelOperation(operations_pb2.CancelOperationRequest(id=id))
    # whether its turn has come or not
    await office.deals.MoveOpportunity(pb.MoveOpportunityRequest(id=ids[0], stage_id=before.stages[1].id))

    async def followed() -> bool:
        service.clock.move(timedelta(seconds=11))
        found = await office.deals.ListOpportunities(
            pb.ListOpportunitiesRequest(filter=f'stage_id = "{before.stages[0].id}"', page_size=1)
        )
        return not found.opportunities

    await eventually(followed, seconds=20)
    assert (await office.read(ids[0])).stage_id == before.stages[1].id
    assert (await office.read(ids[-1])).stage_id == discover.id


async def test_a_migration_goes_on_whatever_dies_meanwhile(stack: Stack) -> None:
    await stack.start("opportunities")
    office = Team(stack)
    before = await office.pipeline()
    ids = await many(office, 4 * AT_ONCE)
    discover = stage("Discover")
    asked = migration(before, before.stages[0], discover, request_id="key")
    name = (await office.pipelines.MigratePipeline(asked)).name
    admin = await asyncpg.connect(stack.databases["opportunities"].admin_url)
    for _ in range(3):
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        await asyncio.sleep(0.03)
    await admin.close()
    await stack.stop("opportunities")
    await stack.start("opportunities")
    office = Team(stack)
    operation, metadata = await office.migrated(asked)
    assert operation.name == name
    assert metadata.done == metadata.total == len(ids)
    for id in ids[:: AT_ONCE // 4]:
        deal = await office.read(id)
        assert (deal.stage_id, deal.etag) == (discover.id, "2")


async def test_a_pipeline_keeps_what_is_not_named_by_the_mask(office: Team) -> None:
    before = await office.configure(*gated(), win_gate=pb.Pipeline.NO_STAGE, product_families=["Roofs"])
    request = pb.UpdatePipelineRequest(
        id=before.id,
        pipeline=pb.Pipeline(name="New"),
        update_mask=FieldMask(paths=["name", "product_families"]),
    )
    after = await office.pipelines.UpdatePipeline(request)
    assert (after.name, after.win_gate, list(after.product_families)) == ("New", pb.Pipeline.NO_STAGE, [])
    assert after.stages == before.stages
