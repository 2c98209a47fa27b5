"""Who lets deals through the gates, and says why not. A deal is turned into values for expressions only where
a stage that it leaves has some."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from chassis.errors import InvalidArgument, Refusal
from services.opportunities import wire
from services.opportunities.criteria import expressions, facts
from services.opportunities.domain import (
    GateNotPassed,
    MoveNotAllowed,
    Opportunity,
    OpportunityClosed,
    Pipeline,
    Stage,
    State,
    Unmet,
)
from services.opportunities.domain.gates import check_allowed, holding

if TYPE_CHECKING:
    from sfa.opportunities.v1 import opportunities_pb2 as pb

MOST_STEPS: Final = 30_000
"""What all criteria of a pipeline may cost together for the largest deal: less than a second."""


class CriterionInvalid(InvalidArgument):
    """An expression of a pipeline cannot be used."""

    def __init__(self, stage: Stage, criterion: str, why: str, field: str) -> None:
        super().__init__(
            f"The criterion “{criterion}” of the stage {stage.name} cannot be used: {why}.",
            field=field,
            stage=stage.name,
            criterion=criterion,
        )


class RequiredFieldUnknown(InvalidArgument):
    """A stage asks for a field that opportunities do not have."""

    def __init__(self, stage: Stage, name: str, field: str) -> None:
        super().__init__(
            f"The stage {stage.name} requires {name}, which is no field of an opportunity.", field=field
        )


class CriteriaTooCostly(InvalidArgument):
    """All criteria of a pipeline together would take too long."""

    def __init__(self) -> None:
        super().__init__(
            "The criteria of the pipeline look through so many items of lists that a move would take too long:"
            " make them fewer or simpler.",
            field="pipeline.stages",
        )


def check_criteria(pipeline: Pipeline) -> None:
    """Refuses a pipeline that could not be judged by.

    Raises:
        CriterionInvalid, RequiredFieldUnknown, CriteriaTooCostly: naming stage and criterion.
    """
    if not any(stage.is_gated for stage in pipeline.stages):
        return
    known, steps = facts.fields_of(facts.OPPORTUNITY), 0
    for index, stage in enumerate(pipeline.stages):
        here = f"pipeline.stages[{index}]"
        for number, name in enumerate(stage.required_fields):
            if name not in known:
                raise RequiredFieldUnknown(stage, name, f"{here}.required_fields[{number}]")
        for number, criterion in enumerate(stage.exit_criteria):
            try:
                steps += expressions.compiled(criterion.expression).steps
            except expressions.ExpressionError as error:
                field = f"{here}.exit_criteria[{number}].expression"
                raise CriterionInvalid(stage, criterion.name, str(error), field) from None
    if steps > MOST_STEPS:
        raise CriteriaTooCostly


def check_move(
    deal: Opportunity,
    pipeline: Pipeline,
    target: Stage,
    now: datetime,
    given: Callable[[Opportunity], object] | None = None,
) -> None:
    """Lets a deal go to a stage. `given` puts what else the request says of it into a copy, which is judged.

    Raises:
        MoveNotAllowed: the pipeline does not know the way.
        GateNotPassed: criteria are not met.
    """
    assert deal.stage_id is not None
    stages = holding(pipeline, check_allowed(pipeline, deal.stage_id, target), target)
    if stages and given is not None:
        deal = copy(deal)
        given(deal)
    if stages:
        _Judge(deal, now).check(stages)


def check_entry(deal: Opportunity, pipeline: Pipeline, stage: Stage, now: datetime) -> None:
    """Lets a new deal begin in a stage, as if it had come through those before.

    Raises:
        GateNotPassed: criteria are not met.
    """
    if stages := holding(pipeline, None, stage):
        _Judge(deal, now).check(stages)


def refusals(
    deal: Opportunity, pipeline: Pipeline, targets: Iterable[Stage], now: datetime
) -> Iterator[tuple[Stage, Refusal | None]]:
    """Why a deal could not go to each stage; None where it could. What a stage asks for is judged once."""
    assert deal.stage_id is not None
    judge = _Judge(deal, now)
    for target in targets:
        if deal.state is not State.OPEN:
            yield target, OpportunityClosed(deal.state)
            continue
        try:
            judge.check(holding(pipeline, check_allowed(pipeline, deal.stage_id, target), target))
        except (MoveNotAllowed, GateNotPassed) as refused:
            yield target, refused
        else:
            yield target, None


class _Judge:
    """What stages ask of one deal, each worked out once."""

    def __init__(self, deal: Opportunity, now: datetime) -> None:
        self._deal, self._now = deal, now
        self._message: pb.Opportunity | None = None
        self._unmet: dict[UUID, tuple[Unmet, ...]] = {}

    def check(self, stages: Sequence[Stage]) -> None:
        """Raises GateNotPassed where one of the stages does not let the deal go."""
        if unmet := tuple(each for stage in stages for each in self._of(stage)):
            raise GateNotPassed(unmet)

    def _of(self, stage: Stage) -> tuple[Unmet, ...]:
        if stage.id not in self._unmet:
            self._message = self._message or wire.opportunity_to_proto(self._deal)
            self._unmet[stage.id] = tuple(_unmet(self._message, stage, self._now))
        return self._unmet[stage.id]


def _unmet(deal: pb.Opportunity, stage: Stage, now: datetime) -> Iterator[Unmet]:
    for name in stage.required_fields:
        if not facts.is_filled(deal, name):
            yield Unmet(stage, "", f"Fill in {name}.", "", (name,))
    for criterion in stage.exit_criteria:
        expression = expressions.compiled(criterion.expression)
        for part in expression.failing(facts.facts(deal, now, expression.fields)):
            message = criterion.message or f"{criterion.name} ({part.text})."
            yield Unmet(stage, criterion.name, message, part.text, part.fields)
