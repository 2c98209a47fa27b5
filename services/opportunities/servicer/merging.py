"""Deals that become one, and a deal that becomes several: one short method for each RPC."""

from uuid import UUID

from sfa.opportunities.v1 import merging_pb2 as pb
from sfa.opportunities.v1.opportunities_pb2 import Opportunity

from chassis import sight
from chassis.call import Call
from chassis.store import EntityNotFound
from services.opportunities import wire
from services.opportunities.domain import merge, split
from services.opportunities.store import OpportunityStore


class OpportunityMergingServicer:
    """Merging and splitting."""

    async def MergeOpportunities(self, request: pb.MergeOpportunitiesRequest, call: Call) -> Opportunity:
        store = OpportunityStore(call)
        survivor = await store.get(request.id, request.etag)
        ids = list(map(UUID, request.merged_ids))
        found = await store.get_many(ids)
        for index, id in enumerate(ids):
            if id not in found or found[id].deleted_at is not None:
                raise EntityNotFound("opportunity", id, f"merged_ids[{index}]")
        others = [found[id] if id != survivor.id else survivor for id in ids]
        adds = request.amounts != pb.MergeOpportunitiesRequest.KEEP
        merged = merge(survivor, others, call.now, adds=adds)
        changes = [(deal, merged) for deal in (survivor, *others)]
        store.save_together(changes, call.effective_at(request.effective_time))
        return wire.opportunity_to_proto(survivor)

    async def SplitOpportunity(self, request: pb.SplitOpportunityRequest, call: Call) -> Opportunity:
        store = OpportunityStore(call)
        parts = wire.parts_of(request)
        deal = await store.get(request.id, request.etag)
        for index, part in enumerate(parts):
            if part.owner_id is not None and part.owner_id != deal.owner_id:
                await sight.check_owner(call, part.owner_id, f"parts[{index}].owner_id")
        event, made = split(deal, parts)
        changes = [(each, event) for each in (deal, *made)]
        store.save_together(changes, call.effective_at(request.effective_time))
        return wire.opportunity_to_proto(deal)
