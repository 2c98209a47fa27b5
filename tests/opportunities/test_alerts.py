"""Alerts about deals: raised as they become true, cleared as they cease to be, put aside for a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.opportunities.v1 import alerts_pb2 as pb
from sfa.opportunities.v1 import events_pb2
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.eventually import eventually
from tests.opportunities.sales import Sales, day_of, euros

DAY = timedelta(days=1)
TWO = [str(new_id()), str(new_id())]


@pytest.fixture
async def sales(shared: Join) -> AsyncIterator[Sales]:
    team = await Sales.of(await shared("opportunities"))
    yield team
    await team.close()


def days_ago(sales: Sales, days: float) -> str:
    return (sales.stack.clock.now() - timedelta(days=days)).replace(tzinfo=None).isoformat()


def let_pass(sales: Sales, time: timedelta) -> None:
    """Lets time pass, and the service notice it."""
    sales.stack.clock.move(time)
    sales.stack.services["opportunities"].eventing.runner.hint()


async def becomes(sales: Sales, deal: deals_pb.Opportunity, *kinds: str) -> dict[str, pb.Alert]:
    """Waits until exactly these alerts about a deal are active."""
    found: dict[str, pb.Alert] = {}

    async def is_so() -> bool:
        nonlocal found
        found = await sales.active_now(deal)
        return set(found) == set(kinds)

    try:
        await eventually(is_so)
    except AssertionError:
        pytest.fail(f"{set(found)} are active, not {set(kinds)}")
    return found


async def refused(call: Awaitable[Any], code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code
    return caught.value.details() or ""


async def published(sales: Sales, kind: str) -> list[str]:
    """The kinds of alerts that the newest event of a type told of."""
    await sales.stack.settled()
    events = await sales.stack.events()
    subject = f"events.{sales.stack.tenant}.sfa.opportunities.v1.{kind}"
    message = await events.get_last_msg("OPPORTUNITIES", subject)
    event = getattr(events_pb2, kind).FromString(message.data or b"")
    return [pb.Alert.Kind.Name(event.alert.kind), event.alert.opportunity_id]


async def test_an_alert_is_raised_when_its_time_has_come_and_told_to_all(sales: Sales) -> None:
    today = sales.stack.clock.now().date()
    deal = await sales.deal(contact_ids=TWO[:1], close_date=day_of(today + 2 * DAY), next_step="Call")
    assert await sales.active(deal) == {}
    let_pass(sales, 3 * DAY)
    (past,) = (await becomes(sales, deal, "CLOSE_DATE_PAST")).values()
    assert past.since_time.ToDatetime(UTC) == datetime.combine(today + 3 * DAY, datetime.min.time(), UTC)
    assert past.owner_id == deal.owner_id
    assert await published(sales, "AlertRaised") == ["CLOSE_DATE_PAST", deal.id]
    let_pass(sales, 5 * DAY)
    await becomes(sales, deal, "CLOSE_DATE_PAST", "SINGLE_THREADED")
    await sales.change(deal, close_date=day_of(today + 90 * DAY), contact_ids=TWO)
    await becomes(sales, deal)
    assert (await published(sales, "AlertCleared"))[1] == deal.id
    let_pass(sales, 15 * DAY)
    (untouched,) = (await becomes(sales, deal, "NO_TOUCH")).values()
    assert (untouched.limit, untouched.explanation) == ("14", "Nobody has touched the deal for 14 days.")
    await sales.change(deal, next_step="")
    await becomes(sales, deal, "NO_NEXT_STEP")
    await sales.win(deal)
    await becomes(sales, deal)


async def test_what_was_true_before_it_was_recorded_is_noticed_at_once(sales: Sales) -> None:
    deal = await sales.deal(at=days_ago(sales, 20), contact_ids=TWO[:1])
    assert set(await sales.active(deal)) == {"NO_NEXT_STEP", "SINGLE_THREADED", "NO_TOUCH"}
    await sales.deals().DeleteOpportunity(deals_pb.DeleteOpportunityRequest(id=deal.id))
    assert await sales.active(deal) == {}
    await sales.deals().UndeleteOpportunity(deals_pb.UndeleteOpportunityRequest(id=deal.id))
    assert set(await sales.active(deal)) == {"NO_NEXT_STEP", "SINGLE_THREADED"}


async def test_an_amount_that_changed_by_much_is_told_for_some_days(sales: Sales) -> None:
    deal = await sales.deal(at=days_ago(sales, 3), amount=euros(1000), next_step="Call", contact_ids=TWO)
    await sales.change(deal, at=days_ago(sales, 2), amount=euros(1200))
    assert await sales.active(deal) == {}
    await sales.change(deal, at=days_ago(sales, 1), amount=euros(1300))
    (changed,) = (await sales.active(deal)).values()
    assert changed.explanation == "The amount changed by +30.0 % within 14 days: from 1000 to 1300 EUR."
    let_pass(sales, 12.5 * DAY)
    await becomes(sales, deal)


async def test_a_deal_is_stuck_by_the_stages_own_limit(sales: Sales) -> None:
    deal = await sales.deal(at=days_ago(sales, 6), next_step="Call", contact_ids=TWO)
    assert await sales.active(deal) == {}
    pipelines = sales.pipelines()
    pipeline = (await pipelines.ListPipelines(deals_pb.ListPipelinesRequest())).pipelines[0]
    pipeline.stages[0].stuck_after_days = 5
    request = deals_pb.UpdatePipelineRequest(
        id=pipeline.id, pipeline=deals_pb.Pipeline(stages=pipeline.stages)
    )
    await pipelines.UpdatePipeline(request)
    (stuck,) = (await becomes(sales, deal, "STUCK")).values()
    assert (
        stuck.explanation == "The deal has stood in Contact for more than the 5 days that the stage allows."
    )
    await sales.move(deal, "Negotiation")
    await becomes(sales, deal)


async def test_a_deal_is_stuck_when_most_deals_like_it_went_on_sooner(sales: Sales) -> None:
    await sales.tenant("EUR")
    rows = []
    for number in range(40):
        is_small = number % 2
        took, amount = (number % 10 + 1, 100 + number) if is_small else (number % 10 + 31, 50_000 + number)
        past = deals_pb.BatchUpsertOpportunitiesRequest.Past(
            opportunity=deals_pb.Opportunity(name=f"D{number}", stage_id=sales.stages["Contact"])
        )
        past.effective_time.FromDatetime(sales.stack.clock.now() - timedelta(days=100))
        row = deals_pb.BatchUpsertOpportunitiesRequest.Row(
            opportunity=deals_pb.Opportunity(
                name=f"D{number}", stage_id=sales.stages["Qualification"], amount=euros(amount)
            ),
            history=[past],
        )
        row.effective_time.FromDatetime(sales.stack.clock.now() - timedelta(days=100 - took))
        rows.append(row)
    answer = await sales.deals().BatchUpsertOpportunities(
        deals_pb.BatchUpsertOpportunitiesRequest(rows=rows, skip_gates=True)
    )
    assert not [result.error for result in answer.results if result.error]
    await sales.stack.settled()
    settings = sales.settings()
    small, large, none = [
        await sales.deal(name, at=days_ago(sales, 20), next_step="Call", contact_ids=TWO, **worth)
        for name, worth in (("S", {"amount": euros(120)}), ("L", {"amount": euros(60_000)}), ("N", {}))
    ]
    limits = (await settings.ListStuckLimits(pb.ListStuckLimitsRequest())).stuck_limits
    assert not limits  # nothing is learnt before a day has passed, or somebody says how
    await settings.UpdateAlertSettings(
        pb.UpdateAlertSettingsRequest(
            alert_settings=pb.AlertSettings(stuck_minimum_deals=10, stuck_percent=80, touch_days=300)
        )
    )
    sales.stack.services["opportunities"].eventing.runner.hint()
    (stuck,) = (await becomes(sales, small, "STUCK")).values()
    learnt = (await settings.ListStuckLimits(pb.ListStuckLimitsRequest())).stuck_limits
    assert {limit.stage_id for limit in learnt} == {sales.stages["Contact"]}
    by_size = {limit.size: limit for limit in learnt}
    assert stuck.limit == by_size["SMALL"].days
    assert float(by_size["SMALL"].days) <= 10 < 31 <= float(by_size["LARGE"].days)
    assert by_size[""].deals == 40
    assert "80 % of the" in stuck.explanation
    assert await sales.active(large) == {} == await sales.active(none)


async def test_an_alert_is_put_aside_for_a_reason_and_comes_back(sales: Sales) -> None:
    deal = await sales.deal(at=days_ago(sales, 2), owner="ada")
    (alert,) = (await sales.active(deal)).values()
    rep = sales.alerts("rep", name="ada")
    until = Timestamp()
    until.FromDatetime(sales.stack.clock.now() + DAY)
    await refused(
        rep.SnoozeAlert(pb.SnoozeAlertRequest(id=alert.id, until_time=until)),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    await refused(
        rep.SnoozeAlert(pb.SnoozeAlertRequest(id=alert.id, until_time=alert.since_time, reason="x")),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    snoozed = await rep.SnoozeAlert(
        pb.SnoozeAlertRequest(
            id=alert.id, until_time=until, reason="The buyer is on holiday", etag=alert.etag
        )
    )
    assert (snoozed.state, snoozed.snooze_reason) == (pb.Alert.SNOOZED, "The buyer is on holiday")
    assert snoozed.snoozed_by_id == str(sales.stack.callers.user("ada"))
    await sales.change(deal, name="Another name")
    assert await sales.active(deal) == {}
    let_pass(sales, DAY + timedelta(minutes=1))
    (woken,) = (await becomes(sales, deal, "NO_NEXT_STEP")).values()
    assert not woken.snooze_reason
    assert await published(sales, "AlertWoken") == ["NO_NEXT_STEP", deal.id]
    until.FromDatetime(sales.stack.clock.now() + DAY)
    await rep.SnoozeAlert(pb.SnoozeAlertRequest(id=alert.id, until_time=until, reason="Again"))
    assert (await rep.WakeAlert(pb.WakeAlertRequest(id=alert.id))).state == pb.Alert.ACTIVE
    await refused(rep.WakeAlert(pb.WakeAlertRequest(id=alert.id)), grpc.StatusCode.FAILED_PRECONDITION)
    await sales.change(deal, next_step="Call")
    await becomes(sales, deal)
    await refused(
        rep.SnoozeAlert(pb.SnoozeAlertRequest(id=alert.id, until_time=until, reason="x")),
        grpc.StatusCode.FAILED_PRECONDITION,
    )


async def test_alerts_are_for_those_who_see_the_deal_and_go_with_it(sales: Sales) -> None:
    deal = await sales.deal(at=days_ago(sales, 2), owner="ada")
    (alert,) = (await sales.active(deal)).values()
    bob = sales.alerts("rep", name="bob")
    await refused(bob.GetAlert(pb.GetAlertRequest(id=alert.id)), grpc.StatusCode.NOT_FOUND)
    await sales.change(deal, owner_id=str(sales.stack.callers.user("bob")))
    await sales.stack.settled()
    assert (await bob.GetAlert(pb.GetAlertRequest(id=alert.id))).owner_id == str(
        sales.stack.callers.user("bob")
    )
    listed = await bob.ListAlerts(pb.ListAlertsRequest(filter="state = ACTIVE AND kind = NO_NEXT_STEP"))
    assert [each.id for each in listed.alerts] == [alert.id]
    ada = await sales.alerts("rep", name="ada").ListAlerts(pb.ListAlertsRequest())
    assert not ada.alerts


async def test_new_settings_hold_for_all_open_deals(sales: Sales) -> None:
    deals = [await sales.deal(f"D{number}", at=days_ago(sales, 2)) for number in range(3)]
    for deal in deals:
        assert set(await sales.active(deal)) == {"NO_NEXT_STEP"}
    settings = sales.settings()
    first = await settings.GetAlertSettings(pb.GetAlertSettingsRequest())
    assert (first.stuck_percent, first.touch_days, first.etag) == (80, 14, "")
    request = pb.UpdateAlertSettingsRequest(
        alert_settings=pb.AlertSettings(disabled_kinds=[pb.Alert.NO_NEXT_STEP], touch_days=1)
    )
    changed = await settings.UpdateAlertSettings(request)
    assert (changed.touch_days, changed.etag) == (1, "1")
    for deal in deals:
        await becomes(sales, deal, "NO_TOUCH")
    bad = pb.UpdateAlertSettingsRequest(alert_settings=pb.AlertSettings(touch_days=0))
    bad.update_mask.paths.append("touch_days")
    assert "touch_days must be at least 1" in await refused(
        settings.UpdateAlertSettings(bad), grpc.StatusCode.INVALID_ARGUMENT
    )
    await refused(sales.settings("rep").UpdateAlertSettings(request), grpc.StatusCode.PERMISSION_DENIED)
