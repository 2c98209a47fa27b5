"""The promotions that take part in prices, kept for each tenant, and what a document finds of them.

Kept are the promotions themselves, by the tenant's epoch, which every write of one raises: while it stands
still a price costs one round trip, whatever is live and whatever has ended. What changes from document to
document (what is left of limits, the coupons given, whether the customer ordered before) comes with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from chassis.call import Call
from chassis.money import Money, minor_unit
from services.quotes.domain.coupons import CouponOutcome, GivenCoupon, normalized, outcome_of
from services.quotes.domain.pricing_settings import PricingSettings
from services.quotes.domain.promotions import Promotion
from services.quotes.domain.redemptions import IN_ALL, AppliedPromotion, Bound, Usage
from services.quotes.pricing import model
from services.quotes.store.circumstances import Circumstances, circumstances
from services.quotes.store.promotions import PricingSettingsStore, PromotionStore

ENDED_LATELY: Final = timedelta(days=7)
"""How long a promotion whose last day has passed is still said to have ended, rather than not named."""
_MOST_TENANTS: Final = 200


@dataclass(frozen=True, slots=True)
class Offers:
    """The promotions that a document is priced with, and by which rules."""

    settings: PricingSettings
    promotions: tuple[model.Promotion, ...]
    coupons: tuple[GivenCoupon, ...]
    is_first_order: bool
    by_code: Mapping[str, Promotion]
    names_families: bool = True
    """Whether any of them is for a family of products: else nobody has to look families up."""

    @property
    def coupon_codes(self) -> frozenset[str]:
        """The codes that open something."""
        return frozenset(each.code for each in self.coupons if each.outcome is CouponOutcome.ACCEPTED)

    @property
    def gifts_to_value(self) -> frozenset[UUID]:
        """The products whose prices say what gifts are worth."""
        return frozenset(
            UUID(benefit.product)
            for each in self.promotions
            if isinstance(benefit := each.benefit, model.Gift) and not benefit.unit_value
        )

    @property
    def gifts(self) -> frozenset[UUID]:
        """The products that promotions give away."""
        return frozenset(
            UUID(benefit.product)
            for each in self.promotions
            if isinstance(benefit := each.benefit, model.Gift)
        )

    def with_gifts_worth(self, prices: Mapping[UUID, Money], names: Mapping[UUID, str]) -> Offers:
        """The same, with what gifts are worth and are called where their promotions do not say."""
        return replace(self, promotions=tuple(_valued(each, prices, names) for each in self.promotions))

    def applied(self, result: model.Result, currency: str) -> tuple[AppliedPromotion, ...]:
        """The promotions in a price, as a quote keeps and redeems them."""
        coupons = {each.promotion_id: each for each in self.coupons if each.outcome is CouponOutcome.ACCEPTED}
        found = []
        for each in result.applied:
            promotion = self.by_code[each.code]
            coupon = coupons.get(promotion.id)
            found.append(
                AppliedPromotion(
                    promotion_id=promotion.id,
                    code=promotion.code,
                    name=promotion.name,
                    discount=Money(each.discount * minor_unit(currency), currency),
                    count=max(each.repeats, 1),
                    coupon_id=coupon.coupon_id if coupon else None,
                    coupon_code=coupon.code if coupon else "",
                )
            )
        return tuple(found)


class _Kept:
    """What is live of one tenant, as read at one epoch on one day."""

    def __init__(
        self, epoch: int, read_on: date, promotions: Iterable[Promotion], settings: PricingSettings
    ) -> None:
        self.epoch = epoch
        self.read_on = read_on
        self.settings = settings
        self.promotions = {each.id: each for each in promotions}
        self.by_code = {each.code: each for each in self.promotions.values()}
        self.priced = {id: each.priced() for id, each in self.promotions.items()}
        self.names_families = any(map(_names_families, self.priced.values()))
        self.limited = [
            id
            for id, each in self.promotions.items()
            if each.limits.in_all != Bound() or each.limits.per_account != Bound()
        ]


class LivePromotions:
    """What is live of each tenant, kept from call to call."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()

    async def offers(
        self, call: Call, *, day: date, account_id: UUID | None = None, coupon_codes: Sequence[str] = ()
    ) -> Offers:
        """What a document of this day and customer is priced with, whoever reads it. Writes nothing."""
        codes = list(dict.fromkeys(map(normalized, coupon_codes)))
        kept = self._kept.get(call.caller.tenant)
        known = await circumstances(call, kept.limited if kept else (), account_id, codes)
        today = call.now.date()
        if kept is None or kept.epoch != known.epoch or kept.read_on != today or day < today:
            kept = await self._read(call, known.epoch, today, day)
            known = await circumstances(call, kept.limited, account_id, codes)
        return _offers(kept, known, day, account_id, codes)

    async def _read(self, call: Call, epoch: int, today: date, day: date) -> _Kept:
        since = min(day, today) - ENDED_LATELY
        promotions = await PromotionStore(call).live(since)
        kept = _Kept(epoch, today, promotions, await PricingSettingsStore(call).current())
        if day >= today:
            self._kept[call.caller.tenant] = kept
            self._kept.move_to_end(call.caller.tenant)
            if len(self._kept) > _MOST_TENANTS:
                self._kept.popitem(last=False)
        return kept


def _offers(
    kept: _Kept, known: Circumstances, day: date, account_id: UUID | None, codes: Sequence[str]
) -> Offers:
    coupons = tuple(_given(kept, known, code, day) for code in codes)
    opened = {each.promotion_id: each.code for each in coupons if each.outcome is CouponOutcome.ACCEPTED}
    special = {*kept.limited, *opened}
    promotions = [
        _limited(kept.promotions[id], known, account_id, opened.get(id, "")) if id in special else priced
        for id, priced in kept.priced.items()
    ]
    return Offers(
        kept.settings, tuple(promotions), coupons, not known.has_ordered, kept.by_code, kept.names_families
    )


def _limited(
    promotion: Promotion, known: Circumstances, account_id: UUID | None, opened_by: str
) -> model.Promotion:
    limits = promotion.limits
    in_all = known.usage.get((promotion.id, IN_ALL), Usage(promotion.id)).left_of(limits.in_all)
    if account_id is not None:
        used = known.usage.get((promotion.id, account_id), Usage(promotion.id, account_id))
        for_account = used.left_of(limits.per_account)
    else:  # nobody knows how often somebody unknown has had it
        for_account = Bound(None if limits.max_redemptions_per_account is None else 0)
    return promotion.priced(opened_by=opened_by, redemptions=in_all, for_account=for_account)


def _given(kept: _Kept, known: Circumstances, code: str, day: date) -> GivenCoupon:
    found = known.coupons.get(code)
    if found is None:
        return GivenCoupon(code, CouponOutcome.UNKNOWN)
    coupon, batch, usage = found
    outcome = outcome_of(coupon, batch, usage, day, is_live=coupon.promotion_id in kept.promotions)
    return GivenCoupon(code, outcome, coupon.promotion_id, coupon.id)


def _valued(
    promotion: model.Promotion, prices: Mapping[UUID, Money], names: Mapping[UUID, str]
) -> model.Promotion:
    gift = promotion.benefit
    if not isinstance(gift, model.Gift):
        return promotion
    product = UUID(gift.product)
    worth = prices[product].amount if product in prices else Decimal(0)
    return replace(
        promotion,
        benefit=replace(
            gift,
            unit_value=gift.unit_value or worth,
            description=gift.description or names.get(product, ""),
        ),
    )


def _names_families(promotion: model.Promotion) -> bool:
    matchings = [each.matching for each in promotion.conditions.requirements]
    match promotion.benefit:
        case model.BuyGet(buy=buy, get=get):
            matchings += [buy, get]
        case model.BundlePrice(components=components):
            matchings += [each.matching for each in components]
        case model.Tiered(matching=matching, tiers=tiers):
            matchings += [matching, *(tier.benefit.target for tier in tiers)]
        case model.PercentOff() | model.AmountOff() | model.FixedPrice() | model.Graduated() as benefit:
            matchings.append(benefit.target)
    return any(each.families or each.excluded_families for each in matchings)
