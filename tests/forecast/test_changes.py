"""What changed between two instants, over gRPC: real opportunities, a real broker, a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.forecast.v1 import changes_pb2 as pb
from sfa.forecast.v1 import changes_pb2_grpc, forecast_pb2
from sfa.opportunities.v1 import deals_pb2, merging_pb2, merging_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.forecast.company import Company, day_of, money, value

APRIL, JUNE = datetime(2030, 4, 1, 8, tzinfo=UTC), datetime(2030, 6, 24, 12, tzinfo=UTC)
QUARTER = "2030-Q2"
MID = date(2030, 5, 15)
NEXT = date(2030, 8, 15)
Reason = pb.WaterfallBar.Reason


@pytest.fixture
async def company(shared: Join) -> AsyncIterator[Company]:
    """Head leads Ann and Bob; it is the first of April."""
    stack = await shared("opportunities", "forecast")
    company = Company(stack)
    await company.start()
    await company.user("head")
    await company.user("ann", "head")
    await company.user("bob", "head")
    stack.clock.move_to(APRIL - timedelta(minutes=10))
    yield company
    await company.close()


def changes(company: Company, role: str = "operations", **claims: Any) -> Any:
    return changes_pb2_grpc.ForecastChangesServiceStub(company.stack.channel("forecast", role, **claims))


def stamp(at: datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(at)
    return result


class Waterfall:
    """An answer, to be looked at by names."""

    def __init__(self, answer: pb.ForecastWaterfall) -> None:
        self.answer = answer
        self.nodes = {node.name: node for node in answer.nodes}

    def bars(self, node: str = "All") -> dict[str, Decimal]:
        return {Reason.Name(bar.reason): value(bar.amount) for bar in self.nodes[node].bars}

    def ends(self, node: str = "All") -> list[Decimal]:
        found = self.nodes[node]
        return [value(found.opening.amount), value(found.closing.amount)]

    def check(self) -> None:
        """All nodes add up."""
        for node in self.answer.nodes:
            opening, closing = self.ends(node.name)
            assert opening + sum(self.bars(node.name).values()) == closing, node
            for bar in node.bars:
                assert value(bar.open_amount) + value(bar.closed_amount) == value(bar.amount)


async def ask(company: Company, role: str = "operations", **fields: Any) -> Waterfall:
    await company.settled()
    name = {"name": fields.pop("name")} if "name" in fields else {}
    times = {"opening_time": APRIL, "closing_time": company.stack.clock.now()}
    times |= {each: fields.pop(each) for each in list(fields) if each.endswith("_time") or each == "as_of"}
    request = pb.GetForecastChangesRequest(period_id=QUARTER, **fields)
    for each, at in times.items():
        if at is not None:
            getattr(request, each).CopyFrom(stamp(at))
    waterfall = Waterfall(await changes(company, role, **name).GetForecastChanges(request))
    waterfall.check()
    return waterfall


async def listed(company: Company, waterfall: Waterfall, **fields: Any) -> list[pb.ForecastChangedDeal]:
    """All pages, two deals each."""
    found: list[pb.ForecastChangedDeal] = []
    token, answer = "", waterfall.answer
    while True:
        page = await changes(company).ListForecastChangedDeals(
            pb.ListForecastChangedDealsRequest(
                period_id=answer.period.id, opening_time=answer.opening_time, closing_time=answer.closing_time,
                axis=answer.axis, as_of=answer.as_of if answer.axis == 2 else None, categories=answer.categories,
                group_by=answer.group_by, path=answer.path, page_size=2, page_token=token, **fields,
            )
        )  # fmt: skip
        found.extend(page.deals)
        token = page.next_page_token
        if not token:
            return found


async def update(company: Company, deal: Any, **fields: Any) -> Any:
    change = deals_pb.Opportunity(**fields)
    return await company.deals().UpdateOpportunity(
        deals_pb.UpdateOpportunityRequest(id=deal.id, opportunity=change)
    )


async def quarter(company: Company) -> dict[str, Any]:
    """Everything that can happen to a deal happens to one, between the first of April and midsummer."""
    await company.rate("USD", "EUR", date(2030, 1, 1), "0.5", APRIL - timedelta(days=30))
    names: dict[str, tuple[str, str, dict[str, Any]]] = {
        "dollars": ("ann", "100", {"currency": "USD"}), "handed": ("ann", "200", {}), "slipped": ("ann", "300", {}),
        "early": ("bob", "400", {"close": NEXT}), "won": ("ann", "500", {}), "lost": ("bob", "600", {}),
        "revived": ("bob", "700", {}), "promoted": ("ann", "800", {"stage": "Contact"}),
        "parted": ("bob", "900", {}), "double": ("ann", "1000", {}), "twin": ("ann", "1100", {}),
        "dropped": ("bob", "1200", {}), "raised": ("ann", "1300", {}), "cut": ("bob", "1400", {}),
        "brought back": ("bob", "1500", {}), "same": ("ann", "1600", {}), "shared": ("ann", "1700", {}),
    }  # fmt: skip
    account = str(new_id())
    usual: dict[str, Any] = {"stage": "Closing", "close": MID}
    deals = {
        name: await company.deal(owner, amount, name=name, **(usual | fields))
        for name, (owner, amount, fields) in names.items()
    }
    for name in ("double", "twin"):
        deals[name] = await update(company, deals[name], account_id=account)
    await company.lose(deals["revived"], date(2030, 3, 20))
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deals["brought back"].id))
    company.stack.clock.move_to(APRIL + timedelta(days=25))
    await company.rate("USD", "EUR", date(2030, 4, 20), "0.6", company.stack.clock.now())
    await update(company, deals["handed"], owner_id=company.id("bob"))
    await update(company, deals["slipped"], close_date=day_of(NEXT))
    await update(company, deals["early"], close_date=day_of(MID))
    await company.win(deals["won"], date(2030, 4, 20), "550")
    await update(company, deals["lost"], amount=money("666"))
    await company.lose(deals["lost"], date(2030, 4, 21))
    await company.deals().ReopenOpportunity(
        deals_pb.ReopenOpportunityRequest(id=deals["revived"].id, stage_id=company.stages["Closing"])
    )
    await update(company, deals["revived"], close_date=day_of(MID))
    await company.deals().MoveOpportunity(
        deals_pb.MoveOpportunityRequest(id=deals["promoted"].id, stage_id=company.stages["Closing"])
    )
    merging = merging_pb2_grpc.OpportunityMergingServiceStub(
        company.stack.channel("opportunities", "operations")
    )
    part = merging_pb2.SplitOpportunityRequest.Part(
        name="part", amount=money("333"), owner_id=company.id("ann")
    )
    await merging.SplitOpportunity(merging_pb2.SplitOpportunityRequest(id=deals["parted"].id, parts=[part]))
    await merging.MergeOpportunities(
        merging_pb2.MergeOpportunitiesRequest(id=deals["double"].id, merged_ids=[deals["twin"].id])
    )
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deals["dropped"].id))
    await company.deals().UndeleteOpportunity(
        deals_pb.UndeleteOpportunityRequest(id=deals["brought back"].id)
    )
    await update(company, deals["raised"], amount=money("1313"))
    await update(company, deals["cut"], amount=money("1399"))
    half = [
        deals_pb2.Split(user_id=company.id(name), type=deals_pb2.Split.REVENUE, percent="50")
        for name in ("ann", "bob")
    ]
    await update(company, deals["shared"], splits=half)
    await company.deal("ann", "77", name="new", stage="Closing", close=MID)
    company.stack.clock.move_to(JUNE)
    return deals


COMMIT_AND_WON = [deals_pb.ForecastCategory.COMMIT, deals_pb.ForecastCategory.CLOSED]
WHAT_HAPPENED = {
    "CURRENCY": Decimal(10), "PULLED_IN": Decimal(400), "PUSHED_OUT": Decimal(-300), "WON": Decimal(0),
    "LOST": Decimal(-666), "REOPENED": Decimal(700), "CATEGORY_IN": Decimal(800), "SPLIT": Decimal(0),
    "MERGED": Decimal(0), "DELETED": Decimal(-1200), "RESTORED": Decimal(1500), "AMOUNT_UP": Decimal(129),
    "AMOUNT_DOWN": Decimal(-1), "NEW": Decimal(77),
}  # fmt: skip


async def test_everything_that_happened_stands_in_its_bar(company: Company) -> None:
    await quarter(company)
    waterfall = await ask(company, categories=COMMIT_AND_WON)
    assert waterfall.bars() == WHAT_HAPPENED
    assert waterfall.ends() == [11850, 13299]
    won = next(bar for bar in waterfall.nodes["All"].bars if bar.reason == Reason.WON)
    assert [value(won.open_amount), value(won.closed_amount), won.deals] == [-500, 500, 1]
    # between the two of them deals changed hands, and credit was shared
    teams = await ask(company, categories=COMMIT_AND_WON, depth=2)
    ann, bob = teams.bars("Ann"), teams.bars("Bob")
    assert teams.bars("Head") == WHAT_HAPPENED
    assert [ann["REASSIGNED_OUT"], bob["REASSIGNED_IN"]] == [-200, 200]
    assert [ann["SPLIT"], bob["SPLIT"]] == [333 - 850, 850 - 333]
    assert {node.name: node.parent_id for node in teams.answer.nodes}["Ann"] == company.id("head")


async def test_both_ends_are_what_the_forecast_answers_as_of_them(company: Company) -> None:
    await quarter(company)
    for by in ("OWNER", "TEAM", "TERRITORY", "PRODUCT", "PIPELINE"):
        waterfall = await ask(company, group_by=by, depth=9)
        for at, end in ((APRIL, "opening"), (company.stack.clock.now(), "closing")):
            forecast = await company.ask(QUARTER, by=by, as_of=stamp(at))
            for node in waterfall.answer.nodes:
                figures = forecast.nodes.get(node.id) and forecast.figures(node.name)
                expected = figures.cumulative.pipeline if figures else forecast_pb2.Sum()
                found = getattr(node, end)
                assert value(found.amount) == (value(expected.amount) if figures else 0), (by, node.name, end)
                assert found.deals == expected.deals


@pytest.mark.parametrize("path", [False, True])
async def test_every_bar_opens_down_to_its_deals(company: Company, path: bool) -> None:
    deals = await quarter(company)
    waterfall = await ask(company, categories=COMMIT_AND_WON, depth=2, path=path)
    assert waterfall.ends() == [11850, 13299]
    for node in waterfall.answer.nodes:
        for bar in node.bars:
            behind = await listed(company, waterfall, node_id=node.id, reason=bar.reason)
            assert len(behind) == bar.deals, (node.name, bar)
            assert sum(value(deal.amount) for deal in behind) == value(bar.amount)
        everything = await listed(company, waterfall, node_id=node.id)
        assert len(everything) == sum(bar.deals for bar in node.bars)
    (lost,) = await listed(company, waterfall, reason=Reason.LOST)
    assert (lost.opportunity_id, lost.name) == (deals["lost"].id, "lost")
    assert [value(lost.opening.amount), value(lost.closing.amount)] == [600, 666]
    assert (lost.opening.state, lost.closing.state) == (deals_pb.Opportunity.OPEN, deals_pb.Opportunity.LOST)
    assert [value(lost.opening.counted_amount), value(lost.closing.counted_amount)] == [600, 0]
    (gone,) = await listed(company, waterfall, reason=Reason.DELETED)
    assert gone.HasField("opening")
    assert not gone.HasField("closing")


async def test_by_event_each_step_counts_when_it_was_taken(company: Company) -> None:
    deal = await company.deal("ann", "100", stage="Closing", close=MID)
    company.stack.clock.move_to(APRIL + timedelta(days=1))
    await update(company, deal, amount=money("150"))
    await update(company, deal, close_date=day_of(NEXT))
    await update(company, deal, amount=money("120"))
    await update(company, deal, close_date=day_of(MID))
    await company.win(deal, MID)
    at_once, by_event = await ask(company), await ask(company, path=True)
    assert at_once.bars() == {"WON": 0, "AMOUNT_UP": 20}
    assert by_event.bars() == {"PULLED_IN": 120, "PUSHED_OUT": -150, "WON": 0, "AMOUNT_UP": 50}
    assert at_once.ends() == by_event.ends() == [100, 120]


async def test_what_leaves_somebodys_sight_is_reassigned_out(company: Company) -> None:
    deal = await company.deal("ann", "100", stage="Closing", close=MID)
    company.stack.clock.move_to(APRIL + timedelta(days=1))
    await update(company, deal, owner_id=company.id("bob"))
    anns = await ask(company, "rep", name="ann")
    assert anns.bars() == {"REASSIGNED_OUT": -100}
    request = pb.ListForecastChangedDealsRequest(
        period_id=QUARTER, opening_time=anns.answer.opening_time, closing_time=anns.answer.closing_time
    )
    (gone,) = (await changes(company, "rep", name="ann").ListForecastChangedDeals(request)).deals
    assert gone.HasField("opening")
    assert not gone.HasField("closing")
    assert (await ask(company, "rep", name="bob")).bars() == {"REASSIGNED_IN": 100}
    assert (await ask(company, "manager", name="head")).bars() == {}


async def test_business_time_counts_what_was_true_and_not_when_it_was_recorded(company: Company) -> None:
    deal = await company.deal("ann", "100", stage="Closing", close=MID)
    company.stack.clock.move_to(JUNE)
    request = deals_pb.UpdateOpportunityRequest(
        id=deal.id, opportunity=deals_pb.Opportunity(amount=money("130"))
    )
    request.effective_time.FromDatetime(APRIL + timedelta(days=10))
    await company.deals().UpdateOpportunity(request)
    may = APRIL + timedelta(days=30)
    recorded = await ask(company, closing_time=may)
    assert recorded.bars() == {}
    effective = await ask(company, closing_time=may, axis="EFFECTIVE")
    assert effective.bars() == {"AMOUNT_UP": 30}
    before = await ask(company, closing_time=may, axis="EFFECTIVE", as_of=may)
    assert before.bars() == {}


async def test_an_answer_about_the_past_never_changes_and_says_so(company: Company) -> None:
    deal = await company.deal("ann", "100", stage="Closing", close=MID)
    company.stack.clock.move_to(JUNE)
    may = APRIL + timedelta(days=30)
    before = await ask(company, closing_time=may, opening_time=APRIL - timedelta(days=1))
    await update(company, deal, amount=money("130"))
    await company.rate("USD", "EUR", date(2030, 4, 2), "0.6", JUNE)
    after = await ask(company, closing_time=may, opening_time=APRIL - timedelta(days=1))
    assert after.answer.nodes == before.answer.nodes
    now = await ask(company)
    assert now.answer.is_open
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(company, require_final=True)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_rate_that_is_missing_is_named_and_counts_once_it_is_known(company: Company) -> None:
    await company.deal("ann", "100", currency="CHF", stage="Closing", close=MID)
    company.stack.clock.move_to(APRIL + timedelta(days=1))
    missing = await ask(company)
    assert missing.ends() == [0, 0]
    assert {rate.currency for rate in missing.answer.missing_rates} == {"CHF"}
    await company.rate("CHF", "EUR", date(2030, 1, 1), "0.9", company.stack.clock.now())
    company.stack.clock.move(timedelta(seconds=5))
    assert (await ask(company)).bars() == {"CURRENCY": 90}


async def test_what_makes_no_sense_is_refused_and_names_the_field(company: Company) -> None:
    company.stack.clock.move_to(JUNE)
    await company.settled()
    wrong, unknown = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    ahead = JUNE + timedelta(days=1)
    cases: list[tuple[dict[str, Any], grpc.StatusCode, str]] = [
        ({"opening_time": JUNE, "closing_time": APRIL}, wrong, "opening"),
        ({"closing_time": ahead}, wrong, "to come"),
        ({"as_of": APRIL}, wrong, "EFFECTIVE"),
        ({"as_of": ahead, "axis": "EFFECTIVE"}, wrong, "to come"),
        ({"node_id": "nobody"}, unknown, "nobody"),
        ({"currency": "euro"}, wrong, "currency"),
        ({"categories": [1, 1]}, wrong, "categories"),
        ({"depth": -1}, wrong, "depth"),
    ]
    for fields, code, said in cases:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(company, **fields)
        assert refused.value.code() is code, fields
        assert said in (refused.value.details() or ""), (fields, refused.value.details())
    request = pb.ListForecastChangedDealsRequest(
        opening_time=stamp(APRIL), closing_time=stamp(JUNE), page_token="x"
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await changes(company).ListForecastChangedDeals(request)
    assert refused.value.code() is wrong
