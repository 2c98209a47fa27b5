"""Stock for quotes: held while the customer thinks, reserved once the customer has accepted, given back
where nothing comes of it.

What is promised is decided under a lock on the products' stock items, which everybody takes in the same
order: whoever comes next sees what was promised before, and nothing is promised twice. A hold that has
expired counts no longer from that instant on, whether or not its row has been swept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from chassis.call import Call
from chassis.ids import new_id
from services.quotes.domain.availability import (
    NONE,
    Allocation,
    Need,
    Promise,
    PromiseKind,
    StockNotAvailable,
    allocate,
    nearest,
)
from services.quotes.domain.orders import Order
from services.quotes.domain.quotes import GIVEN_UP, Quote, QuoteEnded, QuoteState
from services.quotes.domain.stock_settings import HoldsNotAllowed
from services.quotes.domain.warehouses import Place
from services.quotes.stock_needs import needs_of
from services.quotes.store import stock_promises
from services.quotes.store.stock import StockSettingsStore, lock

_SWEPT_FROM: Final = 100
"""How many expired holds of the same products are left lying, at the most."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a quote's lines were promised, and what of them is missing."""

    promises: tuple[Promise, ...]
    allocations: tuple[Allocation, ...]
    unstocked: frozenset[UUID] = frozenset()
    """Products that no warehouse has ever had: they need no stock."""

    @property
    def missing(self) -> dict[UUID, Decimal]:
        """What could not be promised, by line."""
        return {
            each.need.line_id: each.shortage.missing for each in self.allocations if each.shortage is not None
        }


async def hold(
    call: Call,
    quote: Quote,
    *,
    day: date | None = None,
    to: Place | None = None,
    in_parts: bool = True,
    allow_shortage: bool = False,
) -> Held:
    """Holds what the quote needs by a day (the one that it asks for), and lets go what it held before. The
    quote was read with `QuoteStore.steady`: nobody decides on it meanwhile.

    Raises:
        QuoteEnded: it is accepted, or nothing comes of it any more.
        HoldsNotAllowed: by the tenant's rules it holds none.
        StockNotAvailable: not all can be had in time, and that is not allowed.
    """
    if quote.state in GIVEN_UP or quote.state is QuoteState.ACCEPTED:
        raise QuoteEnded(quote)
    settings = await StockSettingsStore(call).current()
    until = settings.holds_until(quote, call.now)
    needs = await needs_of(call, quote, day or quote.needed_on(call.now.date()))
    return await _promise(
        call,
        quote,
        needs,
        PromiseKind.HOLD,
        to=to,
        in_parts=in_parts,
        allow_shortage=allow_shortage,
        until=until,
    )


async def prolong(call: Call, quote: Quote) -> None:
    """The quote has come further: what it holds and has not expired lasts as long as the rules now say."""
    held = [each for each in await stock_promises.of_quote(call, quote.id) if each.kind is PromiseKind.HOLD]
    if not held:
        return
    settings = await StockSettingsStore(call).current()
    try:
        until = settings.holds_until(quote, call.now)
    except HoldsNotAllowed:  # what was held before lasts as long as was said then
        return
    locked = await lock(call, {each.product_id for each in held})
    await stock_promises.prolong(call, quote.id, until, locked.at)


async def turn_into_reservations(call: Call, quote: Quote, order: Order | None = None) -> Held:
    """The quote is accepted: what it holds becomes reserved for its order, by the same days and from the
    same warehouses. What it did not hold, or no longer, is reserved as far as it can be had; `missing` says
    what has to be backordered.
    """
    number = order.number if order is not None else quote.number
    held = [each for each in await stock_promises.of_quote(call, quote.id) if each.kind is PromiseKind.HOLD]
    wanted = quote.needed_on(call.now.date())
    day = max((each.due_on for each in held if each.is_live(call.now)), default=wanted)
    needs = await needs_of(call, quote, day)
    return await _promise(
        call, quote, needs, PromiseKind.RESERVATION, allow_shortage=True, keeps=True, number=number
    )


async def fit(call: Call, quote: Quote) -> None:
    """The quote's content changed: what it holds beyond what its lines now need is given back. What they
    need besides is held when somebody asks for it again.
    """
    held = [each for each in await stock_promises.of_quote(call, quote.id) if each.kind is PromiseKind.HOLD]
    if not held:
        return
    kept, _ = _keep(held, await needs_of(call, quote, call.now.date()))
    await stock_promises.lower(
        call, {now.id: now.quantity for former, now in kept if now.quantity != former.quantity}
    )


async def release(call: Call, quote: Quote) -> None:
    """Nothing comes of the quote any more: what it holds is given back."""
    await stock_promises.drop_holds(call, quote.id)


async def release_order(call: Call, order: Order) -> None:
    """The order is cancelled: what is reserved for it is given back."""
    await lock(call, await stock_promises.products_of_order(call, order.number))
    await stock_promises.drop_order(call, order.number)


async def _promise(
    call: Call,
    quote: Quote,
    needs: Sequence[Need],
    kind: PromiseKind,
    *,
    to: Place | None = None,
    in_parts: bool = True,
    allow_shortage: bool = False,
    until: datetime | None = None,
    keeps: bool = False,
    number: str = "",
) -> Held:
    """Replaces the quote's holds by promises for its needs; what it holds already keeps warehouse and day
    where it `keeps`."""
    products = {need.product_id for need in needs}
    locked = await lock(call, products, quote.id)
    timelines, at = locked.timelines, locked.at
    warehouses = nearest(locked.warehouses.values(), to)
    for timeline, due_on, quantity in locked.own:  # what it holds itself is in nobody's way
        timeline.move(due_on, quantity)
    stocked = [need for need in needs if need.product_id in timelines]
    kept: list[Promise] = []
    open_needs: Sequence[Need] = stocked
    if keeps and locked.own:
        held = await stock_promises.of_quote(call, quote.id)
        live = [each for each in held if each.kind is PromiseKind.HOLD and each.is_live(at)]
        both, open_needs = _keep(live, stocked)
        kept = [now for _, now in both if now.quantity]
        for now in kept:
            timelines[now.product_id][now.warehouse_id].move(now.due_on, -now.quantity)
    allocations = allocate(open_needs, timelines, warehouses, in_parts=in_parts)
    shortages = [each.shortage for each in allocations if each.shortage is not None]
    if shortages and not allow_shortage:
        raise StockNotAvailable(shortages)
    promises = [replace(now, kind=kind, expires_at=until, order_number=number) for now in kept]
    promises += [
        Promise(
            id=new_id(), kind=kind, product_id=need.product_id, warehouse_id=part.warehouse_id,
            quantity=part.quantity, due_on=need.day, created_at=locked.since or at, quote_id=quote.id,
            line_id=need.line_id, order_number=number, expires_at=until,
        )
        for allocation in allocations
        for need in (allocation.need,)
        for part in allocation.parts
    ]  # fmt: skip
    if kind is PromiseKind.HOLD:
        swept = products if locked.expired > _SWEPT_FROM else set()
        await stock_promises.replace_holds(call, quote.id, promises, swept, at)
    else:
        await stock_promises.drop_holds(call, quote.id)
        await stock_promises.add(call, promises)
    return Held(tuple(promises), tuple(allocations), frozenset(products - timelines.keys()))


def _keep(
    standing: Iterable[Promise], needs: Sequence[Need]
) -> tuple[list[tuple[Promise, Promise]], list[Need]]:
    """What stands of the holds, each as it was and as it is needed, and what the lines need besides."""
    missing = {(need.line_id, need.product_id): need.quantity for need in needs}
    kept = []
    for promise in standing:
        quantity = min(promise.quantity, missing.get((promise.line_id, promise.product_id), NONE))
        if (promise.line_id, promise.product_id) in missing:
            missing[promise.line_id, promise.product_id] -= quantity
        kept.append((promise, replace(promise, quantity=quantity)))
    still = [replace(need, quantity=missing[need.line_id, need.product_id]) for need in needs]
    return kept, [need for need in still if need.quantity > 0]
