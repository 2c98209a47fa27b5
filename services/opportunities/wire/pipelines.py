"""Pipelines between the protos and the domain."""

from collections.abc import Callable, Mapping
from typing import Any

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import convert
from chassis.ids import new_id
from services.opportunities.domain import (
    ForecastCategory,
    Pipeline,
    Stage,
    State,
)

_KINDS = {state: pb.Stage.Kind.Value(state.name) for state in State}
_CATEGORIES = {category: pb.ForecastCategory.Value(category.name) for category in ForecastCategory}
_STATE_OF_KIND = {number: state for state, number in _KINDS.items()}
_CATEGORY_OF = {number: category for category, number in _CATEGORIES.items()}


def pipeline_to_proto(pipeline: Pipeline) -> pb.Pipeline:
    """The resource."""
    result = pb.Pipeline(id=str(pipeline.id), etag=str(pipeline.version), name=pipeline.name)
    convert.set_timestamp(result.create_time, pipeline.created_at)
    convert.set_timestamp(result.update_time, pipeline.updated_at)
    result.is_default = pipeline.is_default
    for stage in pipeline.stages:
        result.stages.add(
            id=str(stage.id),
            name=stage.name,
            probability=stage.probability,
            forecast_category=_CATEGORIES[stage.forecast_category],
            kind=_KINDS[stage.kind],
        )
    return result


def _stages(message: pb.Pipeline) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            convert.uuid_of(stage.id) or new_id(),
            stage.name,
            stage.probability,
            _CATEGORY_OF[stage.forecast_category],
            _STATE_OF_KIND[stage.kind],
        )
        for stage in message.stages
    )


PIPELINE_FIELDS: Mapping[str, Callable[[pb.Pipeline], Any]] = {
    "name": lambda message: message.name,
    "is_default": lambda message: message.is_default,
    "stages": _stages,
}
