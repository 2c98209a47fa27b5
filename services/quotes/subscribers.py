"""What this service does when something happens elsewhere: one function for each event."""

from collections.abc import Sequence
from uuid import UUID

from sfa.contacts.v1 import events_pb2 as contacts
from sfa.erp.v1 import messages_pb2 as erp
from sfa.identity.v1 import events_pb2 as identity

from chassis.call import Call
from chassis.convert import external_ids_of
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions
from services.quotes import credit, order_reports, price_reports, stock_reports
from services.quotes.domain.orders import Customer
from services.quotes.reports import Reports
from services.quotes.store import ExchangeRates, PriceBookStore
from services.quotes.store.approvals import keep_approver
from services.quotes.store.credit import keep_customer
from services.quotes.tables.currencies import exchange_rates, reporting_currencies
from services.quotes.wire import currencies as wire
from services.quotes.wire.approvals import role_of
from services.quotes.wire.orders import address_of

subscriptions = Subscriptions()

# what the ERP says, by event or by REST: who takes it
reports = Reports(subscriptions)
reports.on(erp.StockLevelReported)(stock_reports.stock_levels)
reports.on(erp.ShipmentReported)(stock_reports.shipments)
reports.on(erp.ReceiptScheduled)(stock_reports.receipts)
reports.on(erp.PriceReported)(price_reports.prices)
reports.on(erp.OrderConfirmed)(order_reports.confirmations)
reports.on(erp.OrderRejected)(order_reports.rejections)
reports.on(erp.ShipmentReported)(order_reports.shipments)
reports.on(erp.InvoiceIssued)(order_reports.invoices)
reports.on(erp.PaymentReceived)(order_reports.payments)
reports.on(erp.CreditReported)(credit.credits_reported)

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


@subscriptions.on(
    contacts.AccountCreated, contacts.AccountUpdated, contacts.AccountDeleted, contacts.AccountUndeleted
)
async def account_changed(events: Sequence[Received], call: Call) -> None:
    """An order says who has ordered: what the customer is called, and where invoice and goods go."""
    for event in events:
        account = event.message.account
        customer = Customer(
            account.name, external_ids_of(account.external_ids), tuple(map(address_of, account.addresses))
        )
        await keep_customer(call, UUID(account.id), event.version, customer)
