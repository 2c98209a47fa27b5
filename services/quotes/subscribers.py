"""What this service does when something happens elsewhere: one function for each event."""

from collections.abc import Sequence
from uuid import UUID

from sfa.erp.v1 import messages_pb2 as erp
from sfa.identity.v1 import events_pb2 as identity

from chassis.call import Call
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions
from services.quotes import stock_reports
from services.quotes.reports import Reports
from services.quotes.store import ExchangeRates, PriceBookStore
from services.quotes.store.approvals import keep_approver
from services.quotes.tables.currencies import exchange_rates, reporting_currencies
from services.quotes.wire import currencies as wire
from services.quotes.wire.approvals import role_of

subscriptions = Subscriptions()

# what the ERP says, by event or by REST: who takes it
reports = Reports(subscriptions)
reports.on(erp.StockLevelReported)(stock_reports.stock_levels)
reports.on(erp.ShipmentReported)(stock_reports.shipments)
reports.on(erp.ReceiptScheduled)(stock_reports.receipts)

# who reports to whom, and so who sees what
subscriptions.on(identity.ReportingLineChanged)(reporting_line_changed)


@subscriptions.on(identity.TenantCreated)
async def tenant_created(events: Sequence[Received], call: Call) -> None:
    """A new tenant starts with a standard price book."""
    await _keep_reporting_currency(events, call)
    await PriceBookStore(call).standard()


@subscriptions.on(identity.TenantUpdated)
async def tenant_updated(events: Sequence[Received], call: Call) -> None:
    """A tenant may report in another currency."""
    await _keep_reporting_currency(events, call)


@subscriptions.on(identity.ExchangeRateRecorded)
async def exchange_rate_recorded(events: Sequence[Received], call: Call) -> None:
    """What currencies are worth from a day on: frozen into each quote when it is sent."""
    rows = [wire.rate_row(event.message.exchange_rate, event.version) for event in events]
    await ExchangeRates(call).keep(exchange_rates, rows)


async def _keep_reporting_currency(events: Sequence[Received], call: Call) -> None:
    rows = [
        {"id": event.entity_id, "version": event.version, "currency": event.message.tenant.reporting_currency}
        for event in events
    ]
    await ExchangeRates(call).keep(reporting_currencies, rows)


@subscriptions.on(
    identity.UserCreated, identity.UserUpdated, identity.UserDeactivated, identity.UserReactivated
)
async def user_changed(events: Sequence[Received], call: Call) -> None:
    """Who may decide in whose place follows from their roles, and from whether they are still here."""
    for event in events:
        user = event.message.user
        roles = [role_of(role) for role in user.roles]
        await keep_approver(call, UUID(user.id), event.version, roles, is_active=user.active)
