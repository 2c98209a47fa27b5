"""Redemptions: which quote uses which promotion, for how much, and until when that is held for it.

Sending a quote reserves; acceptance consumes; whatever else ends the quote releases, and so does the
cancellation or rejection of its order. A reservation that is
past its time counts no longer, whether or not anybody has looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition
from chassis.money import Money

IN_ALL: Final = UUID(int=0)
"""The scope of everybody's redemptions; a customer's is the account's id, a coupon's its own."""


class RedemptionState(Enum):
    """Where a redemption stands."""

    RESERVED = "reserved"
    CONSUMED = "consumed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class RedemptionReserved(Event):
    """A quote was sent with a promotion: it is held for the quote's validity."""


@dataclass(frozen=True, slots=True)
class RedemptionConsumed(Event):
    """A quote with a promotion was accepted."""


@dataclass(frozen=True, slots=True)
class RedemptionReleased(Event):
    """A quote with a promotion, or its order, came to nothing: the promotion has it back."""


class RedemptionLimitReached(FailedPrecondition):
    """A promotion has been redeemed as often, or for as much, as it may be."""

    def __init__(self, applied: AppliedPromotion, scope: str) -> None:
        super().__init__(
            f"Promotion {applied.code} is used up {scope}: price the quote again.",
            field="quote.promotions",
            promotion_id=str(applied.promotion_id),
            promotion_code=applied.code,
        )


class PromotionGone(FailedPrecondition):
    """A quote counts on a promotion that cannot be redeemed any more."""

    def __init__(self, applied: AppliedPromotion, why: str) -> None:
        super().__init__(
            f"Promotion {applied.code} {why}: price the quote again.",
            field="quote.promotions",
            promotion_id=str(applied.promotion_id),
            promotion_code=applied.code,
        )


@dataclass(frozen=True, slots=True)
class AppliedPromotion:
    """A promotion in the price of a quote: what it takes off, as often as it was applied."""

    promotion_id: UUID
    code: str
    name: str
    discount: Money
    count: int = 1
    """How often it applied in the document."""
    coupon_id: UUID | None = None
    coupon_code: str = ""


@dataclass(slots=True, kw_only=True)
class Redemption(Entity):
    """One promotion used by one quote. `owner_id` is the quote's."""

    promotion_id: UUID
    promotion_code: str
    quote_id: UUID
    account_id: UUID | None = None
    owner_id: UUID
    coupon_id: UUID | None = None
    coupon_code: str = ""
    count: int = 1
    discount: Money
    state: RedemptionState = RedemptionState.RESERVED
    expires_at: datetime
    consumed_at: datetime | None = None
    released_at: datetime | None = None

    def is_past(self, at: datetime) -> bool:
        """Whether it was reserved until before this instant."""
        return self.state is RedemptionState.RESERVED and self.expires_at <= at

    def consume(self, at: datetime) -> RedemptionConsumed:
        """The quote is accepted."""
        self.state, self.consumed_at, self.released_at = RedemptionState.CONSUMED, at, None
        return RedemptionConsumed()

    def release(self, at: datetime) -> RedemptionReleased:
        """The quote has come to nothing, or its order has."""
        self.state, self.released_at = RedemptionState.RELEASED, at
        return RedemptionReleased()

    @property
    def scopes(self) -> tuple[UUID, ...]:
        """Where it counts: in all, with the customer, with the coupon."""
        return tuple(scope for scope in (IN_ALL, self.account_id, self.coupon_id) if scope is not None)

    @property
    def applied(self) -> AppliedPromotion:
        """The promotion in the quote that it stands for."""
        return AppliedPromotion(
            promotion_id=self.promotion_id,
            code=self.promotion_code,
            name=self.promotion_code,
            discount=self.discount,
            count=self.count,
            coupon_id=self.coupon_id,
            coupon_code=self.coupon_code,
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """How often, and for how much, something may be redeemed; None is without limit."""

    count: int | None = None
    amount: Decimal | None = None

    def allows(self, count: int, amount: Decimal) -> bool:
        """Whether so much fits."""
        return (self.count is None or count <= self.count) and (self.amount is None or amount <= self.amount)


UNBOUNDED: Final = Bound()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was redeemed of a promotion in one scope, reservations that are past their time left out."""

    promotion_id: UUID
    scope_id: UUID = IN_ALL
    reserved_count: int = 0
    reserved_amount: Decimal = Decimal(0)
    consumed_count: int = 0
    consumed_amount: Decimal = Decimal(0)

    @property
    def count(self) -> int:
        """How often."""
        return self.reserved_count + self.consumed_count

    @property
    def amount(self) -> Decimal:
        """For how much, in the promotion's currency."""
        return self.reserved_amount + self.consumed_amount

    def left_of(self, bound: Bound) -> Bound:
        """What may still be redeemed."""
        return Bound(
            None if bound.count is None else max(bound.count - self.count, 0),
            None if bound.amount is None else max(bound.amount - self.amount, Decimal(0)),
        )


def first_scope_beyond(redemption: Redemption, refused: Iterable[UUID], bounds: Mapping[UUID, Bound]) -> str:
    """In words, which limit a redemption would break: the widest of those that refused it."""
    refusing = set(refused)
    if IN_ALL in refusing:
        bound = bounds.get(IN_ALL, UNBOUNDED)
        return "in all" if bound.amount is None else "in all, or its budget is"
    return "by this customer" if redemption.account_id in refusing else "with this coupon"
