"""A stream that broke off goes on with exactly what was missed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from services.forecast.resuming import Cursor
from tests.conftest import Join
from tests.forecast.company import Company, day_of

MIDSUMMER = datetime(2030, 6, 24, 12, tzinfo=UTC)
TREES = ("OWNER", "TEAM", "PRODUCT", "PIPELINE")
PEOPLE = ("head", "ann", "bob", "ray")


@pytest.fixture
async def company(shared: Join) -> AsyncIterator[Company]:
    """Head leads Ann and Bob, Ann leads Ray; each has a deal."""
    stack = await shared("opportunities", "forecast")
    stack.clock.move_to(MIDSUMMER)
    company = Company(stack)
    await company.start()
    for name, manager in (("head", ""), ("ann", "head"), ("bob", "head"), ("ray", "ann")):
        await company.user(name, manager)
        await company.deal(name, "100", close=date(2030, 6, 30), lines=[(f"{name}'s", "1", "100")])
    await company.settled()
    yield company
    await company.close()


class Screen:
    """Somebody who follows a forecast, and now and then loses the connection."""

    def __init__(self, company: Company, by: str, **fields: Any) -> None:
        self.company, self.by = company, by
        self.nodes: dict[str, pb.ForecastNode] = {}
        self.request = pb.StreamForecastRequest(
            periods=["2030-Q2..2030-Q3"], group_by=pb.Forecast.GroupBy.Value(by), **fields
        )

    async def look(self, role: str = "operations", **claims: Any) -> pb.ForecastChange:
        """Connects with the last cursor, takes the first change in, and is cut off."""
        stream = self.company.forecast(role, **claims).StreamForecast(self.request, timeout=60)
        change: pb.ForecastChange = await anext(aiter(stream))
        stream.cancel()
        for id in list(self.nodes) if change.reset else change.removed_node_ids:
            self.nodes.pop(id, None)
        self.nodes.update({node.id: node for node in change.forecast.nodes})
        self.request.cursor = change.cursor
        return change

    async def agrees(self) -> bool:
        """Whether what is on the screen is the forecast."""
        return self.nodes == (await self.company.ask("2030-Q2..2030-Q3", by=self.by)).nodes


async def test_only_what_was_missed_is_sent(company: Company) -> None:
    screen = Screen(company, "TEAM")
    assert (await screen.look()).reset
    deal = await company.deal("bob", "5", close=date(2030, 6, 30))
    await company.settled()
    missed = await screen.look()
    assert not missed.reset
    assert {node.name for node in missed.forecast.nodes} == {"All", "Head", "Bob"}
    assert await screen.agrees()
    # there and back again is no change
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    await company.deals().UndeleteOpportunity(deals_pb.UndeleteOpportunityRequest(id=deal.id))
    await company.deal("ray", "7", close=date(2030, 12, 31))  # in none of the periods
    await company.deal("ann", "9", close=date(2030, 7, 31))
    await company.settled()
    missed = await screen.look()
    assert {node.name for node in missed.forecast.nodes} == {"All", "Head", "Ann"}
    assert await screen.agrees()


async def test_a_node_that_went_meanwhile_is_said(company: Company) -> None:
    screen = Screen(company, "TEAM")
    await screen.look()
    rays = (
        await company.deals().ListOpportunities(deals_pb.ListOpportunitiesRequest(page_size=10))
    ).opportunities
    deal = next(deal for deal in rays if deal.owner_id == company.id("ray"))
    await company.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    await company.settled()
    missed = await screen.look()
    assert (missed.reset, list(missed.removed_node_ids)) == (False, [company.id("ray")])
    assert await screen.agrees()


async def test_what_was_missed_adds_up_to_the_forecast(company: Company) -> None:
    screens = [Screen(company, by) for by in TREES]
    for screen in screens:
        await screen.look()
    choose, deals = random.Random(5), list[Any]()
    for _ in range(4):
        for number in range(6):
            owner, day = choose.choice(PEOPLE), date(2030, choose.randint(4, 12), 5)
            if deals and choose.random() < 0.5:
                change = deals_pb.Opportunity(owner_id=company.id(owner), close_date=day_of(day))
                id = choose.choice(deals).id
                await company.deals().UpdateOpportunity(
                    deals_pb.UpdateOpportunityRequest(id=id, opportunity=change)
                )
            else:
                lines = [(f"{choose.choice(PEOPLE)}'s", "1", str(number)), ("head's", "2", "3")]
                deals.append(await company.deal(owner, close=day, lines=lines))
        await company.deal("head", "1", close=date(2030, 5, 5))  # so that there is something to be sent
        await company.settled()
        for screen in screens:
            assert not (await screen.look()).reset, screen.by
            assert await screen.agrees(), screen.by


async def test_where_more_than_deals_has_changed_everything_is_sent(company: Company) -> None:
    screen = Screen(company, "TEAM")
    await screen.look()
    await company.rate("USD", "EUR", date(2030, 1, 1), "0.5")
    await company.settled()
    assert (await screen.look()).reset
    assert await screen.agrees()
    company.stack.clock.move_to(MIDSUMMER.replace(day=25))  # another day: other deals are overdue
    assert (await screen.look()).reset


async def test_a_cursor_of_somebody_else_or_of_nothing_begins_anew(company: Company) -> None:
    screen, other = Screen(company, "TEAM"), Screen(company, "OWNER")
    cursor = Cursor.read((await screen.look()).cursor)
    assert cursor is not None
    strange = [
        (await other.look()).cursor, "", "nonsense", "1-2", "-1-" + "0" * 16 + "-" + "0" * 16,
        str(Cursor(10**17, cursor.scope, cursor.frame)), str(Cursor(0, cursor.scope, "0" * 16)),
        f"{'9' * 40}-{cursor.scope}-{cursor.frame}",
    ]  # fmt: skip
    for text in strange:
        screen.request.cursor = text
        assert (await screen.look()).reset, text
    change = await screen.look("rep", name="ray")
    assert (change.reset, {node.name for node in change.forecast.nodes}) == (True, {"All", "Ray"})
