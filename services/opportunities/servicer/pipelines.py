"""The pipelines: one short method for each RPC, and how deals follow a pipeline that was changed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from google.longrunning.operations_proto_pb2 import Operation
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import due, operations
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.idempotency import done_before
from chassis.ids import new_id
from services.opportunities import wire
from services.opportunities.criteria import gatekeeper
from services.opportunities.domain import Pipeline, StageMapWrong
from services.opportunities.store import Pipelines, PipelineStore, RetirementStore

MIGRATION: Final = "migrate pipeline"
"""The kind of operation that moves the deals of stages that were taken out."""
SWEEP: Final = "retired stages"
"""Due work that moves the deals which went to such a stage while another replica still knew it."""
_AFTER: Final = timedelta(seconds=10)


class PipelineServicer:
    """The pipelines."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines

    async def CreatePipeline(self, request: pb.CreatePipelineRequest, call: Call) -> pb.Pipeline:
        store = PipelineStore(call)
        others = await store.all()
        fields = fields_to_change(request.pipeline, None, wire.PIPELINE_FIELDS)
        pipeline = Pipeline(id=uuid_of(request.pipeline.id) or new_id(), **fields)
        created = pipeline.create()
        pipeline.check_scope(others)
        gatekeeper.check_criteria(pipeline)
        await store.add(pipeline, created)
        await self._settle(call, store, pipeline)
        return wire.pipeline_to_proto(pipeline)

    async def GetPipeline(self, request: pb.GetPipelineRequest, call: Call) -> pb.Pipeline:
        store = PipelineStore(call)
        if request.HasField("as_of"):
            resource = await store.as_of(request.id, datetime_of(request.as_of))
            assert isinstance(resource, pb.Pipeline)
            return resource
        return wire.pipeline_to_proto(await store.get(request.id))

    async def ListPipelines(self, request: pb.ListPipelinesRequest, call: Call) -> pb.ListPipelinesResponse:
        store = PipelineStore(call)
        await store.all()
        page = await store.page(request)
        return pb.ListPipelinesResponse(
            pipelines=map(wire.pipeline_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdatePipeline(self, request: pb.UpdatePipelineRequest, call: Call) -> pb.Pipeline:
        return wire.pipeline_to_proto(await self._change(request, call, {}))

    async def MigratePipeline(self, request: pb.MigratePipelineRequest, call: Call) -> Operation:
        id = (
            uuid5(UUID(request.id), f"{call.caller.actor} {call.request_id}") if call.request_id else new_id()
        )
        if call.request_id and await done_before(call):
            return await operations.get(call, id)
        moves: dict[UUID, UUID] = {}
        for index, each in enumerate(request.stage_map):
            if UUID(each.from_stage_id) in moves:
                raise StageMapWrong(
                    "The deals of a stage go to one other stage.", field=f"stage_map[{index}].from_stage_id"
                )
            moves[UUID(each.from_stage_id)] = UUID(each.to_stage_id)
        pipeline = await self._change(request, call, moves)
        total = await RetirementStore(call).count_left(pipeline)
        return await operations.start(call, MIGRATION, {"pipeline_id": str(pipeline.id)}, total=total, id=id)

    async def ListPipelineVersions(
        self, request: pb.ListPipelineVersionsRequest, call: Call
    ) -> pb.ListPipelineVersionsResponse:
        versions, token = await PipelineStore(call).versions(UUID(request.id), request)
        return pb.ListPipelineVersionsResponse(
            versions=map(wire.pipeline_version_to_proto, versions), next_page_token=token
        )

    async def _change(
        self,
        request: pb.UpdatePipelineRequest | pb.MigratePipelineRequest,
        call: Call,
        moves: Mapping[UUID, UUID],
    ) -> Pipeline:
        store = PipelineStore(call)
        pipeline = await store.get(request.id, request.etag)
        fields = fields_to_change(request.pipeline, request.update_mask, wire.PIPELINE_FIELDS)
        retired = pipeline.retired_stages
        in_use = await RetirementStore(call).in_use(pipeline)
        updated = pipeline.change(fields, in_use, call.now, moves)
        pipeline.check_scope(await store.all())
        gatekeeper.check_criteria(pipeline)
        await store.save(pipeline, updated)
        await self._settle(call, store, pipeline)
        if pipeline.retired_stages != retired:
            await due.schedule(call, SWEEP, str(pipeline.id), call.now + _AFTER)
        return pipeline

    async def _settle(self, call: Call, store: PipelineStore, pipeline: Pipeline) -> None:
        if pipeline.is_default:
            await store.make_default(pipeline)
        call.tx.after_commit(lambda: self.pipelines.forget(call.caller.tenant))


async def migrate(call: Call, running: operations.Running) -> operations.Advanced | operations.Finished:
    """One step of a migration: some more deals. Which ones follows from where they stand, so that a step
    that is made again, or after another migration began, does what is left."""
    pipeline = await PipelineStore(call).get(running.payload["pipeline_id"])
    moved = await RetirementStore(call).move_on(pipeline)
    done = running.done + moved
    if moved:
        # the sweep comes after the last step, and after one that is the last because somebody cancels
        await due.schedule(call, SWEEP, str(pipeline.id), call.clock.now() + _AFTER)
        return operations.Advanced({}, done)
    result = pb.MigratePipelineResponse(pipeline=wire.pipeline_to_proto(pipeline), moved_count=done)
    return operations.Finished(result, done)


async def sweep(call: Call, key: str, payload: Any) -> None:
    """Moves deals on that came to stand in a stage after it was taken out."""
    pipeline = await PipelineStore(call).find(UUID(key))
    if pipeline is not None and await RetirementStore(call).move_on(pipeline):
        await due.schedule(call, SWEEP, key, call.clock.now())
