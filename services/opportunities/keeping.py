"""What the service keeps of events, its own among them, so that alerts, the board and metrics need not read whole
histories: versions of deals as columns, visits of stages, exchange rates, what the tenant has set.

A deal is written with one statement; all of this follows from its event, within a quarter of a second.
"""

from collections.abc import Sequence
from uuid import UUID

from sfa.identity.v1 import events_pb2 as identity
from sfa.opportunities.v1 import events_pb2 as events

from chassis.call import Call
from chassis.subscriptions import Received, Subscriptions
from services.opportunities import watching
from services.opportunities.store.recorded import RecordedStore
from services.opportunities.tables.metrics import deal_versions, exchange_rates, stage_visits, tenant_settings
from services.opportunities.wire import recorded

DEAL_EVENTS = (
    events.OpportunityCreated,
    events.OpportunityUpdated,
    events.OpportunityMoved,
    events.OpportunityWon,
    events.OpportunityLost,
    events.OpportunityReopened,
    events.OpportunityDeleted,
    events.OpportunityUndeleted,
    events.OpportunityMerged,
    events.OpportunitySplit,
    events.OpportunityOrderNoticed,
)
"""Everything that makes a version of a deal."""


async def deal_changed(received: Sequence[Received], call: Call) -> None:
    """Keeps the version and the visit of a stage that it begins, and looks whether something is the matter."""
    store = RecordedStore(call)
    await store.keep(deal_versions, [recorded.version_row(event) for event in received])
    visits = [row for event in received if (row := recorded.visit_row(event)) is not None]
    await store.add(stage_visits, visits)
    await watching.deals_changed(call, [event.entity_id for event in received])


async def pipeline_changed(received: Sequence[Received], call: Call) -> None:
    """Stages may have other limits now: all of their deals are looked at again."""
    stages = {UUID(stage.id) for event in received for stage in event.message.pipeline.stages}
    await watching.look_at_all(call, sorted(stages))


async def exchange_rate_recorded(received: Sequence[Received], call: Call) -> None:
    """Keeps every version of a rate: a corrected one does not alter what was answered before."""
    await RecordedStore(call).keep(exchange_rates, [recorded.rate_row(event) for event in received])


async def tenant_changed(received: Sequence[Received], call: Call) -> None:
    """Keeps reporting currency and time zone."""
    await RecordedStore(call).keep(tenant_settings, [recorded.tenant_row(event) for event in received])


def listen(subscriptions: Subscriptions) -> None:
    """Declares what is listened to."""
    subscriptions.on(*DEAL_EVENTS)(deal_changed)
    subscriptions.on(events.PipelineUpdated)(pipeline_changed)
    subscriptions.on(identity.ExchangeRateRecorded)(exchange_rate_recorded)
    subscriptions.on(identity.TenantCreated, identity.TenantUpdated)(tenant_changed)
