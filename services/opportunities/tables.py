"""The tables, and which domain class a row becomes."""

from decimal import Decimal
from uuid import UUID

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import ARRAY, Boolean, Column, Date, MetaData, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import array, enumerated, listed, money_of
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.opportunities import wire
from services.opportunities.domain import ForecastCategory, LineItem, Opportunity, Pipeline, Stage, State

metadata = MetaData()

opportunities = entity_table(
    "opportunities",
    metadata,
    Column("name", Text, nullable=False),
    Column("account_id", Uuid),
    Column("owner_id", Uuid),
    Column("pipeline_id", Uuid, nullable=False),
    Column("stage_id", Uuid, nullable=False),
    Column("closed_from", Uuid),
    Column("state", Text, nullable=False),
    Column("amount", Numeric),
    Column("currency", Text),
    Column("line_items", JSONB),
    Column("close_date", Date),
    timestamp_column("closed_at"),
    Column("lost_reason", Text),
    Column("next_step", Text),
    Column("description", Text),
    Column("lead_id", Uuid),
    Column("contact_ids", ARRAY(Uuid)),
    Column("primary_quote_id", Uuid),
)

pipelines = entity_table(
    "pipelines",
    metadata,
    Column("name", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("stages", JSONB),
)

_columns = opportunities.c

OPPORTUNITY = EntityType(
    name="opportunity",
    cls=Opportunity,
    table=opportunities,
    to_proto=wire.opportunity_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: table.c.state == State.OPEN.value,
    fields={
        "name": Field.of(_columns.name, sortable=True),
        "account_id": Field.of(_columns.account_id),
        "owner_id": Field.of(_columns.owner_id),
        "pipeline_id": Field.of(_columns.pipeline_id),
        "stage_id": Field.of(_columns.stage_id),
        "state": Field.of(_columns.state, names=State),
        "amount": Field.of(_columns.amount, currency=_columns.currency, sortable=True),
        "line_items.product_id": Field(_columns.line_items, FieldType.UUID, repeated=True, path=("product_id",)),
        "close_date": Field.of(_columns.close_date, sortable=True),
        "close_time": Field.of(_columns.closed_at),
        "lost_reason": Field.of(_columns.lost_reason),
        "next_step": Field.of(_columns.next_step),
        "lead_id": Field.of(_columns.lead_id),
        "contact_ids": Field.of(_columns.contact_ids),
    },
    searched=("name",),
    codecs={
        "state": enumerated(State),
        "line_items": listed(
            LineItem,
            lambda item: LineItem(
                UUID(item["product_id"]), Decimal(item["quantity"]), money_of(item["unit_price"])
            ),
        ),
        "contact_ids": array(),
    },
    money={"amount": ("amount", "currency")},
)

PIPELINE = EntityType(
    name="pipeline",
    cls=Pipeline,
    table=pipelines,
    to_proto=wire.pipeline_to_proto,
    events=events_pb2,
    codecs={
        "stages": listed(
            Stage,
            lambda item: Stage(
                UUID(item["id"]),
                item["name"],
                item["probability"],
                ForecastCategory(item["forecast_category"]),
                State(item["kind"]),
            ),
        )
    },
)
