"""What a quote does to the limits and budgets of the promotions in its price: sending reserves, acceptance
consumes, and whatever else ends it releases; what was consumed comes back where the order is cancelled or
rejected. All within the call's own transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.call import Call
from services.quotes.domain.coupons import CouponBatch
from services.quotes.domain.promotions import Promotion
from services.quotes.domain.quotes import Quote
from services.quotes.domain.redemptions import (
    IN_ALL,
    AppliedPromotion,
    Bound,
    PromotionGone,
    Redemption,
    RedemptionLimitReached,
    RedemptionReserved,
    first_scope_beyond,
)
from services.quotes.expiry import expires_at
from services.quotes.store.base import ASIDE
from services.quotes.store.promotions import CouponBatchStore, CouponStore, PromotionStore
from services.quotes.store.redemptions import RedemptionStore, Scope

_ORDINAL = ASIDE + ASIDE // 2
"""Where the changes that redemptions make are counted from within a request."""


async def reserve(call: Call, quote: Quote, applied: Sequence[AppliedPromotion]) -> None:
    """Holds the promotions in a quote's price for it until it expires; what it held before is let go.

    Raises:
        PromotionGone: one takes no part in prices any more.
        RedemptionLimitReached: there is not so much left of one, for this customer or for all.
    """
    await release(call, quote)
    if not applied:
        return
    promotions = await PromotionStore(call).get_many([each.promotion_id for each in applied])
    for each in applied:
        promotion = promotions.get(each.promotion_id)
        if promotion is None or not promotion.is_live:
            raise PromotionGone(each, "is not active any more")
        if promotion.limits.max_redemptions_per_account is not None and quote.account_id is None:
            raise PromotionGone(each, "is for customers that are known")
    wanted = [
        Redemption(
            promotion_id=each.promotion_id,
            promotion_code=each.code,
            quote_id=quote.id,
            account_id=quote.account_id,
            owner_id=quote.owner_id,
            coupon_id=each.coupon_id,
            coupon_code=each.coupon_code,
            count=each.count,
            discount=each.discount,
            expires_at=expires_at(quote),
        )
        for each in applied
    ]
    store = RedemptionStore(call)
    await _count(store, wanted, promotions)
    for index, redemption in enumerate(wanted):
        store.stage(redemption, RedemptionReserved(), ordinal=_ORDINAL + index)
    await store.flush()


async def consume(call: Call, quote: Quote) -> None:
    """Uses up what is held for a quote that is accepted. What was let go after its time is taken again.

    Raises:
        RedemptionLimitReached: somebody else has it by now.
    """
    store = RedemptionStore(call)
    reserved = await store.reserved_for(quote.id)
    if lost := [redemption for redemption, is_counted in reserved if not is_counted]:
        promotions = await PromotionStore(call).get_many([each.promotion_id for each in lost])
        await _count(store, lost, promotions)
        await store.counted_again([each.id for each in lost])
    if not reserved:
        return
    await store.use_up(quote.id)
    for index, (redemption, _) in enumerate(reserved):
        store.stage(redemption, redemption.consume(call.now), ordinal=_ORDINAL + index)
    await store.flush()


async def release(call: Call, quote: Quote) -> None:
    """Gives back what is held for a quote; nothing where nothing is."""
    store = RedemptionStore(call)
    reserved = await store.reserved_for(quote.id)
    if not reserved:
        return
    await store.let_go(quote.id)
    for index, (redemption, _) in enumerate(reserved):
        store.stage(redemption, redemption.release(call.now), ordinal=_ORDINAL + ASIDE // 10 + index)
    await store.flush()


async def give_back(call: Call, quote_id: UUID) -> None:
    """Nothing comes of the order that a quote has led to: what was used up for it can be redeemed again."""
    store = RedemptionStore(call)
    consumed = await store.consumed_for(quote_id)
    if not consumed:
        return
    await store.give_back(quote_id)
    for redemption in consumed:  # of several orders in one request: each change has an ordinal of its own
        store.stage(redemption, redemption.release(call.now))
    await store.flush()


async def take_again(call: Call, quote_id: UUID) -> None:
    """The ERP takes an order that it had rejected: what was given back is used up after all. The customer was
    promised it, whatever is left of the limits by now."""
    store = RedemptionStore(call)
    given_back = await store.given_back_for(quote_id)
    if not given_back:
        return
    await store.take_again(quote_id)
    for redemption in given_back:
        store.stage(redemption, redemption.consume(call.now))
    await store.flush()


async def _count(
    store: RedemptionStore, wanted: Sequence[Redemption], promotions: Mapping[UUID, Promotion]
) -> None:
    bounds = await _bounds(store.call, wanted, promotions)
    missing = await store.count(wanted, bounds)
    for redemption in wanted:
        refused = [scope for scope in redemption.scopes if (redemption.promotion_id, scope) in missing]
        if refused:
            own = {scope: bounds[redemption.promotion_id, scope] for scope in redemption.scopes}
            raise RedemptionLimitReached(redemption.applied, first_scope_beyond(redemption, refused, own))


async def _bounds(
    call: Call, wanted: Sequence[Redemption], promotions: Mapping[UUID, Promotion]
) -> dict[Scope, Bound]:
    batches = await _batches(call, [each.coupon_id for each in wanted if each.coupon_id is not None])
    bounds = {}
    for each in wanted:
        promotion = promotions.get(each.promotion_id)
        bounds[each.promotion_id, IN_ALL] = promotion.limits.in_all if promotion else Bound()
        if each.account_id is not None:
            bounds[each.promotion_id, each.account_id] = (
                promotion.limits.per_account if promotion else Bound()
            )
        if each.coupon_id is not None:
            batch = batches.get(each.coupon_id)
            bounds[each.promotion_id, each.coupon_id] = batch.bound if batch else Bound()
    return bounds


async def _batches(call: Call, coupon_ids: Sequence[UUID]) -> dict[UUID, CouponBatch]:
    coupons = await CouponStore(call).get_many(coupon_ids)
    batches = await CouponBatchStore(call).get_many([each.batch_id for each in coupons.values()])
    return {id: batches[each.batch_id] for id, each in coupons.items() if each.batch_id in batches}
