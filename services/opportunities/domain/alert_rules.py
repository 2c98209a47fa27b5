"""When something is the matter with a deal, and when it has to be looked at again. Every rule says from which
instant on it is true, so that what is not true yet is known in advance."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.money import Money
from services.opportunities.domain.alert_settings import AlertKind, AlertSettings
from services.opportunities.domain.alerts import Finding


@dataclass(frozen=True, slots=True)
class StuckLimit:
    """After how long a deal counts as stuck; `deals` went on and were learnt from, None for a fixed limit."""

    after: timedelta
    percent: int = 0
    deals: int | None = None


@dataclass(frozen=True, slots=True)
class FormerAmount:
    """What a deal was worth from an instant on."""

    amount: Money | None
    since: datetime


@dataclass(frozen=True, slots=True)
class DealFacts:
    """What the rules look at in one open deal."""

    id: UUID
    booked_at: datetime
    entered_stage_at: datetime
    stage_name: str
    touched_at: datetime
    close_date: date | None
    next_step: str
    contacts: int
    amount: Money | None
    former_amounts: tuple[FormerAmount, ...] = ()
    """What it was worth at the beginning of the time looked at, and whenever that changed since, in order."""
    stuck_limit: StuckLimit | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is found from its `since` on, if anything, and when that may be something else by itself."""

    finding: Finding | None
    until: datetime | None = None


def findings(
    deal: DealFacts, settings: AlertSettings, zone: ZoneInfo, at: datetime
) -> tuple[dict[AlertKind, Finding], datetime | None]:
    """What is the matter at an instant, and when to look again; None where only a change can alter it."""
    found: dict[AlertKind, Finding] = {}
    times: list[datetime] = []
    for rule in _rules(deal, settings, zone, at):
        if rule.until is not None:
            times.append(rule.until)
        if rule.finding is None:
            continue
        if rule.finding.since > at:
            times.append(rule.finding.since)
        else:
            found[rule.finding.kind] = rule.finding
    return found, min(times, default=None)


def _rules(deal: DealFacts, settings: AlertSettings, zone: ZoneInfo, at: datetime) -> Iterator[_Rule]:
    if settings.raises(AlertKind.STUCK) and (limit := deal.stuck_limit) is not None:
        yield _Rule(_stuck(deal, limit))
    # the calendar's last day, by which people mean never, has no day after it
    day = deal.close_date
    if settings.raises(AlertKind.CLOSE_DATE_PAST) and day is not None and day < date.max:
        since = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
        text = f"The close date {day.isoformat()} has passed, and the deal is open."
        yield _Rule(Finding(AlertKind.CLOSE_DATE_PAST, since, None, text))
    if settings.raises(AlertKind.NO_NEXT_STEP) and not deal.next_step.strip():
        since = deal.booked_at + timedelta(days=settings.next_step_days)
        yield _Rule(
            Finding(
                AlertKind.NO_NEXT_STEP,
                since,
                Decimal(settings.next_step_days),
                "Nobody has said what happens next.",
            )
        )
    if settings.raises(AlertKind.NO_TOUCH):
        days = settings.touch_days
        since = deal.touched_at + timedelta(days=days)
        text = f"Nobody has touched the deal for {days} days."
        yield _Rule(Finding(AlertKind.NO_TOUCH, since, Decimal(days), text))
    if settings.raises(AlertKind.AMOUNT_CHANGED):
        yield _amount_changed(deal, settings, at)
    if settings.raises(AlertKind.SINGLE_THREADED) and deal.contacts == 1:
        days = settings.single_threaded_days
        since = deal.booked_at + timedelta(days=days)
        text = "Only one person at the customer's is known in the deal."
        yield _Rule(Finding(AlertKind.SINGLE_THREADED, since, Decimal(days), text))


def _stuck(deal: DealFacts, limit: StuckLimit) -> Finding:
    days = (Decimal(limit.after // timedelta(seconds=1)) / 86400).quantize(Decimal("0.1")).normalize()
    shown = f"{days:f}"
    if limit.deals is None:
        text = (
            f"The deal has stood in {deal.stage_name} for more than the {shown} days that the stage allows."
        )
    else:
        text = (
            f"The deal has stood in {deal.stage_name} for more than {shown} days: {limit.percent} % of the"
            f" {limit.deals} deals like it that went on did so sooner."
        )
    return Finding(AlertKind.STUCK, deal.entered_stage_at + limit.after, Decimal(shown), text)


def _amount_changed(deal: DealFacts, settings: AlertSettings, at: datetime) -> _Rule:
    """Compares with what the deal was worth `amount_days` ago, or at first where it is younger.

    That becomes another amount by itself, as time goes by. Amounts in another currency, or none, are not
    compared.
    """
    window = timedelta(days=settings.amount_days)
    former = [each for each in deal.former_amounts if each.since <= at]
    place = max((n for n, each in enumerate(former) if each.since <= at - window), default=0)
    if place + 1 >= len(former):
        return _Rule(None)
    until = former[place + 1].since + window
    base, amount = former[place].amount, deal.amount
    if amount is None or base is None or base.currency != amount.currency or not base.amount:
        return _Rule(None, until)
    change = (amount.amount - base.amount) / abs(base.amount) * 100
    if abs(change) <= settings.amount_percent:
        return _Rule(None, until)
    text = (
        f"The amount changed by {change.quantize(Decimal('0.1')):+f} % within {settings.amount_days} days: from"
        f" {base.amount:f} to {amount.amount:f} {amount.currency}."
    )
    limit = Decimal(settings.amount_percent)
    return _Rule(Finding(AlertKind.AMOUNT_CHANGED, former[-1].since, limit, text), until)
