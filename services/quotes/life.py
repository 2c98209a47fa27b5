"""The steps in the life of a quote as they are taken, whoever takes them: an RPC, the customer on the
acceptance page, or the passing of its validity. Each does its step and what that entails in one transaction.
"""

from datetime import datetime

from chassis import due
from chassis.call import Call
from services.quotes import consequences
from services.quotes.domain.orders import Order, order_by_accepting
from services.quotes.domain.quotes import Quote, QuoteCreated, QuoteMadePrimary
from services.quotes.expiry import EXPIRY, expires_at
from services.quotes.store import ASIDE, ExchangeRates, OrderStore, QuoteStore, next_number
from services.quotes.store.credit import customer_of


async def submit(call: Call, store: QuoteStore, quote: Quote, comment: str = "") -> None:
    """Hands the draft that `store` has loaded in for approval; where nobody has to, it is approved by that."""
    submitted = quote.submit(call.now)
    somebody_must = await consequences.before_submission(call, quote, comment)
    # what comes last is what was asked for: a replay is answered with it
    store.stage(quote, submitted, ordinal=None if somebody_must else ASIDE)
    if not somebody_must:
        store.stage(quote, quote.approve(call.now))
    await store.flush()


async def recall(call: Call, store: QuoteStore, quote: Quote) -> None:
    """Takes the quote that `store` has loaded back from approval."""
    await store.save(quote, quote.recall())
    await consequences.recalled(call, quote)


async def send(call: Call, store: QuoteStore, quote: Quote, effective_at: datetime | None) -> None:
    """Gives the quote, priced as of now and loaded by `store`, to the customer."""
    at = effective_at or call.now
    sent = quote.send(at)
    await consequences.before_sending(call, quote)
    found = await ExchangeRates(call).into_reporting_currency(quote.currency, at.date())
    if found is not None:
        quote.freeze_exchange_rate(found.rate, found.currency, found.day)
    await store.save(quote, sent, effective_at)
    await due.schedule(call, EXPIRY, str(quote.id), expires_at(quote))
    await consequences.sent(call, quote)


async def accept(
    call: Call,
    store: QuoteStore,
    quote: Quote,
    accepted_by: str = "",
    purchase_order_number: str = "",
    effective_at: datetime | None = None,
) -> Order:
    """The customer accepts the quote that `store` has loaded; answers with the order that this places."""
    at = effective_at or call.now
    customer = await customer_of(call, quote.account_id)
    number = await next_number(call, "order", "O")
    accepted, order, placed = order_by_accepting(
        quote, number, at, accepted_by, purchase_order_number, customer
    )
    if not quote.is_primary and not await store.has_accepted_primary(quote.opportunity_id):
        await make_primary(store, quote, at)
    await store.save(quote, accepted, effective_at)
    await consequences.accepted(call, quote, order)
    await OrderStore(call).add(order, placed, effective_at)
    return order


async def reject(
    call: Call, store: QuoteStore, quote: Quote, reason: str, effective_at: datetime | None = None
) -> None:
    """The customer rejects the quote that `store` has loaded."""
    await store.save(quote, quote.reject(effective_at or call.now, reason), effective_at)
    await consequences.given_up(call, quote)


async def cancel(
    call: Call, store: QuoteStore, quote: Quote, reason: str, effective_at: datetime | None = None
) -> None:
    """The quote that `store` has loaded is withdrawn."""
    await store.save(quote, quote.cancel(effective_at or call.now, reason), effective_at)
    await consequences.given_up(call, quote)


async def revise(call: Call, store: QuoteStore, quote: Quote) -> Quote:
    """The next revision of the quote that `store` has loaded."""
    revision, event = quote.revise(call.now)
    store.stage(quote, event, ordinal=ASIDE)
    await store.flush()  # before the revision, of which there is one primary too
    await store.add(revision, QuoteCreated())
    await consequences.given_up(call, quote)
    return revision


async def make_primary(store: QuoteStore, quote: Quote, at: datetime) -> QuoteMadePrimary:
    """Makes the quote primary; the one that was gives way first, as there can be only one."""
    former = await store.primary_of(quote.opportunity_id)
    event = quote.make_primary(at, former, await store.latest_primary(quote.opportunity_id))
    if former is not None and former.id != quote.id:
        store.stage(former, former.give_way(), ordinal=ASIDE)
        await store.flush()
    return event
