"""Pipelines: which moves they allow, whose gates hold, and what becomes of stages that are taken out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.opportunities.criteria.gatekeeper import (
    CriteriaTooCostly,
    CriterionInvalid,
    RequiredFieldUnknown,
    check_criteria,
    check_entry,
    check_move,
)
from services.opportunities.domain import (
    ExitCriterion,
    ForecastCategory,
    GateNotPassed,
    MoveNotAllowed,
    Opportunity,
    OpportunityMoved,
    OpportunityUpdated,
    Pipeline,
    PipelineIncomplete,
    PipelineScopeTaken,
    Stage,
    StageInUse,
    StageMapWrong,
    State,
    WinGate,
)
from services.opportunities.domain.gates import holding

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stage(name: str, kind: State = State.OPEN, **fields: object) -> Stage:
    return Stage(uuid4(), name, 50, ForecastCategory.PIPELINE, kind, **fields)  # type: ignore[arg-type]  # by name


GATED = stage("Qualify", required_fields=("next_step",))
FREE = stage("Show")
JUDGED = stage("Negotiate", exit_criteria=(ExitCriterion("Budget", "has(opportunity.amount)", "State it."),))
WON, LOST = stage("Won", State.WON), stage("Lost", State.LOST)
STAGES = (GATED, FREE, JUDGED, WON, LOST)


def pipeline(stages: Sequence[Stage] = STAGES, **fields: object) -> Pipeline:
    return Pipeline(name="Sales", stages=tuple(stages), **fields)  # type: ignore[arg-type]  # by name


def deal(at: Stage, of: Pipeline, **fields: object) -> Opportunity:
    return Opportunity.create({"name": "Roof", **fields}, of, at, NOW)[0]


def test_leaving_forward_a_stage_and_those_passed_over_must_let_the_deal_go() -> None:
    sales = pipeline()
    assert holding(sales, GATED, FREE) == (GATED,)
    assert holding(sales, GATED, JUDGED) == (GATED,)
    assert holding(sales, FREE, JUDGED) == ()
    assert holding(sales, JUDGED, GATED) == ()
    assert holding(sales, GATED, LOST) == ()
    assert holding(sales, LOST, FREE) == ()


@pytest.mark.parametrize(
    ("win_gate", "held"),
    [(WinGate.ALL_STAGES, (GATED, JUDGED)), (WinGate.CURRENT_STAGE, (GATED,)), (WinGate.NO_STAGE, ())],
)
def test_which_gates_hold_for_winning_is_said_by_the_pipeline(
    win_gate: WinGate, held: Sequence[Stage]
) -> None:
    assert holding(pipeline(win_gate=win_gate), GATED, WON) == held


def test_a_refused_move_names_the_criteria_and_the_fields_that_would_satisfy_them() -> None:
    sales = pipeline()
    with pytest.raises(GateNotPassed) as caught:
        check_move(deal(GATED, sales), sales, WON, NOW)
    assert [(each.stage.name, each.criterion, each.fields) for each in caught.value.unmet] == [
        ("Qualify", "", ("next_step",)),
        ("Negotiate", "Budget", ("amount",)),
    ]
    assert [(each.field, each.description) for each in caught.value.violations] == [
        ("opportunity.next_step", "Fill in next_step."),
        ("opportunity.amount", "State it."),
    ]
    assert str(caught.value) == (
        "The opportunity cannot leave Qualify, Negotiate yet. Fill in next_step. State it."
    )


def test_a_new_deal_does_not_begin_behind_a_gate_that_it_would_not_pass() -> None:
    sales = pipeline()
    check_entry(deal(GATED, sales), sales, GATED, NOW)
    with pytest.raises(GateNotPassed):
        check_entry(deal(FREE, sales), sales, FREE, NOW)
    check_entry(deal(FREE, sales, next_step="Call"), sales, FREE, NOW)
    check_entry(deal(LOST, sales), sales, LOST, NOW)


def test_moves_that_are_not_allowed_are_refused_and_losing_always_is() -> None:
    first = replace(FREE, id=uuid4(), allowed_stage_ids=(JUDGED.id,))
    sales = pipeline((first, *STAGES[1:]))
    moving = deal(first, sales)
    check_move(moving, sales, JUDGED, NOW)
    check_move(moving, sales, LOST, NOW)
    for target in (FREE, WON):
        with pytest.raises(MoveNotAllowed, match="goes to Negotiate, not to"):
            check_move(moving, sales, target, NOW)


def test_a_stage_that_goes_is_remembered_and_says_where_its_deals_went() -> None:
    sales = pipeline()
    sales.change({"stages": (FREE, JUDGED, WON, LOST)}, frozenset({GATED.id}), NOW, {GATED.id: FREE.id})
    (gone,) = sales.retired_stages
    assert (gone.name, gone.retired_at, gone.replaced_by, gone.is_gated) == ("Qualify", NOW, FREE.id, False)
    assert sales.standing(GATED.id) == FREE
    sales.change({"stages": (JUDGED, WON, LOST)}, frozenset({FREE.id}), NOW, {FREE.id: JUDGED.id})
    assert sales.standing(GATED.id) == JUDGED
    sales.change({"stages": STAGES}, frozenset(), NOW)
    assert (sales.retired_stages, sales.standing(GATED.id)) == ((), GATED)


def test_deals_that_are_still_on_their_way_count_as_standing_where_they_go() -> None:
    sales = pipeline()
    sales.change({"stages": (FREE, JUDGED, WON, LOST)}, frozenset({GATED.id}), NOW, {GATED.id: FREE.id})
    with pytest.raises(StageInUse):
        sales.change({"stages": (JUDGED, WON, LOST)}, frozenset({GATED.id}), NOW)


def test_a_map_that_does_not_fit_is_refused() -> None:
    other_won = stage("Signed", State.WON)
    cases = [
        ((FREE, JUDGED, WON, LOST), {GATED.id: uuid4()}, "stage_map[0].to_stage_id"),
        ((FREE, JUDGED, WON, LOST), {GATED.id: WON.id}, "stage_map[0].to_stage_id"),
        ((FREE, JUDGED, WON, LOST), {GATED.id: FREE.id, JUDGED.id: FREE.id}, "stage_map[1].from_stage_id"),
        ((FREE, JUDGED, WON, LOST), {uuid4(): FREE.id}, "stage_map[0].from_stage_id"),
        ((GATED, FREE, JUDGED, other_won, LOST), {WON.id: FREE.id}, "stage_map[0].to_stage_id"),
    ]
    for stages, moves, field in cases:
        with pytest.raises(StageMapWrong) as caught:
            pipeline().change({"stages": stages}, frozenset({GATED.id}), NOW, moves)
        assert caught.value.violations[0].field == field
    pipeline().change(
        {"stages": (GATED, FREE, JUDGED, other_won, LOST)}, frozenset({WON.id}), NOW, {WON.id: other_won.id}
    )


def test_a_stage_does_not_come_back_as_another_kind() -> None:
    sales = pipeline()
    sales.change({"stages": STAGES[1:]}, frozenset(), NOW)
    closed = replace(GATED, kind=State.WON)
    with pytest.raises(PipelineIncomplete, match="of another kind"):
        sales.change({"stages": (closed, FREE, JUDGED, LOST)}, frozenset(), NOW)


def test_a_migrated_deal_moves_if_it_is_open_and_stays_closed_if_it_is_not() -> None:
    sales = pipeline()
    open_, won = deal(GATED, sales), deal(WON, sales)
    assert open_.migrate(FREE) == OpportunityMoved(GATED.id)
    other = stage("Signed", State.WON)
    assert won.migrate(other) == OpportunityUpdated()
    assert (won.state, won.stage_id, open_.stage_id) == (State.WON, other.id, FREE.id)


def test_a_reopened_deal_goes_where_it_closed_from_or_what_took_its_place() -> None:
    sales = pipeline()
    assert sales.reopening(JUDGED.id) == JUDGED
    sales.change({"stages": (GATED, FREE, WON, LOST)}, frozenset(), NOW, {JUDGED.id: FREE.id})
    assert sales.reopening(JUDGED.id) == FREE
    assert sales.reopening(uuid4()) == sales.reopening(None) == GATED


def test_what_cannot_be_judged_is_refused_naming_stage_and_criterion() -> None:
    wrong = replace(FREE, exit_criteria=(ExitCriterion("Sum", "opportunity.amout.value > 1"),))
    with pytest.raises(CriterionInvalid, match=r"“Sum” of the stage Show.*no field amout") as caught:
        check_criteria(pipeline((GATED, wrong, WON, LOST)))
    assert caught.value.violations[0].field == "pipeline.stages[1].exit_criteria[0].expression"
    with pytest.raises(RequiredFieldUnknown) as unknown:
        check_criteria(pipeline((replace(GATED, required_fields=("name", "nmae")), WON, LOST)))
    assert unknown.value.violations[0].field == "pipeline.stages[0].required_fields[1]"
    costly = tuple(
        ExitCriterion(f"C{n}", f"opportunity.line_items.all(x, x.quantity != '{n}' && x.product_id != '{n}')")
        for n in range(10)
    )
    with pytest.raises(CriteriaTooCostly):
        check_criteria(pipeline((replace(FREE, exit_criteria=costly), WON, LOST)))


def test_names_of_criteria_and_allowed_stages_must_make_sense() -> None:
    twice = (ExitCriterion("A", "true"), ExitCriterion("A", "false"))
    with pytest.raises(PipelineIncomplete, match="same name"):
        pipeline((replace(FREE, exit_criteria=twice), WON, LOST)).create()
    with pytest.raises(PipelineIncomplete, match="not in the pipeline"):
        pipeline((replace(FREE, allowed_stage_ids=(JUDGED.id,)), WON, LOST)).create()


def test_a_team_or_a_product_line_has_one_pipeline() -> None:
    manager = uuid4()
    ours = pipeline(manager_ids=(manager,), product_families=("Roofs",))
    for other in (pipeline(manager_ids=(uuid4(), manager)), pipeline(product_families=("Roofs",))):
        with pytest.raises(PipelineScopeTaken):
            ours.check_scope([ours, other])
    ours.check_scope([ours, pipeline(manager_ids=(uuid4(),))])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_however_a_pipeline_is_changed_every_stage_that_ever_was_leads_to_one_that_is(
    data: st.DataObject,
) -> None:
    sales = pipeline()
    known = {each.id: each for each in STAGES}
    standing: dict[UUID, UUID] = {each.id: each.id for each in STAGES}  # a deal that began in each stage
    for number in range(data.draw(st.integers(1, 6))):
        kept = [each for each in sales.stages if each.kind is not State.OPEN or data.draw(st.booleans())]
        added = [stage(f"New {number} {index}") for index in range(data.draw(st.integers(0, 2)))]
        back = [
            each
            for each in known.values()
            if sales.find(each.id) not in sales.stages and data.draw(st.booleans())
        ]
        stages = (*added, *back, *kept)
        open_ = [each.id for each in stages if each.kind is State.OPEN]
        gone = [each.id for each in sales.stages if each not in kept]
        moves = {id: data.draw(st.sampled_from(open_)) for id in gone} if open_ else {}
        try:
            sales.change({"stages": stages}, frozenset(standing.values()), NOW, moves)
        except PipelineIncomplete:
            assert not open_ or len({each.name for each in stages}) < len(stages)
            return
        known |= {each.id: each for each in added}
        for begun, here in standing.items():
            if here in moves:
                standing[begun] = moves[here]
        for begun, here in standing.items():
            assert sales.standing(here).id == here
            assert sales.standing(begun) in sales.stages
            assert sales.standing(begun).kind is known[begun].kind
