"""Between the protos and the domain, the other services' protos for what a lead becomes included."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sfa.contacts.v1 import contacts_pb2
from sfa.leads.v1 import leads_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import channels, convert
from chassis.history import Version
from services.leads.domain import Conversion, Lead, LeadState, Queue

_STATES = {state: pb.Lead.State.Value(state.name) for state in LeadState}
_STATE_OF = {number: state for state, number in _STATES.items()}


def lead_to_proto(lead: Lead) -> pb.Lead:
    """The resource."""
    result = pb.Lead()
    convert.set_head(result, lead)
    result.given_name = lead.given_name
    result.family_name = lead.family_name
    result.title = lead.title
    result.company_name = lead.company_name
    result.website = lead.website
    result.industry = lead.industry
    result.employee_count = lead.employee_count
    if lead.annual_revenue is not None:
        convert.set_money(result.annual_revenue, lead.annual_revenue)
    channels.set_channels(result, lead.addresses, lead.phones, lead.emails)
    result.description = lead.description
    result.source = lead.source
    if lead.owner_id is not None:
        result.owner_id = str(lead.owner_id)
    if lead.queue_id is not None:
        result.queue_id = str(lead.queue_id)
    result.state = _STATES[lead.state]
    result.disqualify_reason = lead.disqualify_reason
    if lead.estimated_amount is not None:
        convert.set_money(result.estimated_amount, lead.estimated_amount)
    if lead.estimated_close_date is not None:
        convert.set_date(result.estimated_close_date, lead.estimated_close_date)
    if lead.conversion is not None:
        _set_conversion(result, lead.conversion, done=lead.state is LeadState.CONVERTED)
    if lead.converted_at is not None:
        convert.set_timestamp(result.convert_time, lead.converted_at)
    return result


def _set_conversion(result: pb.Lead, plan: Conversion, *, done: bool) -> None:
    target = result.conversion
    target.account_id = str(plan.account_id)
    target.creates_account = plan.creates_account
    target.contact_id = _text(plan.contact_id)
    target.creates_contact = plan.creates_contact
    target.opportunity_id = _text(plan.opportunity_id)
    target.opportunity_name = plan.opportunity_name
    target.stage_id = _text(plan.stage_id)
    if plan.amount is not None:
        convert.set_money(target.amount, plan.amount)
    if plan.close_date is not None:
        convert.set_date(target.close_date, plan.close_date)
    target.owner_id = _text(plan.owner_id)
    target.user_id = _text(plan.user_id)
    target.problem = plan.problem
    if done:
        result.converted_account_id = target.account_id
        result.converted_contact_id = target.contact_id
        result.converted_opportunity_id = target.opportunity_id


Readers = Mapping[str, Callable[[Any], Any]]


def lead_fields(region: str) -> Readers:
    """How each field that a client may set is read; the names are those of the update mask.

    `region` is the country of telephone numbers that name none.
    """
    return {
        "given_name": lambda message: message.given_name,
        "family_name": lambda message: message.family_name,
        "external_ids": lambda message: convert.external_ids_of(message.external_ids),
        "title": lambda message: message.title,
        "company_name": lambda message: message.company_name,
        "website": lambda message: message.website,
        "industry": lambda message: message.industry,
        "employee_count": lambda message: message.employee_count,
        "annual_revenue": _money("annual_revenue"),
        "addresses": lambda message: channels.addresses_of(message.addresses),
        "phones": lambda message: channels.phones_of(
            message.phones, channels.region_of(message.addresses, region), "lead.phones"
        ),
        "emails": lambda message: channels.emails_of(message.emails, "lead.emails"),
        "description": lambda message: message.description,
        "source": lambda message: message.source,
        "estimated_amount": _money("estimated_amount"),
        "estimated_close_date": lambda message: (
            convert.date_of(message.estimated_close_date, "lead.estimated_close_date")
            if message.HasField("estimated_close_date")
            else None
        ),
    }


# To whom a new one belongs; later that has a verb of its own.
NEW_FIELDS: Readers = {
    "owner_id": lambda message: convert.uuid_of(message.owner_id),
    "queue_id": lambda message: convert.uuid_of(message.queue_id),
}


def _money(field: str) -> Callable[[Any], Any]:
    return lambda message: (
        convert.money_of(getattr(message, field), f"lead.{field}") if message.HasField(field) else None
    )


def state_of(message: pb.Lead) -> LeadState | None:
    """The state that a row says, None where it says none."""
    return _STATE_OF.get(message.state)


def version_to_proto(version: Version) -> pb.LeadVersion:
    """One version."""
    assert isinstance(version.resource, pb.Lead)
    return pb.LeadVersion(
        lead=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def queue_to_proto(queue: Queue) -> pb.Queue:
    """The resource."""
    result = pb.Queue()
    convert.set_head(result, queue)
    result.name = queue.name
    result.member_ids.extend(map(str, queue.member_ids))
    return result


QUEUE_FIELDS: Readers = {
    "name": lambda message: message.name,
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "member_ids": lambda message: tuple(dict.fromkeys(map(UUID, message.member_ids))),
}


# What a lead becomes


def account_of(lead: Lead, plan: Conversion) -> contacts_pb2.Account:
    """The account that is made of a lead. It is reached by the lead's ways where no person is made of them."""
    account = contacts_pb2.Account(
        id=str(plan.account_id),
        name=lead.label,
        owner_id=_text(plan.owner_id),
        website=lead.website,
        industry=lead.industry,
        employee_count=lead.employee_count,
        lead_id=str(lead.id),
    )
    if lead.annual_revenue is not None:
        convert.set_money(account.annual_revenue, lead.annual_revenue)
    reached = plan.contact_id is None
    channels.set_channels(
        account, lead.addresses, lead.phones if reached else (), lead.emails if reached else ()
    )
    if plan.opportunity_id is None:
        account.description = lead.description
    return account


def contact_of(lead: Lead, plan: Conversion) -> contacts_pb2.Contact:
    """The contact that is made of a lead."""
    contact = contacts_pb2.Contact(
        id=_text(plan.contact_id),
        given_name=lead.given_name,
        family_name=lead.family_name,
        account_id=str(plan.account_id),
        owner_id=_text(plan.owner_id),
        title=lead.title,
        lead_id=str(lead.id),
    )
    channels.set_channels(contact, lead.addresses, lead.phones, lead.emails)
    return contact


def opportunity_of(lead: Lead, plan: Conversion) -> opportunities_pb2.Opportunity:
    """The opportunity that is made of a lead."""
    opportunity = opportunities_pb2.Opportunity(
        id=_text(plan.opportunity_id),
        name=plan.opportunity_name,
        account_id=str(plan.account_id),
        owner_id=_text(plan.owner_id),
        stage_id=_text(plan.stage_id),
        description=lead.description,
        lead_id=str(lead.id),
        contact_ids=[str(plan.contact_id)] if plan.contact_id else [],
    )
    if plan.amount is not None:
        convert.set_money(opportunity.amount, plan.amount)
    if plan.close_date is not None:
        convert.set_date(opportunity.close_date, plan.close_date)
    return opportunity


def _text(id: UUID | None) -> str:
    return str(id) if id else ""
