"""Leads and queues: what their rules allow."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from chassis.channels import Email
from chassis.entity import ExternalId
from chassis.ids import new_id
from services.leads.domain import (
    AssigneeMissing,
    Conversion,
    ConversionNotImportable,
    DisqualifyReasonMissing,
    Lead,
    LeadAlreadyConverted,
    LeadAlreadyDisqualified,
    LeadAlreadyQualified,
    LeadAlreadyWorked,
    LeadDisqualified,
    LeadNotConverting,
    LeadNotDisqualified,
    LeadState,
    LeadUnnamed,
    Queue,
    QueueNameMissing,
    QueueNotEmpty,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def lead(**fields: object) -> Lead:
    return Lead.create({"company_name": "Acme", **fields})[0]


def plan() -> Conversion:
    return Conversion(account_id=new_id(), creates_account=True, opportunity_id=new_id())


def converting() -> Lead:
    acme = lead()
    acme.convert(plan())
    return acme


def test_a_lead_is_new_when_it_is_captured() -> None:
    assert lead().state is LeadState.NEW


@pytest.mark.parametrize(
    "fields",
    [
        {"given_name": "Ada"},
        {"company_name": "Acme"},
        {"emails": (Email("ada@example.org"),)},
        {"external_ids": (ExternalId("web", "4711"),)},
    ],
)
def test_a_lead_is_about_somebody_who_can_be_told_by_any_of_these(fields: dict[str, object]) -> None:
    assert Lead.create(fields)[0].state is LeadState.NEW


def test_a_lead_about_nobody_is_refused() -> None:
    with pytest.raises(LeadUnnamed):
        Lead.create({"source": "Web"})


def test_a_lead_goes_from_new_to_working_to_qualified() -> None:
    acme = lead()
    states = [acme.state]
    for verb in (acme.work, acme.qualify):
        verb()
        states.append(acme.state)
    assert states == [LeadState.NEW, LeadState.WORKING, LeadState.QUALIFIED]


def test_work_begins_once() -> None:
    acme = lead()
    acme.work()
    with pytest.raises(LeadAlreadyWorked):
        acme.work()


def test_a_lead_is_qualified_once() -> None:
    acme = lead()
    acme.qualify()
    with pytest.raises(LeadAlreadyQualified):
        acme.qualify()


def test_a_lead_is_disqualified_with_a_reason() -> None:
    acme = lead()
    with pytest.raises(DisqualifyReasonMissing):
        acme.disqualify("")
    assert acme.disqualify("No budget") == LeadDisqualified(LeadState.NEW)
    assert (acme.state, acme.disqualify_reason) == (LeadState.DISQUALIFIED, "No budget")


def test_a_disqualified_lead_is_requalified_before_anything_else() -> None:
    acme = lead()
    acme.disqualify("No budget")
    for verb in (acme.work, acme.qualify, lambda: acme.disqualify("again"), lambda: acme.convert(plan())):
        with pytest.raises(LeadAlreadyDisqualified):
            verb()
    acme.requalify()
    assert (acme.state, acme.disqualify_reason) == (LeadState.WORKING, "")


def test_only_a_disqualified_lead_is_requalified() -> None:
    with pytest.raises(LeadNotDisqualified):
        lead().requalify()


def test_a_lead_belongs_to_a_user_or_waits_in_a_queue() -> None:
    acme, user, queue = lead(), new_id(), new_id()
    acme.assign(queue_id=queue)
    assert (acme.owner_id, acme.queue_id) == (None, queue)
    assert acme.assign(owner_id=user).from_queue_id == queue
    assert (acme.owner_id, acme.queue_id) == (user, queue)
    for assignees in ({}, {"owner_id": user, "queue_id": queue}):
        with pytest.raises(AssigneeMissing):
            acme.assign(**assignees)


@pytest.mark.parametrize(
    "verb",
    [
        lambda it: it.change({"title": "x"}),
        lambda it: it.assign(owner_id=new_id()),
        lambda it: it.work(),
        lambda it: it.qualify(),
        lambda it: it.disqualify("x"),
        lambda it: it.requalify(),
        lambda it: it.convert(plan()),
    ],
)
def test_a_lead_that_is_being_converted_is_left_alone(verb: Callable[[Lead], object]) -> None:
    acme = converting()
    with pytest.raises(LeadAlreadyConverted):
        verb(acme)
    acme.finish_conversion(NOW)
    with pytest.raises(LeadAlreadyConverted):
        verb(acme)


def test_a_lead_is_not_deleted_on_its_way_to_becoming_something() -> None:
    acme = converting()
    with pytest.raises(LeadAlreadyConverted):
        acme.delete(NOW)
    acme.finish_conversion(NOW)
    acme.delete(NOW)
    assert acme.deleted_at == NOW


def test_a_conversion_that_is_held_up_says_why_until_it_gets_through() -> None:
    acme = converting()
    acme.delay_conversion("The contacts service is away.")
    assert (acme.state, acme.conversion and acme.conversion.problem) == (
        LeadState.CONVERTING,
        "The contacts service is away.",
    )
    acme.finish_conversion(NOW)
    assert (acme.state, acme.converted_at) == (LeadState.CONVERTED, NOW)
    assert acme.conversion is not None
    assert acme.conversion.problem == ""


def test_a_conversion_keeps_the_ids_that_were_fixed_at_its_start() -> None:
    acme = converting()
    ids = acme.conversion and (acme.conversion.account_id, acme.conversion.opportunity_id)
    acme.delay_conversion("Later.")
    acme.finish_conversion(NOW)
    assert acme.conversion is not None
    assert (acme.conversion.account_id, acme.conversion.opportunity_id) == ids


def test_a_lead_that_waits_in_a_queue_is_taken_by_the_owner_of_what_it_becomes() -> None:
    acme, user = lead(queue_id=new_id()), new_id()
    acme.convert(Conversion(account_id=new_id(), creates_account=True, owner_id=user))
    assert acme.owner_id == user


def test_only_a_conversion_under_way_is_finished() -> None:
    with pytest.raises(LeadNotConverting):
        lead().finish_conversion(NOW)


@pytest.mark.parametrize(
    ("start", "target", "end"),
    [
        (LeadState.NEW, LeadState.NEW, LeadState.NEW),
        (LeadState.NEW, LeadState.WORKING, LeadState.WORKING),
        (LeadState.NEW, LeadState.QUALIFIED, LeadState.QUALIFIED),
        (LeadState.NEW, LeadState.DISQUALIFIED, LeadState.DISQUALIFIED),
        (LeadState.QUALIFIED, LeadState.NEW, LeadState.QUALIFIED),
        (LeadState.DISQUALIFIED, LeadState.WORKING, LeadState.WORKING),
        (LeadState.DISQUALIFIED, LeadState.QUALIFIED, LeadState.QUALIFIED),
    ],
)
def test_an_import_takes_the_verbs_that_lead_to_a_state(
    start: LeadState, target: LeadState, end: LeadState
) -> None:
    acme = lead()
    acme.bring_to(start, "No budget")
    acme.bring_to(target, "No budget")
    assert acme.state is end


def test_an_import_converts_nothing() -> None:
    with pytest.raises(ConversionNotImportable):
        lead().bring_to(LeadState.CONVERTED)


def test_a_lead_is_called_by_company_then_person_then_a_way_to_reach_it() -> None:
    assert lead(given_name="Ada").label == "Acme"
    assert Lead.create({"given_name": "Ada", "family_name": "Lovelace"})[0].label == "Ada Lovelace"
    assert Lead.create({"emails": (Email("ada@example.org"),)})[0].label == "ada@example.org"


def test_a_queue_needs_a_name() -> None:
    with pytest.raises(QueueNameMissing):
        Queue.create({"name": ""})


def test_a_queue_in_which_leads_wait_is_not_deleted() -> None:
    queue, _ = Queue.create({"name": "Inbound"})
    with pytest.raises(QueueNotEmpty):
        queue.delete(NOW, has_leads=True)
    queue.delete(NOW, has_leads=False)
    assert queue.deleted_at == NOW
