"""Pipelines: the stages that a deal moves through, and what standing in one means."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument, NotFound


class State(Enum):
    """Where a deal stands, and what standing in a stage means."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


class ForecastCategory(Enum):
    """How the forecast counts a deal."""

    OMITTED = "OMITTED"
    PIPELINE = "PIPELINE"
    BEST_CASE = "BEST_CASE"
    COMMIT = "COMMIT"
    CLOSED = "CLOSED"


class PipelineIncomplete(InvalidArgument):
    """A pipeline cannot work as it is described."""


class StageInUse(FailedPrecondition):
    """Deals stand in a stage that was to go, or to change its kind."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Opportunities stand in the stage {name}: move them first.", field="pipeline.stages"
        )


class StageNotFound(NotFound):
    """The stage is in no pipeline of the deal."""

    def __init__(self, field: str = "stage_id") -> None:
        super().__init__("There is no such stage in the opportunity's pipeline.", field=field)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline; `probability` is in percent."""

    id: UUID
    name: str
    probability: int
    forecast_category: ForecastCategory
    kind: State


@dataclass(frozen=True, slots=True)
class PipelineCreated(Event):
    """A pipeline was made."""


@dataclass(frozen=True, slots=True)
class PipelineUpdated(Event):
    """A pipeline was changed."""


@dataclass(slots=True, kw_only=True)
class Pipeline(Entity):
    """An ordered list of stages."""

    name: str = ""
    is_default: bool = False
    stages: tuple[Stage, ...] = ()

    def create(self) -> PipelineCreated:
        """Checks that it can work.

        Raises:
            PipelineIncomplete: it cannot.
        """
        self._check()
        return PipelineCreated()

    def change(self, fields: Mapping[str, Any], in_use: frozenset[UUID]) -> PipelineUpdated:
        """Takes new values on; `in_use` are the stages that deals stand in.

        Raises:
            PipelineIncomplete: it could not work that way.
            StageInUse: deals would be left without a stage, or closed or opened by the way.
        """
        before = {stage.id: stage for stage in self.stages}
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()
        kinds = {stage.id: stage.kind for stage in self.stages}
        for stage in before.values():
            if stage.id in in_use and kinds.get(stage.id) is not stage.kind:
                raise StageInUse(stage.name)
        return PipelineUpdated()

    def stage(self, id: UUID, field: str = "stage_id") -> Stage:
        """The stage with this id.

        Raises:
            StageNotFound: it is in another pipeline, or in none.
        """
        for stage in self.stages:
            if stage.id == id:
                return stage
        raise StageNotFound(field)

    def first(self, kind: State) -> Stage:
        """The first stage of a kind."""
        return next(stage for stage in self.stages if stage.kind is kind)

    def _check(self) -> None:
        kinds = [stage.kind for stage in self.stages]
        if not self.name:
            raise PipelineIncomplete("A pipeline needs a name.", field="pipeline.name")
        if kinds.count(State.WON) != 1 or kinds.count(State.LOST) != 1 or State.OPEN not in kinds:
            raise PipelineIncomplete(
                "A pipeline has at least one open stage, one won stage and one lost stage.",
                field="pipeline.stages",
            )
        for what, seen in (
            ("id", [stage.id for stage in self.stages]),
            ("name", [stage.name for stage in self.stages]),
        ):
            if len(set(seen)) < len(seen):
                raise PipelineIncomplete(f"Two stages have the same {what}.", field="pipeline.stages")


def starting_pipeline(id: UUID) -> Pipeline:
    """The pipeline that a new tenant starts with."""
    open_, category = State.OPEN, ForecastCategory
    steps = [
        ("Contact", 5, category.PIPELINE, open_),
        ("Qualification", 10, category.PIPELINE, open_),
        ("Opportunity confirmed", 25, category.PIPELINE, open_),
        ("Shared vision", 50, category.BEST_CASE, open_),
        ("Negotiation", 75, category.COMMIT, open_),
        ("Closing", 90, category.COMMIT, open_),
        ("Won", 100, category.CLOSED, State.WON),
        ("Lost", 0, category.OMITTED, State.LOST),
    ]
    stages = tuple(
        Stage(UUID(int=id.int ^ number), name, probability, counted, kind)
        for number, (name, probability, counted, kind) in enumerate(steps, 1)
    )
    return Pipeline(id=id, name="Sales", is_default=True, stages=stages)
