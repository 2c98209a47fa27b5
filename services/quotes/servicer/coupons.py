"""The RPCs of coupons."""

from secrets import SystemRandom

from sfa.quotes.v1 import promotions_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from services.quotes.domain.coupons import Coupon, CouponBatch, CouponCreated, codes_of
from services.quotes.domain.products import FieldRequired
from services.quotes.store import ASIDE
from services.quotes.store.promotions import CouponBatchStore, CouponStore, PromotionStore
from services.quotes.wire import redemptions as wire


class CouponServicer:
    """The coupons, and the batches that they are made in."""

    async def CreateCouponBatch(self, request: pb.CreateCouponBatchRequest, call: Call) -> pb.CouponBatch:
        asked = request.coupon_batch
        if not asked.promotion_id:
            raise FieldRequired("coupon batch", "promotion_id")
        promotion = await PromotionStore(call).get(asked.promotion_id, field="coupon_batch.promotion_id")
        fields = fields_to_change(asked, None, wire.BATCH_FIELDS)
        codes = codes_of(asked.codes, asked.count, asked.prefix, SystemRandom())
        batch = CouponBatch(
            id=uuid_of(asked.id) or new_id(), promotion_id=promotion.id, count=len(codes), **fields
        )
        await CouponBatchStore(call).add(batch, batch.create(promotion))
        coupons = CouponStore(call)
        for index, code in enumerate(codes):
            coupon = Coupon(id=new_id(), code=code, batch_id=batch.id, promotion_id=promotion.id)
            coupons.stage(coupon, CouponCreated(), ordinal=ASIDE + index)
        await coupons.flush()
        return wire.batch_to_proto(batch)

    async def GetCouponBatch(self, request: pb.GetCouponBatchRequest, call: Call) -> pb.CouponBatch:
        return wire.batch_to_proto(await CouponBatchStore(call).get(request.id))

    async def ListCouponBatches(
        self, request: pb.ListCouponBatchesRequest, call: Call
    ) -> pb.ListCouponBatchesResponse:
        page = await CouponBatchStore(call).page(request)
        return pb.ListCouponBatchesResponse(
            coupon_batches=map(wire.batch_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def DisableCouponBatch(self, request: pb.DisableCouponBatchRequest, call: Call) -> pb.CouponBatch:
        store = CouponBatchStore(call)
        batch = await store.get(request.id, request.etag)
        await store.save(batch, batch.disable())
        return wire.batch_to_proto(batch)

    async def GetCoupon(self, request: pb.GetCouponRequest, call: Call) -> pb.Coupon:
        return wire.coupon_to_proto(await CouponStore(call).get(request.id))

    async def ListCoupons(self, request: pb.ListCouponsRequest, call: Call) -> pb.ListCouponsResponse:
        page = await CouponStore(call).page(request)
        return pb.ListCouponsResponse(
            coupons=map(wire.coupon_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def DisableCoupon(self, request: pb.DisableCouponRequest, call: Call) -> pb.Coupon:
        store = CouponStore(call)
        coupon = await store.get(request.id, request.etag)
        await store.save(coupon, coupon.disable())
        return wire.coupon_to_proto(coupon)
