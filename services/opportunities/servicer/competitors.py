"""Competitors and battle cards: one short method for each RPC."""

from uuid import UUID

from sfa.opportunities.v1 import competitors_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from services.opportunities.domain.competitors import (
    BattleCard,
    Competitor,
    CompetitorUnknown,
    by_threat,
    fitting,
)
from services.opportunities.store.competitors import BattleCardStore, CompetitorStore, CustomerStore
from services.opportunities.store.opportunities import OpportunityStore
from services.opportunities.wire import competitors as wire
from services.opportunities.wire.details import deal_competitor_to_proto

_MOST_CARDS = 50


class CompetitorServicer:
    """The competitors."""

    async def CreateCompetitor(self, request: pb.CreateCompetitorRequest, call: Call) -> pb.Competitor:
        fields = fields_to_change(request.competitor, None, wire.COMPETITOR_FIELDS)
        competitor = Competitor(id=uuid_of(request.competitor.id) or new_id(), **fields)
        await CompetitorStore(call).add(competitor, competitor.create())
        return wire.competitor_to_proto(competitor)

    async def GetCompetitor(self, request: pb.GetCompetitorRequest, call: Call) -> pb.Competitor:
        return wire.competitor_to_proto(await CompetitorStore(call).get(request.id, deleted=True))

    async def ListCompetitors(
        self, request: pb.ListCompetitorsRequest, call: Call
    ) -> pb.ListCompetitorsResponse:
        page = await CompetitorStore(call).page(request)
        return pb.ListCompetitorsResponse(
            competitors=map(wire.competitor_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateCompetitor(self, request: pb.UpdateCompetitorRequest, call: Call) -> pb.Competitor:
        store = CompetitorStore(call)
        competitor = await store.get(request.id, request.etag)
        fields = fields_to_change(request.competitor, request.update_mask, wire.COMPETITOR_FIELDS)
        await store.save(competitor, competitor.change(fields))
        return wire.competitor_to_proto(competitor)

    async def DeleteCompetitor(self, request: pb.DeleteCompetitorRequest, call: Call) -> pb.Competitor:
        store = CompetitorStore(call)
        competitor = await store.get(request.id, request.etag)
        await store.save(competitor, competitor.delete(call.now))
        return wire.competitor_to_proto(competitor)

    async def UndeleteCompetitor(self, request: pb.UndeleteCompetitorRequest, call: Call) -> pb.Competitor:
        store = CompetitorStore(call)
        competitor = await store.get(request.id, deleted=True)
        await store.save(competitor, competitor.undelete(call.now))
        return wire.competitor_to_proto(competitor)


class BattleCardServicer:
    """The battle cards."""

    async def CreateBattleCard(self, request: pb.CreateBattleCardRequest, call: Call) -> pb.BattleCard:
        fields = fields_to_change(request.battle_card, None, wire.NEW_BATTLE_CARD_FIELDS)
        card = BattleCard(id=uuid_of(request.battle_card.id) or new_id(), **fields)
        created = card.create()
        competitor = await CompetitorStore(call).find(UUID(request.battle_card.competitor_id))
        if competitor is None or competitor.deleted_at is not None:
            raise CompetitorUnknown(UUID(request.battle_card.competitor_id), "battle_card.competitor_id")
        await BattleCardStore(call).add(card, created)
        return wire.battle_card_to_proto(card)

    async def GetBattleCard(self, request: pb.GetBattleCardRequest, call: Call) -> pb.BattleCard:
        return wire.battle_card_to_proto(await BattleCardStore(call).get(request.id, deleted=True))

    async def ListBattleCards(
        self, request: pb.ListBattleCardsRequest, call: Call
    ) -> pb.ListBattleCardsResponse:
        page = await BattleCardStore(call).page(request)
        return pb.ListBattleCardsResponse(
            battle_cards=map(wire.battle_card_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateBattleCard(self, request: pb.UpdateBattleCardRequest, call: Call) -> pb.BattleCard:
        store = BattleCardStore(call)
        card = await store.get(request.id, request.etag)
        fields = fields_to_change(request.battle_card, request.update_mask, wire.BATTLE_CARD_FIELDS)
        await store.save(card, card.change(fields))
        return wire.battle_card_to_proto(card)

    async def DeleteBattleCard(self, request: pb.DeleteBattleCardRequest, call: Call) -> pb.BattleCard:
        store = BattleCardStore(call)
        card = await store.get(request.id, request.etag)
        await store.save(card, card.delete(call.now))
        return wire.battle_card_to_proto(card)

    async def UndeleteBattleCard(self, request: pb.UndeleteBattleCardRequest, call: Call) -> pb.BattleCard:
        store = BattleCardStore(call)
        card = await store.get(request.id, deleted=True)
        await store.save(card, card.undelete(call.now))
        return wire.battle_card_to_proto(card)

    async def ListOpportunityBattleCards(
        self, request: pb.ListOpportunityBattleCardsRequest, call: Call
    ) -> pb.ListOpportunityBattleCardsResponse:
        deal = await OpportunityStore(call).get(request.id)
        rivals = by_threat(deal.details.competitors)
        ids = [each.competitor_id for each in rivals]
        competitors = await CompetitorStore(call).get_many(ids)
        cards = await BattleCardStore(call).against(ids)
        customer = await CustomerStore(call).get(deal.account_id)
        answer = pb.ListOpportunityBattleCardsResponse(segment=customer.segment, industry=customer.industry)
        for rival in rivals:
            if (competitor := competitors.get(rival.competitor_id)) is not None:
                fit = fitting(cards, deal, rival, customer)[:_MOST_CARDS]
                answer.rivals.add(
                    deal_competitor=deal_competitor_to_proto(rival),
                    competitor=wire.competitor_to_proto(competitor),
                    battle_cards=map(wire.battle_card_to_proto, fit),
                )
        return answer
