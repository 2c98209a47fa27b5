"""The tables of deals, and which domain class a row becomes."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import ARRAY, BigInteger, Column, Date, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import array, document, enumerated, listed, money_of
from chassis.fields import Field, FieldType
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.opportunities import wire
from services.opportunities.domain import (
    LineItem,
    Opportunity,
    OrderNotice,
    OrderOutcome,
    QuoteLinks,
    QuoteProposal,
    State,
)
from services.opportunities.tables.base import metadata
from services.opportunities.tables.details import DETAILS_CODEC

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
    timestamp_column("primary_quote_at"),
    Column("primary_quote_version", BigInteger),
    Column("quote_proposal", JSONB),
    Column("quote_links", JSONB),
    Column("next_step_date", Date),
    Column("details", JSONB),
)

_columns = opportunities.c


def _line(item: Any) -> LineItem:
    price = money_of(item["unit_price"])
    assert price is not None
    return LineItem(UUID(item["product_id"]), Decimal(item["quantity"]), price)


def _proposal(item: Any) -> QuoteProposal:
    amount = money_of(item["amount"])
    assert amount is not None
    lines = tuple(map(_line, item["line_items"]))
    return QuoteProposal(UUID(item["quote_id"]), item["version"], amount, lines)


def _notice(item: Any) -> OrderNotice:
    total = money_of(item["total"])
    assert total is not None
    return OrderNotice(
        UUID(item["order_id"]),
        item["order_number"],
        UUID(item["quote_id"]),
        OrderOutcome(item["kind"]),
        datetime.fromisoformat(item["at"]),
        item["reason"],
        total,
        item["version"],
    )


def _links(item: Any) -> QuoteLinks:
    return QuoteLinks(tuple(map(UUID, item["sibling_quote_ids"])), tuple(map(_notice, item["order_notices"])))


def _listed(key: str, kind: FieldType, *path: str) -> Field:
    """A list in the details, found by the index over all of them."""
    return Field(_columns.details[key], kind, repeated=True, path=path, within=(_columns.details, key))


OPPORTUNITY = EntityType(
    name="opportunity",
    cls=Opportunity,
    table=opportunities,
    to_proto=wire.opportunity_to_proto,
    events=events_pb2,
    owner="owner_id",
    sharing=("details", lambda details: details.seen_by),
    is_open=lambda table: table.c.state == State.OPEN.value,
    fields={
        "name": Field.of(_columns.name, sortable=True),
        "account_id": Field.of(_columns.account_id),
        "owner_id": Field.of(_columns.owner_id),
        "pipeline_id": Field.of(_columns.pipeline_id),
        "stage_id": Field.of(_columns.stage_id),
        "state": Field.of(_columns.state, names=State),
        "amount": Field.of(_columns.amount, currency=_columns.currency, sortable=True),
        "line_items.product_id": Field(
            _columns.line_items, FieldType.UUID, repeated=True, path=("product_id",)
        ),
        "close_date": Field.of(_columns.close_date, sortable=True),
        "close_time": Field.of(_columns.closed_at),
        "lost_reason": Field.of(_columns.lost_reason),
        "next_step": Field.of(_columns.next_step),
        "lead_id": Field.of(_columns.lead_id),
        "contact_ids": Field.of(_columns.contact_ids),
        "next_step_date": Field.of(_columns.next_step_date),
        "tags": _listed("tags", FieldType.STRING),
        "team.user_id": _listed("team", FieldType.UUID, "user_id"),
        "splits.user_id": _listed("splits", FieldType.UUID, "user_id"),
        "contact_roles.contact_id": _listed("contact_roles", FieldType.UUID, "contact_id"),
        "competitors.competitor_id": _listed("competitors", FieldType.UUID, "competitor_id"),
    },
    searched=("name",),
    codecs={
        "state": enumerated(State),
        "line_items": listed(LineItem, _line),
        "quote_proposal": document(_proposal),
        "quote_links": document(_links),
        "contact_ids": array(),
        "details": DETAILS_CODEC,
    },
    money={"amount": ("amount", "currency")},
)
