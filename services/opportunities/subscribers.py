"""What this service does when something happens elsewhere: one function for each matter."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sfa.contacts.v1 import events_pb2 as contacts
from sfa.identity.v1 import events_pb2 as identity
from sfa.quotes.v1 import events_pb2 as quotes

from chassis import inbox
from chassis.call import Call
from chassis.convert import datetime_of
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions, by_way_of
from services.opportunities import wire
from services.opportunities.domain import Acceptance, Opportunity, PrimaryQuote, QuoteSettings, State
from services.opportunities.store import OpportunityStore, PipelineStore, QuoteSettingsStore, StageBook
from services.opportunities.store.competitors import CustomerStore
from services.opportunities.wire import competitors as wire_customers

subscriptions = Subscriptions()

# who reports to whom, and so who sees what
subscriptions.on(identity.ReportingLineChanged)(reporting_line_changed)


@subscriptions.on(identity.TenantCreated)
async def tenant_created(events: Sequence[Received], call: Call) -> None:
    """A new tenant starts with a pipeline."""
    await PipelineStore(call).all()


@subscriptions.on(
    contacts.AccountCreated, contacts.AccountUpdated, contacts.AccountDeleted, contacts.AccountUndeleted
)
async def account_changed(events: Sequence[Received], call: Call) -> None:
    """Battle cards are chosen by the customer's segment and industry, and wins and losses told apart."""
    await CustomerStore(call).keep(
        [wire_customers.customer_row(event.message.account, event.version) for event in events]
    )


@subscriptions.on(
    quotes.QuoteCreated,
    quotes.QuoteUpdated,
    quotes.QuoteSent,
    quotes.QuoteMadePrimary,
    quotes.QuoteAccepted,
)
async def quote_changed(events: Sequence[Received], call: Call) -> None:
    """The primary quote sets what its deal is about; its acceptance wins the deal or moves it."""
    primary = [event for event in events if event.message.quote.is_primary]
    if not primary:
        return
    settings = await QuoteSettingsStore(call).current()
    for event in primary:
        if settings.primary_quote is not PrimaryQuote.LEAVES_AMOUNT:
            await _follow(event, by_way_of(call, event), settings)
        if isinstance(event.message, quotes.QuoteAccepted):
            await _accept(event, by_way_of(call, event), settings)


@subscriptions.on(
    quotes.QuoteRejected,
    quotes.QuoteExpired,
    quotes.QuoteCancelled,
    quotes.QuoteSuperseded,
    quotes.QuoteDeleted,
)
async def quote_ended(events: Sequence[Received], call: Call) -> None:
    """What a quote has set stays; what it proposes falls with it."""
    for event in events:
        quote = event.message.quote
        store = OpportunityStore(by_way_of(call, event))
        deal = await store.find(UUID(quote.opportunity_id))
        if deal is None or deal.deleted_at is not None:
            continue
        deleted = isinstance(event.message, quotes.QuoteDeleted)
        updated = deal.release(UUID(quote.id), event.version, deleted=deleted)
        if updated is not None:
            await store.save(deal, updated, _effective(event, deal))


async def _follow(event: Received, call: Call, settings: QuoteSettings) -> None:
    quote = event.message.quote
    store = OpportunityStore(call)
    deal = await store.find(UUID(quote.opportunity_id))
    if deal is None or deal.deleted_at is not None:
        return
    sets = settings.primary_quote is PrimaryQuote.SETS_AMOUNT
    updated = deal.follow(wire.proposal_of(quote), datetime_of(quote.primary_time), sets=sets)
    if updated is not None:
        await store.save(deal, updated, _effective(event, deal))


async def _accept(event: Received, call: Call, settings: QuoteSettings) -> None:
    if settings.acceptance is Acceptance.LEAVES_STAGE or not await inbox.is_first(
        call, event, "quote accepted"
    ):
        return
    quote = event.message.quote
    store = OpportunityStore(call)
    deal = await store.find(UUID(quote.opportunity_id))
    if deal is None or deal.deleted_at is not None or deal.state is not State.OPEN:
        return
    pipeline = StageBook(await PipelineStore(call).all()).of(deal)
    if settings.acceptance is Acceptance.WINS:
        won = deal.win(pipeline.first(State.WON), datetime_of(quote.accept_time))
        await store.save(deal, won, _effective(event, deal))
        return
    for stage in pipeline.stages:
        if stage.id == settings.acceptance_stage_id and stage.kind is State.OPEN:
            await store.save(deal, deal.move(stage), _effective(event, deal))


def _effective(event: Received, deal: Opportunity) -> datetime:
    """When it became true for the deal: with the quote, but never before what the deal says already."""
    return max(event.effective_at, deal.effective_at or event.effective_at)
