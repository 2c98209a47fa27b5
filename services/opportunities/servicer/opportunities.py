"""The deals: one short method for each RPC."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import batch, sight
from chassis.call import Call
from chassis.convert import date_of, datetime_of, fields_to_change, money_of, uuid_of
from chassis.entity import Event
from services.opportunities import wire
from services.opportunities.domain import LostReasonMissing, Opportunity, State
from services.opportunities.store import OpportunityStore, Pipelines


class OpportunityServicer:
    """The deals."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines

    async def CreateOpportunity(self, request: pb.CreateOpportunityRequest, call: Call) -> pb.Opportunity:
        asked = request.opportunity
        fields = {"owner_id": call.caller.user_id, **fields_to_change(asked, None, wire.NEW_FIELDS)}
        await sight.check_owner(call, fields["owner_id"], "opportunity.owner_id")
        effective_at = call.effective_at(request.effective_time)
        stage_id = uuid_of(asked.stage_id)
        pipeline, stage = (await self.pipelines.book(call, stage_id)).entry(stage_id)
        deal, created = Opportunity.create(
            fields, pipeline, stage, effective_at or call.now, uuid_of(asked.id)
        )
        await OpportunityStore(call).add(deal, created, effective_at)
        return wire.opportunity_to_proto(deal)

    async def GetOpportunity(self, request: pb.GetOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Opportunity)
            return resource
        return wire.opportunity_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetOpportunities(
        self, request: pb.BatchGetOpportunitiesRequest, call: Call
    ) -> pb.BatchGetOpportunitiesResponse:
        deals = await OpportunityStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetOpportunitiesResponse(opportunities=map(wire.opportunity_to_proto, deals))

    async def ListOpportunities(
        self, request: pb.ListOpportunitiesRequest, call: Call
    ) -> pb.ListOpportunitiesResponse:
        page = await OpportunityStore(call).page(request)
        return pb.ListOpportunitiesResponse(
            opportunities=map(wire.opportunity_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateOpportunity(self, request: pb.UpdateOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        fields = fields_to_change(request.opportunity, request.update_mask, wire.FIELDS)
        if "owner_id" in fields:
            await sight.check_owner(call, fields["owner_id"], "opportunity.owner_id")
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.change(fields), call.effective_at(request.effective_time))
        return wire.opportunity_to_proto(deal)

    async def MoveOpportunity(self, request: pb.MoveOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        stage_id = UUID(request.stage_id)
        stage = (await self.pipelines.book(call, stage_id)).of(deal).stage(stage_id)
        await store.save(deal, deal.move(stage), call.effective_at(request.effective_time))
        return wire.opportunity_to_proto(deal)

    async def WinOpportunity(self, request: pb.WinOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        effective_at = call.effective_at(request.effective_time)
        amount = money_of(request.amount, "amount") if request.HasField("amount") else None
        close_date = date_of(request.close_date, "close_date") if request.HasField("close_date") else None
        deal = await store.get(request.id, request.etag)
        won = (await self.pipelines.book(call, deal.stage_id)).of(deal).first(State.WON)
        await store.save(deal, deal.win(won, effective_at or call.now, close_date, amount), effective_at)
        return wire.opportunity_to_proto(deal)

    async def LoseOpportunity(self, request: pb.LoseOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        effective_at = call.effective_at(request.effective_time)
        close_date = date_of(request.close_date, "close_date") if request.HasField("close_date") else None
        if not request.lost_reason:
            raise LostReasonMissing
        deal = await store.get(request.id, request.etag)
        lost = (await self.pipelines.book(call, deal.stage_id)).of(deal).first(State.LOST)
        event = deal.lose(lost, request.lost_reason, effective_at or call.now, close_date)
        await store.save(deal, event, effective_at)
        return wire.opportunity_to_proto(deal)

    async def ReopenOpportunity(self, request: pb.ReopenOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        pipeline = (await self.pipelines.book(call, deal.stage_id)).of(deal)
        target = uuid_of(request.stage_id) or deal.closed_from or pipeline.first(State.OPEN).id
        await store.save(deal, deal.reopen(pipeline.stage(target)))
        return wire.opportunity_to_proto(deal)

    async def ConfirmQuote(self, request: pb.ConfirmQuoteRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.confirm_quote(uuid_of(request.quote_id)))
        return wire.opportunity_to_proto(deal)

    async def DismissQuote(self, request: pb.DismissQuoteRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.dismiss_quote())
        return wire.opportunity_to_proto(deal)

    async def CheckMove(self, request: pb.CheckMoveRequest, call: Call) -> pb.CheckMoveResponse:
        raise NotImplementedError

    async def CloseSiblingQuotes(
        self, request: pb.CloseSiblingQuotesRequest, call: Call
    ) -> pb.Opportunity:
        raise NotImplementedError

    async def KeepSiblingQuotes(self, request: pb.KeepSiblingQuotesRequest, call: Call) -> pb.Opportunity:
        raise NotImplementedError

    async def AcknowledgeOrder(self, request: pb.AcknowledgeOrderRequest, call: Call) -> pb.Opportunity:
        raise NotImplementedError

    async def DeleteOpportunity(self, request: pb.DeleteOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.delete(call.now))
        return wire.opportunity_to_proto(deal)

    async def UndeleteOpportunity(self, request: pb.UndeleteOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, deleted=True)
        await store.save(deal, deal.undelete(call.now))
        return wire.opportunity_to_proto(deal)

    async def BatchUpsertOpportunities(
        self, request: pb.BatchUpsertOpportunitiesRequest, call: Call
    ) -> pb.BatchUpsertOpportunitiesResponse:
        stages = await self.pipelines.book(call)
        owners = await sight.owners_within(call)

        def put(
            row: batch.Row, deal: Opportunity | None
        ) -> Iterator[tuple[Opportunity, Event, datetime | None]]:
            states = [(row.content.opportunity, row.content.effective_time)]
            if deal is None:
                states = [*((past.opportunity, past.effective_time) for past in row.content.history), *states]
            for asked, effective_time in states:
                effective_at = call.effective_at(effective_time)
                stage_id = uuid_of(asked.stage_id)
                event: Event
                if deal is None:
                    fields = {
                        "owner_id": call.caller.user_id,
                        **fields_to_change(asked, None, wire.NEW_FIELDS),
                    }
                    owners.check(fields["owner_id"], "opportunity.owner_id")
                    fields["external_ids"] = row.external_ids
                    pipeline, stage = stages.entry(stage_id)
                    deal, event = Opportunity.create(
                        fields, pipeline, stage, effective_at or call.now, row.id
                    )
                else:
                    fields = fields_to_change(asked, None, wire.FIELDS)
                    if "owner_id" in fields:
                        owners.check(fields["owner_id"], "opportunity.owner_id")
                    target = stages.of(deal).stage(stage_id, "opportunity.stage_id") if stage_id else None
                    event = deal.put(fields, target, effective_at or call.now)
                yield deal, event, effective_at

        rows = batch.numbered(request.rows, "opportunity")
        results = await batch.upsert(
            OpportunityStore(call), call, rows, put, validate_only=request.validate_only
        )
        return pb.BatchUpsertOpportunitiesResponse(results=results)

    async def ListOpportunityVersions(
        self, request: pb.ListOpportunityVersionsRequest, call: Call
    ) -> pb.ListOpportunityVersionsResponse:
        versions, token = await OpportunityStore(call).versions(UUID(request.id), request)
        return pb.ListOpportunityVersionsResponse(
            versions=map(wire.version_to_proto, versions), next_page_token=token
        )
