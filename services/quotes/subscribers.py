"""What this service does when something happens elsewhere: one function for each event."""

from collections.abc import Sequence

from sfa.identity.v1 import events_pb2 as identity

from chassis.call import Call
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions
from services.quotes.reports import Reports
from services.quotes.store import PriceBookStore

subscriptions = Subscriptions()

# what the ERP says, by event or by REST: who takes it
reports = Reports(subscriptions)

# who reports to whom, and so who sees what
subscriptions.on(identity.ReportingLineChanged)(reporting_line_changed)


@subscriptions.on(identity.TenantCreated)
async def tenant_created(events: Sequence[Received], call: Call) -> None:
    """A new tenant starts with a standard price book."""
    await PriceBookStore(call).standard()
