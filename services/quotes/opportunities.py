"""What quotes ask of the opportunities service: the deal that a quote is made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from sfa.opportunities.v1 import opportunities_pb2 as pb

if TYPE_CHECKING:
    from sfa.opportunities.v1.opportunities_pb2_grpc import OpportunityServiceAsyncStub

from chassis.errors import FailedPrecondition, NotFound


class OpportunityNotFound(NotFound):
    """There is no such deal, or the caller may not see it."""

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no opportunity {id} that you may see.", field="quote.opportunity_id")


class OpportunityIsDeleted(FailedPrecondition):
    """Nothing is offered for a deal that was deleted."""

    def __init__(self) -> None:
        super().__init__("The opportunity has been deleted.", field="quote.opportunity_id")


class Opportunities:
    """The opportunities service, as the caller of the current call may see it."""

    def __init__(self, stub: OpportunityServiceAsyncStub) -> None:
        self._stub = stub

    async def get(self, id: str) -> pb.Opportunity:
        """The deal. To be asked before the first write.

        Raises:
            OpportunityNotFound: the caller may not see it.
            OpportunityIsDeleted: it was deleted.
        """
        try:
            deal = await self._stub.GetOpportunity(pb.GetOpportunityRequest(id=id))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise OpportunityNotFound(id) from error
            raise
        if deal.HasField("delete_time"):
            raise OpportunityIsDeleted
        return deal
