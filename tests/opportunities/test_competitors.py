"""Competitors: who is in a deal, which battle cards fit it, and against whom deals are won and lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.contacts.v1 import contacts_pb2, contacts_pb2_grpc
from sfa.opportunities.v1 import competitors_pb2 as pb
from sfa.opportunities.v1 import competitors_pb2_grpc as stubs
from sfa.opportunities.v1 import deals_pb2 as parts
from sfa.opportunities.v1 import opportunities_pb2, opportunities_pb2_grpc
from sfa.opportunities.v1.opportunities_pb2 import Opportunity as Resource

from chassis.ids import new_id
from chassis.money import Money as Amount
from services.opportunities.domain.competition import DealCompetitor, Threat
from services.opportunities.domain.competitors import (
    BattleCard,
    BattleCardIncomplete,
    CardConditions,
    Competitor,
    CompetitorNameMissing,
    CompetitorProduct,
    CompetitorProductTwice,
    CompetitorProductUnknown,
    CompetitorTrait,
    CompetitorUnknown,
    Customer,
    by_threat,
    check_named,
    fitting,
)
from services.opportunities.domain.opportunities import LineItem, Opportunity
from services.opportunities.domain.win_loss import PeriodBackwards, WinLossBy, WinLossQuestion
from tests.opportunities.test_deals_served import refusal
from tests.stack import Stack

BY = pb.GetWinLossRequest
HIGH, LOW = parts.DealCompetitor.HIGH, parts.DealCompetitor.LOW
THEM, STAGE, PRODUCT, THEIRS = (uuid4() for _ in range(4))


# The rules


def card(**conditions: Any) -> BattleCard:
    priority = conditions.pop("priority", 0)
    return BattleCard(
        competitor_id=THEM,
        claim="Cheaper",
        answer="Not over ten years",
        conditions=CardConditions(**conditions),
        priority=priority,
    )


@pytest.mark.parametrize(
    ("conditions", "closeness"),
    [
        ({}, 0),
        ({"segments": ("ENTERPRISE", "smb")}, 1),
        ({"segments": ("public",)}, None),
        ({"industries": (" Medical ",), "stage_ids": (STAGE,)}, 2),
        ({"industries": ("medical",), "stage_ids": (THEM,)}, None),
        ({"product_ids": (PRODUCT, THEM), "competitor_product_ids": (THEIRS,)}, 2),
        ({"competitor_product_ids": (PRODUCT,)}, None),
    ],
)
def test_a_card_fits_where_the_deal_meets_every_condition(
    conditions: dict[str, Any], closeness: int | None
) -> None:
    deal = Opportunity(
        name="Roof", stage_id=STAGE, line_items=(LineItem(PRODUCT, Decimal(1), Amount(Decimal(1), "EUR")),)
    )
    rival = DealCompetitor(THEM, product_ids=(THEIRS,))
    assert card(**conditions).closeness(deal, rival, Customer("Enterprise", "medical")) == closeness


def test_a_condition_on_what_is_not_known_is_not_met() -> None:
    assert (
        card(segments=("smb",)).closeness(Opportunity(name="Roof"), DealCompetitor(THEM), Customer()) is None
    )


def test_cards_made_for_such_deals_come_before_general_ones_and_then_by_priority() -> None:
    general, urgent, close = card(), card(priority=5), card(stage_ids=(STAGE,))
    of_others = BattleCard(competitor_id=uuid4(), claim="x", answer="y")
    found = fitting(
        [general, urgent, of_others, close],
        Opportunity(name="Roof", stage_id=STAGE),
        DealCompetitor(THEM),
        Customer(),
    )
    assert found == [close, urgent, general]


def test_the_most_dangerous_come_first_and_those_of_whom_nobody_said_it_last() -> None:
    rivals = [DealCompetitor(uuid4(), threat) for threat in (None, Threat.LOW, Threat.HIGH, Threat.MEDIUM)]
    assert [each.threat for each in by_threat(rivals)] == [Threat.HIGH, Threat.MEDIUM, Threat.LOW, None]


def test_what_is_said_of_a_competitor_makes_sense_or_is_refused() -> None:
    crane = CompetitorProduct(uuid4(), "Crane")
    with pytest.raises(CompetitorNameMissing):
        Competitor().create()
    for twin in (CompetitorProduct(uuid4(), "Crane"), CompetitorProduct(crane.id, "Hook")):
        with pytest.raises(CompetitorProductTwice) as caught:
            Competitor(name="Acme", products=(crane, twin)).create()
        assert caught.value.violations[0].field == "competitor.products[1]"
    with pytest.raises(CompetitorProductUnknown):
        Competitor(name="Acme", products=(crane,), weaknesses=(CompetitorTrait("Slow", uuid4()),)).create()
    for name in ("competitor_id", "claim", "answer"):
        made = card()
        setattr(made, name, None)
        with pytest.raises(BattleCardIncomplete):
            made.create()


def test_a_deal_keeps_a_competitor_that_is_deleted_and_takes_none_up() -> None:
    gone = Competitor(id=THEM, name="Acme", deleted_at=datetime(2026, 1, 1, tzinfo=UTC))
    named = {"competitors": (DealCompetitor(THEM),)}
    check_named(named, {THEM: gone}, before=[DealCompetitor(THEM, Threat.LOW)])
    for known in ({THEM: gone}, {}):
        with pytest.raises(CompetitorUnknown):
            check_named(named, known)


def test_a_period_that_is_not_said_is_the_year_up_to_today() -> None:
    today = date(2026, 3, 1)
    asked = WinLossQuestion.of([WinLossBy.OWNER], None, None, today, None, None, 0)
    assert (asked.from_date, asked.to_date, asked.most) == (today - timedelta(days=365), today, 100)
    with pytest.raises(PeriodBackwards):
        WinLossQuestion.of([], date(2026, 3, 2), today, today, None, None, 0)
    earliest = WinLossQuestion.of([], None, date(1, 1, 5), today, None, None, 0)
    assert earliest.from_date == date.min


# Served


@pytest.fixture
async def service(shared: Callable[..., Awaitable[Stack]]) -> Stack:
    return await shared("opportunities")


def competitors(service: Stack, role: str | None = "manager") -> Any:
    return stubs.CompetitorServiceStub(service.channel("opportunities", role))


def cards(service: Stack, role: str | None = "manager") -> Any:
    return stubs.BattleCardServiceStub(service.channel("opportunities", role))


def deals(service: Stack, role: str | None = None, **claims: Any) -> Any:
    return opportunities_pb2_grpc.OpportunityServiceStub(service.channel("opportunities", role, **claims))


def reports(service: Stack, role: str | None = None, **claims: Any) -> Any:
    return stubs.WinLossServiceStub(service.channel("opportunities", role, **claims))


def euros(units: int) -> Money:
    return Money(currency_code="EUR", units=units)


async def rival(service: Stack, name: str = "Acme", **fields: Any) -> pb.Competitor:
    answer: pb.Competitor = await competitors(service).CreateCompetitor(
        pb.CreateCompetitorRequest(competitor=pb.Competitor(name=name, **fields))
    )
    return answer


async def make(service: Stack, role: str | None = None, **fields: Any) -> Resource:
    fields.setdefault("name", "Roof")
    answer: Resource = await deals(service, role).CreateOpportunity(
        opportunities_pb2.CreateOpportunityRequest(opportunity=Resource(**fields))
    )
    return answer


async def battle_card(service: Stack, competitor: pb.Competitor, **fields: Any) -> pb.BattleCard:
    fields = {"claim": "Cheaper", "answer": "Not over ten years", "competitor_id": competitor.id, **fields}
    answer: pb.BattleCard = await cards(service).CreateBattleCard(
        pb.CreateBattleCardRequest(battle_card=pb.BattleCard(**fields))
    )
    return answer


async def lose(service: Stack, deal: Resource, **fields: Any) -> Resource:
    fields.setdefault("lost_reason", "Price")
    answer: Resource = await deals(service).LoseOpportunity(
        opportunities_pb2.LoseOpportunityRequest(id=deal.id, **fields)
    )
    return answer


async def win(service: Stack, deal: Resource, **fields: Any) -> Resource:
    answer: Resource = await deals(service).WinOpportunity(
        opportunities_pb2.WinOpportunityRequest(id=deal.id, **fields)
    )
    return answer


async def test_a_competitor_is_kept_by_managers_and_read_by_reps(service: Stack) -> None:
    crane = pb.CompetitorProduct(name="Crane", our_product_ids=[str(new_id())])
    made = await rival(service, products=[crane], strengths=[pb.CompetitorTrait(text="Cheap")])
    assert made.products[0].id
    weak = pb.CompetitorTrait(
        text="Slow", product_id=made.products[0].id, our_product_id=crane.our_product_ids[0]
    )
    request = pb.UpdateCompetitorRequest(
        id=made.id,
        etag=made.etag,
        competitor=pb.Competitor(weaknesses=[weak]),
        update_mask=FieldMask(paths=["weaknesses"]),
    )
    changed = await competitors(service).UpdateCompetitor(request)
    assert (list(changed.weaknesses), changed.strengths[0].text) == ([weak], "Cheap")
    by_rep = competitors(service, "rep")
    assert await by_rep.GetCompetitor(pb.GetCompetitorRequest(id=made.id)) == changed
    listed = await by_rep.ListCompetitors(pb.ListCompetitorsRequest(filter='name:"acm"', order_by="name"))
    assert [each.id for each in listed.competitors] == [made.id]
    request.competitor.name = "Mine"
    assert await refusal(by_rep.UpdateCompetitor(request)) == "PERMISSION_MISSING"
    await competitors(service).DeleteCompetitor(pb.DeleteCompetitorRequest(id=made.id))
    back = await competitors(service).UndeleteCompetitor(pb.UndeleteCompetitorRequest(id=made.id))
    assert not back.HasField("delete_time")


async def test_a_rep_gets_the_cards_that_fit_the_deal_in_one_call(service: Stack) -> None:
    acme = await rival(service, products=[pb.CompetitorProduct(name="Crane")])
    other = await rival(service, "Zenith")
    product = str(new_id())
    line = opportunities_pb2.LineItem(product_id=product, quantity="1", unit_price=euros(5))
    deal = await make(
        service,
        line_items=[line],
        competitors=[
            parts.DealCompetitor(competitor_id=other.id, threat=LOW),
            parts.DealCompetitor(
                competitor_id=acme.id, threat=HIGH, product_ids=[acme.products[0].id], price=euros(4)
            ),
        ],
    )
    evidence = [pb.Evidence(text="A test of ten cranes", url="https://example.com/test")]
    general = await battle_card(service, acme, evidence=evidence)
    close = await battle_card(
        service, acme, conditions=pb.CardConditions(product_ids=[product], stage_ids=[deal.stage_id])
    )
    against = await battle_card(
        service, acme, conditions=pb.CardConditions(competitor_product_ids=[acme.products[0].id])
    )
    await battle_card(service, acme, conditions=pb.CardConditions(segments=["public"]))
    deleted = await battle_card(service, acme)
    await cards(service).DeleteBattleCard(pb.DeleteBattleCardRequest(id=deleted.id))
    request = pb.ListOpportunityBattleCardsRequest(id=deal.id)
    answer = await cards(service, None).ListOpportunityBattleCards(request)
    assert [each.competitor.name for each in answer.rivals] == ["Acme", "Zenith"]
    first = answer.rivals[0]
    assert first.deal_competitor.price == euros(4)
    assert [each.id for each in first.battle_cards] == [close.id, against.id, general.id]
    assert list(first.battle_cards[2].evidence) == evidence
    assert not answer.rivals[1].battle_cards
    assert (
        await refusal(
            cards(service, "rep").ListOpportunityBattleCards(
                pb.ListOpportunityBattleCardsRequest(id=str(new_id()))
            )
        )
        == "NOT_FOUND"
    )


async def test_cards_are_found_by_their_competitor_and_stay_with_it(service: Stack) -> None:
    acme, other = await rival(service), await rival(service, "Zenith")
    made = await battle_card(service, acme)
    await battle_card(service, other)
    listed = await cards(service, "rep").ListBattleCards(
        pb.ListBattleCardsRequest(filter=f'competitor_id = "{acme.id}"')
    )
    assert [each.id for each in listed.battle_cards] == [made.id]
    request = pb.UpdateBattleCardRequest(
        id=made.id,
        battle_card=pb.BattleCard(answer="New"),
        update_mask=FieldMask(paths=["answer", "conditions"]),
    )
    assert (await cards(service).UpdateBattleCard(request)).answer == "New"
    request.update_mask.paths[:] = ["competitor_id"]
    assert await refusal(cards(service).UpdateBattleCard(request)) == "UNKNOWN_FIELD"
    assert await refusal(battle_card(service, acme, competitor_id=str(new_id()))) == "COMPETITOR_UNKNOWN"
    assert await refusal(battle_card(service, acme, answer="")) == "BATTLE_CARD_INCOMPLETE"


async def test_a_deal_names_only_competitors_and_products_that_are_there(service: Stack) -> None:
    acme = await rival(service)
    unknown = parts.DealCompetitor(competitor_id=str(new_id()))
    assert await refusal(make(service, competitors=[unknown])) == "COMPETITOR_UNKNOWN"
    wrong = parts.DealCompetitor(competitor_id=acme.id, product_ids=[str(new_id())])
    assert await refusal(make(service, competitors=[wrong])) == "COMPETITOR_PRODUCT_UNKNOWN"
    deal = await make(service, amount=euros(10), competitors=[parts.DealCompetitor(competitor_id=acme.id)])
    assert await refusal(lose(service, deal, lost_to_competitor_id=str(new_id()))) == "COMPETITOR_UNKNOWN"
    assert await refusal(lose(service, deal, competitor_price=euros(1))) == "COMPETITOR_MISSING"
    dollars = Money(currency_code="USD", units=1)
    by_them = lose(service, deal, lost_to_competitor_id=acme.id, competitor_price=dollars)
    assert await refusal(by_them) == "CURRENCIES_DIFFER"
    rows = [
        opportunities_pb2.BatchUpsertOpportunitiesRequest.Row(
            opportunity=Resource(name="A", competitors=[each])
        )
        for each in (unknown, parts.DealCompetitor(competitor_id=acme.id))
    ]
    answer = await deals(service).BatchUpsertOpportunities(
        opportunities_pb2.BatchUpsertOpportunitiesRequest(rows=rows)
    )
    assert [each.reason for each in answer.results] == ["COMPETITOR_UNKNOWN", ""]
    listed = await deals(service).ListOpportunities(
        opportunities_pb2.ListOpportunitiesRequest(filter=f'competitors.competitor_id:"{acme.id}"')
    )
    assert len(listed.opportunities) == 2


async def test_a_deal_is_lost_to_a_competitor_at_a_price_and_reopened_without_them(service: Stack) -> None:
    acme = await rival(service)
    deal = await make(service, amount=euros(100))
    lost = await lose(service, deal, lost_to_competitor_id=acme.id, competitor_price=euros(80))
    assert lost.lost_to_competitor_id == acme.id
    assert [(each.competitor_id, each.price) for each in lost.competitors] == [(acme.id, euros(80))]
    again = await deals(service).ReopenOpportunity(opportunities_pb2.ReopenOpportunityRequest(id=deal.id))
    assert (again.lost_to_competitor_id, len(again.competitors)) == ("", 1)


async def test_the_owner_says_how_the_forecast_counts_a_deal_where_the_pipeline_lets_them(
    service: Stack,
) -> None:
    deal = await make(service, forecast_category=opportunities_pb2.COMMIT)
    assert deal.forecast_category == opportunities_pb2.COMMIT
    pipelines: Any = opportunities_pb2_grpc.PipelineServiceStub(
        service.channel("opportunities", "operations")
    )
    fixed = opportunities_pb2.Pipeline(is_forecast_category_fixed=True)
    changed = await pipelines.UpdatePipeline(
        opportunities_pb2.UpdatePipelineRequest(id=deal.pipeline_id, pipeline=fixed)
    )
    assert changed.is_forecast_category_fixed
    change = opportunities_pb2.UpdateOpportunityRequest(
        id=deal.id, opportunity=Resource(forecast_category=opportunities_pb2.BEST_CASE)
    )
    assert await refusal(deals(service).UpdateOpportunity(change)) == "FORECAST_CATEGORY_FIXED"
    assert (
        await refusal(make(service, forecast_category=opportunities_pb2.OMITTED)) == "FORECAST_CATEGORY_FIXED"
    )
    change.ClearField("opportunity")
    change.opportunity.SetInParent()
    change.update_mask.paths[:] = ["forecast_category"]
    assert (await deals(service).UpdateOpportunity(change)).forecast_category == 0


async def test_wins_and_losses_are_counted_by_every_dimension(service: Stack) -> None:
    acme, zenith = await rival(service), await rival(service, "Zenith")
    product = str(new_id())
    line = opportunities_pb2.LineItem(product_id=product, quantity="2", unit_price=euros(50))
    both = [
        parts.DealCompetitor(competitor_id=acme.id, price=euros(80)),
        parts.DealCompetitor(competitor_id=zenith.id, price=euros(125)),
    ]
    await lose(
        service, await make(service, line_items=[line, line], competitors=both), lost_to_competitor_id=acme.id
    )
    await win(service, await make(service, amount=euros(100), competitors=both[1:]), win_reason="Service")
    await win(service, await make(service, amount=Money(currency_code="USD", units=7)))
    await lose(service, await make(service), lost_reason="Budget")
    await make(service, amount=euros(5))  # open

    async def by(*dimensions: Any, **fields: Any) -> pb.WinLoss:
        answer: pb.WinLoss = await reports(service).GetWinLoss(
            pb.GetWinLossRequest(group_by=dimensions, **fields)
        )
        return answer

    def won_lost(answer: pb.WinLoss) -> dict[Any, tuple[int, int]]:
        return {
            tuple(each.keys) if len(each.keys) > 1 else each.keys[0]: (
                each.figures.won_count,
                each.figures.lost_count,
            )
            for each in answer.groups
        }

    whole = (await by()).total
    assert (whole.won_count, whole.lost_count, whole.win_rate, whole.unpriced_count) == (2, 2, "50.0", 1)
    assert list(whole.won_amounts) == [euros(100), Money(currency_code="USD", units=7)]
    assert (list(whole.lost_amounts), whole.lost_to_count) == ([euros(200)], 1)
    # lost at 200 against 80: +150 %; won at 100 against 125: −20 %
    assert (whole.price_gap_count, whole.average_price_gap) == (2, "65.0")
    against = await by(BY.COMPETITOR)
    assert won_lost(against) == {acme.id: (0, 1), zenith.id: (1, 1), "": (1, 1)}
    assert {each.keys[0]: each.figures.lost_to_count for each in against.groups} == {
        acme.id: 1,
        zenith.id: 0,
        "": 0,
    }
    assert {each.names[0] for each in against.groups} == {"Acme", "Zenith", ""}
    assert against.total == whole
    assert won_lost(await by(BY.PRODUCT)) == {product: (0, 1), "": (2, 1)}
    assert won_lost(await by(BY.REASON)) == {"Price": (0, 1), "Budget": (0, 1), "Service": (1, 0), "": (1, 0)}
    assert won_lost(await by(BY.PRICE_GAP)) == {"ABOVE_20": (0, 1), "-20_TO_-10": (1, 0), "": (1, 1)}
    (stage,) = (await by(BY.STAGE)).groups
    assert (stage.names[0], stage.figures) == ("Contact", whole)
    assert won_lost(await by(BY.OWNER)) == {str(service.callers.user()): (2, 2)}
    assert won_lost(await by(BY.COMPETITOR, BY.REASON))[(acme.id, "Price")] == (0, 1)
    assert won_lost(await by(BY.SEGMENT, competitor_id=acme.id)) == {"": (0, 1)}
    cut = await by(BY.REASON, max_groups=1)
    assert (len(cut.groups), cut.has_more) == (1, True)
    then = await by(BY.OWNER, to_date=Date(year=2020, month=1, day=1))
    assert (list(then.groups), then.total.won_count, then.from_date.year) == ([], 0, 2019)
    others = await reports(service, name="somebody else").GetWinLoss(pb.GetWinLossRequest())
    assert others.total == pb.WinLossFigures()


async def test_the_figures_of_win_and_loss_are_those_of_the_deals_counted_by_hand(service: Stack) -> None:
    """Forty deals, some closed, with one to three competitors each: the report against plain counting."""
    rivals = [await rival(service, f"Rival {number}") for number in range(3)]
    won: dict[str, int] = defaultdict(int)
    lost: dict[str, int] = defaultdict(int)
    lost_to: dict[str, int] = defaultdict(int)
    rows, seed = [], 7
    pipelines: Any = opportunities_pb2_grpc.PipelineServiceStub(
        service.channel("opportunities", "operations")
    )
    answer = await pipelines.ListPipelines(opportunities_pb2.ListPipelinesRequest())
    stages = {stage.name: stage.id for stage in answer.pipelines[0].stages}
    for number in range(40):
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        inside = [each.id for index, each in enumerate(rivals) if (seed >> 8) + number >> index & 1]
        state = ("Won", "Lost", "Contact")[(seed >> 16) % 3]
        deal = Resource(
            name=f"Deal {number}",
            stage_id=stages[state],
            amount=euros(number),
            competitors=[parts.DealCompetitor(competitor_id=id) for id in inside],
        )
        if state == "Lost" and inside:
            deal.lost_to_competitor_id = inside[0]
            lost_to[inside[0]] += 1
        for id in inside or [""]:
            (won if state == "Won" else lost)[id] += state != "Contact"
        rows.append(opportunities_pb2.BatchUpsertOpportunitiesRequest.Row(opportunity=deal))
    request = opportunities_pb2.BatchUpsertOpportunitiesRequest(rows=rows, skip_gates=True)
    results = await deals(service, "operations").BatchUpsertOpportunities(request)
    assert not [each.error for each in results.results if each.error]
    report = await reports(service, "operations").GetWinLoss(pb.GetWinLossRequest(group_by=[BY.COMPETITOR]))
    for group in report.groups:
        key = group.keys[0]
        figures = (group.figures.won_count, group.figures.lost_count, group.figures.lost_to_count)
        assert figures == (won[key], lost[key], lost_to[key])
    assert {group.keys[0] for group in report.groups} == {
        key for key in (*won, *lost) if won[key] + lost[key]
    }


async def test_cards_and_figures_follow_what_contacts_knows_of_the_customer(
    shared: Callable[..., Awaitable[Stack]],
) -> None:
    stack = await shared("opportunities", "contacts")
    accounts: Any = contacts_pb2_grpc.AccountServiceStub(stack.channel("contacts"))
    account = await accounts.CreateAccount(
        contacts_pb2.CreateAccountRequest(
            account=contacts_pb2.Account(name="Clinic", industry="Medical", segment="Public")
        )
    )
    await stack.settled()
    acme = await rival(stack)
    fits = await battle_card(
        stack, acme, conditions=pb.CardConditions(industries=["medical"], segments=["PUBLIC"])
    )
    await battle_card(stack, acme, conditions=pb.CardConditions(industries=["retail"]))
    deal = await make(stack, account_id=account.id, competitors=[parts.DealCompetitor(competitor_id=acme.id)])
    found = await cards(stack, None).ListOpportunityBattleCards(
        pb.ListOpportunityBattleCardsRequest(id=deal.id)
    )
    assert (found.industry, [each.id for each in found.rivals[0].battle_cards]) == ("Medical", [fits.id])
    await lose(stack, deal, lost_to_competitor_id=acme.id)
    report = await reports(stack).GetWinLoss(pb.GetWinLossRequest(group_by=[BY.INDUSTRY, BY.SEGMENT]))
    assert [list(each.keys) for each in report.groups] == [["Medical", "Public"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"group_by": [BY.OWNER, BY.OWNER]},
        {"group_by": [BY.OWNER, BY.STAGE, BY.REASON]},
        {"from_date": Date(year=2026, month=2, day=30)},
        {"from_date": Date(year=2026, month=2, day=2), "to_date": Date(year=2026, month=2, day=1)},
        {"max_groups": 501},
        {"competitor_id": "acme"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(service: Stack, fields: dict[str, Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reports(service).GetWinLoss(pb.GetWinLossRequest(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
