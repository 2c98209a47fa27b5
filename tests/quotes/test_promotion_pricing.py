"""The price of a cart over gRPC, on a real database: the best of what is live, and why."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.quotes.v1 import pricing_pb2 as pricing
from sfa.quotes.v1 import products_pb2
from sfa.quotes.v1 import promotions_pb2 as pb

from chassis.ids import new_id
from tests.conftest import Join
from tests.quotes.promotions import Promotions, amount_off, percent_off
from tests.quotes.service import Shop, euros, refusal
from tests.statements import noted

Code = grpc.StatusCode
pytestmark = pytest.mark.caller(role="operations")


@pytest.fixture
async def shop(shared: Join) -> Shop:
    """The catalogue; pricing a cart asks nobody else."""
    stack = await shared("quotes")
    return Shop(stack)


@pytest.fixture
def promotions(shop: Shop) -> Promotions:
    """The promotions."""
    return Promotions(shop.stack)


def line(product: products_pb2.Product, quantity: str = "1", **fields: Any) -> pricing.Cart.Line:
    return pricing.Cart.Line(product_id=product.id, quantity=quantity, **fields)


async def price(promotions: Promotions, *lines: pricing.Cart.Line, **fields: Any) -> pricing.Pricing:
    cart = pricing.Cart(currency="EUR", lines=lines, **fields)
    return await promotions.pricing.EvaluatePromotions(pricing.EvaluatePromotionsRequest(cart=cart))


def reasons(answer: pricing.Pricing, code: str) -> list[str]:
    return [reason.kind for unused in answer.unused if unused.code == code for reason in unused.reasons]


def cents(amount: Money) -> int:
    return int(amount.units * 100 + amount.nanos // 10_000_000)


async def test_a_cart_is_priced_with_the_best_combination_and_every_step_is_said(
    shop: Shop, promotions: Promotions
) -> None:
    chair = await shop.product("CHAIR", euros(100))
    table = await shop.product("TABLE", euros(500))
    await promotions.active("TEN", stacking=pb.Stacking(mode=pb.Stacking.EXCLUSIVE))
    await promotions.active(
        "CHAIRS",
        benefit=percent_off("25", target=pb.Matching(product_ids=[chair.id])),
        stacking=pb.Stacking(mode=pb.Stacking.EXCLUSIVE),
    )
    answer = await price(promotions, line(chair, "4", key="chairs"), line(table, key="table"))
    assert answer.is_proven
    assert cents(answer.gap) == 0
    assert [each.code for each in answer.used] == ["CHAIRS"]
    assert cents(answer.totals.quoted_amount) == 90_000
    assert cents(answer.totals.total) == 80_000
    chairs, _ = answer.lines
    assert [pricing.Pricing.Step.Kind.Name(step.kind) for step in chairs.steps] == ["LIST", "PROMOTION"]
    assert [cents(step.amount) for step in chairs.steps] == [40_000, 30_000]
    assert chairs.steps[1].promotion_code == "CHAIRS"
    (part,) = answer.used[0].parts
    assert (part.key, cents(part.discount), part.units) == ("chairs", 10_000, 4)
    assert reasons(answer, "TEN") == ["lost"]


async def test_what_is_missing_is_said_with_the_products_by_their_names(
    shop: Shop, promotions: Promotions
) -> None:
    chair = await shop.product("CHAIR", euros(100))
    lamp = await shop.product("LAMP", euros(20))
    await promotions.active(
        "LAMPS",
        benefit=percent_off("50", target=pb.Matching(product_ids=[lamp.id])),
        conditions=pb.Conditions(
            requirements=[
                pb.Conditions.Requirement(min_quantity="4", matching=pb.Matching(product_ids=[lamp.id]))
            ]
        ),
    )
    answer = await price(promotions, line(chair), line(lamp, "2"))
    (unused,) = answer.unused
    (reason,) = unused.reasons
    assert (reason.kind, reason.missing) == ("quantity", "2")
    assert reason.message == "2 more units of Product LAMP."
    assert list(reason.wanted) == [lamp.id]
    (threshold,) = answer.thresholds
    assert (threshold.code, threshold.missing_quantity) == ("LAMPS", "2")
    assert list(threshold.product_ids) == [lamp.id]


async def test_only_what_is_active_on_the_day_takes_part(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    today = shop.stack.clock.now().date()
    await promotions.draft("DRAFT")
    paused = await promotions.active("PAUSED")
    await promotions.rpc.PausePromotion(pb.PausePromotionRequest(id=paused.id))
    later = Date(year=today.year + 1, month=1, day=1)
    await promotions.active("LATER", valid_from=later)
    answer = await price(promotions, line(chair))
    assert [each.code for each in answer.unused] == ["LATER"]
    assert reasons(answer, "LATER") == ["not_started"]
    answer = await price(promotions, line(chair), date=later)
    assert [each.code for each in answer.used] == ["LATER"]


async def test_a_change_counts_from_the_next_price_on(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    assert cents((await price(promotions, line(chair))).totals.total) == 10_000
    promotion = await promotions.active()
    assert cents((await price(promotions, line(chair))).totals.total) == 9_000
    await promotions.rpc.UpdatePromotion(
        pb.UpdatePromotionRequest(id=promotion.id, promotion=pb.Promotion(benefit=percent_off("20")))
    )
    assert cents((await price(promotions, line(chair))).totals.total) == 8_000
    await promotions.rpc.EndPromotion(pb.EndPromotionRequest(id=promotion.id))
    assert cents((await price(promotions, line(chair))).totals.total) == 10_000


async def test_a_price_costs_the_same_statements_whatever_is_live_and_has_ended(
    shop: Shop, promotions: Promotions, monkeypatch: pytest.MonkeyPatch
) -> None:
    chair = await shop.product("CHAIR", euros(100))
    await promotions.active("ONE")
    statements = noted(monkeypatch)

    async def cost() -> int:
        await price(promotions, line(chair))
        statements.clear()
        await price(promotions, line(chair))
        return len(statements)

    assert await cost() <= 6
    rows = [pb.Promotion(code=f"P-{n}", name="P", benefit=percent_off("1")) for n in range(40)]
    made = await promotions.rpc.BatchUpsertPromotions(
        pb.BatchUpsertPromotionsRequest(
            rows=[pb.BatchUpsertPromotionsRequest.Row(promotion=row) for row in rows]
        )
    )
    for result in made.results[:20]:
        await promotions.rpc.ActivatePromotion(pb.ActivatePromotionRequest(id=result.id))
    for result in made.results[:10]:
        await promotions.rpc.EndPromotion(pb.EndPromotionRequest(id=result.id))
    assert await cost() <= 6


async def test_a_coupon_opens_its_promotion_and_is_not_told_to_who_has_none(
    shop: Shop, promotions: Promotions
) -> None:
    chair = await shop.product("CHAIR", euros(100))
    promotion = await promotions.active("CLUB", needs_coupon=True)
    batch = await promotions.coupon_batch(promotion, "CLUB26")
    answer = await price(promotions, line(chair))
    ((reason,),) = [each.reasons for each in answer.unused]
    assert (reason.kind, list(reason.wanted)) == ("coupon", [])
    answer = await price(promotions, line(chair), coupon_codes=["club26", "NONSENSE"])
    assert [(each.code, each.coupon_code) for each in answer.used] == [("CLUB", "CLUB26")]
    outcome = pricing.Pricing.CouponResult.Outcome
    assert [each.outcome for each in answer.coupons] == [outcome.ACCEPTED, outcome.UNKNOWN]
    await promotions.coupons.DisableCouponBatch(pb.DisableCouponBatchRequest(id=batch.id))
    answer = await price(promotions, line(chair), coupon_codes=["CLUB26"])
    assert [each.outcome for each in answer.coupons] == [outcome.DISABLED]
    await promotions.coupon_batch(promotion, "OLD26", valid_to=Date(year=2020, month=1, day=1))
    await promotions.coupon_batch(promotion, "NEW26")
    answer = await price(promotions, line(chair), coupon_codes=["OLD26", "NEW26"])
    assert [each.outcome for each in answer.coupons] == [outcome.NOT_VALID, outcome.ACCEPTED]
    await promotions.rpc.PausePromotion(pb.PausePromotionRequest(id=promotion.id))
    answer = await price(promotions, line(chair), coupon_codes=["NEW26"])
    assert [each.outcome for each in answer.coupons] == [outcome.NOT_ACTIVE]


async def test_what_a_gift_is_worth_and_called_is_looked_up(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    mug = await shop.product("MUG", euros(8))
    await promotions.active("GIFT", benefit=pb.Benefit(gift=pb.Gift(product_id=mug.id, quantity="2")))
    answer = await price(promotions, line(chair))
    gift = answer.lines[-1]
    assert (gift.is_gift, gift.product_id, cents(gift.amount), cents(gift.gift_value)) == (
        True,
        mug.id,
        0,
        1600,
    )
    assert cents(answer.totals.total) == 10_000


async def test_freight_tax_and_floors_are_part_of_it(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    await promotions.active("SHIP", benefit=pb.Benefit(free_shipping=pb.FreeShipping(percent="100")))
    await promotions.active("HALF", benefit=percent_off("50"))
    freight = pricing.Cart.Charge(amount=euros(20), tax_percent="19")
    answer = await price(promotions, line(chair, tax_percent="19", price_floor=euros(80)), charges=[freight])
    assert [each.code for each in answer.used] == ["SHIP"]
    assert reasons(answer, "HALF") == ["floor"]
    assert cents(answer.totals.total) == 11_900
    assert cents(answer.totals.tax_amount) == 1_900


async def test_conditions_of_segment_customer_and_currency_are_kept(
    shop: Shop, promotions: Promotions
) -> None:
    chair = await shop.product("CHAIR", euros(100))
    customer = str(new_id())
    await promotions.active("SMB", conditions=pb.Conditions(segments=["smb"]))
    await promotions.active("OURS", conditions=pb.Conditions(account_ids=[customer]))
    await promotions.active("YEN", currency="JPY", benefit=amount_off("100"))
    answer = await price(promotions, line(chair))
    assert {each.code: reasons(answer, each.code) for each in answer.unused} == {
        "SMB": ["segment"],
        "OURS": ["customer"],
        "YEN": ["currency"],
    }
    answer = await price(promotions, line(chair), account_id=customer, segments=["smb"])
    assert {each.code for each in answer.used} == {"SMB", "OURS"}


async def test_what_is_left_of_limits_is_seen(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    await promotions.active("ONCE", limits=pb.Limits(max_redemptions_per_account=1))
    answer = await price(promotions, line(chair))
    assert reasons(answer, "ONCE") == ["customer_limit"], "who is not known cannot be counted"
    answer = await price(promotions, line(chair), account_id=str(new_id()))
    assert [each.code for each in answer.used] == ["ONCE"]


async def test_settings_say_how_promotions_add_up(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    await promotions.active("A", benefit=percent_off("10"))
    await promotions.active("B", benefit=percent_off("10"))
    assert cents((await price(promotions, line(chair))).totals.total) == 8_000
    settings = await promotions.pricing.GetPricingSettings(pricing.GetPricingSettingsRequest())
    assert settings.combine == pricing.PricingSettings.ADD
    changed = await promotions.pricing.UpdatePricingSettings(
        pricing.UpdatePricingSettingsRequest(
            pricing_settings=pricing.PricingSettings(combine=pricing.PricingSettings.COMPOUND)
        )
    )
    assert changed.budget_ms == 150
    assert cents((await price(promotions, line(chair))).totals.total) == 8_100


async def test_what_cannot_be_priced_is_refused_by_its_field(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    unpriced = await shop.products.CreateProduct(
        products_pb2.CreateProductRequest(product=products_pb2.Product(code="X", name="X"))
    )
    for lines, code, field in (
        ([line(chair, "0")], Code.INVALID_ARGUMENT, "cart.lines[0].quantity"),
        ([line(chair, key="a"), line(chair, key="a")], Code.INVALID_ARGUMENT, "cart.lines[1].key"),
        (
            [line(chair, unit_price=Money(currency_code="USD", units=1))],
            Code.INVALID_ARGUMENT,
            "cart.lines[0].unit_price",
        ),
        (
            [line(chair, "999999999999", unit_price=euros(10**14))],
            Code.INVALID_ARGUMENT,
            "cart.lines",
        ),
        ([line(unpriced)], Code.FAILED_PRECONDITION, "cart.lines[0].unit_price"),
        (
            [pricing.Cart.Line(product_id=str(new_id()), quantity="1")],
            Code.NOT_FOUND,
            "cart.lines[0].product_id",
        ),
    ):
        status, _, wrong = await refusal(price(promotions, *lines))
        assert (status, wrong) == (code, field)


async def test_many_price_at_once_and_nothing_is_written(shop: Shop, promotions: Promotions) -> None:
    chair = await shop.product("CHAIR", euros(100))
    promotion = await promotions.active(limits=pb.Limits(max_redemptions=1))
    answers = await asyncio.gather(*(price(promotions, line(chair, str(n + 1))) for n in range(10)))
    assert [cents(answer.totals.total) for answer in answers] == [9_000 * (n + 1) for n in range(10)]
    usage = await promotions.usage(promotion)
    assert (usage.reserved_count, usage.consumed_count, usage.remaining_count) == (0, 0, 1)
