"""The tables, and which domain class a row becomes."""

from datetime import date
from typing import Any
from uuid import UUID

from sfa.leads.v1 import events_pb2
from sqlalchemy import ARRAY, Column, Date, Integer, MetaData, Numeric, Text, Uuid, any_, literal
from sqlalchemy.dialects.postgresql import JSONB

from chassis import channels
from chassis.columns import array, document, enumerated, money_of
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.leads import wire
from services.leads.domain import OPEN, Conversion, Lead, LeadState, Queue, QueueNameTaken

metadata = MetaData()

leads = entity_table(
    "leads",
    metadata,
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("company_name", Text, nullable=False),
    Column("website", Text, nullable=False),
    Column("industry", Text, nullable=False),
    Column("employee_count", Integer, nullable=False),
    Column("annual_revenue", Numeric),
    Column("annual_revenue_currency", Text),
    Column("addresses", JSONB),
    Column("phones", JSONB),
    Column("emails", JSONB),
    Column("description", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("owner_id", Uuid),
    Column("queue_id", Uuid),
    Column("state", Text, nullable=False),
    Column("disqualify_reason", Text, nullable=False),
    Column("estimated_amount", Numeric),
    Column("estimated_amount_currency", Text),
    Column("estimated_close_date", Date),
    Column("conversion", JSONB),
    timestamp_column("converted_at"),
)

queues = entity_table(
    "queues",
    metadata,
    Column("name", Text, nullable=False),
    Column("member_ids", ARRAY(Uuid)),
)


def _conversion(item: dict[str, Any]) -> Conversion:
    ids = {name: UUID(item[name]) if item[name] else None for name in item if name.endswith("_id")}
    close_date = date.fromisoformat(item["close_date"]) if item["close_date"] else None
    return Conversion(**(item | ids | {"amount": money_of(item["amount"]), "close_date": close_date}))


LEAD = EntityType(
    name="lead",
    cls=Lead,
    table=leads,
    to_proto=wire.lead_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: table.c.state == any_(literal([state.value for state in OPEN], ARRAY(Text))),
    fields={
        "given_name": Field.of(leads.c.given_name),
        "family_name": Field.of(leads.c.family_name, sortable=True),
        "company_name": Field.of(leads.c.company_name, sortable=True),
        "title": Field.of(leads.c.title),
        "industry": Field.of(leads.c.industry),
        "employee_count": Field.of(leads.c.employee_count),
        "source": Field.of(leads.c.source),
        "owner_id": Field.of(leads.c.owner_id),
        "queue_id": Field.of(leads.c.queue_id),
        "state": Field.of(leads.c.state, names={state.name: state.value for state in LeadState}),
        "disqualify_reason": Field.of(leads.c.disqualify_reason),
        "estimated_amount": Field.of(leads.c.estimated_amount, currency=leads.c.estimated_amount_currency),
        "estimated_close_date": Field.of(leads.c.estimated_close_date),
        "convert_time": Field.of(leads.c.converted_at),
        "phones.e164": Field(leads.c.phones, FieldType.STRING, repeated=True, path=("e164",)),
        "emails.address": Field(leads.c.emails, FieldType.STRING, repeated=True, path=("address",)),
    },
    searched=("given_name", "family_name", "company_name"),
    codecs={
        "addresses": channels.ADDRESSES,
        "phones": channels.PHONES,
        "emails": channels.EMAILS,
        "state": enumerated(LeadState),
        "conversion": document(_conversion),
    },
    money={
        "annual_revenue": ("annual_revenue", "annual_revenue_currency"),
        "estimated_amount": ("estimated_amount", "estimated_amount_currency"),
    },
)

QUEUE = EntityType(
    name="queue",
    cls=Queue,
    table=queues,
    to_proto=wire.queue_to_proto,
    events=events_pb2,
    fields={"name": Field.of(queues.c.name, sortable=True), "member_ids": Field.of(queues.c.member_ids)},
    searched=("name",),
    codecs={"member_ids": array()},
    unique={"queues_2": QueueNameTaken},
)
