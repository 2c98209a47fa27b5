"""A leaver's records move step by step, there and, where that is undone, back."""

from uuid import uuid4

import pytest

from services.identity.domain.deactivation import (
    Deactivation,
    DeactivationFinished,
    DeactivationProgressed,
    NotUndoable,
    Owned,
    State,
    SuccessorIsSame,
    SuccessorMissing,
)

DEALS = Owned("opportunities", "opportunity", open=700, closed=30, accepts_queue=False)
LEADS = Owned("leads", "lead", open=3, closed=0, accepts_queue=True)
NOTHING = Owned("quotes", "quote", open=0, closed=12, accepts_queue=False)


def leaving(*owned: Owned, **to: object) -> Deactivation:
    deactivation = Deactivation(user_id=uuid4(), **(to or {"successor_id": uuid4()}))  # type: ignore[arg-type]
    deactivation.start(owned)
    return deactivation


def test_open_records_need_somebody() -> None:
    with pytest.raises(SuccessorMissing, match="700 open records of the kind opportunity"):
        leaving(DEALS, successor_id=None)
    with pytest.raises(SuccessorMissing):
        leaving(DEALS, LEADS, queue_id=uuid4())


def test_a_queue_is_enough_where_all_that_is_open_can_stand_in_one() -> None:
    deactivation = leaving(LEADS, NOTHING, queue_id=uuid4())
    assert [(part.entity, part.to_queue) for part in deactivation.parts] == [("lead", True)]


def test_leads_go_to_the_queue_and_deals_to_the_successor() -> None:
    deactivation = leaving(DEALS, LEADS, successor_id=uuid4(), queue_id=uuid4())
    assert [(part.entity, part.to_queue) for part in deactivation.parts] == [
        ("opportunity", False),
        ("lead", True),
    ]


def test_somebody_with_nothing_open_needs_nobody() -> None:
    assert leaving(NOTHING, successor_id=None).state is State.DONE


def test_nobody_succeeds_themselves() -> None:
    user = uuid4()
    with pytest.raises(SuccessorIsSame):
        Deactivation(user_id=user, successor_id=user).start([DEALS])


def test_it_is_done_when_every_part_is() -> None:
    deactivation = leaving(DEALS, LEADS)
    deals = deactivation.next_part()
    assert deals is not None
    assert deals.entity == "opportunity"
    assert isinstance(deactivation.moved(deals, 500, 200), DeactivationProgressed)
    deals = deactivation.next_part()
    assert deals is not None
    assert (deals.step, deals.moved, deals.remaining) == (1, 500, 200)
    deactivation.moved(deals, 200, 0)
    leads = deactivation.next_part()
    assert leads is not None
    assert leads.entity == "lead"
    assert isinstance(deactivation.moved(leads, 3, 0), DeactivationFinished)
    assert (deactivation.state, deactivation.next_part()) == (State.DONE, None)


def test_a_part_that_fails_lets_the_others_go_first() -> None:
    deactivation = leaving(DEALS, LEADS)
    deals = deactivation.next_part()
    assert deals is not None
    deactivation.failed(deals, "opportunities is away")
    leads = deactivation.next_part()
    assert leads is not None
    deactivation.moved(leads, 3, 0)
    again = deactivation.next_part()
    assert again is not None
    assert (again.entity, again.step, again.error) == ("opportunity", 0, "opportunities is away")


def test_undoing_in_the_middle_first_finds_out_what_the_last_step_did() -> None:
    deactivation = leaving(DEALS)
    part = deactivation.parts[0]
    deactivation.moved(part, 500, 200)
    deactivation.undo()
    part = deactivation.parts[0]
    assert (part.unsure, part.step) == (True, 1)
    deactivation.found(part, 200)
    part = deactivation.parts[0]
    assert (part.unsure, part.step, part.moved) == (False, 2, 700)
    deactivation.moved_back(part, 500, 200)
    assert isinstance(deactivation.moved_back(deactivation.parts[0], 180, 0), DeactivationFinished)
    assert (deactivation.state, deactivation.parts[0].moved_back) == (State.UNDONE, 680)


def test_undoing_afterwards_is_sure_and_done_once() -> None:
    deactivation = leaving(LEADS)
    deactivation.moved(deactivation.parts[0], 3, 0)
    deactivation.undo()
    assert not deactivation.parts[0].unsure
    with pytest.raises(NotUndoable):
        deactivation.undo()


def test_a_service_that_was_away_is_asked_later() -> None:
    deactivation = Deactivation(user_id=uuid4(), successor_id=uuid4())
    deactivation.start([DEALS], away=["leads"])
    unknown = deactivation.parts[1]
    assert (unknown.service, unknown.entity) == ("leads", "")
    deactivation.moved(deactivation.parts[0], 700, 0)
    assert isinstance(deactivation.counted(unknown, [LEADS]), DeactivationProgressed)
    assert [part.entity for part in deactivation.parts] == ["opportunity", "lead"]


def test_undoing_before_anything_was_counted_is_undone_at_once() -> None:
    deactivation = Deactivation(user_id=uuid4(), successor_id=uuid4())
    deactivation.start([], away=["leads"])
    deactivation.undo()
    assert (deactivation.state, deactivation.parts) == (State.UNDONE, ())
