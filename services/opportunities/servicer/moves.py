"""How deals move, close and open again, past the gates of their pipelines: one short method for each RPC."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.call import Call
from chassis.convert import date_of, fields_to_change, money_of, uuid_of
from chassis.money import Money
from services.opportunities import wire
from services.opportunities.criteria import gatekeeper
from services.opportunities.domain import LostReasonMissing, Opportunity, State
from services.opportunities.store import Entrant, OpportunityStore, Pipelines
from services.opportunities.store.competitors import NamedCompetitors
from services.opportunities.store.tenant_settings import tenant_of


class MovesServicer:
    """The part of the deals' service that moves them."""

    pipelines: Pipelines

    async def MoveOpportunity(self, request: pb.MoveOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        stage_id = UUID(request.stage_id)
        book = await self.pipelines.book(call, stage_id)
        pipeline = book.of(deal)
        if request.pipeline_id and UUID(request.pipeline_id) != deal.pipeline_id:
            pipeline, stage = book.entry(Entrant(stage_id, UUID(request.pipeline_id)), field="stage_id")
            event = deal.move(stage, pipeline)
            gatekeeper.check_entry(deal, pipeline, stage, call.now)
        else:
            stage = pipeline.stage(stage_id)
            if deal.state is State.OPEN and stage.kind is State.OPEN:
                gatekeeper.check_move(deal, pipeline, stage, call.now)
            event = deal.move(stage)
        await store.save(deal, event, call.effective_at(request.effective_time))
        return wire.opportunity_to_proto(deal)

    async def CheckMove(self, request: pb.CheckMoveRequest, call: Call) -> pb.CheckMoveResponse:
        deal = await OpportunityStore(call).get(request.id)
        stage_id = uuid_of(request.stage_id)
        pipeline = (await self.pipelines.book(call, stage_id or deal.stage_id)).of(deal)
        stages = [each for each in pipeline.stages if each.id != deal.stage_id]
        if request.HasField("opportunity"):
            deal.change(fields_to_change(request.opportunity, None, wire.FIELDS))
        asked = stages if stage_id is None else [pipeline.stage(stage_id)]
        checks = gatekeeper.refusals(deal, pipeline, asked, call.now)
        return pb.CheckMoveResponse(moves=[wire.move_check_to_proto(*check) for check in checks])

    async def WinOpportunity(self, request: pb.WinOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        effective_at = call.effective_at(request.effective_time)
        amount = money_of(request.amount, "amount") if request.HasField("amount") else None
        close_date = date_of(request.close_date, "close_date") if request.HasField("close_date") else None
        deal = await store.get(request.id, request.etag)
        pipeline = (await self.pipelines.book(call, deal.stage_id)).of(deal)
        won = pipeline.first(State.WON)
        if deal.state is State.OPEN:
            given = _given(amount, close_date, request.win_reason)
            gatekeeper.check_move(deal, pipeline, won, call.now, given)
        at = effective_at or call.now
        day = close_date or (await tenant_of(call)).day(at)
        event = deal.win(won, at, day, amount, request.win_reason)
        await store.save(deal, event, effective_at)
        return wire.opportunity_to_proto(deal)

    async def LoseOpportunity(self, request: pb.LoseOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        effective_at = call.effective_at(request.effective_time)
        close_date = date_of(request.close_date, "close_date") if request.HasField("close_date") else None
        price = (
            money_of(request.competitor_price, "competitor_price")
            if request.HasField("competitor_price")
            else None
        )
        if not request.lost_reason:
            raise LostReasonMissing
        deal = await store.get(request.id, request.etag)
        lost = (await self.pipelines.book(call, deal.stage_id)).of(deal).first(State.LOST)
        rival = uuid_of(request.lost_to_competitor_id)
        if rival is not None:
            named = {"lost_to_competitor_id": rival}
            competitors = await NamedCompetitors.of(call, named)
            competitors.check(named, deal.details.competitors, within="")
        at = effective_at or call.now
        day = close_date or (await tenant_of(call)).day(at)
        event = deal.lose(lost, request.lost_reason, at, day, rival, price)
        await store.save(deal, event, effective_at)
        return wire.opportunity_to_proto(deal)

    async def ReopenOpportunity(self, request: pb.ReopenOpportunityRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        pipeline = (await self.pipelines.book(call, deal.stage_id)).of(deal)
        stage_id = uuid_of(request.stage_id)
        stage = pipeline.stage(stage_id) if stage_id else pipeline.reopening(deal.closed_from)
        await store.save(deal, deal.reopen(stage))
        return wire.opportunity_to_proto(deal)


def _given(amount: Money | None, close_date: date | None, win_reason: str) -> Callable[[Opportunity], Any]:
    """What a request to win says of the deal besides what is on record."""

    def take(deal: Opportunity) -> None:
        deal.amount = amount if amount is not None else deal.amount
        deal.close_date = close_date if close_date is not None else deal.close_date
        if win_reason:
            deal.details = deal.details.changed({"win_reason": win_reason})

    return take
