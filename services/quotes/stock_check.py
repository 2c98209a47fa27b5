"""Whether what a quote offers can be had, as it is looked at again before it is sent: by the day that the
customer asked for, with what the quote itself holds. Nothing is locked and nothing promised."""

from chassis.call import Call
from services.quotes.domain.availability import PromiseKind, Shortage, allocate, nearest
from services.quotes.domain.quotes import Quote
from services.quotes.stock_needs import needs_of
from services.quotes.store import stock_promises
from services.quotes.store.stock import WarehouseStore, timelines


async def shortages(call: Call, quote: Quote) -> tuple[Shortage, ...]:
    """What cannot be had in time, line by line; products that no warehouse keeps are not asked about."""
    needs = await needs_of(call, quote, quote.needed_on(call.now.date()))
    known = await timelines(call, {need.product_id for need in needs}, call.now)
    needs = [need for need in needs if need.product_id in known]
    if not needs:
        return ()
    for promise in await stock_promises.of_quote(call, quote.id):
        timeline = known.get(promise.product_id, {}).get(promise.warehouse_id)
        if timeline is not None and promise.kind is PromiseKind.HOLD and promise.is_live(call.now):
            timeline.move(promise.due_on, promise.quantity)  # what it holds itself is in nobody's way
    found = allocate(needs, known, nearest(await WarehouseStore(call).all(), None))
    return tuple(each.shortage for each in found if each.shortage is not None)
