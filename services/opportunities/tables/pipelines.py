"""The table of pipelines."""

from uuid import UUID

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import Boolean, Column, Text
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import listed
from chassis.schema import entity_table
from chassis.store import EntityType
from services.opportunities import wire
from services.opportunities.domain import (
    ForecastCategory,
    Pipeline,
    Stage,
    State,
)
from services.opportunities.tables.base import metadata

pipelines = entity_table(
    "pipelines",
    metadata,
    Column("name", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("stages", JSONB),
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
