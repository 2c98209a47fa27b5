"""What the tests of promotions share: short ways to ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfa.quotes.v1 import promotions_pb2 as pb
from sfa.quotes.v1.pricing_pb2_grpc import PricingServiceStub
from sfa.quotes.v1.promotions_pb2_grpc import CouponServiceStub, PromotionServiceStub

from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.pricing_pb2_grpc import PricingServiceAsyncStub
    from sfa.quotes.v1.promotions_pb2_grpc import CouponServiceAsyncStub, PromotionServiceAsyncStub


def percent_off(percent: str = "10", **fields: Any) -> pb.Benefit:
    """So much off each unit."""
    return pb.Benefit(percent_off=pb.PercentOff(percent=percent, **fields))


def amount_off(amount: str = "5", **fields: Any) -> pb.Benefit:
    """So much off, of each unit unless said otherwise."""
    return pb.Benefit(amount_off=pb.AmountOff(amount=amount, **fields))


class Promotions:
    """Promotions, coupons and pricing as one caller sees them."""

    def __init__(self, stack: Stack, role: str | None = None, **claims: Any) -> None:
        self.stack = stack
        channel = stack.channel("quotes", role, **claims)
        self.rpc: PromotionServiceAsyncStub = PromotionServiceStub(channel)
        self.coupons: CouponServiceAsyncStub = CouponServiceStub(channel)
        self.pricing: PricingServiceAsyncStub = PricingServiceStub(channel)

    async def draft(self, code: str = "P-1", **fields: Any) -> pb.Promotion:
        """A new draft: ten per cent off everything, unless said otherwise."""
        asked = pb.Promotion(code=code, **{"name": f"Promotion {code}", "benefit": percent_off(), **fields})
        return await self.rpc.CreatePromotion(pb.CreatePromotionRequest(promotion=asked))

    async def active(self, code: str = "P-1", **fields: Any) -> pb.Promotion:
        """A new promotion that takes part in prices."""
        draft = await self.draft(code, **fields)
        return await self.rpc.ActivatePromotion(pb.ActivatePromotionRequest(id=draft.id))

    async def coupon_batch(self, promotion: pb.Promotion, *codes: str, **fields: Any) -> pb.CouponBatch:
        """Coupons for a promotion."""
        asked = pb.CouponBatch(promotion_id=promotion.id, codes=codes, **fields)
        return await self.coupons.CreateCouponBatch(pb.CreateCouponBatchRequest(coupon_batch=asked))

    async def usage(self, promotion: pb.Promotion) -> pb.PromotionUsage:
        """What was redeemed of a promotion."""
        return await self.rpc.GetPromotionUsage(pb.GetPromotionUsageRequest(id=promotion.id))
