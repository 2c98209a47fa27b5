"""What became of deals: one short method for each RPC."""

from datetime import datetime
from uuid import UUID

from sfa.opportunities.v1 import history_pb2 as pb

from chassis.call import Call
from services.opportunities.domain.deal_history import date_moves, visits
from services.opportunities.store import OpportunityStore, PipelineStore
from services.opportunities.store.deal_history import DealHistory
from services.opportunities.wire import deal_history as wire
from services.opportunities.wire.figures import instant_of


class OpportunityHistoryServicer:
    """What became of deals."""

    async def ListFieldChanges(
        self, request: pb.ListFieldChangesRequest, call: Call
    ) -> pb.ListFieldChangesResponse:
        columns = wire.columns_of(request.fields)
        await OpportunityStore(call).get(request.id, deleted=True)
        history = DealHistory(call, instant_of(request, "as_of"), instant_of(request, "effective_as_of"))
        size = request.page_size or 50
        steps, token = await history.steps(UUID(request.id), columns, size, request.page_token)
        fields = frozenset(request.fields)
        changes = [change for step in steps for change in wire.field_changes(step, fields)]
        return pb.ListFieldChangesResponse(field_changes=changes, next_page_token=token)

    async def ListStageVisits(
        self, request: pb.ListStageVisitsRequest, call: Call
    ) -> pb.ListStageVisitsResponse:
        await OpportunityStore(call).get(request.id, deleted=True)
        as_of, effective = instant_of(request, "as_of"), instant_of(request, "effective_as_of")
        ways = await DealHistory(call, as_of, effective).ways(UUID(request.id), "stage_id")
        pipelines = await PipelineStore(call).all()
        names = {stage.id: stage.name for each in pipelines for stage in (*each.retired_stages, *each.stages)}
        return wire.stage_visits_to_proto(visits(ways), _until(call, as_of, effective), names)

    async def ListCloseDateChanges(
        self, request: pb.ListCloseDateChangesRequest, call: Call
    ) -> pb.ListCloseDateChangesResponse:
        await OpportunityStore(call).get(request.id, deleted=True)
        history = DealHistory(call, instant_of(request, "as_of"), instant_of(request, "effective_as_of"))
        ways = await history.ways(UUID(request.id), "close_date", "state")
        return wire.date_moves_to_proto(date_moves(ways))


def _until(call: Call, as_of: datetime | None, effective: datetime | None) -> datetime:
    """Until when what is open then is counted."""
    return min(at for at in (call.now, as_of, effective) if at is not None)
