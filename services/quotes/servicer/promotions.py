"""The RPCs of promotions and of what was redeemed of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sfa.quotes.v1 import promotions_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.entity import Event
from chassis.ids import new_id
from chassis.store import Conflict
from services.quotes.domain.promotions import (
    Promotion,
    PromotionCodeTaken,
    PromotionDeleted,
    PromotionUndeleted,
)
from services.quotes.store.products import ProductStore
from services.quotes.store.promotions import PromotionStore
from services.quotes.store.redemptions import RedemptionStore
from services.quotes.wire import promotions as wire
from services.quotes.wire import redemptions as redemptions_wire


class PromotionServicer:
    """The promotions."""

    async def CreatePromotion(self, request: pb.CreatePromotionRequest, call: Call) -> pb.Promotion:
        effective_at = call.effective_at(request.effective_time)
        fields = fields_to_change(request.promotion, None, wire.FIELDS)
        promotion = Promotion(id=uuid_of(request.promotion.id) or new_id(), **fields)
        created = promotion.create()
        await _must_be_about_what_there_is(call, promotion)
        await PromotionStore(call).add(promotion, created, effective_at)
        return wire.promotion_to_proto(promotion)

    async def GetPromotion(self, request: pb.GetPromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Promotion)
            return resource
        return wire.promotion_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetPromotions(
        self, request: pb.BatchGetPromotionsRequest, call: Call
    ) -> pb.BatchGetPromotionsResponse:
        store = PromotionStore(call)
        found = await store.batch(request.ids, request.external_ids)
        by_code = await store.by_code(request.codes)
        found += [by_code[code] for code in request.codes if code in by_code]
        return pb.BatchGetPromotionsResponse(promotions=map(wire.promotion_to_proto, found))

    async def ListPromotions(
        self, request: pb.ListPromotionsRequest, call: Call
    ) -> pb.ListPromotionsResponse:
        page = await PromotionStore(call).page(request)
        return pb.ListPromotionsResponse(
            promotions=map(wire.promotion_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdatePromotion(self, request: pb.UpdatePromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        fields = fields_to_change(request.promotion, request.update_mask, wire.FIELDS)
        effective_at = call.effective_at(request.effective_time)
        promotion = await store.get(request.id, request.etag)
        updated = promotion.change(fields)
        if "benefit" in fields or "conditions" in fields:
            await _must_be_about_what_there_is(call, promotion)
        await store.save(promotion, updated, effective_at)
        return wire.promotion_to_proto(promotion)

    async def DeletePromotion(self, request: pb.DeletePromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        promotion = await store.get(request.id, request.etag)
        promotion.mark_deleted(call.now)
        await store.save(promotion, PromotionDeleted())
        return wire.promotion_to_proto(promotion)

    async def UndeletePromotion(self, request: pb.UndeletePromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        promotion = await store.get(request.id, deleted=True)
        promotion.restore(call.now)
        await store.save(promotion, PromotionUndeleted())
        return wire.promotion_to_proto(promotion)

    async def ActivatePromotion(self, request: pb.ActivatePromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        promotion = await store.get(request.id, request.etag)
        await store.save(promotion, promotion.activate(call.now))
        return wire.promotion_to_proto(promotion)

    async def PausePromotion(self, request: pb.PausePromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        promotion = await store.get(request.id, request.etag)
        await store.save(promotion, promotion.pause())
        return wire.promotion_to_proto(promotion)

    async def EndPromotion(self, request: pb.EndPromotionRequest, call: Call) -> pb.Promotion:
        store = PromotionStore(call)
        promotion = await store.get(request.id, request.etag)
        await store.save(promotion, promotion.end(call.now))
        return wire.promotion_to_proto(promotion)

    async def BatchUpsertPromotions(
        self, request: pb.BatchUpsertPromotionsRequest, call: Call
    ) -> pb.BatchUpsertPromotionsResponse:
        store = PromotionStore(call)
        rows, codes = await _found_by_code(store, request.rows)
        named = {id for row in request.rows for id in wire.products_of(row.promotion)}
        products = await ProductStore(call).get_many(list(named))

        def put(
            row: batch.Row, promotion: Promotion | None
        ) -> Iterator[tuple[Promotion, Event, datetime | None]]:
            asked: pb.BatchUpsertPromotionsRequest.Row = row.content
            effective_at = call.effective_at(asked.effective_time)
            fields = fields_to_change(asked.promotion, None, wire.FIELDS)
            event: Event
            if promotion is None:
                promotion = Promotion(id=row.id or new_id(), **fields)
                event = promotion.create()
            else:
                event = promotion.change(fields)
            if "benefit" in fields or "conditions" in fields:
                promotion.must_be_about(products.keys() | (promotion.products - named))
            if codes.get(promotion.code, promotion.id) != promotion.id:
                raise PromotionCodeTaken
            yield promotion, event, effective_at

        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except PromotionCodeTaken as refusal:  # somebody took it at this moment: look again
            raise Conflict from refusal
        return pb.BatchUpsertPromotionsResponse(results=results)

    async def ListPromotionVersions(
        self, request: pb.ListPromotionVersionsRequest, call: Call
    ) -> pb.ListPromotionVersionsResponse:
        versions, token = await PromotionStore(call).versions(UUID(request.id), request)
        return pb.ListPromotionVersionsResponse(
            versions=map(wire.version_to_proto, versions), next_page_token=token
        )

    async def GetPromotionUsage(self, request: pb.GetPromotionUsageRequest, call: Call) -> pb.PromotionUsage:
        promotion = await PromotionStore(call).get(request.id, deleted=True)
        usage = await RedemptionStore(call).usage(promotion.id, call.now)
        return redemptions_wire.usage_to_proto(promotion, usage)

    async def ListRedemptions(
        self, request: pb.ListRedemptionsRequest, call: Call
    ) -> pb.ListRedemptionsResponse:
        page = await RedemptionStore(call).page(request)
        return pb.ListRedemptionsResponse(
            redemptions=[redemptions_wire.redemption_read(each, call.now) for each in page.items],
            next_page_token=page.next_page_token,
        )


async def _must_be_about_what_there_is(call: Call, promotion: Promotion) -> None:
    products = await ProductStore(call).get_many(list(promotion.products))
    promotion.must_be_about(products.keys())


async def _found_by_code(
    store: PromotionStore, asked: Sequence[pb.BatchUpsertPromotionsRequest.Row]
) -> tuple[list[batch.Row], dict[str, UUID]]:
    """The rows, those with neither id nor known external id by the id behind their code; and whose each
    code is, those that the rows bring included."""
    rows = batch.numbered(asked, "promotion")
    known = await store.ids_of([key for row in rows for key in row.external_ids])
    by_code = await store.by_code([row.promotion.code for row in asked if row.promotion.code])
    codes = {code: promotion.id for code, promotion in by_code.items()}
    found = []
    for row in rows:
        id, code = row.id, row.content.promotion.code
        if id is None:
            id = next((known[key] for key in row.external_ids if key in known), None)
        if code:
            id = id or codes.get(code) or new_id()
            codes.setdefault(code, id)
        found.append(batch.Row(id, row.external_ids, row.content))
    return found, codes
