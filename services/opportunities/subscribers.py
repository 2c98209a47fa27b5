"""What this service does when something happens elsewhere: one function for each matter."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sfa.contacts.v1 import events_pb2 as contacts
from sfa.identity.v1 import events_pb2 as identity
from sfa.quotes.v1 import events_pb2 as quotes
from sfa.quotes.v1.quotes_pb2 import Quote

from chassis import inbox
from chassis.call import Call
from chassis.convert import datetime_of, uuid_of
from chassis.entity import Event
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions, by_way_of
from services.opportunities import keeping, wire
from services.opportunities.domain import (
    Acceptance,
    Opportunity,
    OrderNotNoticed,
    OrderOutcome,
    PrimaryQuote,
    QuoteSettings,
    State,
)
from services.opportunities.store import (
    BelongingStore,
    DealQuoteStore,
    OpportunityStore,
    PipelineStore,
    QuoteSettingsStore,
    StageBook,
)
from services.opportunities.store.competitors import CustomerStore
from services.opportunities.store.tenant_settings import tenant_of
from services.opportunities.wire import competitors as wire_customers

subscriptions = Subscriptions()

_OPEN = (Quote.DRAFT, Quote.IN_APPROVAL, Quote.APPROVED, Quote.SENT, Quote.VIEWED)

# what is kept of deals, rates and settings, and what follows for alerts
keeping.listen(subscriptions)

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


@subscriptions.on(quotes.ProductCreated, quotes.ProductUpdated)
async def product_changed(events: Sequence[Received], call: Call) -> None:
    """Which family a product is of: where its pipeline is looked for."""
    rows = [
        {"id": event.entity_id, "version": event.version, "family": event.message.product.family}
        for event in events
    ]
    await BelongingStore(call).keep_products(rows)


@subscriptions.on(quotes.ProductFamilyCreated, quotes.ProductFamilyUpdated, quotes.ProductFamilyDeleted)
async def product_family_changed(events: Sequence[Received], call: Call) -> None:
    """Which family lies in which."""
    rows = []
    for event in events:
        family = event.message.product_family
        deleted = isinstance(event.message, quotes.ProductFamilyDeleted)
        parent_id = None if deleted else uuid_of(family.parent_id)
        name = "" if deleted else family.name
        rows.append({"id": event.entity_id, "version": event.version, "name": name, "parent_id": parent_id})
    await BelongingStore(call).keep_families(rows)


_BEGUN = (quotes.QuoteCreated, quotes.QuoteUndeleted)


@subscriptions.on(
    *_BEGUN,
    quotes.QuoteAccepted,
    quotes.QuoteRejected,
    quotes.QuoteExpired,
    quotes.QuoteCancelled,
    quotes.QuoteSuperseded,
    quotes.QuoteDeleted,
)
async def quote_begun_or_ended(events: Sequence[Received], call: Call) -> None:
    """Which quotes of a deal are open."""
    rows = [
        {
            "id": event.entity_id,
            "version": event.version,
            "opportunity_id": UUID(event.message.quote.opportunity_id),
            "is_open": isinstance(event.message, _BEGUN) and event.message.quote.state in _OPEN,
        }
        for event in events
        if event.message.quote.opportunity_id
    ]
    if rows:
        await DealQuoteStore(call).keep(rows)


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
        deal.release(UUID(quote.id), event.version, deleted=deleted)
        await store.save(deal, deal.drop_siblings((UUID(quote.id),)), _effective(event, deal))


_NOTICED = {quotes.OrderCancelled: OrderOutcome.CANCELLED, quotes.OrderRejected: OrderOutcome.REJECTED}


@subscriptions.on(*_NOTICED)
async def order_came_to_nothing(events: Sequence[Received], call: Call) -> None:
    """The deal's owner is told. What was closed stays closed as it is, until somebody decides."""
    for event in events:
        store = OpportunityStore(by_way_of(call, event))
        deal = await _standing(store, UUID(event.message.order.opportunity_id))
        if deal is None or deal.deleted_at is not None:
            continue
        if await inbox.is_first(call, event, "order came to nothing"):
            notice = wire.notice_of(event.message.order, _NOTICED[type(event.message)])
            await store.save(deal, deal.notice_order(notice), _effective(event, deal))


@subscriptions.on(quotes.OrderConfirmed)
async def order_taken_after_all(events: Sequence[Received], call: Call) -> None:
    """The ERP has taken an order that it would not: there is nothing to tell any more."""
    for event in events:
        store = OpportunityStore(by_way_of(call, event))
        deal = await _standing(store, UUID(event.message.order.opportunity_id))
        if deal is None or deal.deleted_at is not None or deal.quote_links is None:
            continue
        with contextlib.suppress(OrderNotNoticed):
            await store.save(deal, deal.forget_order(event.entity_id, event.version), _effective(event, deal))


async def _standing(store: OpportunityStore, id: UUID) -> Opportunity | None:
    """The deal, or the one that it went into."""
    deal = await store.find(id)
    while deal is not None and (into := deal.details.merged_into_id) is not None:
        deal = await store.find(into)
    return deal


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
    """Exactly once: what a rep decides afterwards is not undone by the same event coming again. Gates do not
    hold back what the customer has decided."""
    if not await inbox.is_first(call, event, "quote accepted"):
        return
    quote = event.message.quote
    store = OpportunityStore(call)
    deal = await store.find(UUID(quote.opportunity_id))
    if deal is None or deal.deleted_at is not None:
        return
    siblings = await DealQuoteStore(call).open_besides(deal.id, UUID(quote.id))
    offered: Event = deal.offer_siblings(siblings)
    event_of_deal = (
        await _closing(deal, quote, call, settings) if deal.state is State.OPEN else None
    ) or offered
    await store.save(deal, event_of_deal, _effective(event, deal))


async def _closing(deal: Opportunity, quote: Quote, call: Call, settings: QuoteSettings) -> Event | None:
    """What the acceptance does to an open deal, by the settings."""
    if settings.acceptance is Acceptance.LEAVES_STAGE:
        return None
    pipeline = StageBook(await PipelineStore(call).all()).of(deal)
    if settings.acceptance is Acceptance.WINS:
        at = datetime_of(quote.accept_time)
        return deal.win(pipeline.first(State.WON), at, (await tenant_of(call)).day(at))
    wanted = settings.acceptance_stage_id
    stage = pipeline.find(wanted) if wanted is not None else None
    if stage is None or stage.kind is not State.OPEN:
        return None
    return deal.move(pipeline.standing(stage.id))


def _effective(event: Received, deal: Opportunity) -> datetime:
    """When it became true for the deal: with the quote, but never before what the deal says already."""
    return max(event.effective_at, deal.effective_at or event.effective_at)
