"""What people say, beside what the system computes: pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.money import Money
from services.forecast.domain.figures import Category
from services.forecast.domain.judgement import (
    AlreadyWithdrawn,
    AmountNegative,
    AmountTooFine,
    CategoryNotJudged,
    ExpiresTooEarly,
    FieldMissing,
    ForecastSubmission,
    ForecastSubmissionRevised,
    ForecastSubmitted,
    PeriodOver,
    PeriodUndated,
    Place,
    Replaced,
    Said,
    SubmissionState,
    judge,
    open_for_judgement,
    replaced_by,
    submission_id,
)
from services.forecast.domain.periods import UNDATED, FiscalCalendar

NOW = datetime(2030, 5, 1, tzinfo=UTC)
HEAD, ANN, BOB, RAY = (str(UUID(int=number)) for number in range(1, 5))


def submission(category: Category = Category.COMMIT) -> ForecastSubmission:
    return ForecastSubmission(user_id=uuid4(), author_id=uuid4(), period_id="2030-Q2", category=category)


def submitted(**fields: object) -> ForecastSubmission:
    made = submission()
    arguments: dict[str, object] = {
        "amount": Money(Decimal(100), "EUR"), "note": "", "expires_at": None, "replaced": Replaced(), "at": NOW,
    }  # fmt: skip
    made.submit(**(arguments | fields))  # type: ignore[arg-type]
    return made


def test_saying_it_again_revises_it() -> None:
    made = submission()
    hundred = Money(Decimal(100), "EUR")
    assert isinstance(made.submit(hundred, "", None, Replaced(), NOW), ForecastSubmitted)
    made.version = 1
    assert isinstance(made.submit(hundred, "", None, Replaced(), NOW), ForecastSubmissionRevised)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"amount": None}, FieldMissing),
        ({"amount": Money(Decimal(-1), "EUR")}, AmountNegative),
        ({"amount": Money(Decimal("0.001"), "EUR")}, AmountTooFine),
        ({"amount": Money(Decimal("0.1"), "JPY")}, AmountTooFine),
        ({"expires_at": NOW}, ExpiresTooEarly),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal) as caught:
        submitted(**fields)
    assert caught.value.violations[0].field.startswith("forecast_submission.")


@pytest.mark.parametrize("category", [Category.CLOSED, Category.OMITTED])
def test_facts_are_not_judged(category: Category) -> None:
    with pytest.raises(CategoryNotJudged):
        submission(category).submit(Money(Decimal(1), "EUR"), "", None, Replaced(), NOW)


def test_what_is_withdrawn_or_expired_counts_no_longer() -> None:
    made = submitted(expires_at=NOW + timedelta(days=1))
    assert made.counts_at(NOW)
    assert not made.counts_at(NOW + timedelta(days=1))
    assert made.expire(NOW) is None
    assert made.expire(NOW + timedelta(days=1)) is not None
    assert made.state is SubmissionState.EXPIRED
    assert made.expire(NOW + timedelta(days=2)) is None
    made.withdraw()
    with pytest.raises(AlreadyWithdrawn):
        made.withdraw()


def test_nothing_is_said_of_a_period_that_is_over() -> None:
    quarter = FiscalCalendar().quarter(2030, 1)
    open_for_judgement(quarter, date(2030, 3, 31))
    with pytest.raises(PeriodOver):
        open_for_judgement(quarter, date(2030, 4, 1))
    with pytest.raises(PeriodUndated):
        open_for_judgement(UNDATED, date(2030, 4, 1))


def test_an_author_has_one_submission_for_each_person_period_and_category() -> None:
    tenant, author, user = uuid4(), uuid4(), uuid4()
    ids = {
        submission_id(tenant, author, user, period, category)
        for period in ("2030-Q1", "2030-Q2")
        for category in (Category.COMMIT, Category.PIPELINE)
    }
    assert len(ids) == 4
    assert submission_id(tenant, author, user, "2030-Q1", Category.COMMIT) in ids


def tree(**own: int) -> list[Place]:
    """Head leads Ann and Bob, Ann leads Ray; each with own deals."""
    parents = {HEAD: "all", ANN: HEAD, BOB: HEAD, RAY: ANN}
    amounts = {id: Decimal(own.get(name, 0)) for name, id in
               (("head", HEAD), ("ann", ANN), ("bob", BOB), ("ray", RAY))}  # fmt: skip
    systems = {RAY: amounts[RAY], ANN: amounts[ANN] + amounts[RAY], BOB: amounts[BOB]}
    systems[HEAD] = amounts[HEAD] + systems[ANN] + systems[BOB]
    root = Place("all", "", "", Decimal(0), systems[HEAD], Decimal(7))
    people = (HEAD, ANN, RAY, BOB)
    return [root, *(Place(id, parents[id], id, amounts[id], systems[id], Decimal(7)) for id in people)]


def numbers(*amounts: Decimal) -> list[int]:
    return list(map(int, amounts))


def says(author: str, user: str, amount: int | None) -> Said:
    worth = None if amount is None else Decimal(amount)
    return Said(uuid4(), user, author, worth, "", NOW, None)


def test_without_a_word_the_judgement_is_what_the_system_computes() -> None:
    judged = judge(tree(head=1, ann=10, bob=100, ray=1000), [])
    assert all(each.judged == each.system == each.rolled_up for each in judged.values())
    assert judged["all"].judged == 1111


def test_what_a_rep_says_comes_up_and_leaves_the_systems_number_alone() -> None:
    judged = judge(tree(ann=10, ray=1000), [says(RAY, RAY, 800)])
    assert numbers(judged[RAY].system, judged[RAY].judged) == [1000, 800]
    assert numbers(judged[ANN].rolled_up, judged[ANN].judged, judged[ANN].system) == [810, 810, 1010]
    assert numbers(judged["all"].judged, judged["all"].system, judged["all"].outcome) == [810, 1010, 7]


def test_levels_are_kept_apart_and_the_highest_counts_above() -> None:
    said = [says(RAY, RAY, 800), says(HEAD, RAY, 500), says(ANN, RAY, 700), says(ANN, ANN, 600)]
    judged = judge(tree(ann=10, ray=1000), said)
    levels = judged[RAY].levels
    assert [(level.said.author_id, level.levels_above) for level in levels] == [(RAY, 0), (ANN, 1), (HEAD, 2)]
    assert [level.adjustment for level in levels] == [-200, -100, -200]
    assert judged[RAY].judged == 500
    assert judged[ANN].rolled_up == 510  # what comes up to Ann, who says 600 of her team
    assert judged[ANN].levels[0].adjustment == 90
    assert judged["all"].judged == 600


def test_whoever_does_not_stand_above_has_no_say() -> None:
    judged = judge(tree(ray=1000), [says(BOB, RAY, 1), says(RAY, HEAD, 2)])
    assert judged["all"].judged == 1000
    assert not judged[RAY].levels
    assert not judged[HEAD].levels


def test_what_cannot_be_converted_is_shown_and_does_not_count() -> None:
    judged = judge(tree(ray=1000), [says(RAY, RAY, None)])
    assert judged[RAY].judged == 1000
    assert judged[RAY].levels[0].adjustment is None


def test_a_submission_stands_over_the_highest_level_below_its_author() -> None:
    judged = judge(tree(ann=10, ray=1000), [says(RAY, RAY, 800), says(ANN, RAY, 700)])
    assert replaced_by(judged[RAY], RAY) == Replaced(Decimal(1000), Decimal(1000), None)
    assert replaced_by(judged[RAY], ANN) == Replaced(Decimal(1000), Decimal(800), UUID(RAY))
    assert replaced_by(judged[RAY], HEAD) == Replaced(Decimal(1000), Decimal(700), UUID(ANN))
    assert replaced_by(judged[ANN], ANN) == Replaced(Decimal(1010), Decimal(710), None)
    assert replaced_by(None, ANN) == Replaced(Decimal(0), Decimal(0), None)


PEOPLE = (HEAD, ANN, BOB, RAY)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.integers(0, 999)), max_size=12),
    st.tuples(*[st.integers(0, 999)] * 4),
)
def test_every_number_is_explained(said: list[tuple[str, str, int]], own: tuple[int, ...]) -> None:
    """The levels' adjustments lead from what comes up to what counts, and what counts adds up above."""
    places = tree(head=own[0], ann=own[1], bob=own[2], ray=own[3])
    judged = judge(places, [says(*each) for each in said])
    for place in places:
        each = judged[place.id]
        assert each.rolled_up + sum(level.adjustment or 0 for level in each.levels) == each.judged
        below = sum(judged[child.id].judged for child in places if child.parent_id == place.id)
        assert each.rolled_up == place.own + below
        assert each.system == place.system
