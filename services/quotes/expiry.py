"""Quotes expire by themselves: what falls due on the day after their validity.

It falls due for every quote that was sent, and does nothing to one that was decided on by then: to take
it back at the decision would cost a statement, and lock two rows in the other order.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from chassis.call import Call
from services.quotes import consequences
from services.quotes.domain.quotes import Quote
from services.quotes.store import QuoteStore

EXPIRY: Final = "quote.expires"
_LAST: Final = date.max - timedelta(days=1)


def expires_at(quote: Quote) -> datetime:
    """The first instant at which the quote can no longer be accepted."""
    assert quote.valid_until is not None, "a sent quote says until when it is valid"
    return datetime.combine(min(quote.valid_until, _LAST) + timedelta(days=1), time.min, UTC)


async def expire(call: Call, key: str, payload: Any) -> None:
    """The quote of this id expires, unless it has been decided on."""
    store = QuoteStore(call)
    quote = await store.find(UUID(key))
    if quote is not None and (expired := quote.expire(call.now)) is not None:
        await store.save(quote, expired)
        await consequences.given_up(call, quote)
