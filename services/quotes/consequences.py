"""What else each step in the life of a quote and its order entails: one line for each part of the service that has a
stake in it. Everything happens in the transaction of the step itself, so that all of it is true or none.

A function that checks refuses the step by raising; it must not have written before.
"""

from dataclasses import replace

from chassis.call import Call
from services.quotes import approvals, credit, holds, redemptions
from services.quotes.domain.orders import Order
from services.quotes.domain.quotes import Quote
from services.quotes.order_items import items_of
from services.quotes.store.quotes import QuoteStore


async def changed(call: Call, quote: Quote) -> None:
    """A draft has other lines than before."""
    await holds.fit(call, quote)


async def before_submission(call: Call, quote: Quote, comment: str = "") -> bool:
    """The draft is handed in for approval; answers whether anybody has to approve it."""
    return not await approvals.request(call, quote, comment)


async def recalled(call: Call, quote: Quote) -> None:
    """The quote went back from approval to be a draft."""
    await approvals.withdraw(call, quote, "The quote was recalled.")


async def before_sending(call: Call, quote: Quote) -> None:
    """The quote is about to be sent, priced as of now: may it be?"""
    await approvals.must_be_approved(call, quote)
    quote.credit_warnings = await credit.check(call, quote)


async def sent(call: Call, quote: Quote) -> None:
    """The customer has the quote: from now until it expires everything in it is firm."""
    await redemptions.reserve(call, quote, quote.promotions)
    await holds.prolong(call, quote)


async def accepted(call: Call, quote: Quote, order: Order) -> None:
    """The customer has accepted, and the order is about to be placed: it says what is reserved for it."""
    await redemptions.consume(call, quote)
    order.items = await items_of(call, quote, await holds.turn_into_reservations(call, quote, order))


async def given_up(call: Call, quote: Quote) -> None:
    """Nothing comes of the quote any more: rejected, expired, withdrawn or superseded."""
    await approvals.withdraw(call, quote, "Nothing comes of the quote any more.")
    await redemptions.release(call, quote)
    await holds.release(call, quote)


async def called_off(call: Call, order: Order) -> None:
    """The customer will not have what was ordered, or the ERP does not take it. Promotions and stock come
    before the order, as whoever accepts or ships takes them."""
    await redemptions.give_back(call, order.quote_id)
    await holds.release_order(call, order)


async def taken_up_again(call: Call, order: Order) -> None:
    """The ERP takes an order that it had rejected: what was reserved for it is, as far as it can be had. Where
    goods have left already, what is still to come is between the ERP and whoever looks after the order."""
    await redemptions.take_again(call, order.quote_id)
    if order.shipments:
        return
    quote = await QuoteStore(call).find(order.quote_id)
    if quote is None:
        return
    items = await items_of(call, quote, await holds.turn_into_reservations(call, quote, order))
    reserved = {item.line_id: item.reserved for item in items}
    order.items = tuple(replace(item, reserved=reserved.get(item.line_id, ())) for item in order.items)
