"""Looking at deals: what is the matter with each, and when to look again. It is done whenever a deal changes, when
the time has come that a rule named in advance, and when settings or limits are others."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from chassis import due
from chassis.call import Call
from chassis.money import Money
from services.opportunities.domain import Opportunity, Stage, State
from services.opportunities.domain.alert_rules import DealFacts, FormerAmount, StuckLimit, findings
from services.opportunities.domain.alert_settings import AlertKind, AlertSettings
from services.opportunities.domain.alerts import Alert, AlertState
from services.opportunities.store import OpportunityStore, PipelineStore
from services.opportunities.store.alerts import AlertSettingsStore, AlertStore, Past, WatchStore
from services.opportunities.store.conversion import factors
from services.opportunities.store.stuck_limits import Learnt, StuckLimitStore
from services.opportunities.store.tenant_settings import Tenant, tenant_of

LOOK: Final = "look at deals"
LEARN: Final = "learn stuck limits"
LEARN_EVERY: Final = timedelta(days=1)
AT_ONCE: Final = 500


async def deals_changed(call: Call, deals: Sequence[UUID]) -> None:
    """Looks at deals that were changed just now."""
    watches = WatchStore(call)
    await watches.lock()
    times = await _look(call, deals)
    await _keep(call, watches, times)


async def look(call: Call, key: str, payload: Any) -> None:
    """Looks at the deals for which the time has come, some hundred at once."""
    watches = WatchStore(call)
    await watches.lock()
    deals = await watches.due(call.now, AT_ONCE)
    times = await _look(call, deals)
    await watches.keep(times)
    if (at := await watches.next_at()) is not None:
        await due.schedule(call, LOOK, "", at)


async def look_at_all(call: Call, stages: Sequence[UUID] | None = None) -> None:
    """Has all open deals looked at again, or those in some stages."""
    await WatchStore(call).look_at_all(call.now, stages)
    await due.schedule(call, LOOK, "", call.now)


async def learn(call: Call, key: str, payload: Any) -> None:
    """Learns after how long deals count as stuck, and looks at those for which that is another time now."""
    settings = await AlertSettingsStore(call).current()
    tenant = await tenant_of(call)
    changed: list[UUID] = []
    store, pipelines = StuckLimitStore(call), await PipelineStore(call).all()
    # all is read before anything is written: a transaction that has written holds up those who follow changes
    learnt = [await store.learn(pipeline, settings, tenant, call.now) for pipeline in pipelines]
    for pipeline, found in zip(pipelines, learnt, strict=True):
        changed += await store.replace(pipeline, found)
    if changed:
        await look_at_all(call, changed)
    await due.schedule(call, LEARN, "", call.now + LEARN_EVERY)


async def _keep(call: Call, watches: WatchStore, times: Mapping[UUID, datetime | None]) -> None:
    """Notes when to look again, and has it done unless it is going to be by then."""
    await watches.keep(times)
    due_at = await watches.due_at(LOOK, LEARN)
    first = min((at for at in times.values() if at is not None), default=None)
    if first is not None and (LOOK not in due_at or due_at[LOOK] > first):
        await due.schedule(call, LOOK, "", first)
    if LEARN not in due_at:
        await due.schedule(call, LEARN, "", call.now + LEARN_EVERY)


async def _look(call: Call, ids: Sequence[UUID]) -> dict[UUID, datetime | None]:
    """Raises and clears what has to be; answers when to look at each deal again."""
    ids = list(dict.fromkeys(ids))
    if not ids:
        return {}
    deals = await OpportunityStore(call).get_many(ids)
    alerts = AlertStore(call)
    known = await alerts.of_deals(ids)
    facts, settings, tenant = await _facts(call, [deal for deal in deals.values() if is_open(deal)])
    times: dict[UUID, datetime | None] = dict.fromkeys(ids)
    for id in ids:
        found, times[id] = findings(facts[id], settings, tenant.zone, call.now) if id in facts else ({}, None)
        of_deal = {alert.kind: alert for alert in known.get(id, ())}
        for kind in AlertKind:
            alert, finding = of_deal.get(kind), found.get(kind)
            if alert is None:
                if finding is None:
                    continue
                alert = Alert.of(id, finding)
            owner = deals[id].owner_id if id in deals else alert.owner_id
            event = alert.follow(finding, owner, call.now)
            if event is not None:
                await alerts.save(alert, event)
            if alert.state is AlertState.SNOOZED and alert.snoozed_until is not None:
                times[id] = min(times[id] or alert.snoozed_until, alert.snoozed_until)
    return times


def is_open(deal: Opportunity) -> bool:
    """Whether there is anything to look at."""
    return deal.state is State.OPEN and deal.deleted_at is None


async def _facts(
    call: Call, deals: Sequence[Opportunity]
) -> tuple[dict[UUID, DealFacts], AlertSettings, Tenant]:
    settings, tenant = await AlertSettingsStore(call).current(), await tenant_of(call)
    if not deals:
        return {}, settings, tenant
    ids = [deal.id for deal in deals]
    watches = WatchStore(call)
    past = await watches.past(ids, call.now)
    amounts = await watches.former_amounts(ids, timedelta(days=settings.amount_days), call.now)
    stages = {stage.id: stage for each in await PipelineStore(call).all() for stage in each.stages}
    limits = await _limits(call, deals, stages, settings, tenant)
    facts = {
        deal.id: _facts_of(
            deal, past.get(deal.id, Past()), amounts.get(deal.id, ()), stages, limits.get(deal.id)
        )
        for deal in deals
    }
    return facts, settings, tenant


def _facts_of(
    deal: Opportunity, past: Past, amounts: tuple[FormerAmount, ...], stages: Mapping[UUID, Stage],
    limit: StuckLimit | None,
) -> DealFacts:  # fmt: skip
    assert deal.created_at is not None
    assert deal.effective_at is not None
    assert deal.stage_id is not None
    stage = stages.get(deal.stage_id)
    return DealFacts(
        id=deal.id,
        booked_at=past.booked_at or deal.created_at,
        entered_stage_at=past.entered_stage_at or deal.created_at,
        stage_name=stage.name if stage is not None else "its stage",
        touched_at=deal.effective_at,
        close_date=deal.close_date,
        next_step=deal.next_step,
        contacts=len(deal.contact_ids),
        amount=deal.amount,
        former_amounts=amounts,
        stuck_limit=limit,
    )


async def _limits(
    call: Call,
    deals: Sequence[Opportunity],
    stages: Mapping[UUID, Stage],
    settings: AlertSettings,
    tenant: Tenant,
) -> dict[UUID, StuckLimit]:
    """After how long each deal counts as stuck: the stage's fixed limit, else what was learnt of deals like it."""
    if not settings.raises(AlertKind.STUCK):
        return {}
    learnt = await StuckLimitStore(call).of_stages(list({deal.stage_id for deal in deals if deal.stage_id}))
    has_sizes = any(limit.size for limits in learnt.values() for limit in limits)
    worth = await _worth(call, deals, tenant) if has_sizes else {}
    result = {}
    for deal in deals:
        assert deal.stage_id is not None
        stage = stages.get(deal.stage_id)
        fixed = stage.stuck_after_days if stage is not None else 0
        if fixed:
            result[deal.id] = StuckLimit(timedelta(days=fixed))
        elif (limit := _like(learnt.get(deal.stage_id, ()), worth.get(deal.id))) is not None:
            result[deal.id] = StuckLimit(limit.after, settings.stuck_percent, limit.deals)
    return result


def _like(limits: Sequence[Learnt], amount: Decimal | None) -> Learnt | None:
    """The limit for deals of the same size, else for all; those for a size stand first."""
    return next((limit for limit in limits if limit.fits(amount)), None)


async def _worth(call: Call, deals: Sequence[Opportunity], tenant: Tenant) -> dict[UUID, Decimal | None]:
    """What deals are worth in the reporting currency today, to tell their size."""
    reporting = tenant.reporting_currency or "EUR"
    amounts: dict[UUID, Money] = {deal.id: deal.amount for deal in deals if deal.amount is not None}
    foreign = frozenset(amount.currency for amount in amounts.values()) - {reporting}
    by_currency: dict[str, Decimal | None] = {reporting: Decimal(1)}
    if foreign:
        rows = await call.tx.fetch(factors(foreign, reporting, tenant.day(call.now)))
        by_currency |= {row["currency"]: row["factor"] for row in rows}
    result = {}
    for id, amount in amounts.items():
        factor = by_currency.get(amount.currency)
        result[id] = None if factor is None else amount.amount * factor
    return result


async def look_by(call: Call, deal: UUID, at: datetime) -> None:
    """Has a deal looked at by an instant, if it is not going to be before."""
    watches = WatchStore(call)
    await watches.lock()
    await watches.bring_forward(deal, at)
    due_at = await watches.due_at(LOOK)
    if LOOK not in due_at or due_at[LOOK] > at:
        await due.schedule(call, LOOK, "", at)


async def settings_changed(call: Call, fields: Mapping[str, Any]) -> None:
    """Looks at everything by new settings, and learns anew where they say how."""
    await look_at_all(call)
    if "stuck_percent" in fields or "stuck_minimum_deals" in fields:
        await due.schedule(call, LEARN, "", call.now)
