"""What quotes and orders leave to be decided about a deal: sibling quotes that may be closed, orders that came to
nothing. None of it changes what a deal is worth or where it stands."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from chassis.errors import FailedPrecondition, NotFound
from chassis.money import Money

MOST: Final = 50
"""How many quotes and how many orders a deal keeps; the newest of them."""


class OrderOutcome(Enum):
    """How an order came to nothing."""

    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


class SiblingNotOffered(FailedPrecondition):
    """A quote was to be closed that is not among those left open."""

    def __init__(self, index: int | None) -> None:
        super().__init__(
            "Only quotes that were left open when another one was accepted are closed here.",
            field="quote_ids" if index is None else f"quote_ids[{index}]",
        )


class OrderNotNoticed(NotFound):
    """There is nothing to take note of."""

    def __init__(self) -> None:
        super().__init__("The opportunity has no notice of such an order.", field="order_id")


@dataclass(frozen=True, slots=True)
class OrderNotice:
    """An order of the deal that came to nothing; `version` is the order's."""

    order_id: UUID
    order_number: str
    quote_id: UUID
    kind: OrderOutcome
    at: datetime
    reason: str
    total: Money
    version: int


@dataclass(frozen=True, slots=True)
class QuoteLinks:
    """What waits for whoever owns the deal."""

    sibling_quote_ids: tuple[UUID, ...] = ()
    order_notices: tuple[OrderNotice, ...] = ()

    def offering(self, ids: Iterable[UUID]) -> "QuoteLinks | None":
        """With quotes that may be closed."""
        return _some(replace(self, sibling_quote_ids=tuple(dict.fromkeys(ids))[:MOST]))

    def without_siblings(self, ids: Iterable[UUID]) -> "QuoteLinks | None":
        """Without quotes that were closed, ended, or are kept."""
        gone = frozenset(ids)
        return self.offering(id for id in self.sibling_quote_ids if id not in gone)

    def noticing(self, notice: OrderNotice) -> "QuoteLinks | None":
        """With an order that came to nothing, instead of what was said of it before."""
        others = (each for each in self.order_notices if each.order_id != notice.order_id)
        return _some(replace(self, order_notices=(notice, *others)[:MOST]))

    def without_order(self, order_id: UUID) -> "QuoteLinks | None":
        """Without what was said of an order."""
        left = tuple(each for each in self.order_notices if each.order_id != order_id)
        return _some(replace(self, order_notices=left))

    def siblings(self, asked: tuple[UUID, ...]) -> tuple[UUID, ...]:
        """The quotes to close: those asked for, or all.

        Raises:
            SiblingNotOffered: one of them, or none at all, is offered to be closed.
        """
        for index, id in enumerate(asked):
            if id not in self.sibling_quote_ids:
                raise SiblingNotOffered(index)
        if not asked and not self.sibling_quote_ids:
            raise SiblingNotOffered(None)
        return asked or self.sibling_quote_ids


NOTHING: Final = QuoteLinks()


def _some(links: QuoteLinks) -> QuoteLinks | None:
    return None if links == NOTHING else links
