"""How an approval is decided: levels, seats, turns, delegation, floors, four eyes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from services.quotes.domain.approval_reasons import Figures
from services.quotes.domain.approval_rules import Needs
from services.quotes.domain.approvals import (
    Approval,
    ApprovalAdvanced,
    ApprovalEnded,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalState,
    NotAnApprover,
    OwnQuote,
    Person,
    RoleTooLow,
    Seat,
    Step,
    StepNotOpen,
    StepState,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIGURES = Figures(Decimal(100), Decimal(15), Decimal(15), None, False, None)


def user(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


def person(name: str, *roles: str, stands_in_for: Mapping[str, tuple[str, ...]] | None = None) -> Person:
    places = {user(other): frozenset(theirs) for other, theirs in (stands_in_for or {}).items()}
    return Person(user(name), frozenset(roles or ("rep",)), places)


def seat(name: str) -> Seat:
    return Seat(user_id=user(name))


def step(*seats: Seat, level: int = 1, **fields: Any) -> Step:
    return Step(new_id(), new_id(), f"Rule {level}", 1, level, (), seats, **fields)


def approval(*steps: Step) -> Approval:
    made = Approval(
        quote_id=new_id(),
        quote_version=2,
        quote_number="Q-1",
        quote_revision=1,
        opportunity_id=new_id(),
        owner_id=user("owner"),
        submitter_id=user("submitter"),
        currency="EUR",
        figures=FIGURES,
        steps=steps,
        submitted_at=NOW,
        opened_at=NOW,
    )
    made.request()
    return made


def approve(made: Approval, who: Person) -> ApprovalAdvanced | ApprovalGranted:
    return made.approve(who, NOW, "Fine.")


def state(made: Approval) -> ApprovalState:
    return made.state


def waiting(made: Approval) -> tuple[str, ...]:
    return made.waiting_for


def test_where_no_rule_asks_it_is_granted_at_once() -> None:
    made = approval()
    assert (made.state, made.waiting_for) == (ApprovalState.APPROVED, ())


def test_levels_are_asked_in_turn_and_one_level_all_together() -> None:
    made = approval(step(seat("a")), step(seat("b")), step(seat("c"), level=2))
    assert waiting(made) == (seat("a").key, seat("b").key)
    with pytest.raises(NotAnApprover):
        approve(made, person("c"))
    approve(made, person("b"))
    assert waiting(made) == (seat("a").key,)
    assert isinstance(approve(made, person("a")), ApprovalAdvanced)
    assert waiting(made) == (seat("c").key,)
    assert isinstance(approve(made, person("c")), ApprovalGranted)
    assert [made.state_of(each) for each in made.steps] == [StepState.APPROVED] * 3


def test_all_of_a_step_or_any_of_it() -> None:
    both = approval(step(seat("a"), seat("b")))
    approve(both, person("a"))
    assert state(both) is ApprovalState.PENDING
    approve(both, person("b"))
    assert state(both) is ApprovalState.APPROVED
    either = approval(step(seat("a"), seat("b"), needs=Needs.ANY))
    assert isinstance(approve(either, person("b")), ApprovalGranted)


def test_in_turn_one_is_asked_after_the_other() -> None:
    made = approval(step(seat("a"), seat("b"), in_turn=True))
    assert waiting(made) == (seat("a").key,)
    with pytest.raises(NotAnApprover):
        approve(made, person("b"))
    approve(made, person("a"))
    assert waiting(made) == (seat("b").key,)


def test_whoever_has_approved_is_not_asked_again_on_a_later_level() -> None:
    made = approval(step(Seat(role="manager")), step(seat("a"), level=2))
    assert isinstance(approve(made, person("a", "manager")), ApprovalGranted)
    assert [len(each.decisions) for each in made.steps] == [1, 1]


def test_one_person_is_not_two() -> None:
    made = approval(step(Seat(role="manager"), Seat(role="operations")))
    approve(made, person("a", "manager", "operations"))
    assert state(made) is ApprovalState.PENDING
    with pytest.raises(NotAnApprover):
        approve(made, person("a", "manager", "operations"))
    approve(made, person("b", "operations"))
    assert state(made) is ApprovalState.APPROVED


def test_nobody_approves_what_is_their_own() -> None:
    made = approval(step(Seat(role="manager")))
    for name in ("owner", "submitter"):
        with pytest.raises(OwnQuote):
            approve(made, person(name, "manager"))
    with pytest.raises(NotAnApprover):  # nor by somebody whom they delegated to
        approve(made, person("friend", stands_in_for={"owner": ("manager",)}))


def test_a_delegate_decides_in_the_place_of_who_is_away() -> None:
    made = approval(step(seat("a")), step(Seat(role="operations"), level=2))
    approve(made, person("b", stands_in_for={"a": ()}))
    (decision,) = made.steps[0].decisions
    assert (decision.user_id, decision.on_behalf_of) == (user("b"), user("a"))
    approve(made, person("c", stands_in_for={"d": ("operations",)}))
    assert state(made) is ApprovalState.APPROVED
    assert made.steps[1].decisions[0].on_behalf_of == user("d")


def test_nobody_below_the_stated_role_passes_a_floor() -> None:
    made = approval(step(seat("a"), minimum_role="operations"))
    with pytest.raises(RoleTooLow):
        approve(made, person("a", "manager"))
    with pytest.raises(RoleTooLow):
        approve(made, person("b", "manager", stands_in_for={"a": ("administrator",)}))
    with pytest.raises(RoleTooLow):
        made.reject(person("a", "manager"), NOW, "No.")
    assert isinstance(approve(made, person("a", "administrator")), ApprovalGranted)


def test_one_rejection_ends_it() -> None:
    made = approval(step(seat("a"), seat("b")), step(seat("c"), level=2))
    approve(made, person("a"))
    made.reject(person("b"), NOW, "Too low.")
    assert (made.state, made.end_reason, made.waiting_for) == (ApprovalState.REJECTED, "Too low.", ())
    assert [made.state_of(each) for each in made.steps] == [StepState.REJECTED, StepState.CLOSED]
    with pytest.raises(ApprovalEnded):
        approve(made, person("c"))


def test_a_question_leaves_it_waiting() -> None:
    made = approval(step(seat("a")))
    made.ask(person("a"), NOW, "Why so low?")
    made.answer(user("owner"), NOW, "A large customer.")
    assert [(each.is_question, each.text) for each in made.messages] == [
        (True, "Why so low?"),
        (False, "A large customer."),
    ]
    assert waiting(made) == (seat("a").key,)


def test_what_is_withdrawn_waits_for_nobody() -> None:
    made = approval(step(seat("a")))
    assert made.withdraw(NOW, "Recalled.") is not None
    assert (made.state, made.waiting_for) == (ApprovalState.WITHDRAWN, ())
    assert made.withdraw(NOW, "Recalled.") is None


def test_another_user_takes_the_place_of_an_approver() -> None:
    made = approval(step(seat("a")), step(seat("b"), level=2))
    with pytest.raises(StepNotOpen):
        made.reassign(made.steps[1].id, seat("b"), user("c"), NOW)
    with pytest.raises(OwnQuote):
        made.reassign(made.steps[0].id, seat("a"), user("owner"), NOW)
    made.reassign(made.steps[0].id, seat("a"), user("c"), NOW)
    with pytest.raises(NotAnApprover):
        approve(made, person("a"))
    approve(made, person("c"))
    assert waiting(made) == (seat("b").key,)


def test_reminders_come_at_the_pace_of_the_rule_and_end() -> None:
    made = approval(step(seat("a"), remind_after_hours=4))
    assert made.reminds_at() == NOW + timedelta(hours=4)
    made.remind(NOW + timedelta(hours=4))
    assert made.reminds_at() == NOW + timedelta(hours=8)
    for _ in range(30):
        made.remind(NOW)
    assert (made.reminders, made.reminds_at()) == (20, None)
    assert approval(step(seat("a"), remind_after_hours=0)).reminds_at() is None


NAMES = ("a", "b", "c", "owner")
seats = st.sampled_from([seat(name) for name in NAMES] + [Seat(role="manager"), Seat(role="operations")])
steps = st.builds(
    lambda found, level, needs, in_turn, least: step(
        *dict.fromkeys(found), level=level, needs=needs, in_turn=in_turn, minimum_role=least
    ),
    st.lists(seats, min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(list(Needs)),
    st.booleans(),
    st.sampled_from(["", "operations"]),
)
people = st.builds(
    person,
    st.sampled_from([*NAMES, "submitter"]),
    st.sampled_from(["rep", "manager", "operations", "integration"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=4), st.lists(people, max_size=12))
def test_whatever_is_tried_only_enough_of_the_right_words_grant_it(
    drawn: list[Step], tried: list[Person]
) -> None:
    made = approval(*drawn)
    for who in tried:
        try:
            event: object = approve(made, who)
        except (ApprovalEnded, NotAnApprover, OwnQuote, RoleTooLow):
            event = None
        granted = all(each.is_approved for each in made.steps)
        assert (made.state is ApprovalState.APPROVED) == granted
        assert isinstance(event, ApprovalGranted) <= granted
        assert bool(made.waiting_for) == (not granted)
    for each in made.steps:
        by = [decision.user_id for decision in each.decisions]
        assert len(set(by)) == len(by)
        assert not {user("owner"), user("submitter")} & set(by)
        later = [other for other in made.steps if other.level < each.level and not other.is_approved]
        assert not (each.decisions and later)
    if not made.steps:
        assert not isinstance(made.request(), ApprovalRequested)
