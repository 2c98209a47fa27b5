"""When something is the matter with a deal, and when it has to be looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.money import Money
from services.opportunities.domain.alert_rules import DealFacts, FormerAmount, StuckLimit, findings
from services.opportunities.domain.alert_settings import AlertKind, AlertSettingInvalid, AlertSettings
from services.opportunities.domain.alerts import (
    Alert,
    AlertCleared,
    AlertNotSnoozed,
    AlertNotTrue,
    AlertRaised,
    AlertSnoozed,
    AlertState,
    AlertUpdated,
    AlertWoken,
    Finding,
    SnoozeReasonMissing,
    SnoozeTimeInvalid,
)

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
LONDON, AUCKLAND = ZoneInfo("UTC"), ZoneInfo("Pacific/Auckland")
PLAIN = AlertSettings()
ADA, BOB = UUID(int=1), UUID(int=2)


def euros(amount: int | str) -> Money:
    return Money(Decimal(amount), "EUR")


def deal(**fields: object) -> DealFacts:
    """A deal with which nothing is the matter at first."""
    facts = DealFacts(
        id=UUID(int=9), booked_at=BEGIN, entered_stage_at=BEGIN, stage_name="Contact", touched_at=BEGIN,
        close_date=date(2026, 12, 31), next_step="Call", contacts=2, amount=euros(100),
        former_amounts=(FormerAmount(euros(100), BEGIN),),
    )  # fmt: skip
    return replace(facts, **fields)  # type: ignore[arg-type]  # by name


def kinds(
    facts: DealFacts, at: datetime, how: AlertSettings = PLAIN, zone: ZoneInfo = LONDON
) -> set[AlertKind]:
    return set(findings(facts, how, zone, at)[0])


def test_a_new_deal_has_time_for_what_it_still_lacks() -> None:
    facts = deal(next_step="", contacts=1)
    assert findings(facts, PLAIN, LONDON, BEGIN) == ({}, BEGIN + DAY)
    assert kinds(facts, BEGIN + DAY) == {AlertKind.NO_NEXT_STEP}
    assert kinds(facts, BEGIN + 7 * DAY) == {AlertKind.NO_NEXT_STEP, AlertKind.SINGLE_THREADED}
    assert kinds(replace(facts, contacts=0), BEGIN + 7 * DAY) == {AlertKind.NO_NEXT_STEP}


def test_a_close_date_has_passed_when_the_day_is_over_where_the_tenant_is() -> None:
    facts = deal(close_date=date(2026, 3, 2))
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    assert kinds(facts, midnight - timedelta(microseconds=1)) == set()
    assert kinds(facts, midnight) == {AlertKind.CLOSE_DATE_PAST}
    assert kinds(facts, BEGIN + timedelta(hours=2), zone=AUCKLAND) == {AlertKind.CLOSE_DATE_PAST}


def test_a_close_date_at_either_end_of_the_calendar_is_looked_at_like_any_other() -> None:
    for zone in (AUCKLAND, ZoneInfo("America/New_York")):
        assert kinds(deal(close_date=date.max), BEGIN, zone=zone) == set()
        assert kinds(deal(close_date=date.max - DAY), BEGIN, zone=zone) == set()
        assert kinds(deal(close_date=date.min), BEGIN, zone=zone) == {AlertKind.CLOSE_DATE_PAST}


def test_a_deal_is_stuck_after_the_limit_and_says_what_it_was_learnt_from() -> None:
    facts = deal(stuck_limit=StuckLimit(timedelta(days=5, hours=12), 80, 143))
    assert AlertKind.STUCK not in kinds(facts, BEGIN + 5 * DAY)
    found, _ = findings(facts, PLAIN, LONDON, BEGIN + 6 * DAY)
    assert found[AlertKind.STUCK].explanation == (
        "The deal has stood in Contact for more than 5.5 days: 80 % of the 143 deals like it that went on did so"
        " sooner."
    )
    assert found[AlertKind.STUCK].since == BEGIN + timedelta(days=5, hours=12)
    fixed = deal(stuck_limit=StuckLimit(timedelta(days=10)))
    assert findings(fixed, PLAIN, LONDON, BEGIN + 10 * DAY)[0][AlertKind.STUCK].limit == 10
    assert AlertKind.STUCK not in kinds(deal(), BEGIN + 10_000 * DAY)


def test_nobody_has_touched_the_deal() -> None:
    assert AlertKind.NO_TOUCH in kinds(deal(), BEGIN + 14 * DAY)
    assert AlertKind.NO_TOUCH not in kinds(deal(touched_at=BEGIN + DAY), BEGIN + 14 * DAY)


def test_an_amount_is_compared_with_what_it_was_some_days_ago() -> None:
    raised = BEGIN + 30 * DAY
    facts = deal(
        amount=euros(126),
        touched_at=raised,
        former_amounts=(FormerAmount(euros(100), BEGIN), FormerAmount(euros(126), raised)),
    )
    found, again = findings(facts, PLAIN, LONDON, raised)
    assert found[AlertKind.AMOUNT_CHANGED].explanation == (
        "The amount changed by +26.0 % within 14 days: from 100 to 126 EUR."
    )
    assert again == raised + 14 * DAY
    assert AlertKind.AMOUNT_CHANGED in kinds(facts, raised + 14 * DAY - timedelta(seconds=1))
    assert AlertKind.AMOUNT_CHANGED not in kinds(facts, raised + 14 * DAY)
    little = replace(facts, amount=euros(125))
    assert AlertKind.AMOUNT_CHANGED not in kinds(little, raised)
    many = tuple(FormerAmount(euros(100 + 10 * step), BEGIN + step * DAY) for step in range(4))
    assert AlertKind.AMOUNT_CHANGED in kinds(deal(amount=euros(130), former_amounts=many), BEGIN + 3 * DAY)
    dollars = replace(facts, amount=Money(Decimal(500), "USD"))
    assert AlertKind.AMOUNT_CHANGED not in kinds(dollars, raised)
    nothing = replace(facts, former_amounts=(FormerAmount(None, BEGIN), FormerAmount(euros(126), raised)))
    assert AlertKind.AMOUNT_CHANGED not in kinds(nothing, raised)


def test_kinds_can_be_left_out_and_limits_set() -> None:
    late = BEGIN + 400 * DAY
    how = AlertSettings()
    how.change({"disabled_kinds": ("NO_TOUCH",), "next_step_days": 0})
    assert kinds(deal(next_step="", close_date=None), late, how) == {AlertKind.NO_NEXT_STEP}
    with pytest.raises(AlertSettingInvalid, match="touch_days must be at least 1"):
        how.change({"touch_days": 0})


@given(
    hours=st.integers(0, 24 * 60),
    close=st.none() | st.dates(date(2026, 2, 1), date(2026, 5, 1)),
    touched=st.integers(0, 24 * 40),
    limit=st.none() | st.integers(1, 24 * 50),
    contacts=st.integers(0, 3),
    step=st.sampled_from(["", "Call"]),
    changes=st.lists(st.tuples(st.integers(0, 24 * 40), st.integers(1, 300)), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_nothing_becomes_true_or_untrue_before_it_is_looked_at_again(
    hours: int, close: date | None, touched: int, limit: int | None, contacts: int, step: str,
    changes: list[tuple[int, int]],
) -> None:  # fmt: skip
    at = BEGIN + timedelta(hours=hours)
    former = [FormerAmount(euros(100), BEGIN)]
    for hour, amount in sorted(changes):
        since = BEGIN + timedelta(hours=hour)
        if since <= at and since > former[-1].since and euros(amount) != former[-1].amount:
            former.append(FormerAmount(euros(amount), since))
    facts = deal(
        close_date=close, touched_at=min(at, BEGIN + timedelta(hours=touched)), contacts=contacts, next_step=step,
        stuck_limit=None if limit is None else StuckLimit(timedelta(hours=limit), 80, 30), amount=former[-1].amount,
        former_amounts=tuple(former),
    )  # fmt: skip
    found, again = findings(facts, PLAIN, AUCKLAND, at)
    assert again is None or again > at
    until = again or at + 1000 * DAY
    for part in (0.25, 0.5, 0.999):
        between = at + (until - at) * part
        assert kinds(facts, between, zone=AUCKLAND) == set(found)


def alert() -> tuple[Alert, Finding]:
    finding = Finding(AlertKind.NO_TOUCH, BEGIN, Decimal(14), "Nobody …")
    return Alert.of(UUID(int=9), finding), finding


def test_an_alert_is_raised_once_and_cleared_once() -> None:
    one, finding = alert()
    assert one.follow(None, ADA, BEGIN) is None
    assert isinstance(one.follow(finding, ADA, BEGIN), AlertRaised)
    assert (one.state, one.owner_id, one.since_at) == (AlertState.ACTIVE, ADA, BEGIN)
    assert one.follow(finding, ADA, BEGIN + DAY) is None
    assert isinstance(one.follow(finding, BOB, BEGIN + DAY), AlertUpdated)
    assert isinstance(one.follow(None, BOB, BEGIN + 2 * DAY), AlertCleared)
    assert one.cleared_at == BEGIN + 2 * DAY
    assert one.follow(None, BOB, BEGIN + 3 * DAY) is None
    assert isinstance(one.follow(finding, BOB, BEGIN + 4 * DAY), AlertRaised)


def test_an_alert_that_was_put_aside_comes_back_where_it_is_still_true() -> None:
    one, finding = alert()
    with pytest.raises(AlertNotTrue):
        one.snooze(BEGIN + DAY, "On holiday", ADA, BEGIN)
    one.follow(finding, ADA, BEGIN)
    for until in (BEGIN, BEGIN + 400 * DAY):
        with pytest.raises(SnoozeTimeInvalid):
            one.snooze(until, "On holiday", ADA, BEGIN)
    with pytest.raises(SnoozeReasonMissing):
        one.snooze(BEGIN + DAY, "  ", ADA, BEGIN)
    assert isinstance(one.snooze(BEGIN + DAY, "On holiday", ADA, BEGIN), AlertSnoozed)
    assert one.follow(finding, ADA, BEGIN + timedelta(hours=23)) is None
    assert one.state is AlertState.SNOOZED
    assert isinstance(one.follow(finding, ADA, BEGIN + DAY), AlertWoken)
    assert (one.state, one.snoozed_until, one.snooze_reason) == (AlertState.ACTIVE, None, "")
    with pytest.raises(AlertNotSnoozed):
        one.wake()
    one.snooze(BEGIN + 3 * DAY, "Again", ADA, BEGIN + 2 * DAY)
    assert isinstance(one.follow(None, ADA, BEGIN + 2 * DAY), AlertCleared)
    assert one.snoozed_until is None
