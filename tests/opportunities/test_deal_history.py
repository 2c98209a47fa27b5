"""The way of a deal in business time, and its histories as the service answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from sfa.opportunities.v1 import history_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from services.opportunities.domain import DETAILS, Opportunity, State
from services.opportunities.domain.deal_history import (
    DealVersion,
    date_moves,
    days_between,
    time_in_stages,
    visits,
)
from services.opportunities.wire.deal_history import FIELDS, columns_of
from tests.conftest import Join
from tests.opportunities.sales import Sales, day_of, euros, instant

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = [UUID(int=number) for number in range(1, 5)]


def version(
    number: int, day: int, stage: int = 0, state: State = State.OPEN, close: int | None = None
) -> DealVersion:
    at = BEGIN + timedelta(days=day)
    closes = None if close is None else date(2026, 1, 1) + timedelta(days=close)
    return DealVersion(number, STAGES[stage], state, closes, at, at, "OpportunityMoved", "ada", "")


def test_a_deal_stands_in_a_stage_until_the_next_one() -> None:
    found = visits([version(1, 0), version(2, 3, 1), version(3, 5, 0), version(4, 9, 3, State.WON)])
    until = BEGIN + timedelta(days=30)
    assert [(visit.stage_id, visit.days(until)) for visit in found] == [
        (STAGES[0], Decimal(3)), (STAGES[1], Decimal(2)), (STAGES[0], Decimal(4)), (STAGES[3], None),
    ]  # fmt: skip
    assert time_in_stages(found, until) == [(STAGES[0], 2, Decimal(7)), (STAGES[1], 1, Decimal(2))]


def test_only_a_later_date_of_an_open_deal_is_a_slip() -> None:
    ways = [
        version(1, 0, close=20),
        version(2, 1, close=40),  # a slip of 20 days, into February
        version(3, 2, close=35),  # pulled in
        version(4, 3, close=36),  # a slip of a day, within the month
        version(5, 4, 3, State.WON, close=50),  # won later than expected: no slip
    ]
    moves = date_moves(ways)
    assert [(move.days, move.is_slip, move.is_to_a_later_month) for move in moves] == [
        (0, False, False), (20, True, True), (-5, False, False), (1, True, False), (14, False, False),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_days_in_stages_add_up_to_the_age_of_the_deal(steps: list[tuple[int, int]]) -> None:
    ways = [version(number, day, stage) for number, (day, stage) in enumerate(steps, 1)]
    until = BEGIN + timedelta(days=500)
    spent = sum(days for _, _, days in time_in_stages(visits(ways), until))
    assert spent == days_between(min(way.effective_at for way in ways), until)
    assert visits(ways) == visits(reversed(ways))


def test_every_field_of_a_deal_has_a_history() -> None:
    columns = {*DETAILS, *Opportunity.__dataclass_fields__}
    assert len(FIELDS) > 30
    for name in FIELDS:
        assert set(columns_of([name])) <= columns, name


@pytest.fixture
async def sales(shared: Join) -> AsyncIterator[Sales]:
    team = await Sales.of(await shared("opportunities"))
    yield team
    await team.close()


def stamp(at: str | datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(instant(at) if isinstance(at, str) else at)
    return result


async def test_every_field_that_changed_is_listed_with_both_values_and_both_times(sales: Sales) -> None:
    deal = await sales.deal(at="2026-03-01", amount=euros(100), next_step="Call")
    await sales.change(deal, at="2026-03-05", amount=euros(250), next_step="")
    await sales.move(deal, "Negotiation", at="2026-03-07")
    answer = await sales.history().ListFieldChanges(pb.ListFieldChangesRequest(id=deal.id))
    told = [(change.event, change.field, change.etag) for change in answer.field_changes]
    assert told[:3] == [
        ("OpportunityMoved", "stage_id", "3"), ("OpportunityUpdated", "amount", "2"),
        ("OpportunityUpdated", "next_step", "2"),
    ]  # fmt: skip
    amount = answer.field_changes[1]
    assert MessageToDict(amount.old_value) == {"currencyCode": "EUR", "units": "100"}
    assert MessageToDict(amount.new_value) == {"currencyCode": "EUR", "units": "250"}
    assert amount.effective_time == stamp("2026-03-05")
    assert amount.recorded_time.ToDatetime(UTC) > instant("2026-03-06")
    assert amount.actor == str(sales.stack.callers.user("operations"))
    step = answer.field_changes[2]
    assert step.old_value.string_value == "Call"
    assert not step.HasField("new_value")
    created = {change.field for change in answer.field_changes if change.etag == "1"}
    assert {"name", "amount", "next_step", "stage_id", "state", "owner_id"} <= created


async def test_a_history_is_of_some_fields_and_comes_in_pages(sales: Sales) -> None:
    deal = await sales.deal(tags=["a"], next_step="0")
    for number in range(1, 6):
        await sales.change(deal, next_step=str(number))
    await sales.change(deal, tags=["a", "b"])
    history, token, told = sales.history(), "", []
    for _ in range(4):
        request = pb.ListFieldChangesRequest(id=deal.id, fields=["next_step"], page_size=2, page_token=token)
        page = await history.ListFieldChanges(request)
        told += [change.new_value.string_value for change in page.field_changes]
        if not (token := page.next_page_token):
            break
    assert told == ["5", "4", "3", "2", "1", "0"]
    tags = await history.ListFieldChanges(pb.ListFieldChangesRequest(id=deal.id, fields=["tags"]))
    listed = [
        [value.string_value for value in each.new_value.list_value.values] for each in tags.field_changes
    ]
    assert listed == [["a", "b"], ["a"]]
    with pytest.raises(grpc.aio.AioRpcError, match="no field 'nonsense'"):
        await history.ListFieldChanges(pb.ListFieldChangesRequest(id=deal.id, fields=["nonsense"]))
    for token in ("x", "-1", "9" * 40, "2026-01-01~1"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await history.ListFieldChanges(pb.ListFieldChangesRequest(id=deal.id, page_token=token))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_history_as_of_an_instant_leaves_out_what_came_later(sales: Sales) -> None:
    deal = await sales.deal(at="2026-03-01", next_step="One")
    early = await sales.change(deal, at="2026-03-20", next_step="Three")
    recorded = early.update_time
    await sales.change(deal, at="2026-03-10", next_step="Two")  # backdated before the other one
    history = sales.history()

    async def told(
        as_of: Timestamp | None = None, effective_as_of: Timestamp | None = None
    ) -> list[tuple[str, str]]:
        request = pb.ListFieldChangesRequest(
            id=deal.id, fields=["next_step"], page_size=1, as_of=as_of, effective_as_of=effective_as_of
        )
        result = []
        while True:
            page = await history.ListFieldChanges(request)
            result += [
                (each.old_value.string_value, each.new_value.string_value) for each in page.field_changes
            ]
            if not page.next_page_token:
                return result
            request.page_token = page.next_page_token

    assert await told() == [("Three", "Two"), ("One", "Three"), ("", "One")]
    assert await told(as_of=recorded) == [("One", "Three"), ("", "One")]
    assert await told(effective_as_of=stamp("2026-03-31")) == [("Two", "Three"), ("One", "Two"), ("", "One")]
    assert await told(effective_as_of=stamp("2026-03-15")) == [("One", "Two"), ("", "One")]
    assert await told(effective_as_of=stamp("2026-03-31"), as_of=recorded) == [("One", "Three"), ("", "One")]


async def test_time_in_each_stage_is_told_in_business_time(sales: Sales) -> None:
    deal = await sales.deal(at="2026-03-01")
    await sales.move(deal, "Qualification", at="2026-03-04")
    await sales.change(deal, at="2026-03-05", name="Roof and walls")
    await sales.move(deal, "Contact", at="2026-03-06T12:00:00")
    await sales.move(deal, "Negotiation", at="2026-03-07")
    history = sales.history()
    now = await history.ListStageVisits(pb.ListStageVisitsRequest(id=deal.id))
    assert [visit.stage_name for visit in now.stage_visits] == [
        "Contact", "Qualification", "Contact", "Negotiation",
    ]  # fmt: skip
    assert [visit.days for visit in now.stage_visits][:3] == ["3.00", "2.50", "0.50"]
    assert not now.stage_visits[-1].HasField("leave_time")
    then = await history.ListStageVisits(
        pb.ListStageVisitsRequest(id=deal.id, effective_as_of=stamp("2026-03-06T13:12:00"))
    )
    assert [(each.stage_name, each.visits, each.days) for each in then.time_in_stages] == [
        ("Contact", 2, "3.05"), ("Qualification", 1, "2.50"),
    ]  # fmt: skip
    await sales.win(deal, at="2026-03-09")
    won = await history.ListStageVisits(pb.ListStageVisitsRequest(id=deal.id))
    assert [(each.stage_name, each.days) for each in won.stage_visits][-2:] == [
        ("Negotiation", "2.00"),
        ("Won", ""),
    ]


async def test_slips_of_the_close_date_are_counted(sales: Sales) -> None:
    deal = await sales.deal(at="2026-03-01", close_date=day_of(date(2026, 4, 30)))
    await sales.change(deal, at="2026-03-10", close_date=day_of(date(2026, 5, 15)))
    await sales.change(deal, at="2026-03-20", close_date=day_of(date(2026, 5, 31)))
    await sales.change(deal, at="2026-04-01", close_date=day_of(date(2026, 5, 20)))
    answer = await sales.history().ListCloseDateChanges(pb.ListCloseDateChangesRequest(id=deal.id))
    assert (answer.slips, answer.slipped_days, answer.slips_to_a_later_month, answer.days_from_first) == (
        2,
        31,
        1,
        20,
    )
    assert [change.days for change in answer.close_date_changes] == [0, 15, 16, -11]
    early = await sales.history().ListCloseDateChanges(
        pb.ListCloseDateChangesRequest(id=deal.id, effective_as_of=stamp("2026-03-15"))
    )
    assert (early.slips, early.slipped_days) == (1, 15)


async def test_a_history_is_for_those_who_see_the_deal(sales: Sales) -> None:
    deal = await sales.deal(owner="ada")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sales.history("rep", name="bob").ListStageVisits(pb.ListStageVisitsRequest(id=deal.id))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    seen = await sales.history("rep", name="ada").ListStageVisits(pb.ListStageVisitsRequest(id=deal.id))
    assert [visit.stage_id for visit in seen.stage_visits] == [sales.stages["Contact"]]


async def test_the_stage_that_a_deal_was_closed_from_is_told(sales: Sales) -> None:
    deal = await sales.deal(stage="Negotiation")
    assert not deal.closed_from_stage_id
    lost = await sales.lose(deal, "Price")
    assert lost.closed_from_stage_id == sales.stages["Negotiation"]
    opened = await sales.deals().ReopenOpportunity(opportunities_pb2.ReopenOpportunityRequest(id=deal.id))
    assert not opened.closed_from_stage_id
