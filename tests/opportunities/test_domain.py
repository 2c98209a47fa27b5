"""What an opportunity and a pipeline may do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.entity import DeletedTooLongAgo
from chassis.money import CurrenciesDiffer, Money
from services.opportunities.domain import (
    AmountDiffersFromLines,
    LineItem,
    NameMissing,
    Opportunity,
    OpportunityClosed,
    OpportunityMoved,
    OpportunityOpen,
    OpportunityReopened,
    OpportunityUpdated,
    OpportunityWon,
    Pipeline,
    PipelineIncomplete,
    StageInUse,
    StageNotFound,
    StageNotOpen,
    State,
    starting_pipeline,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PIPELINE = starting_pipeline(uuid4())
CONTACT, QUALIFICATION, *_ = PIPELINE.stages
WON, LOST = PIPELINE.first(State.WON), PIPELINE.first(State.LOST)


def deal(**fields: object) -> Opportunity:
    return Opportunity.create({"name": "Roof", **fields}, PIPELINE, CONTACT, NOW)[0]


def line(units: str, quantity: str = "1", currency: str = "EUR") -> LineItem:
    return LineItem(uuid4(), Decimal(quantity), Money(Decimal(units), currency))


def test_a_new_tenants_pipeline_has_the_six_open_stages_then_won_and_lost() -> None:
    assert [stage.name for stage in PIPELINE.stages if stage.kind is State.OPEN] == [
        "Contact",
        "Qualification",
        "Opportunity confirmed",
        "Shared vision",
        "Negotiation",
        "Closing",
    ]
    PIPELINE.create()


def test_a_deal_without_a_name_is_refused() -> None:
    with pytest.raises(NameMissing):
        Opportunity.create({}, PIPELINE, CONTACT, NOW)


def test_a_new_deal_is_open_in_its_stage() -> None:
    assert (deal().state, deal().stage_id, deal().closed_at) == (State.OPEN, CONTACT.id, None)


def test_a_deal_that_is_created_as_won_is_closed() -> None:
    won, _ = Opportunity.create({"name": "Roof"}, PIPELINE, WON, NOW)
    assert (won.state, won.closed_at, won.close_date) == (State.WON, NOW, NOW.date())


def test_moving_says_where_the_deal_came_from() -> None:
    opportunity = deal()
    assert opportunity.move(QUALIFICATION) == OpportunityMoved(CONTACT.id)
    assert opportunity.stage_id == QUALIFICATION.id


def test_a_deal_is_not_moved_into_the_won_stage() -> None:
    with pytest.raises(StageNotOpen):
        deal().move(WON)


def test_winning_closes_at_the_amount_and_on_the_day_given() -> None:
    opportunity = deal(amount=Money(Decimal(100), "EUR"), close_date=date(2026, 12, 1))
    event = opportunity.win(WON, NOW, date(2026, 2, 27), Money(Decimal(90), "EUR"))
    assert event == OpportunityWon(CONTACT.id)
    assert opportunity.state is State.WON
    assert opportunity.amount == Money(Decimal(90), "EUR")
    assert opportunity.close_date == date(2026, 2, 27)


def test_winning_without_a_day_closes_today_whatever_was_expected() -> None:
    opportunity = deal(close_date=date(2026, 12, 1))
    opportunity.win(WON, NOW)
    assert opportunity.close_date == NOW.date()


@pytest.mark.parametrize("verb", ["win", "lose", "move"])
def test_what_is_closed_is_not_closed_or_moved_again(verb: str) -> None:
    opportunity = deal()
    opportunity.lose(LOST, "Price", NOW)
    verbs: dict[str, Callable[[], object]] = {
        "win": lambda: opportunity.win(WON, NOW),
        "lose": lambda: opportunity.lose(LOST, "Price", NOW),
        "move": lambda: opportunity.move(QUALIFICATION),
    }
    with pytest.raises(OpportunityClosed):
        verbs[verb]()


def test_reopening_forgets_how_the_deal_was_closed() -> None:
    opportunity = deal()
    opportunity.lose(LOST, "Price", NOW)
    assert opportunity.closed_from == CONTACT.id
    assert opportunity.reopen(QUALIFICATION) == OpportunityReopened(LOST.id)
    assert (opportunity.state, opportunity.closed_at, opportunity.lost_reason) == (State.OPEN, None, "")


def test_an_open_deal_is_not_reopened() -> None:
    with pytest.raises(OpportunityOpen):
        deal().reopen(CONTACT)


def test_line_items_make_the_amount() -> None:
    opportunity = deal(line_items=(line("3.33", "2.5"), line("1")))
    assert opportunity.amount == Money(Decimal("9.33"), "EUR")


def test_an_amount_that_the_line_items_do_not_make_is_refused() -> None:
    with pytest.raises(AmountDiffersFromLines):
        deal(line_items=(line("3"),), amount=Money(Decimal(4), "EUR"))


def test_clearing_the_amount_of_a_deal_with_line_items_leaves_their_sum() -> None:
    opportunity = deal(line_items=(line("3"),))
    opportunity.change({"amount": None})
    assert opportunity.amount == Money(Decimal(3), "EUR")


def test_line_items_in_two_currencies_are_refused() -> None:
    with pytest.raises(CurrenciesDiffer):
        deal(line_items=(line("3"), line("3", currency="USD")))


@given(
    st.lists(
        st.tuples(st.decimals(0, 10**6, places=4), st.decimals(0, 10**4, places=6)), min_size=1, max_size=20
    )
)
def test_the_amount_is_the_exact_sum_rounded_once(items: list[tuple[Decimal, Decimal]]) -> None:
    opportunity = deal(
        line_items=tuple(LineItem(uuid4(), quantity, Money(price, "EUR")) for price, quantity in items)
    )
    exact = sum((price * quantity for price, quantity in items), Decimal(0))
    assert opportunity.amount is not None
    assert abs(opportunity.amount.amount - exact) <= Decimal("0.005")


def test_an_imported_row_moves_wins_and_reopens_as_its_stage_says() -> None:
    opportunity = deal()
    assert opportunity.put({}, CONTACT, NOW) == OpportunityUpdated()
    assert opportunity.put({}, QUALIFICATION, NOW) == OpportunityMoved(CONTACT.id)
    assert opportunity.put({"close_date": date(2026, 1, 1)}, WON, NOW) == OpportunityWon(QUALIFICATION.id)
    assert opportunity.close_date == date(2026, 1, 1)
    assert opportunity.put({}, CONTACT, NOW) == OpportunityReopened(WON.id)


def test_what_was_deleted_can_be_restored_for_thirty_days() -> None:
    opportunity = deal()
    opportunity.delete(NOW)
    opportunity.undelete(NOW + timedelta(days=30))
    opportunity.delete(NOW)
    with pytest.raises(DeletedTooLongAgo):
        opportunity.undelete(NOW + timedelta(days=30, seconds=1))


def test_a_pipeline_needs_one_won_one_lost_and_an_open_stage() -> None:
    for stages in ((CONTACT, WON), (WON, LOST), (CONTACT, WON, LOST, replace(WON, id=uuid4(), name="W2"))):
        with pytest.raises(PipelineIncomplete):
            Pipeline(name="Sales", stages=stages).create()


def test_two_stages_of_one_name_are_refused() -> None:
    with pytest.raises(PipelineIncomplete):
        Pipeline(name="Sales", stages=(CONTACT, replace(CONTACT, id=uuid4()), WON, LOST)).create()


def test_a_stage_that_deals_stand_in_is_not_removed_and_keeps_its_kind() -> None:
    for stages in ((QUALIFICATION, WON, LOST), (replace(CONTACT, kind=State.WON), QUALIFICATION, LOST)):
        pipeline = starting_pipeline(PIPELINE.id)
        with pytest.raises(StageInUse):
            pipeline.change({"stages": stages}, frozenset({CONTACT.id}), NOW)


def test_a_stage_of_another_pipeline_is_not_found() -> None:
    with pytest.raises(StageNotFound):
        PIPELINE.stage(uuid4())
