"""The tables, and which domain class a row becomes."""

import sqlalchemy as sa
from sfa.contacts.v1 import events_pb2
from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Integer, MetaData, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis import channels
from chassis.fields import Field, FieldType
from chassis.schema import entity_table
from chassis.store import EntityType
from services.contacts import wire
from services.contacts.domain import Account, Contact

metadata = MetaData()

accounts = entity_table(
    "accounts",
    metadata,
    Column("name", Text, nullable=False),
    Column("parent_account_id", Uuid),
    Column("owner_id", Uuid),
    Column("website", Text, nullable=False),
    Column("industry", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("employee_count", Integer, nullable=False),
    Column("annual_revenue", Numeric),
    Column("annual_revenue_currency", Text),
    Column("year_established", Integer, nullable=False),
    Column("addresses", JSONB),
    Column("phones", JSONB),
    Column("emails", JSONB),
    Column("description", Text, nullable=False),
    Column("lead_id", Uuid),
)

contacts = entity_table(
    "contacts",
    metadata,
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("account_id", Uuid),
    Column("owner_id", Uuid),
    Column("title", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("addresses", JSONB),
    Column("phones", JSONB),
    Column("emails", JSONB),
    Column("description", Text, nullable=False),
    Column("lead_id", Uuid),
)

# What deals, quotes and leads name: whoever sees one of them may read the account and people in it.
mentions = Table(
    "mentions",
    metadata,
    Column("tenant_id", Uuid),
    Column("kind", Text),
    Column("id", Uuid),
    Column("version", BigInteger),
    Column("owner_id", Uuid),
    Column("account_id", Uuid),
    Column("contact_ids", ARRAY(Uuid)),
    Column("deleted", Boolean),
    Column("members", ARRAY(Uuid)),
)

ACCOUNT = EntityType(
    name="account",
    cls=Account,
    table=accounts,
    to_proto=wire.account_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: sa.true(),
    fields={
        "name": Field.of(accounts.c.name, sortable=True),
        "parent_account_id": Field.of(accounts.c.parent_account_id),
        "owner_id": Field.of(accounts.c.owner_id),
        "website": Field.of(accounts.c.website),
        "industry": Field.of(accounts.c.industry),
        "segment": Field.of(accounts.c.segment),
        "employee_count": Field.of(accounts.c.employee_count),
        "annual_revenue": Field.of(accounts.c.annual_revenue, currency=accounts.c.annual_revenue_currency),
        "year_established": Field.of(accounts.c.year_established),
        "addresses.country_code": Field(
            accounts.c.addresses, FieldType.STRING, repeated=True, path=("country_code",)
        ),
        "phones.e164": Field(accounts.c.phones, FieldType.STRING, repeated=True, path=("e164",)),
        "emails.address": Field(accounts.c.emails, FieldType.STRING, repeated=True, path=("address",)),
        "lead_id": Field.of(accounts.c.lead_id),
    },
    searched=("name",),
    codecs={"addresses": channels.ADDRESSES, "phones": channels.PHONES, "emails": channels.EMAILS},
    money={"annual_revenue": ("annual_revenue", "annual_revenue_currency")},
)

CONTACT = EntityType(
    name="contact",
    cls=Contact,
    table=contacts,
    to_proto=wire.contact_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: sa.true(),
    fields={
        "given_name": Field.of(contacts.c.given_name, sortable=True),
        "family_name": Field.of(contacts.c.family_name, sortable=True),
        "account_id": Field.of(contacts.c.account_id),
        "owner_id": Field.of(contacts.c.owner_id),
        "title": Field.of(contacts.c.title),
        "department": Field.of(contacts.c.department),
        "phones.e164": Field(contacts.c.phones, FieldType.STRING, repeated=True, path=("e164",)),
        "emails.address": Field(contacts.c.emails, FieldType.STRING, repeated=True, path=("address",)),
        "lead_id": Field.of(contacts.c.lead_id),
    },
    searched=("given_name", "family_name"),
    codecs={"addresses": channels.ADDRESSES, "phones": channels.PHONES, "emails": channels.EMAILS},
)
