"""The table of what quotes do to deals."""

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import Column, Text, Uuid

from chassis.columns import enumerated
from chassis.schema import entity_table
from chassis.store import EntityType
from services.opportunities import wire
from services.opportunities.domain import (
    Acceptance,
    PrimaryQuote,
    QuoteSettings,
)
from services.opportunities.tables.base import metadata

quote_settings = entity_table(
    "quote_settings",
    metadata,
    Column("primary_quote", Text, nullable=False),
    Column("acceptance", Text, nullable=False),
    Column("acceptance_stage_id", Uuid),
)

QUOTE_SETTINGS = EntityType(
    name="quote_settings",
    cls=QuoteSettings,
    table=quote_settings,
    to_proto=wire.quote_settings_to_proto,
    events=events_pb2,
    codecs={"primary_quote": enumerated(PrimaryQuote), "acceptance": enumerated(Acceptance)},
)
