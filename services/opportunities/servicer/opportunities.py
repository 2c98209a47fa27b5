"""The deals: one short method for each RPC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import batch, sight
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.entity import Event
from services.opportunities import wire
from services.opportunities.criteria import gatekeeper
from services.opportunities.domain import GatesHold, Opportunity
from services.opportunities.servicer.moves import MovesServicer
from services.opportunities.servicer.quote_links import QuoteLinksServicer
from services.opportunities.store import Entrant, OpportunityStore, Pipelines
from services.opportunities.store.competitors import NamedCompetitors

if TYPE_CHECKING:
    from sfa.quotes.v1.quotes_pb2_grpc import QuoteServiceAsyncStub


class OpportunityServicer(MovesServicer, QuoteLinksServicer):
    """The deals."""

    def __init__(self, pipelines: Pipelines, quotes: QuoteServiceAsyncStub) -> None:
        self.pipelines = pipelines
        self.quotes = quotes

    async def CreateOpportunity(self, request: pb.CreateOpportunityRequest, call: Call) -> pb.Opportunity:
        asked = request.opportunity
        fields = {"owner_id": call.caller.user_id, **fields_to_change(asked, None, wire.NEW_FIELDS)}
        await sight.check_owner(call, fields["owner_id"], "opportunity.owner_id")
        effective_at = call.effective_at(request.effective_time)
        entrant = Entrant.of(asked, fields["owner_id"])
        book = await self.pipelines.book(call, entrant.stage_id or entrant.pipeline_id)
        pipeline, stage = book.entry(entrant, await self.pipelines.belonging(call, book, (entrant,)))
        (await NamedCompetitors.of(call, fields)).check(fields)
        deal, created = Opportunity.create(
            fields, pipeline, stage, effective_at or call.now, uuid_of(asked.id)
        )
        gatekeeper.check_entry(deal, pipeline, stage, call.now)
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
        (await NamedCompetitors.of(call, fields)).check(fields, deal.details.competitors)
        if "forecast_category" in fields:
            (await self.pipelines.book(call, deal.stage_id)).of(deal).check_category(fields)
        await store.save(deal, deal.change(fields), call.effective_at(request.effective_time))
        return wire.opportunity_to_proto(deal)

    async def DeleteOpportunity(self, request: pb.DeleteOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.delete(call.now))
        return wire.opportunity_to_proto(deal)

    async def UndeleteOpportunity(self, request: pb.UndeleteOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, deleted=True)
        event = deal.undelete(call.now)
        assert deal.stage_id is not None
        # its stage may have been taken out meanwhile
        deal.stage_id = (await self.pipelines.book(call, deal.stage_id)).of(deal).standing(deal.stage_id).id
        await store.save(deal, event)
        return wire.opportunity_to_proto(deal)

    async def BatchUpsertOpportunities(
        self, request: pb.BatchUpsertOpportunitiesRequest, call: Call
    ) -> pb.BatchUpsertOpportunitiesResponse:
        if request.skip_gates and "history.write" not in call.caller.permissions:
            raise GatesHold
        stages = await self.pipelines.book(call)
        owners = await sight.owners_within(call)
        first = ((row.history[0] if row.history else row).opportunity for row in request.rows)
        entrants = (Entrant.of(each, uuid_of(each.owner_id) or call.caller.user_id) for each in first)
        belonging = await self.pipelines.belonging(call, stages, entrants)
        asked_for = [row.opportunity for row in request.rows]
        asked_for += [past.opportunity for row in request.rows for past in row.history]
        competitors = await NamedCompetitors.in_messages(call, asked_for)

        def put(
            row: batch.Row, deal: Opportunity | None
        ) -> Iterator[tuple[Opportunity, Event, datetime | None]]:
            states = [(row.content.opportunity, row.content.effective_time)]
            if deal is None:
                states = [*((past.opportunity, past.effective_time) for past in row.content.history), *states]
            for asked, effective_time in states:
                effective_at = call.effective_at(effective_time)
                event: Event
                if deal is None:
                    fields = {
                        "owner_id": call.caller.user_id,
                        **fields_to_change(asked, None, wire.NEW_FIELDS),
                    }
                    owners.check(fields["owner_id"], "opportunity.owner_id")
                    competitors.check(fields)
                    fields["external_ids"] = row.external_ids
                    pipeline, stage = stages.entry(Entrant.of(asked, fields["owner_id"]), belonging)
                    deal, event = Opportunity.create(
                        fields, pipeline, stage, effective_at or call.now, row.id
                    )
                    if not request.skip_gates:
                        gatekeeper.check_entry(deal, pipeline, stage, call.now)
                else:
                    fields = fields_to_change(asked, None, wire.FIELDS)
                    if "owner_id" in fields:
                        owners.check(fields["owner_id"], "opportunity.owner_id")
                    competitors.check(fields, deal.details.competitors)
                    stages.of(deal).check_category(fields)
                    stage_id = uuid_of(asked.stage_id)
                    target = stages.of(deal).stage(stage_id, "opportunity.stage_id") if stage_id else None
                    if target is not None and target.id != deal.stage_id and not request.skip_gates:
                        gatekeeper.check_move(
                            deal,
                            stages.of(deal),
                            target,
                            call.now,
                            partial(Opportunity.change, fields=fields),
                        )
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
