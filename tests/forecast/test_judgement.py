"""What people say of the forecast, over gRPC: submissions and overrides beside the system's numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.forecast.v1 import events_pb2
from sfa.forecast.v1 import judgement_pb2 as pb
from sfa.forecast.v1 import judgement_pb2_grpc as stubs
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.forecast.company import Company, money, value

MIDSUMMER = datetime(2030, 6, 24, 12, tzinfo=UTC)
COMMIT, BEST_CASE = deals_pb.COMMIT, deals_pb.BEST_CASE
QUARTER = "2030-Q2"


@pytest.fixture
async def company(shared: Join, clock: Any) -> AsyncIterator[Company]:
    """Head leads Ann and Bob; Ann leads Ray. In commit, Ray has 1000, Bob 100 and Ann 10."""
    stack = await shared("opportunities", "forecast")
    clock.move_to(MIDSUMMER)
    company = Company(stack)
    await company.start()
    await company.user("head")
    await company.user("ann", "head")
    await company.user("bob", "head")
    await company.user("ray", "ann")
    for owner, amount in (("ray", "1000"), ("bob", "100"), ("ann", "10")):
        await company.deal(owner, amount, stage="Closing", close=date(2030, 6, 28))
    await company.settled()
    yield company
    await company.close()


def judgements(company: Company, name: str, role: str = "manager") -> stubs.JudgementServiceAsyncStub:
    return stubs.JudgementServiceStub(company.stack.channel("forecast", role, name=name))


async def submit(
    company: Company, author: str, amount: str, of: str = "", *, role: str = "manager", **fields: Any
) -> pb.ForecastSubmission:
    submission = pb.ForecastSubmission(
        period_id=fields.pop("period", QUARTER), category=fields.pop("category", COMMIT), **fields
    )
    submission.amount.CopyFrom(money(amount))
    if of:
        submission.user_id = company.id(of)
    stub = judgements(company, author, role)
    return await stub.SubmitForecast(pb.SubmitForecastRequest(forecast_submission=submission))


async def judged(company: Company, name: str = "head", **fields: Any) -> dict[str, pb.JudgementCell]:
    """What is said of commit in the quarter, by the names of nodes."""
    role = fields.pop("role", "manager")
    request = pb.GetForecastJudgementRequest(periods=[QUARTER], categories=[COMMIT], **fields)
    answer = await judgements(company, name, role).GetForecastJudgement(request)
    return {node.name: node.cells[0] for node in answer.nodes if node.cells}


def numbers(cell: pb.JudgementCell) -> tuple[int, int, int]:
    """What the system computes, what comes up, and what counts."""
    return whole(cell.system_amount), whole(cell.rolled_up_amount), whole(cell.judged_amount)


def whole(amount: Money) -> int:
    return int(value(amount))


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status, info = rpc_status.from_call(caught.value), ErrorInfo()
    if status is not None:
        status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def test_what_a_rep_submits_stands_beside_the_systems_number(company: Company) -> None:
    said = await submit(company, "ray", "800", role="rep", note="The big one slips")
    assert (said.user_id, said.author_id) == (company.id("ray"), company.id("ray"))
    assert (whole(said.system_amount), whole(said.adjustment)) == (1000, -200)
    assert (said.state, said.etag, said.replaced_author_id) == (pb.ForecastSubmission.IN_FORCE, "1", "")
    cells = await judged(company)
    assert {name: numbers(cell) for name, cell in cells.items()} == {
        "All": (1110, 910, 910), "Head": (1110, 910, 910), "Ann": (1010, 810, 810), "Ray": (1000, 1000, 800),
        "Bob": (100, 100, 100),
    }  # fmt: skip
    level = cells["Ray"].levels[0]
    assert (level.author_name, level.note, level.levels_above) == ("Ray", "The big one slips", 0)
    figures = (await company.ask(QUARTER)).figures()
    assert whole(figures.cumulative.commit.amount) == 1110  # the system's number is what it was


async def test_each_level_is_kept_apart_and_says_over_whom_and_by_how_much(company: Company) -> None:
    await submit(company, "ray", "800", role="rep")
    of_ray = await submit(company, "ann", "700", "ray")
    assert (of_ray.replaced_author_id, whole(of_ray.adjustment)) == (company.id("ray"), -100)
    over_ann = await submit(company, "head", "500", "ray")
    assert (over_ann.replaced_author_id, whole(over_ann.adjustment)) == (company.id("ann"), -200)
    team = await submit(company, "ann", "600")
    assert (team.replaced_author_id, whole(team.replaced_amount), whole(team.system_amount)) == (
        "",
        710,
        1010,
    )
    cells = await judged(company)
    assert [(level.author_name, whole(level.adjustment)) for level in cells["Ray"].levels] == [
        ("Ray", -200),
        ("Ann", -100),
        ("Head", -200),
    ]
    assert numbers(cells["Ann"]) == (1010, 510, 600)
    assert numbers(cells["All"]) == (1110, 700, 700)


async def test_nobody_sees_what_those_above_say_of_them(company: Company) -> None:
    await submit(company, "ray", "800", role="rep")
    await submit(company, "ann", "700", "ray")
    mine = await judgements(company, "ray", "rep").ListForecastSubmissions(
        pb.ListForecastSubmissionsRequest()
    )
    assert [each.author_id for each in mine.forecast_submissions] == [company.id("ray")]
    own = await judged(company, "ray", role="rep")
    assert numbers(own["Ray"]) == (1000, 1000, 800)
    theirs = await judgements(company, "ann").ListForecastSubmissions(
        pb.ListForecastSubmissionsRequest(filter=f'user_id = "{company.id("ray")}" AND state = IN_FORCE')
    )
    assert len(theirs.forecast_submissions) == 2


async def test_submitting_again_revises_and_the_history_stays(company: Company) -> None:
    first = await submit(company, "ray", "800", role="rep")
    await submit(company, "ray", "850", role="rep", note="Back on track")
    stub = judgements(company, "ray", "rep")
    history = await stub.ListForecastSubmissionVersions(pb.ListForecastSubmissionVersionsRequest(id=first.id))
    assert [(each.event, whole(each.forecast_submission.amount)) for each in history.versions] == [
        ("ForecastSubmissionRevised", 850),
        ("ForecastSubmitted", 800),
    ]
    then = await stub.GetForecastSubmission(
        pb.GetForecastSubmissionRequest(id=first.id, as_of=first.update_time)
    )
    assert then == first
    request = pb.SubmitForecastRequest(forecast_submission=first, etag="1")
    assert (await refusal(stub.SubmitForecast(request)))[0] is grpc.StatusCode.ABORTED


async def test_judgement_can_be_read_as_of_any_instant(company: Company) -> None:
    before = await submit(company, "ray", "800", role="rep")
    company.stack.clock.move(timedelta(days=1))
    after = await submit(company, "ray", "300", role="rep")
    assert numbers((await judged(company, as_of=before.update_time))["Ray"])[2] == 800
    earlier = Timestamp(seconds=before.create_time.seconds - 1)
    assert "levels" not in str((await judged(company, as_of=earlier)).get("Ray", ""))
    assert numbers((await judged(company, as_of=after.update_time))["Ray"])[2] == 300
    assert numbers((await judged(company, effective_as_of=before.effective_time))["Ray"])[2] == 800


async def test_what_is_withdrawn_gives_way_to_what_it_had_replaced(company: Company) -> None:
    await submit(company, "ray", "800", role="rep")
    over = await submit(company, "ann", "700", "ray")
    request = pb.WithdrawForecastSubmissionRequest(id=over.id)
    assert (await refusal(judgements(company, "head").WithdrawForecastSubmission(request)))[1] == (
        "AUTHOR_NOT_CALLER"
    )
    withdrawn = await judgements(company, "ann").WithdrawForecastSubmission(request)
    assert withdrawn.state == pb.ForecastSubmission.WITHDRAWN
    assert numbers((await judged(company))["Ray"])[2] == 800
    again = await refusal(judgements(company, "ann").WithdrawForecastSubmission(request))
    assert again == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_WITHDRAWN")
    anew = await submit(company, "ann", "650", "ray")
    assert (anew.id, anew.state) == (over.id, pb.ForecastSubmission.IN_FORCE)


async def test_a_submission_expires_by_itself(company: Company) -> None:
    ends = Timestamp(seconds=int(MIDSUMMER.timestamp()) + 86_400)
    said = await submit(company, "ray", "800", role="rep", expire_time=ends)
    assert numbers((await judged(company))["Ray"])[2] == 800
    company.stack.clock.move(timedelta(days=2))
    assert numbers((await judged(company))["Ray"])[2] == 1000
    assert numbers((await judged(company, as_of=said.update_time))["Ray"])[2] == 800
    stream = await company.stack.events()
    subject = f"events.{company.stack.tenant}.{events_pb2.ForecastSubmissionExpired.DESCRIPTOR.full_name}"
    heard = await stream.subscribe(subject, ordered_consumer=True)
    message = await heard.next_msg(timeout=20)
    event = events_pb2.ForecastSubmissionExpired.FromString(message.data)
    assert (event.forecast_submission.id, event.forecast_submission.state) == (
        said.id,
        pb.ForecastSubmission.EXPIRED,
    )


async def test_the_outcome_is_kept_apart_and_every_level_is_measured_by_it(company: Company) -> None:
    await submit(company, "ray", "800", role="rep")
    deals = await company.deals().ListOpportunities(
        deals_pb.ListOpportunitiesRequest(filter=f'owner_id = "{company.id("ray")}"')
    )
    said_at = Timestamp(seconds=int(company.stack.clock.now().timestamp()) + 1)
    company.stack.clock.move(timedelta(days=1))
    await company.win(deals.opportunities[0], date(2030, 6, 25), "900")
    company.stack.clock.move(timedelta(days=10))  # the quarter is over
    await company.settled()
    ray = (await judged(company, as_of=said_at))["Ray"]
    assert (numbers(ray), whole(ray.outcome), ray.is_over) == ((1000, 1000, 800), 900, True)
    assert (whole(ray.system_error), whole(ray.levels[0].error)) == (100, -100)
    reason = (await refusal(submit(company, "ray", "1", role="rep")))[1]
    assert reason == "PERIOD_OVER"


async def test_only_ones_own_people_are_judged(company: Company) -> None:
    for author, of in (("bob", "ray"), ("ray", "ann")):
        assert await refusal(submit(company, author, "1", of)) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "PERSON_NOT_BELOW",
        )
    in_anothers_name = submit(company, "ann", "1", author_id=company.id("head"))
    assert (await refusal(in_anothers_name))[1] == "AUTHOR_NOT_CALLER"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"period": ""}, "FIELD_MISSING"),
        ({"category": deals_pb.CLOSED}, "CATEGORY_NOT_JUDGED"),
        ({"category": 0}, "CATEGORY_NOT_JUDGED"),
        ({"amount": "-1"}, "AMOUNT_NEGATIVE"),
        ({"amount": "0.001"}, "AMOUNT_TOO_FINE"),
        ({"period": "2030-Q1"}, "PERIOD_OVER"),
        ({"expire_time": Timestamp(seconds=1)}, "EXPIRES_TOO_EARLY"),
    ],
)
async def test_what_makes_no_sense_is_refused(company: Company, fields: dict[str, Any], reason: str) -> None:
    amount = fields.pop("amount", "1") if "amount" in fields else "1"
    assert (await refusal(submit(company, "ray", amount, role="rep", **fields)))[1] == reason


async def test_periods_are_called_by_one_name(company: Company) -> None:
    made = await submit(company, "ray", "1", role="rep", period="2030")
    assert made.period_id == "FY2030"
    assert (await submit(company, "ray", "2", role="rep", period="FY2030")).id == made.id


async def test_judgement_of_a_former_system_is_imported_with_its_time(company: Company) -> None:
    said_at = Timestamp(seconds=int(datetime(2030, 2, 1, tzinfo=UTC).timestamp()))
    row = pb.BatchUpsertForecastSubmissionsRequest.Row(
        forecast_submission=pb.ForecastSubmission(
            user_id=company.id("ray"), author_id=company.id("ann"), period_id="2030-Q1", category=COMMIT,
            amount=money("70"), external_ids=[ExternalId(system="former", id="1")],
        ),
        effective_time=said_at,
    )  # fmt: skip
    wrong = pb.BatchUpsertForecastSubmissionsRequest.Row()
    wrong.CopyFrom(row)
    wrong.forecast_submission.category = deals_pb.OMITTED
    late = pb.BatchUpsertForecastSubmissionsRequest.Row(
        forecast_submission=row.forecast_submission,
        effective_time=Timestamp(seconds=said_at.seconds + 70 * 86_400),
    )
    request = pb.BatchUpsertForecastSubmissionsRequest(rows=[row, wrong, late], request_id=str(new_id()))
    operations = judgements(company, "ops", "operations")
    results = (await operations.BatchUpsertForecastSubmissions(request)).results
    assert [(each.outcome, each.reason) for each in results] == [
        (RowResult.CREATED, ""), (RowResult.REJECTED, "CATEGORY_NOT_JUDGED"), (RowResult.REJECTED, "PERIOD_OVER"),
    ]  # fmt: skip
    again = (await operations.BatchUpsertForecastSubmissions(request)).results
    assert again[0].id == results[0].id
    kept = await operations.GetForecastSubmission(pb.GetForecastSubmissionRequest(id=results[0].id))
    assert (kept.effective_time, kept.author_id) == (said_at, company.id("ann"))
    assert not kept.HasField("system_amount")
    denied = pb.BatchUpsertForecastSubmissionsRequest(rows=[row])
    results = (await judgements(company, "ann").BatchUpsertForecastSubmissions(denied)).results
    assert results[0].outcome == RowResult.REJECTED


async def test_two_devices_of_one_author_make_one_submission(company: Company) -> None:
    made = await asyncio.gather(*(submit(company, "ray", str(number), role="rep") for number in range(1, 5)))
    assert len({each.id for each in made}) == 1
    assert sorted(each.etag for each in made) == ["1", "2", "3", "4"]


async def test_amounts_are_converted_and_a_missing_rate_is_told(company: Company) -> None:
    submission = pb.ForecastSubmission(period_id=QUARTER, category=COMMIT, amount=money("880", "USD"))
    stub = judgements(company, "ray", "rep")
    await stub.SubmitForecast(pb.SubmitForecastRequest(forecast_submission=submission))
    request = pb.GetForecastJudgementRequest(periods=[QUARTER], categories=[COMMIT])
    answer = await judgements(company, "head").GetForecastJudgement(request)
    assert [(each.currency, each.target, each.deals) for each in answer.missing_rates] == [("USD", "EUR", 1)]
    assert numbers((await judged(company))["Ray"])[2] == 1000
    await company.rate("USD", "EUR", date(2030, 1, 1), "0.5")
    await company.settled()
    assert numbers((await judged(company))["Ray"])[2] == 440


async def test_strict_callers_get_only_what_no_longer_changes(company: Company) -> None:
    assert await refusal(judged(company, require_final=True)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "FORECAST_NOT_FINAL",
    )


async def test_a_part_of_the_tree_can_be_asked_for(company: Company) -> None:
    assert (await judged(company, depth=0)).keys() == {"All"}
    assert (await judged(company, node_id=company.id("ann"))).keys() == {"Ann", "Ray"}
    assert await refusal(judged(company, node_id=str(new_id()))) == (
        grpc.StatusCode.NOT_FOUND,
        "NODE_NOT_FOUND",
    )
