"""Gates: what a deal needs to go to a stage. Which moves a pipeline allows, which stages must let the deal go,
and what is said where one does not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.errors import FailedPrecondition, FieldViolation, PermissionDenied
from services.opportunities.domain.pipelines import Pipeline, Stage, State, WinGate


@dataclass(frozen=True, slots=True)
class Unmet:
    """A criterion, or a required field (`criterion` is empty), of a stage that a deal does not meet.

    `expression` is the part that is not true, `fields` are those that would satisfy it.
    """

    stage: Stage
    criterion: str
    message: str
    expression: str
    fields: tuple[str, ...]


class MoveNotAllowed(FailedPrecondition):
    """The pipeline does not let deals go from the one stage to the other."""

    def __init__(self, source: Stage, target: Stage, allowed: Iterable[Stage]) -> None:
        names = ", ".join(stage.name for stage in allowed)
        super().__init__(
            f"From {source.name} an opportunity goes to {names}, not to {target.name}.", field="stage_id"
        )


class GatesHold(PermissionDenied):
    """Rows were to be brought in without asking the gates."""

    def __init__(self) -> None:
        super().__init__("Passing over gates needs the permission history.write.", field="skip_gates")


class GateNotPassed(FailedPrecondition):
    """Criteria of the stages that a deal was to leave are not met."""

    def __init__(self, unmet: Sequence[Unmet]) -> None:
        stages = list(dict.fromkeys(each.stage.name for each in unmet))
        what = " ".join(dict.fromkeys(each.message for each in unmet))
        violations = tuple(
            FieldViolation(f"opportunity.{field}", each.message) for each in unmet for field in each.fields
        )
        super().__init__(
            f"The opportunity cannot leave {', '.join(stages)} yet. {what}",
            violations=tuple(dict.fromkeys(violations)),
            criteria=", ".join(dict.fromkeys(each.criterion for each in unmet if each.criterion)),
            stages=", ".join(stages),
        )
        self.unmet = tuple(unmet)


def check_allowed(pipeline: Pipeline, source_id: UUID, target: Stage) -> Stage:
    """The stage that a deal leaves, if the pipeline lets it go from there to the target. Losing is always
    allowed.

    Raises:
        MoveNotAllowed: it does not.
    """
    source = pipeline.standing(source_id)
    allowed = source.allowed_stage_ids
    if allowed and target.kind is not State.LOST and target.id not in allowed and target.id != source.id:
        raise MoveNotAllowed(source, target, (stage for stage in pipeline.stages if stage.id in allowed))
    return source


def holding(pipeline: Pipeline, source: Stage | None, target: Stage) -> tuple[Stage, ...]:
    """The stages with criteria that must let a deal go that leaves `source` for `target`: those left and
    passed over on the way forward. None going back, reopening, or losing. A new deal (`source` is None) comes from
    before the first stage."""
    if not any(stage.required_fields or stage.exit_criteria for stage in pipeline.stages):
        return ()
    is_reopened = source is not None and source.kind is not State.OPEN and target.kind is State.OPEN
    if target.kind is State.LOST or is_reopened:
        return ()
    stages = [stage for stage in pipeline.stages if stage.kind is State.OPEN]
    first = 0 if source is None or source.kind is not State.OPEN else stages.index(source)
    if target.kind is State.OPEN:
        passed = stages[first : stages.index(target)]
    elif pipeline.win_gate is WinGate.ALL_STAGES:
        passed = stages[first:]
    elif pipeline.win_gate is WinGate.CURRENT_STAGE and source is not None:
        passed = stages[first : first + 1]
    else:
        passed = []
    return tuple(stage for stage in passed if stage.is_gated)
