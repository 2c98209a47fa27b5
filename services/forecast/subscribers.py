"""What the forecast does when something happens elsewhere: it keeps what it needs of it."""

from collections.abc import Sequence
from typing import Any

from sfa.identity.v1 import events_pb2 as identity
from sfa.leads.v1 import events_pb2 as leads
from sfa.leads.v1 import leads_pb2
from sfa.opportunities.v1 import events_pb2 as opportunities
from sfa.quotes.v1 import events_pb2 as quotes

from chassis.call import Call
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions
from services.forecast import tables, wire
from services.forecast.store import ProjectionStore
from services.forecast.streaming import Changes


async def opportunity_changed(events: Sequence[Received], call: Call) -> None:
    """A deal counts as it is now."""
    newest = {event.entity_id: event for event in sorted(events, key=lambda event: event.version)}
    deals = [(wire.deal_of(event.message.opportunity, event.version), event) for event in newest.values()]
    rows = [wire.deal_to_row(deal, event.recorded_at, event.effective_at) for deal, event in deals]
    await ProjectionStore(call).keep(tables.deals, rows)


async def pipeline_changed(events: Sequence[Received], call: Call) -> None:
    """Deals in its stages count as the stages say now."""
    rows = [row for event in events for row in wire.stage_rows(event.message.pipeline, event.version)]
    await ProjectionStore(call).keep(tables.stages, rows)


async def lead_converting(events: Sequence[Received], call: Call) -> None:
    """A deal that a lead becomes counts when all of the conversion is there."""
    under_way = leads_pb2.Lead.State.CONVERTING
    rows = [
        {"id": event.entity_id, "version": event.version, "converting": event.message.lead.state == under_way}
        for event in events
    ]
    await ProjectionStore(call).keep(tables.converting_leads, rows)


async def tenant_changed(events: Sequence[Received], call: Call) -> None:
    """Reporting currency, time zone and fiscal calendar."""
    rows = [wire.tenant_row(event.message.tenant, event.version) for event in events]
    await ProjectionStore(call).keep(tables.tenant_settings, rows)


async def user_changed(events: Sequence[Received], call: Call) -> None:
    """What people are called."""
    rows = [wire.user_row(event.message.user, event.version) for event in events]
    await ProjectionStore(call).keep(tables.users, rows)


async def territory_changed(events: Sequence[Received], call: Call) -> None:
    """The tree of territories."""
    rows = [wire.territory_row(event.message.territory, event.version) for event in events]
    await ProjectionStore(call).keep(tables.territories, rows)


async def territory_assignment_changed(events: Sequence[Received], call: Call) -> None:
    """Who covers which territory, and when."""
    rows = [wire.assignment_row(event.message.territory_assignment, event.version) for event in events]
    await ProjectionStore(call).keep(tables.territory_assignments, rows)


async def exchange_rate_recorded(events: Sequence[Received], call: Call) -> None:
    """What currencies are worth from a day on."""
    rows = [wire.rate_row(event.message.exchange_rate, event.version) for event in events]
    await ProjectionStore(call).keep(tables.exchange_rates, rows)


async def product_changed(events: Sequence[Received], call: Call) -> None:
    """What products are called."""
    rows = [
        {"id": event.entity_id, "version": event.version, "name": event.message.product.name}
        for event in events
    ]
    await ProjectionStore(call).keep(tables.products, rows)


HEARD: Sequence[tuple[Any, Sequence[Any]]] = (
    (
        opportunity_changed,
        (
            opportunities.OpportunityCreated,
            opportunities.OpportunityUpdated,
            opportunities.OpportunityMoved,
            opportunities.OpportunityWon,
            opportunities.OpportunityLost,
            opportunities.OpportunityReopened,
            opportunities.OpportunityDeleted,
            opportunities.OpportunityUndeleted,
        ),
    ),
    (pipeline_changed, (opportunities.PipelineCreated, opportunities.PipelineUpdated)),
    (lead_converting, (leads.LeadConversionStarted, leads.LeadConversionDelayed, leads.LeadConverted)),
    (tenant_changed, (identity.TenantCreated, identity.TenantUpdated)),
    (
        user_changed,
        (identity.UserCreated, identity.UserUpdated, identity.UserDeactivated, identity.UserReactivated),
    ),
    (reporting_line_changed, (identity.ReportingLineChanged,)),
    (territory_changed, (identity.TerritoryCreated, identity.TerritoryUpdated, identity.TerritoryDeleted)),
    (territory_assignment_changed, (identity.TerritoryAssignmentChanged,)),
    (exchange_rate_recorded, (identity.ExchangeRateRecorded,)),
    (product_changed, (quotes.ProductCreated, quotes.ProductUpdated)),
)
"""Which function takes which events."""


def subscriptions(changes: Changes) -> Subscriptions:
    """All of these, and before them `changes`, which sees what was there and tells the streams."""
    result = Subscriptions()
    result.on(*(type_ for _, types in HEARD for type_ in types))(changes.announce)
    for handler, types in HEARD:
        result.on(*types)(handler)
    return result
