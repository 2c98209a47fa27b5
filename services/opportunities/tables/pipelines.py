"""The table of pipelines."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import ARRAY, Boolean, Column, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import array, enumerated, listed
from chassis.schema import entity_table
from chassis.store import EntityType
from services.opportunities import wire
from services.opportunities.domain import (
    ExitCriterion,
    ForecastCategory,
    Pipeline,
    Stage,
    State,
    WinGate,
)
from services.opportunities.tables.base import metadata

pipelines = entity_table(
    "pipelines",
    metadata,
    Column("name", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("stages", JSONB),
    Column("manager_ids", ARRAY(Uuid)),
    Column("product_families", ARRAY(Text)),
    Column("win_gate", Text),
    Column("is_forecast_category_fixed", Boolean, nullable=False),
    Column("retired_stages", JSONB),
)


def _stage(item: dict[str, Any]) -> Stage:
    retired_at, replaced_by = item.get("retired_at"), item.get("replaced_by")
    return Stage(
        UUID(item["id"]),
        item["name"],
        item["probability"],
        ForecastCategory(item["forecast_category"]),
        State(item["kind"]),
        tuple(item.get("required_fields", ())),
        tuple(ExitCriterion(**criterion) for criterion in item.get("exit_criteria", ())),
        tuple(map(UUID, item.get("allowed_stage_ids", ()))),
        item.get("expected_days", 0),
        item.get("stuck_after_days", 0),
        datetime.fromisoformat(retired_at) if retired_at else None,
        UUID(replaced_by) if replaced_by else None,
    )


PIPELINE = EntityType(
    name="pipeline",
    cls=Pipeline,
    table=pipelines,
    to_proto=wire.pipeline_to_proto,
    events=events_pb2,
    codecs={
        "stages": listed(Stage, _stage),
        "manager_ids": array(),
        "product_families": array(),
        "win_gate": enumerated(WinGate),
        "retired_stages": listed(Stage, _stage),
    },
)
