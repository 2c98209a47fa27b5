"""The RPC that fills the forecast again."""

from contextlib import suppress
from uuid import UUID, uuid5

from google.longrunning.operations_proto_pb2 import Operation
from sfa.forecast.v1 import rebuild_pb2 as pb

from chassis import operations
from chassis.call import Call
from chassis.ids import new_id
from services.forecast.rebuild import REBUILD


class ForecastRebuildServicer:
    """Rebuilds of the forecast."""

    async def RebuildForecast(self, request: pb.RebuildForecastRequest, call: Call) -> Operation:
        tenant, key = call.caller.tenant, f"{REBUILD} {call.caller.actor} {call.request_id}"
        id = uuid5(tenant, key) if call.request_id else new_id()
        if call.request_id:
            with suppress(operations.OperationNotFound):
                return await operations.get(call, id)
        return await operations.start(call, REBUILD, {"from_nothing": request.from_nothing}, id=id)

    async def GetForecastRebuild(self, request: pb.GetForecastRebuildRequest, call: Call) -> Operation:
        return await operations.get(call, UUID(request.id))
