"""What can be promised: available to promise (ATP), where from, and what of the promises is covered.

ATP(d) is the least, over all t ≥ d, of: on hand − safety stock + receipts due by t − holds and reservations
due by t. What is promised for d takes from every day from d on, and leaves none of them below zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import accumulate
from typing import Any
from uuid import UUID

from chassis.errors import FailedPrecondition
from services.quotes.domain.warehouses import Place, Warehouse

NONE = Decimal(0)


class PromiseKind(Enum):
    """How firm a promise is; a reservation comes before any hold."""

    RESERVATION = "reservation"
    HOLD = "hold"


class StockNotAvailable(FailedPrecondition):
    """Not all that is wanted can be had by the day on which it is needed."""

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        first = shortages[0]
        when = f"; all of it from {first.earliest} on" if first.earliest else ""
        super().__init__(
            f"Of line {first.index + 1}, {first.missing:f} of {first.wanted:f} cannot be had in time{when}.",
            field=f"lines[{first.index}]",
        )


@dataclass(slots=True)
class Timeline:
    """What one warehouse has of one product, day by day, after all promises."""

    base: Decimal = NONE
    moves: dict[date, Decimal] = field(default_factory=dict)
    """What comes (above zero) and what was promised (below), by the day on which it is due."""

    def move(self, day: date, quantity: Decimal) -> None:
        """Something comes, or is promised."""
        self.moves[day] = self.moves.get(day, NONE) + quantity

    def available(self, day: date) -> Decimal:
        """ATP: below zero where more was promised than there is."""
        level = self.base + sum((quantity for due, quantity in self.moves.items() if due <= day), NONE)
        later = sorted((due, quantity) for due, quantity in self.moves.items() if due > day)
        return min(accumulate((quantity for _, quantity in later), initial=level))

    @property
    def lowest(self) -> Decimal:
        """The lowest that it ever gets: below zero, promises are not covered."""
        return self.available(date.min)

    def earliest(self, quantity: Decimal, day: date) -> date | None:
        """The first day from `day` on by which so much is available; None where never."""
        days = [day, *sorted(due for due in self.moves if due > day)]
        return next((each for each in days if self.available(each) >= quantity), None)


Timelines = Mapping[UUID, Mapping[UUID, Timeline]]
"""By product, then by warehouse."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one line wants, in the base unit, and by when. `index` says which line it is."""

    index: int
    line_id: UUID
    product_id: UUID
    quantity: Decimal
    day: date


@dataclass(frozen=True, slots=True)
class Part:
    """What one warehouse gives to a need."""

    warehouse_id: UUID
    quantity: Decimal
    kilometres: float | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """What cannot be had in time, and from which day on all of it could be."""

    index: int
    wanted: Decimal
    missing: Decimal
    earliest: date | None


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where a need is met from."""

    need: Need
    parts: tuple[Part, ...]
    shortage: Shortage | None = None


def nearest(warehouses: Iterable[Warehouse], to: Place | None) -> list[tuple[Warehouse, float | None]]:
    """The active warehouses, nearest first; those of which nobody knows where they are come last, by code."""
    found = []
    for warehouse in warehouses:
        if warehouse.is_active and warehouse.deleted_at is None:
            known = to is not None and warehouse.place is not None
            found.append((warehouse, warehouse.place.kilometres_to(to) if known else None))  # type: ignore[union-attr,arg-type]  # both are, where it is known
    return sorted(found, key=lambda each: (each[1] is None, each[1] or 0, each[0].code))


def allocate(
    needs: Sequence[Need],
    timelines: Timelines,
    warehouses: Sequence[tuple[Warehouse, float | None]],
    *,
    in_parts: bool = True,
) -> list[Allocation]:
    """Meets the needs in their order, each from the first warehouse that has all of it, else in parts from
    the first on. What one takes is no longer there for the next: the timelines are changed.
    """
    return [_met(need, timelines.get(need.product_id, {}), warehouses, in_parts) for need in needs]


def _met(
    need: Need,
    timelines: Mapping[UUID, Timeline],
    warehouses: Sequence[tuple[Warehouse, float | None]],
    in_parts: bool,
) -> Allocation:
    offers = []
    for warehouse, kilometres in warehouses:
        timeline = timelines.get(warehouse.id)
        if timeline is not None and (available := timeline.available(need.day)) > 0:
            offers.append((warehouse.id, kilometres, available))
    whole = next((offer for offer in offers if offer[2] >= need.quantity), None)
    chosen = [whole] if whole is not None else offers if in_parts else []
    parts, missing = [], need.quantity
    for id, kilometres, available in chosen:
        if missing <= 0:
            break
        taken = min(missing, available)
        parts.append(Part(id, taken, kilometres))
        missing -= taken
    shortage = None
    if missing > 0:
        active = [timelines[warehouse.id] for warehouse, _ in warehouses if warehouse.id in timelines]
        shortage = Shortage(need.index, need.quantity, missing, _earliest(active, need, in_parts))
    for part in parts:
        timelines[part.warehouse_id].move(need.day, -part.quantity)
    return Allocation(need, tuple(parts), shortage)


def _earliest(timelines: Sequence[Timeline], need: Need, in_parts: bool) -> date | None:
    """The first later day by which all of it can be had."""
    days = sorted({due for timeline in timelines for due in timeline.moves if due > need.day})
    gather: Any = sum if in_parts else max
    for day in days:
        if gather(max(NONE, timeline.available(day)) for timeline in timelines) >= need.quantity:
            return day
    return None


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of one stock item: held for a quote, or reserved for an order."""

    id: UUID
    kind: PromiseKind
    product_id: UUID
    warehouse_id: UUID
    quantity: Decimal
    due_on: date
    created_at: datetime
    quote_id: UUID
    line_id: UUID
    order_number: str = ""
    shipped: Decimal = NONE
    expires_at: datetime | None = None

    @property
    def outstanding(self) -> Decimal:
        """What of it has not been shipped."""
        return max(NONE, self.quantity - self.shipped)

    def is_live(self, now: datetime) -> bool:
        """Whether it counts: a hold until it expires, a reservation until it is shipped or released."""
        return self.expires_at is None or self.expires_at > now

    @property
    def rank(self) -> tuple[bool, datetime, UUID]:
        """Reservations come first, then holds, each oldest first."""
        return self.kind is PromiseKind.HOLD, self.created_at, self.id


def ranked(supply: Timeline, promises: Iterable[Promise]) -> list[tuple[Promise, Decimal]]:
    """The promises by rank, with what of each is covered by a supply that nothing is promised of yet:
    whoever comes first is served first. The timeline is changed."""
    covered = []
    for promise in sorted(promises, key=lambda each: each.rank):
        quantity = max(NONE, min(promise.outstanding, supply.available(promise.due_on)))
        supply.move(promise.due_on, -quantity)
        covered.append((promise, quantity))
    return covered


def consume(promises: Sequence[Promise], shipments: Mapping[UUID, Decimal]) -> dict[UUID, Decimal]:
    """What of each reservation of one order and product has been shipped, given what left each warehouse
    for it: reservations there come first, then those elsewhere. What exceeds them all consumes nothing.
    """
    shipped = {promise.id: NONE for promise in promises}
    left = dict(shipments)
    ordered = sorted(promises, key=lambda each: (each.warehouse_id, each.due_on, each.line_id, each.id))

    def take(promise: Promise, warehouse: UUID) -> None:
        quantity = min(left.get(warehouse, NONE), promise.quantity - shipped[promise.id])
        if quantity > 0:
            shipped[promise.id] += quantity
            left[warehouse] -= quantity

    for promise in ordered:
        take(promise, promise.warehouse_id)
    for promise in ordered:
        for warehouse in sorted(left):
            take(promise, warehouse)
    return shipped
