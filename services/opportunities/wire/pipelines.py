"""Pipelines between the protos and the domain."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import convert
from chassis.errors import Refusal
from chassis.history import Version
from chassis.ids import new_id
from services.opportunities.domain import (
    ExitCriterion,
    ForecastCategory,
    GateNotPassed,
    Pipeline,
    Stage,
    State,
    WinGate,
)

_KINDS = {state: pb.Stage.Kind.Value(state.name) for state in State}
_CATEGORIES = {category: pb.ForecastCategory.Value(category.name) for category in ForecastCategory}
_WIN_GATES = {gate: pb.Pipeline.WinGate.Value(gate.name) for gate in WinGate}
_STATE_OF_KIND = {number: state for state, number in _KINDS.items()}
_CATEGORY_OF = {number: category for category, number in _CATEGORIES.items()}
_WIN_GATE_OF = {number: gate for gate, number in _WIN_GATES.items()}


def pipeline_to_proto(pipeline: Pipeline) -> pb.Pipeline:
    """The resource."""
    result = pb.Pipeline(id=str(pipeline.id), etag=str(pipeline.version), name=pipeline.name)
    convert.set_timestamp(result.create_time, pipeline.created_at)
    convert.set_timestamp(result.update_time, pipeline.updated_at)
    result.is_default = pipeline.is_default
    for stage in pipeline.stages:
        _add_stage(result.stages, stage)
    if pipeline.manager_ids:
        result.manager_ids.extend(map(str, pipeline.manager_ids))
    if pipeline.product_families:
        result.product_families.extend(pipeline.product_families)
    result.win_gate = _WIN_GATES[pipeline.win_gate]
    result.is_forecast_category_fixed = pipeline.is_forecast_category_fixed
    for stage in pipeline.retired_stages:
        _add_stage(result.retired_stages, stage)
    return result


def _add_stage(target: Any, stage: Stage) -> None:
    added = target.add(
        id=str(stage.id),
        name=stage.name,
        probability=stage.probability,
        forecast_category=_CATEGORIES[stage.forecast_category],
        kind=_KINDS[stage.kind],
        required_fields=stage.required_fields,
        expected_days=stage.expected_days,
        stuck_after_days=stage.stuck_after_days,
    )
    added.allowed_stage_ids.extend(map(str, stage.allowed_stage_ids))
    for criterion in stage.exit_criteria:
        added.exit_criteria.add(
            name=criterion.name, expression=criterion.expression, message=criterion.message
        )
    if stage.retired_at is not None:
        convert.set_timestamp(added.retire_time, stage.retired_at)
    if stage.replaced_by is not None:
        added.replaced_by_stage_id = str(stage.replaced_by)


def pipeline_version_to_proto(version: Version) -> pb.PipelineVersion:
    """One version."""
    return pb.PipelineVersion(
        pipeline=cast("pb.Pipeline", version.resource),
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def move_check_to_proto(stage: Stage, refusal: Refusal | None) -> pb.MoveCheck:
    """Whether a deal could go to a stage, and why not."""
    check = pb.MoveCheck(stage_id=str(stage.id), is_allowed=refusal is None)
    if refusal is not None:
        check.reason, check.message = refusal.reason, str(refusal)
    for each in refusal.unmet if isinstance(refusal, GateNotPassed) else ():
        check.unmet.add(
            stage_id=str(each.stage.id),
            stage_name=each.stage.name,
            criterion=each.criterion,
            message=each.message,
            expression=each.expression,
            fields=each.fields,
        )
    return check


def _stages(message: pb.Pipeline) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            convert.uuid_of(stage.id) or new_id(),
            stage.name,
            stage.probability,
            _CATEGORY_OF[stage.forecast_category],
            _STATE_OF_KIND[stage.kind],
            tuple(dict.fromkeys(stage.required_fields)),
            tuple(ExitCriterion(each.name, each.expression, each.message) for each in stage.exit_criteria),
            _ids(stage.allowed_stage_ids),
            stage.expected_days,
            stage.stuck_after_days,
        )
        for stage in message.stages
    )


def _ids(texts: Iterable[str]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(map(UUID, texts)))


PIPELINE_FIELDS: Mapping[str, Callable[[pb.Pipeline], Any]] = {
    "name": lambda message: message.name,
    "is_default": lambda message: message.is_default,
    "is_forecast_category_fixed": lambda message: message.is_forecast_category_fixed,
    "stages": _stages,
    "manager_ids": lambda message: _ids(message.manager_ids),
    "product_families": lambda message: tuple(dict.fromkeys(message.product_families)),
    "win_gate": lambda message: _WIN_GATE_OF.get(message.win_gate, WinGate.ALL_STAGES),
}
