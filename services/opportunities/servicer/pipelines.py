"""The pipelines: one short method for each RPC."""

from google.longrunning.operations_proto_pb2 import Operation
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from services.opportunities import wire
from services.opportunities.domain import Pipeline
from services.opportunities.store import OpportunityStore, Pipelines, PipelineStore


class PipelineServicer:
    """The pipelines."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines

    async def CreatePipeline(self, request: pb.CreatePipelineRequest, call: Call) -> pb.Pipeline:
        store = PipelineStore(call)
        await store.all()
        fields = fields_to_change(request.pipeline, None, wire.PIPELINE_FIELDS)
        pipeline = Pipeline(id=uuid_of(request.pipeline.id) or new_id(), **fields)
        await store.add(pipeline, pipeline.create())
        await self._settle(call, store, pipeline)
        return wire.pipeline_to_proto(pipeline)

    async def GetPipeline(self, request: pb.GetPipelineRequest, call: Call) -> pb.Pipeline:
        return wire.pipeline_to_proto(await PipelineStore(call).get(request.id))

    async def ListPipelines(self, request: pb.ListPipelinesRequest, call: Call) -> pb.ListPipelinesResponse:
        store = PipelineStore(call)
        await store.all()
        page = await store.page(request)
        return pb.ListPipelinesResponse(
            pipelines=map(wire.pipeline_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdatePipeline(self, request: pb.UpdatePipelineRequest, call: Call) -> pb.Pipeline:
        store = PipelineStore(call)
        pipeline = await store.get(request.id, request.etag)
        fields = fields_to_change(request.pipeline, request.update_mask, wire.PIPELINE_FIELDS)
        in_use = await OpportunityStore(call).stages_in_use(pipeline.id)
        await store.save(pipeline, pipeline.change(fields, in_use))
        await self._settle(call, store, pipeline)
        return wire.pipeline_to_proto(pipeline)

    async def MigratePipeline(self, request: pb.MigratePipelineRequest, call: Call) -> Operation:
        raise NotImplementedError

    async def ListPipelineVersions(
        self, request: pb.ListPipelineVersionsRequest, call: Call
    ) -> pb.ListPipelineVersionsResponse:
        raise NotImplementedError

    async def _settle(self, call: Call, store: PipelineStore, pipeline: Pipeline) -> None:
        if pipeline.is_default:
            await store.make_default(pipeline)
        call.tx.after_commit(lambda: self.pipelines.forget(call.caller.tenant))
