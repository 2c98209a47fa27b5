"""Coupons: codes that open a promotion, made in batches, and what becomes of a code that somebody gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from random import Random
from typing import Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from services.quotes.domain.promotions import Promotion, PromotionState
from services.quotes.domain.redemptions import Bound, Usage

ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""What generated codes are made of: nothing that is taken for something else when it is read aloud."""
LENGTH: Final = 10
"""Of a generated code after its prefix: of 10^15 possible ones nobody guesses one that is there."""


@dataclass(frozen=True, slots=True)
class CouponBatchCreated(Event):
    """Coupons were made."""


@dataclass(frozen=True, slots=True)
class CouponBatchDisabled(Event):
    """A batch opens nothing any more."""


@dataclass(frozen=True, slots=True)
class CouponCreated(Event):
    """A coupon was made."""


@dataclass(frozen=True, slots=True)
class CouponDisabled(Event):
    """A coupon opens nothing any more."""


class CouponCodeTaken(AlreadyExists):
    """A code opens one promotion."""

    def __init__(self) -> None:
        super().__init__("A coupon has one of these codes already.", field="coupon_batch.codes")


class CouponCodeRepeated(InvalidArgument):
    """A batch has each code once."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "This code stands in the batch twice; small letters count as capitals.",
            field=f"coupon_batch.codes[{index}]",
        )


class CouponCountWrong(InvalidArgument):
    """Either codes are given, or how many are to be generated."""

    def __init__(self) -> None:
        super().__init__(
            "Give codes, or say how many to generate, 2000 at the most.", field="coupon_batch.count"
        )


class CouponValidityReversed(InvalidArgument):
    """Coupons would end before they begin."""

    def __init__(self) -> None:
        super().__init__("valid_to must not be before valid_from.", field="coupon_batch.valid_to")


class CouponNotNeeded(FailedPrecondition):
    """A promotion that everybody gets has no use for coupons."""

    def __init__(self, promotion: Promotion) -> None:
        super().__init__(
            f"Promotion {promotion.code} needs no coupon; set needs_coupon first.",
            field="coupon_batch.promotion_id",
        )


class CouponPromotionEnded(FailedPrecondition):
    """What has ended is not opened again."""

    def __init__(self, promotion: Promotion) -> None:
        super().__init__(f"Promotion {promotion.code} has ended.", field="coupon_batch.promotion_id")


class AlreadyDisabled(FailedPrecondition):
    """It opens nothing already."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The {what} is disabled already.")


@dataclass(slots=True, kw_only=True)
class CouponBatch(Entity):
    """Coupons that were made together: how often and when each can be used is the same for all."""

    promotion_id: UUID
    name: str = ""
    prefix: str = ""
    count: int
    max_redemptions: int | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    is_enabled: bool = True

    def create(self, promotion: Promotion) -> CouponBatchCreated:
        """Makes it known.

        Raises:
            CouponNotNeeded, CouponPromotionEnded: the promotion has no use for coupons.
            CouponCountWrong, CouponValidityReversed: it makes no sense.
        """
        if promotion.state is PromotionState.ENDED:
            raise CouponPromotionEnded(promotion)
        if not promotion.needs_coupon:
            raise CouponNotNeeded(promotion)
        if self.count < 1:
            raise CouponCountWrong
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise CouponValidityReversed
        return CouponBatchCreated()

    def disable(self) -> CouponBatchDisabled:
        """Has none of its coupons open anything any more.

        Raises:
            AlreadyDisabled: they do not.
        """
        if not self.is_enabled:
            raise AlreadyDisabled("batch")
        self.is_enabled = False
        return CouponBatchDisabled()

    @property
    def bound(self) -> Bound:
        """How often each of its coupons may be used."""
        return Bound(self.max_redemptions)


@dataclass(slots=True, kw_only=True)
class Coupon(Entity):
    """A code that opens a promotion; in capitals."""

    code: str
    batch_id: UUID
    promotion_id: UUID
    is_enabled: bool = True

    def disable(self) -> CouponDisabled:
        """Has it open nothing any more.

        Raises:
            AlreadyDisabled: it does not.
        """
        if not self.is_enabled:
            raise AlreadyDisabled("coupon")
        self.is_enabled = False
        return CouponDisabled()


def normalized(code: str) -> str:
    """A code as it is compared: in capitals, without blanks around it."""
    return code.strip().upper()


def codes_of(given: Sequence[str], count: int, prefix: str, randomness: Random) -> tuple[str, ...]:
    """The codes of a batch: those given, or as many generated ones.

    Raises:
        CouponCountWrong: neither is said, or both and they differ.
        CouponCodeRepeated: one is given twice.
    """
    if given:
        codes = [normalized(code) for code in given]
        seen: set[str] = set()
        for index, code in enumerate(codes):
            if code in seen:
                raise CouponCodeRepeated(index)
            seen.add(code)
        if count not in (0, len(codes)) or prefix:
            raise CouponCountWrong
        return tuple(codes)
    if count < 1:
        raise CouponCountWrong
    generated: dict[str, None] = {}
    for code in _generated(prefix, randomness):
        generated[code] = None
        if len(generated) == count:
            break
    return tuple(generated)


def _generated(prefix: str, randomness: Random) -> Iterator[str]:
    while True:
        yield prefix + "".join(randomness.choices(ALPHABET, k=LENGTH))


class CouponOutcome(Enum):
    """What becomes of a code that somebody gives."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    DISABLED = "disabled"
    NOT_VALID = "not_valid"
    USED_UP = "used_up"
    NOT_ACTIVE = "not_active"


@dataclass(frozen=True, slots=True)
class GivenCoupon:
    """A code that somebody gave, and what it opens."""

    code: str
    outcome: CouponOutcome
    promotion_id: UUID | None = None
    coupon_id: UUID | None = None


def outcome_of(
    coupon: Coupon, batch: CouponBatch, usage: Usage | None, day: date, *, is_live: bool
) -> CouponOutcome:
    """What a coupon does on a day, its promotion being live or not."""
    if not (coupon.is_enabled and batch.is_enabled):
        return CouponOutcome.DISABLED
    if (batch.valid_from or day) > day or (batch.valid_to or day) < day:
        return CouponOutcome.NOT_VALID
    if not is_live:
        return CouponOutcome.NOT_ACTIVE
    left = usage.left_of(batch.bound) if usage is not None else batch.bound
    return CouponOutcome.USED_UP if left.count == 0 else CouponOutcome.ACCEPTED
