"""Between the protos and the domain."""

from collections.abc import Callable, Mapping
from typing import Any

from sfa.contacts.v1 import contacts_pb2 as pb

from chassis import channels, convert
from chassis.history import Version
from services.contacts.domain import Account, Contact


def account_to_proto(account: Account) -> pb.Account:
    """The resource."""
    result = pb.Account()
    convert.set_head(result, account)
    result.name = account.name
    if account.parent_account_id is not None:
        result.parent_account_id = str(account.parent_account_id)
    if account.owner_id is not None:
        result.owner_id = str(account.owner_id)
    result.website = account.website
    result.industry = account.industry
    result.segment = account.segment
    result.employee_count = account.employee_count
    if account.annual_revenue is not None:
        convert.set_money(result.annual_revenue, account.annual_revenue)
    result.year_established = account.year_established
    channels.set_channels(result, account.addresses, account.phones, account.emails)
    result.description = account.description
    if account.lead_id is not None:
        result.lead_id = str(account.lead_id)
    return result


def contact_to_proto(contact: Contact) -> pb.Contact:
    """The resource."""
    result = pb.Contact()
    convert.set_head(result, contact)
    result.given_name = contact.given_name
    result.family_name = contact.family_name
    if contact.account_id is not None:
        result.account_id = str(contact.account_id)
    if contact.owner_id is not None:
        result.owner_id = str(contact.owner_id)
    result.title = contact.title
    result.department = contact.department
    channels.set_channels(result, contact.addresses, contact.phones, contact.emails)
    result.description = contact.description
    if contact.lead_id is not None:
        result.lead_id = str(contact.lead_id)
    return result


Readers = Mapping[str, Callable[[Any], Any]]


def account_fields(region: str) -> Readers:
    """How each field of an account that a client may set is read; the names are those of the update mask.

    `region` is the country of telephone numbers that name none.
    """
    return {
        "name": lambda message: message.name,
        "external_ids": lambda message: convert.external_ids_of(message.external_ids),
        "parent_account_id": lambda message: convert.uuid_of(message.parent_account_id),
        "owner_id": lambda message: convert.uuid_of(message.owner_id),
        "website": lambda message: message.website,
        "industry": lambda message: message.industry,
        "segment": lambda message: message.segment,
        "employee_count": lambda message: message.employee_count,
        "annual_revenue": lambda message: (
            convert.money_of(message.annual_revenue, "account.annual_revenue")
            if message.HasField("annual_revenue")
            else None
        ),
        "year_established": lambda message: message.year_established,
        **_channel_fields("account", region),
        "description": lambda message: message.description,
    }


def contact_fields(region: str) -> Readers:
    """The same for a contact."""
    return {
        "given_name": lambda message: message.given_name,
        "family_name": lambda message: message.family_name,
        "external_ids": lambda message: convert.external_ids_of(message.external_ids),
        "account_id": lambda message: convert.uuid_of(message.account_id),
        "owner_id": lambda message: convert.uuid_of(message.owner_id),
        "title": lambda message: message.title,
        "department": lambda message: message.department,
        **_channel_fields("contact", region),
        "description": lambda message: message.description,
    }


# A new one may also say which lead it comes from.
NEW_FIELDS: Readers = {"lead_id": lambda message: convert.uuid_of(message.lead_id)}


def _channel_fields(resource: str, region: str) -> Readers:
    def phones(message: Any) -> Any:
        country = channels.region_of(message.addresses, region)
        return channels.phones_of(message.phones, country, f"{resource}.phones")

    return {
        "addresses": lambda message: channels.addresses_of(message.addresses),
        "phones": phones,
        "emails": lambda message: channels.emails_of(message.emails, f"{resource}.emails"),
    }


def account_version_to_proto(version: Version) -> pb.AccountVersion:
    """One version."""
    assert isinstance(version.resource, pb.Account)
    return pb.AccountVersion(
        account=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def contact_version_to_proto(version: Version) -> pb.ContactVersion:
    """One version."""
    assert isinstance(version.resource, pb.Contact)
    return pb.ContactVersion(
        contact=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
