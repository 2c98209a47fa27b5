"""Pipelines: the stages that a deal moves through, and what standing in one means. A stage that is taken out
stays readable, and says where its deals went."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final
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


class WinGate(Enum):
    """Which gates hold when a deal is won."""

    ALL_STAGES = "ALL_STAGES"
    CURRENT_STAGE = "CURRENT_STAGE"
    NO_STAGE = "NO_STAGE"


MOST_RETIRED: Final = 500
"""How many stages that were taken out a pipeline keeps."""


class PipelineIncomplete(InvalidArgument):
    """A pipeline cannot work as it is described."""


class StageInUse(FailedPrecondition):
    """Deals stand in a stage that was to go, or to change its kind."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Opportunities stand in the stage {name}: move them first, or have them moved by :migrate.",
            field="pipeline.stages",
        )


class PipelineScopeTaken(FailedPrecondition):
    """A team or a product line has a pipeline already."""

    def __init__(self, what: str, other: str, field: str) -> None:
        super().__init__(f"The pipeline {other} is for the same {what} already.", field=field)


class StageMapWrong(InvalidArgument):
    """Deals were to be moved from a stage that stays, or to one that cannot take them."""


class TooManyRetiredStages(FailedPrecondition):
    """A pipeline was changed so often that its history no longer fits into it."""

    def __init__(self) -> None:
        super().__init__(
            f"The pipeline keeps {MOST_RETIRED} stages that were taken out already: begin a new pipeline.",
            field="pipeline.stages",
        )


class StageNotFound(NotFound):
    """The stage is in no pipeline of the deal."""

    def __init__(self, field: str = "stage_id") -> None:
        super().__init__("There is no such stage in the opportunity's pipeline.", field=field)


@dataclass(frozen=True, slots=True)
class ExitCriterion:
    """Something that must be true before a deal leaves a stage forward: an expression in CEL."""

    name: str
    expression: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline; `probability` is in percent."""

    id: UUID
    name: str
    probability: int
    forecast_category: ForecastCategory
    kind: State
    required_fields: tuple[str, ...] = ()
    exit_criteria: tuple[ExitCriterion, ...] = ()
    allowed_stage_ids: tuple[UUID, ...] = ()
    expected_days: int = 0
    stuck_after_days: int = 0
    retired_at: datetime | None = None
    replaced_by: UUID | None = None

    @property
    def is_gated(self) -> bool:
        """Whether a deal needs anything to leave it forward."""
        return bool(self.required_fields or self.exit_criteria)

    def retired(self, at: datetime, replaced_by: UUID | None) -> "Stage":
        """The stage as it is remembered after it was taken out."""
        return Stage(
            self.id, self.name, self.probability, self.forecast_category, self.kind, retired_at=at,
            replaced_by=replaced_by,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PipelineCreated(Event):
    """A pipeline was made."""


class ForecastCategoryFixed(FailedPrecondition):
    """An owner was to say how the forecast counts a deal, where only the stage says so."""

    def __init__(self) -> None:
        super().__init__(
            "In this pipeline the stage alone says how the forecast counts an opportunity.",
            field="opportunity.forecast_category",
        )


@dataclass(frozen=True, slots=True)
class PipelineUpdated(Event):
    """A pipeline was changed."""


@dataclass(slots=True, kw_only=True)
class Pipeline(Entity):
    """An ordered list of stages."""

    name: str = ""
    is_default: bool = False
    stages: tuple[Stage, ...] = ()
    manager_ids: tuple[UUID, ...] = ()
    product_families: tuple[str, ...] = ()
    win_gate: WinGate = WinGate.ALL_STAGES
    is_forecast_category_fixed: bool = False
    retired_stages: tuple[Stage, ...] = ()

    def create(self) -> PipelineCreated:
        """Checks that it can work.

        Raises:
            PipelineIncomplete: it cannot.
        """
        self._check()
        return PipelineCreated()

    def change(
        self,
        fields: Mapping[str, Any],
        in_use: frozenset[UUID],
        at: datetime,
        moves: Mapping[UUID, UUID] | None = None,
    ) -> PipelineUpdated:
        """Takes new values on; `in_use` are the stages that deals stand in, `moves` says where the deals of
        those go that are taken out.

        Raises:
            PipelineIncomplete: it could not work that way.
            StageInUse: deals would be left without a stage, or closed or opened by the way.
            StageMapWrong: the moves do not fit the stages.
            TooManyRetiredStages: no more can be taken out.
        """
        moves = moves or {}
        before = {stage.id: stage for stage in self.stages}
        # those whose deals are still on their way count as standing where they go
        used = {self.standing(id).id for id in in_use if self.find(id) is not None}
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()
        after = {stage.id: stage for stage in self.stages}
        self._check_moves(before, after, moves)
        for stage in before.values():
            kept = after.get(stage.id)
            if stage.id in used and (kept.kind is not stage.kind if kept else stage.id not in moves):
                raise StageInUse(stage.name)
        gone = [stage.retired(at, moves.get(stage.id)) for stage in before.values() if stage.id not in after]
        kept_retired = [stage for stage in self.retired_stages if stage.id not in after]
        self.retired_stages = (*gone, *kept_retired)
        if len(self.retired_stages) > MOST_RETIRED:
            raise TooManyRetiredStages
        return PipelineUpdated()

    def check_scope(self, others: Iterable["Pipeline"]) -> None:
        """Refuses to be for whom another pipeline is.

        Raises:
            PipelineScopeTaken: new deals would not know which of the two to enter.
        """
        for other in others:
            if other.id == self.id:
                continue
            if not set(self.manager_ids).isdisjoint(other.manager_ids):
                raise PipelineScopeTaken("team", other.name, "pipeline.manager_ids")
            if not set(self.product_families).isdisjoint(other.product_families):
                raise PipelineScopeTaken("product line", other.name, "pipeline.product_families")

    def check_category(self, fields: Mapping[str, Any]) -> None:
        """Raises ForecastCategoryFixed where a change of a deal says what only its stage says here."""
        if self.is_forecast_category_fixed and fields.get("forecast_category") is not None:
            raise ForecastCategoryFixed

    def stage(self, id: UUID, field: str = "stage_id") -> Stage:
        """The stage with this id.

        Raises:
            StageNotFound: it is in another pipeline, or in none, or was taken out.
        """
        for stage in self.stages:
            if stage.id == id:
                return stage
        raise StageNotFound(field)

    def find(self, id: UUID) -> Stage | None:
        """The stage with this id, also where it was taken out."""
        for stages in (self.stages, self.retired_stages):
            for stage in stages:
                if stage.id == id:
                    return stage
        return None

    def standing(self, id: UUID) -> Stage:
        """The stage that a deal counts as standing in: the stage itself, else the one that took its place,
        else the first of its kind.

        Raises:
            StageNotFound: the pipeline never had such a stage.
        """
        stage = self.find(id)
        if stage is None:
            raise StageNotFound
        if stage.retired_at is None:
            return stage
        kind = stage.kind
        for _ in range(len(self.retired_stages) + 1):
            if stage is None or stage.retired_at is None:
                break
            stage = self.find(stage.replaced_by) if stage.replaced_by is not None else None
        return stage if stage is not None and stage.kind is kind else self.first(kind)

    def reopening(self, closed_from: UUID | None) -> Stage:
        """The open stage that a deal goes back to: where it closed from, as far as that is still there."""
        stage = self.find(closed_from) if closed_from is not None else None
        return self.first(State.OPEN) if stage is None else self.standing(stage.id)

    def order(self) -> list[UUID]:
        """All stages in their order, each followed by those taken out whose deals count as standing in it."""
        gone = [(stage.id, self.standing(stage.id).id) for stage in self.retired_stages]
        return [
            id for stage in self.stages for id in (stage.id, *(old for old, new in gone if new == stage.id))
        ]

    def of_kind(self, kind: State) -> list[UUID]:
        """All stages of a kind, those that were taken out among them."""
        return [stage.id for stage in (*self.stages, *self.retired_stages) if stage.kind is kind]

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
        ids = {stage.id for stage in self.stages}
        for index, stage in enumerate(self.stages):
            if not ids.issuperset(stage.allowed_stage_ids):
                raise PipelineIncomplete(
                    f"The stage {stage.name} allows moves to a stage that is not in the pipeline.",
                    field=f"pipeline.stages[{index}].allowed_stage_ids",
                )
            names = [criterion.name for criterion in stage.exit_criteria]
            if len(set(names)) < len(names):
                raise PipelineIncomplete(
                    f"Two criteria of the stage {stage.name} have the same name.",
                    field=f"pipeline.stages[{index}].exit_criteria",
                )
        for stage in self.retired_stages:
            if any(each.id == stage.id and each.kind is not stage.kind for each in self.stages):
                raise PipelineIncomplete(
                    f"The stage {stage.name} was of another kind before it was taken out.",
                    field="pipeline.stages",
                )

    @staticmethod
    def _check_moves(
        before: Mapping[UUID, Stage], after: Mapping[UUID, Stage], moves: Mapping[UUID, UUID]
    ) -> None:
        for index, (source, target) in enumerate(moves.items()):
            here = f"stage_map[{index}]"
            if source not in before:
                raise StageMapWrong(
                    "The pipeline has no such stage to take deals from.", field=f"{here}.from_stage_id"
                )
            if source in after:
                raise StageMapWrong(
                    f"The stage {before[source].name} stays: its deals are not moved.",
                    field=f"{here}.from_stage_id",
                )
            if target not in after:
                raise StageMapWrong(
                    "The pipeline will have no such stage to take deals to.", field=f"{here}.to_stage_id"
                )
            if after[target].kind is not before[source].kind:
                raise StageMapWrong(
                    f"Deals of {before[source].name} would be won, lost or opened by going to"
                    f" {after[target].name}.",
                    field=f"{here}.to_stage_id",
                )


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
