"""Promotions and coupons over gRPC, on a real database."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.quotes.v1 import products_pb2, products_pb2_grpc
from sfa.quotes.v1 import promotions_pb2 as pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.quotes.promotions import Promotions, amount_off, percent_off
from tests.quotes.service import refusal

Code = grpc.StatusCode
pytestmark = pytest.mark.caller(role="operations")


@pytest.fixture
async def promotions(shared: Join) -> Promotions:
    """The service as its caller sees it; promotions ask nobody."""
    stack = await shared("quotes")
    return Promotions(stack)


GIVEN = str(new_id())
EVERY_KIND = {
    "percent": percent_off("12.5", target=pb.Matching(families=["GTX"]), reach=pb.Reach(max_units=3)),
    "document": percent_off("5", per=pb.AmountOff.DOCUMENT),
    "amount": amount_off("2.5", per=pb.AmountOff.LINE),
    "group": amount_off("7", per=pb.AmountOff.GROUP, group_size=3, max_groups=2),
    "price": pb.Benefit(fixed_price=pb.FixedPrice(price="9.99")),
    "tiered": pb.Benefit(
        tiered=pb.Tiered(
            measure=pb.Tiered.QUANTITY,
            tiers=[
                pb.Tiered.Tier(least="10", percent_off=pb.PercentOff(percent="5", per=pb.AmountOff.UNIT)),
                pb.Tiered.Tier(least="20", fixed_price=pb.FixedPrice(price="8")),
            ],
        )
    ),
    "graduated": pb.Benefit(
        graduated=pb.Graduated(
            steps=[
                pb.Graduated.Step(from_unit=1, amount="5"),
                pb.Graduated.Step(from_unit=2, amount="1"),
            ]
        )
    ),
    "buy_get": pb.Benefit(
        buy_get=pb.BuyGet(
            buy=pb.Matching(families=["A"]),
            buy_quantity=2,
            get=pb.Matching(families=["B"]),
            get_quantity=1,
            percent="100",
            free=pb.BuyGet.DEAREST,
            max_repeats=4,
        )
    ),
    "bundle": pb.Benefit(
        bundle_price=pb.BundlePrice(
            price="20",
            components=[
                pb.BundlePrice.Component(matching=pb.Matching(families=["A"]), quantity=1),
                pb.BundlePrice.Component(matching=pb.Matching(excluded_families=["A"]), quantity=2),
            ],
        )
    ),
    "gift": pb.Benefit(gift=pb.Gift(product_id=GIVEN, quantity="1", unit_value="4")),
    "shipping": pb.Benefit(free_shipping=pb.FreeShipping(percent="100")),
}


async def test_every_kind_of_benefit_is_kept_as_it_was_said(promotions: Promotions) -> None:
    catalogue = products_pb2_grpc.ProductServiceStub(promotions.stack.channel("quotes"))
    await catalogue.CreateProduct(
        products_pb2.CreateProductRequest(product=products_pb2.Product(id=GIVEN, code="G", name="Gift"))
    )
    for kind, benefit in EVERY_KIND.items():
        made = await promotions.draft(kind, benefit=benefit, currency="EUR")
        said = {field.name for field, _ in benefit.ListFields()}
        assert {field.name for field, _ in made.benefit.ListFields()} == said
        assert await promotions.rpc.GetPromotion(pb.GetPromotionRequest(id=made.id)) == made
        again = await promotions.rpc.UpdatePromotion(
            pb.UpdatePromotionRequest(id=made.id, promotion=pb.Promotion(benefit=made.benefit))
        )
        assert again.etag == made.etag, "what is said again is no change"


async def test_a_promotion_is_kept_with_all_that_surrounds_its_benefit(promotions: Promotions) -> None:
    asked = pb.Promotion(
        code="SPRING 26",
        name="Spring",
        description="For the trade fair.",
        priority=7,
        phase=2,
        currency="EUR",
        valid_from=Date(year=2026, month=3, day=1),
        valid_to=Date(year=2026, month=5, day=31),
        needs_coupon=True,
        benefit=percent_off(),
        conditions=pb.Conditions(
            requirements=[pb.Conditions.Requirement(min_spend="100", matching=pb.Matching(families=["A"]))],
            account_ids=[str(new_id())],
            segments=["smb", "trade"],
            territories=["DE"],
            channels=["web"],
            rep_ids=[str(new_id())],
            currencies=["EUR"],
            weekdays=[1, 5],
            first_order=True,
        ),
        stacking=pb.Stacking(
            mode=pb.Stacking.EXCLUSIVE_IN_GROUP,
            group="season",
            uses_up=pb.Stacking.REWARDED,
            truncatable=True,
        ),
        limits=pb.Limits(
            max_redemptions=100, max_redemptions_per_account=1, budget="5000", max_discount="50.5"
        ),
        funding=pb.Funding(supplier="Acme", supplier_account_id=str(new_id()), percent="50"),
        external_ids=[ExternalId(system="erp", id="P9")],
    )
    made = await promotions.rpc.CreatePromotion(pb.CreatePromotionRequest(promotion=asked))
    assert made.state == pb.Promotion.DRAFT
    for field, value in asked.ListFields():
        if field.name != "benefit":
            assert getattr(made, field.name) == value, field.name
    read = await promotions.rpc.GetPromotion(pb.GetPromotionRequest(id=made.id))
    assert read == made
    found = await promotions.rpc.BatchGetPromotions(
        pb.BatchGetPromotionsRequest(codes=["SPRING 26"], external_ids=asked.external_ids)
    )
    assert [each.id for each in found.promotions] == [made.id] * 2


SENSELESS: list[tuple[dict[str, object], str]] = [
    ({"code": ""}, "promotion.code"),
    ({"name": ""}, "promotion.name"),
    ({"benefit": None}, "promotion.benefit"),
    ({"benefit": percent_off("0")}, "promotion.benefit.percent_off.percent"),
    ({"benefit": percent_off("5", per=pb.AmountOff.LINE)}, "promotion.benefit.percent_off.per"),
    ({"benefit": amount_off("0"), "currency": "EUR"}, "promotion.benefit.amount_off.amount"),
    ({"benefit": amount_off("5")}, "promotion.benefit.amount_off.amount"),
    (
        {"benefit": amount_off("5", per=pb.AmountOff.GROUP), "currency": "EUR"},
        "promotion.benefit.amount_off.group_size",
    ),
    (
        {"benefit": pb.Benefit(fixed_price=pb.FixedPrice(price="0")), "currency": "EUR"},
        "promotion.benefit.fixed_price.price",
    ),
    ({"benefit": pb.Benefit(tiered=pb.Tiered())}, "promotion.benefit.tiered.tiers"),
    (
        {
            "benefit": pb.Benefit(
                tiered=pb.Tiered(
                    measure=pb.Tiered.QUANTITY,
                    tiers=[
                        pb.Tiered.Tier(least="5", percent_off=pb.PercentOff(percent="5")),
                        pb.Tiered.Tier(least="5", percent_off=pb.PercentOff(percent="6")),
                    ],
                )
            )
        },
        "promotion.benefit.tiered.tiers[1].least",
    ),
    (
        {"benefit": pb.Benefit(buy_get=pb.BuyGet(get_quantity=1))},
        "promotion.benefit.buy_get.buy_quantity",
    ),
    (
        {"benefit": pb.Benefit(bundle_price=pb.BundlePrice(price="5")), "currency": "EUR"},
        "promotion.benefit.bundle_price.components",
    ),
    ({"benefit": pb.Benefit(gift=pb.Gift())}, "promotion.benefit.gift.product_id"),
    ({"benefit": pb.Benefit(gift=pb.Gift(product_id=str(new_id())))}, "promotion.benefit.gift.product_id"),
    (
        {"benefit": percent_off(target=pb.Matching(product_ids=[str(new_id())]))},
        "promotion.benefit.percent_off.target.product_ids",
    ),
    (
        {
            "conditions": pb.Conditions(
                requirements=[
                    pb.Conditions.Requirement(
                        min_quantity="1", matching=pb.Matching(product_ids=[str(new_id())])
                    )
                ]
            )
        },
        "promotion.conditions.requirements[0].matching.product_ids",
    ),
    (
        {
            "stacking": pb.Stacking(uses_up=pb.Stacking.NOTHING),
            "benefit": percent_off(reach=pb.Reach(max_units=1)),
        },
        "promotion.stacking.uses_up",
    ),
    (
        {"conditions": pb.Conditions(requirements=[pb.Conditions.Requirement()])},
        "promotion.conditions.requirements[0]",
    ),
    ({"stacking": pb.Stacking(mode=pb.Stacking.EXCLUSIVE_IN_GROUP)}, "promotion.stacking.group"),
    ({"stacking": pb.Stacking(mode=pb.Stacking.ONLY_WITH)}, "promotion.stacking.combinable_with"),
    ({"limits": pb.Limits(budget="5")}, "promotion.limits.budget"),
    ({"funding": pb.Funding(percent="5")}, "promotion.funding.supplier"),
    (
        {"currency": "EUR", "conditions": pb.Conditions(currencies=["USD"])},
        "promotion.conditions.currencies",
    ),
    (
        {"valid_from": Date(year=2026, month=2, day=1), "valid_to": Date(year=2026, month=1, day=1)},
        "promotion.valid_to",
    ),
    ({"valid_to": Date(year=2026, month=2, day=30)}, "promotion.valid_to"),
]


async def test_what_makes_no_sense_is_refused_by_its_field(promotions: Promotions) -> None:
    for fields, field in SENSELESS:
        asked: dict[str, object] = {"code": "P-1", "name": "One", "benefit": percent_off(), **fields}
        call = promotions.rpc.CreatePromotion(pb.CreatePromotionRequest(promotion=pb.Promotion(**asked)))  # type: ignore[arg-type]
        status, _, wrong = await refusal(call)
        assert (status, wrong) == (Code.INVALID_ARGUMENT, field)


async def test_it_is_activated_paused_and_ended_and_nothing_else(promotions: Promotions) -> None:
    draft = await promotions.draft()
    rpc = promotions.rpc

    async def pause() -> pb.Promotion:
        return await rpc.PausePromotion(pb.PausePromotionRequest(id=draft.id))

    async def activate() -> pb.Promotion:
        return await rpc.ActivatePromotion(pb.ActivatePromotionRequest(id=draft.id))

    assert await refusal(pause()) == (Code.FAILED_PRECONDITION, "PROMOTION_STATE_WRONG", "")
    first = await activate()
    assert first.state == pb.Promotion.ACTIVE
    assert (await refusal(activate()))[0] is Code.FAILED_PRECONDITION
    assert (await pause()).state == pb.Promotion.PAUSED
    assert (await activate()).activate_time == first.activate_time
    ended = await rpc.EndPromotion(pb.EndPromotionRequest(id=draft.id))
    assert (ended.state, ended.HasField("end_time")) == (pb.Promotion.ENDED, True)
    assert (await refusal(activate()))[0] is Code.FAILED_PRECONDITION
    change = rpc.UpdatePromotion(pb.UpdatePromotionRequest(id=draft.id, promotion=pb.Promotion(name="X")))
    assert (await refusal(change))[:2] == (Code.FAILED_PRECONDITION, "PROMOTION_STATE_WRONG")
    versions = await rpc.ListPromotionVersions(pb.ListPromotionVersionsRequest(id=draft.id))
    assert [version.event for version in versions.versions] == [
        "PromotionEnded",
        "PromotionActivated",
        "PromotionPaused",
        "PromotionActivated",
        "PromotionCreated",
    ]


async def test_what_is_over_is_not_activated(promotions: Promotions) -> None:
    draft = await promotions.draft(valid_to=Date(year=2020, month=1, day=31))
    call = promotions.rpc.ActivatePromotion(pb.ActivatePromotionRequest(id=draft.id))
    assert await refusal(call) == (Code.FAILED_PRECONDITION, "PROMOTION_OVER", "promotion.valid_to")


async def test_the_currency_is_fixed_once_it_has_been_active(promotions: Promotions) -> None:
    active = await promotions.active(benefit=amount_off(), currency="EUR")
    call = promotions.rpc.UpdatePromotion(
        pb.UpdatePromotionRequest(id=active.id, promotion=pb.Promotion(currency="USD"))
    )
    assert await refusal(call) == (Code.FAILED_PRECONDITION, "CURRENCY_FIXED", "promotion.currency")


async def test_a_code_is_taken_once_until_its_promotion_is_deleted(promotions: Promotions) -> None:
    first = await promotions.draft("P-1")
    taken = (Code.ALREADY_EXISTS, "PROMOTION_CODE_TAKEN", "promotion.code")
    assert await refusal(promotions.draft("P-1")) == taken
    await promotions.rpc.DeletePromotion(pb.DeletePromotionRequest(id=first.id))
    await promotions.draft("P-1")
    undelete = promotions.rpc.UndeletePromotion(pb.UndeletePromotionRequest(id=first.id))
    assert await refusal(undelete) == taken


async def test_it_is_read_as_it_was(promotions: Promotions) -> None:
    made = await promotions.draft()
    await promotions.rpc.UpdatePromotion(
        pb.UpdatePromotionRequest(
            id=made.id, promotion=pb.Promotion(name="Later"), update_mask=FieldMask(paths=["name"])
        )
    )
    then = await promotions.rpc.GetPromotion(pb.GetPromotionRequest(id=made.id, as_of=made.update_time))
    assert then.name == made.name


async def test_promotions_are_found_by_filter(promotions: Promotions) -> None:
    await promotions.active("A-1", priority=1)
    await promotions.active("A-2", priority=2)
    await promotions.draft("B-1")
    page = await promotions.rpc.ListPromotions(
        pb.ListPromotionsRequest(filter="state = ACTIVE", order_by="priority desc")
    )
    assert [each.code for each in page.promotions] == ["A-2", "A-1"]


async def test_an_import_twice_changes_nothing_and_leaves_states_alone(promotions: Promotions) -> None:
    await promotions.active("P-1")
    rows = [
        pb.Promotion(code="P-1", name="One", benefit=percent_off("15")),
        pb.Promotion(code="P-2", name="Two", benefit=percent_off("5")),
        pb.Promotion(code="P-3", name="Three"),
        pb.Promotion(
            code="P-4", name="Four", benefit=percent_off(target=pb.Matching(product_ids=[str(new_id())]))
        ),
    ]
    request = pb.BatchUpsertPromotionsRequest(
        rows=[pb.BatchUpsertPromotionsRequest.Row(promotion=row) for row in rows]
    )
    answer = await promotions.rpc.BatchUpsertPromotions(request)
    assert [(result.outcome, result.field) for result in answer.results] == [
        (RowResult.UPDATED, ""),
        (RowResult.CREATED, ""),
        (RowResult.REJECTED, "promotion.benefit"),
        (RowResult.REJECTED, "promotion.benefit.percent_off.target.product_ids"),
    ]
    again = await promotions.rpc.BatchUpsertPromotions(request)
    assert [result.outcome for result in again.results][:2] == [RowResult.UNCHANGED] * 2
    read = await promotions.rpc.GetPromotion(pb.GetPromotionRequest(id=answer.results[0].id))
    assert (read.state, read.name) == (pb.Promotion.ACTIVE, "One")


async def test_coupons_are_generated_each_once_and_listed_by_their_batch(promotions: Promotions) -> None:
    promotion = await promotions.active(needs_coupon=True)
    batch = await promotions.coupon_batch(promotion, prefix="SPRING-", count=600, max_redemptions=1)
    assert (batch.count, batch.max_redemptions, batch.is_enabled) == (600, 1, True)
    codes, token = set[str](), ""
    while True:
        page = await promotions.coupons.ListCoupons(
            pb.ListCouponsRequest(
                filter=f'batch_id = "{batch.id}"', order_by="code", page_size=500, page_token=token
            )
        )
        codes |= {coupon.code for coupon in page.coupons}
        if not (token := page.next_page_token):
            break
    assert len(codes) == 600
    assert all(code.startswith("SPRING-") and len(code) == 17 for code in codes)


async def test_a_repeated_request_makes_one_batch(promotions: Promotions) -> None:
    promotion = await promotions.active(needs_coupon=True)
    request = pb.CreateCouponBatchRequest(
        coupon_batch=pb.CouponBatch(promotion_id=promotion.id, count=5), request_id="once"
    )
    first = await promotions.coupons.CreateCouponBatch(request)
    assert await promotions.coupons.CreateCouponBatch(request) == first
    coupons = await promotions.coupons.ListCoupons(pb.ListCouponsRequest())
    assert len(coupons.coupons) == 5


async def test_codes_are_capitals_and_taken_once(promotions: Promotions) -> None:
    promotion = await promotions.active(needs_coupon=True)
    await promotions.coupon_batch(promotion, "summer26")
    (coupon,) = (await promotions.coupons.ListCoupons(pb.ListCouponsRequest())).coupons
    assert coupon.code == "SUMMER26"
    status, reason, _ = await refusal(promotions.coupon_batch(promotion, "Summer26"))
    assert (status, reason) == (Code.ALREADY_EXISTS, "COUPON_CODE_TAKEN")
    twice = await refusal(promotions.coupon_batch(promotion, "one", "ONE"))
    assert twice == (Code.INVALID_ARGUMENT, "COUPON_CODE_REPEATED", "coupon_batch.codes[1]")


async def test_coupons_are_for_promotions_that_need_them_and_have_not_ended(promotions: Promotions) -> None:
    open_to_all = await promotions.active("P-1")
    assert (await refusal(promotions.coupon_batch(open_to_all, "ONE")))[1] == "COUPON_NOT_NEEDED"
    ended = await promotions.active("P-2", needs_coupon=True)
    await promotions.rpc.EndPromotion(pb.EndPromotionRequest(id=ended.id))
    assert (await refusal(promotions.coupon_batch(ended, "ONE")))[1] == "COUPON_PROMOTION_ENDED"
    needing = await promotions.active("P-3", needs_coupon=True)
    assert (await refusal(promotions.coupon_batch(needing)))[1] == "COUPON_COUNT_WRONG"


async def test_coupons_are_disabled_one_by_one_and_by_batch(promotions: Promotions) -> None:
    promotion = await promotions.active(needs_coupon=True)
    batch = await promotions.coupon_batch(promotion, "ONE")
    (coupon,) = (await promotions.coupons.ListCoupons(pb.ListCouponsRequest())).coupons
    disabled = await promotions.coupons.DisableCoupon(pb.DisableCouponRequest(id=coupon.id))
    assert not disabled.is_enabled
    assert not (
        await promotions.coupons.DisableCouponBatch(pb.DisableCouponBatchRequest(id=batch.id))
    ).is_enabled
    again = promotions.coupons.DisableCouponBatch(pb.DisableCouponBatchRequest(id=batch.id))
    assert (await refusal(again))[:2] == (Code.FAILED_PRECONDITION, "ALREADY_DISABLED")


async def test_a_rep_reads_promotions_and_neither_writes_them_nor_reads_codes(promotions: Promotions) -> None:
    promotion = await promotions.active(needs_coupon=True)
    rep = Promotions(promotions.stack, "rep")
    assert (await rep.rpc.GetPromotion(pb.GetPromotionRequest(id=promotion.id))).code == "P-1"
    assert (await refusal(rep.draft("P-2")))[0] is Code.PERMISSION_DENIED
    assert (await refusal(rep.coupons.ListCoupons(pb.ListCouponsRequest())))[0] is Code.PERMISSION_DENIED
    stranger = Promotions(promotions.stack, "operations", tenant=new_id())
    status, _, _ = await refusal(stranger.rpc.GetPromotion(pb.GetPromotionRequest(id=promotion.id)))
    assert status is Code.NOT_FOUND
