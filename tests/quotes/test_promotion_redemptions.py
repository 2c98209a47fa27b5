"""Limits and budgets of promotions hold, whoever redeems at the same moment; and follow the life of quotes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sfa.quotes.v1 import promotions_pb2 as pb
from sfa.quotes.v1 import quotes_pb2

from chassis.call import Call
from chassis.database import Database
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from services.quotes import redemptions
from services.quotes.domain.quotes import Quote
from services.quotes.domain.redemptions import (
    IN_ALL,
    AppliedPromotion,
    Bound,
    PromotionGone,
    RedemptionLimitReached,
    Usage,
)
from services.quotes.live_promotions import LivePromotions
from services.quotes.store.circumstances import circumstances
from tests.conftest import Join
from tests.quotes.promotions import Promotions
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

Code = grpc.StatusCode
pytestmark = pytest.mark.caller(role="operations")


class Desk:
    """Redeems directly, each time in a transaction of its own, as many at once as there are connections."""

    def __init__(self, stack: Stack, database: Database) -> None:
        self.stack = stack
        self.database = database
        self.caller = stack.callers.caller("administrator")

    def quote(self, account_id: UUID | None = None, days: int = 30) -> Quote:
        """A quote as it is sent; nobody else knows of it."""
        return Quote(
            number="Q-1",
            opportunity_id=new_id(),
            owner_id=new_id(),
            currency="EUR",
            price_book_id=new_id(),
            account_id=account_id,
            valid_until=self.today + timedelta(days=days),
        )

    @property
    def today(self) -> date:
        return self.stack.clock.now().date()

    def applied(self, promotion: pb.Promotion, amount: str = "7", **coupon: object) -> AppliedPromotion:
        """The promotion in a quote's price."""
        return AppliedPromotion(
            promotion_id=UUID(promotion.id),
            code=promotion.code,
            name=promotion.name,
            discount=Money(Decimal(amount), "EUR"),
            **coupon,  # type: ignore[arg-type]
        )

    async def reserve(self, quote: Quote, *applied: AppliedPromotion) -> str:
        """`reserved`, or the reason of the refusal."""
        return await self._try("reserve", quote, applied)

    async def consume(self, quote: Quote) -> str:
        """`consumed`, or the reason of the refusal."""
        return await self._try("consume", quote)

    async def release(self, quote: Quote) -> str:
        """`released`."""
        return await self._try("release", quote)

    async def usage(self, promotion: pb.Promotion, account_id: UUID | None = None) -> Usage:
        """What pricing sees as redeemed."""
        tx = self.database.transaction(self.caller.tenant)
        known = await circumstances(self._call(tx), [UUID(promotion.id)], account_id, [])
        await tx.commit()
        scope = account_id or IN_ALL
        return known.usage.get((UUID(promotion.id), scope), Usage(UUID(promotion.id), scope))

    async def _try(self, verb: str, quote: Quote, *more: object) -> str:
        tx = self.database.transaction(self.caller.tenant)
        try:
            async with asyncio.timeout(30):
                await getattr(redemptions, verb)(self._call(tx), quote, *more)
        except Refusal as refused:
            await tx.rollback()
            return refused.reason
        except BaseException:
            await tx.rollback()
            raise
        await tx.commit()
        return f"{verb}d"

    def _call(self, tx: object) -> Call:
        clock = self.stack.clock
        return Call(self.caller, tx, clock, clock.now(), method="test")  # type: ignore[arg-type]


@pytest.fixture
async def desk(shared: Join) -> AsyncIterator[Desk]:
    """The service, whose promotions can be redeemed directly."""
    stack = await shared("quotes")
    database = await Database.connect(stack.databases["quotes"].url, connections=16)
    yield Desk(stack, database)
    await database.close()


@pytest.fixture
def promotions(desk: Desk) -> Promotions:
    return Promotions(desk.stack)


async def test_of_many_at_once_exactly_as_many_redeem_as_may(desk: Desk, promotions: Promotions) -> None:
    promotion = await promotions.active(limits=pb.Limits(max_redemptions=25))
    outcomes = Counter(
        await asyncio.gather(*(desk.reserve(desk.quote(), desk.applied(promotion)) for _ in range(100)))
    )
    assert outcomes == {"reserved": 25, "REDEMPTION_LIMIT_REACHED": 75}
    assert (await promotions.usage(promotion)).remaining_count == 0


async def test_a_budget_is_spent_to_the_last_that_fits_and_never_beyond(
    desk: Desk, promotions: Promotions
) -> None:
    promotion = await promotions.active(currency="EUR", limits=pb.Limits(budget="100"))
    outcomes = Counter(
        await asyncio.gather(*(desk.reserve(desk.quote(), desk.applied(promotion, "7")) for _ in range(40)))
    )
    assert outcomes["reserved"] == 14
    usage = await promotions.usage(promotion)
    assert (usage.reserved_amount.units, usage.remaining_budget.units) == (98, 2)
    assert await desk.reserve(desk.quote(), desk.applied(promotion, "2")) == "reserved"
    assert await desk.reserve(desk.quote(), desk.applied(promotion, "0.01")) == "REDEMPTION_LIMIT_REACHED"


async def test_a_customer_redeems_as_often_as_one_may_and_others_besides(
    desk: Desk, promotions: Promotions
) -> None:
    promotion = await promotions.active(limits=pb.Limits(max_redemptions_per_account=2, max_redemptions=7))
    customers = [new_id() for _ in range(5)]
    outcomes = await asyncio.gather(
        *(
            desk.reserve(desk.quote(customer), desk.applied(promotion))
            for _ in range(6)
            for customer in customers
        )
    )
    assert Counter(outcomes)["reserved"] == 7
    each = [await desk.usage(promotion, customer) for customer in customers]
    assert sum(usage.count for usage in each) == 7
    assert max(usage.count for usage in each) <= 2
    assert await desk.reserve(desk.quote(), desk.applied(promotion)) == "PROMOTION_GONE"


async def test_a_single_use_coupon_is_used_once(desk: Desk, promotions: Promotions) -> None:
    promotion = await promotions.active(needs_coupon=True)
    await promotions.coupon_batch(promotion, "ONE", "TWO", max_redemptions=1)
    page = await promotions.coupons.ListCoupons(pb.ListCouponsRequest(order_by="code"))
    coupon = page.coupons[0]
    used = desk.applied(promotion, coupon_id=UUID(coupon.id), coupon_code=coupon.code)
    outcomes = await asyncio.gather(*(desk.reserve(desk.quote(), used) for _ in range(20)))
    assert Counter(outcomes)["reserved"] == 1
    call = desk._call(desk.database.transaction(desk.caller.tenant))
    offers = await LivePromotions().offers(call, day=desk.today, coupon_codes=["one", "two"])
    await call.tx.rollback()
    assert {each.code: each.outcome.value for each in offers.coupons} == {"ONE": "used_up", "TWO": "accepted"}


async def test_nobody_waits_in_a_circle_for_several_promotions(desk: Desk, promotions: Promotions) -> None:
    made = [await promotions.active(f"P-{n}", limits=pb.Limits(max_redemptions=30)) for n in range(4)]
    quotes = [desk.quote(new_id()) for _ in range(40)]

    async def life(index: int, quote: Quote) -> str:
        turned = made[index % 4 :] + made[: index % 4]
        outcome = await desk.reserve(quote, *(desk.applied(each) for each in reversed(turned)))
        if outcome != "reserved":
            return outcome
        return await (desk.consume(quote) if index % 2 else desk.release(quote))

    outcomes = Counter(await asyncio.gather(*(life(*each) for each in enumerate(quotes))))
    assert set(outcomes) <= {"consumed", "released", "REDEMPTION_LIMIT_REACHED"}
    for promotion in made:
        usage = await promotions.usage(promotion)
        assert (usage.reserved_count, usage.consumed_count) == (0, outcomes["consumed"])


async def test_what_is_past_its_time_counts_no_longer_though_nobody_has_let_it_go(
    desk: Desk, promotions: Promotions
) -> None:
    promotion = await promotions.active(currency="EUR", limits=pb.Limits(max_redemptions=1, budget="10"))
    first, second = desk.quote(days=1), desk.quote(days=60)
    assert await desk.reserve(first, desk.applied(promotion)) == "reserved"
    assert await desk.reserve(second, desk.applied(promotion)) == "REDEMPTION_LIMIT_REACHED"
    desk.stack.clock.move(timedelta(days=3))
    usage = await promotions.usage(promotion)
    assert (usage.reserved_count, usage.remaining_count, usage.remaining_budget.units) == (0, 1, 10)
    assert (await desk.usage(promotion)).left_of(Bound(1)).count == 1
    (seen,) = (await promotions.rpc.ListRedemptions(pb.ListRedemptionsRequest())).redemptions
    assert seen.state == pb.Redemption.EXPIRED
    assert await desk.reserve(second, desk.applied(promotion)) == "reserved"
    assert await desk.consume(first) == "REDEMPTION_LIMIT_REACHED"
    assert await desk.release(first) == "released"
    assert await desk.consume(second) == "consumed"
    usage = await promotions.usage(promotion)
    assert (usage.reserved_count, usage.consumed_count, usage.remaining_count) == (0, 1, 0)


async def test_what_was_let_go_is_taken_again_where_nobody_else_has_it(
    desk: Desk, promotions: Promotions
) -> None:
    promotion = await promotions.active(limits=pb.Limits(max_redemptions=1))
    first, second = desk.quote(days=1), desk.quote(days=60)
    assert await desk.reserve(first, desk.applied(promotion)) == "reserved"
    desk.stack.clock.move(timedelta(days=3))
    assert await desk.reserve(second, desk.applied(promotion)) == "reserved"
    assert await desk.release(second) == "released"
    assert await desk.consume(first) == "consumed"
    assert (await promotions.usage(promotion)).consumed_count == 1


async def test_what_is_reserved_again_replaces_what_was(desk: Desk, promotions: Promotions) -> None:
    promotion = await promotions.active(currency="EUR", limits=pb.Limits(max_redemptions=1))
    quote = desk.quote()
    assert await desk.reserve(quote, desk.applied(promotion, "7")) == "reserved"
    assert await desk.reserve(quote, desk.applied(promotion, "9")) == "reserved"
    usage = await promotions.usage(promotion)
    assert (usage.reserved_count, usage.reserved_amount.units) == (1, 9)
    assert await desk.release(quote) == "released"
    assert await desk.release(quote) == "released", "which does nothing"
    await promotions.rpc.PausePromotion(pb.PausePromotionRequest(id=promotion.id))
    assert await desk.reserve(quote, desk.applied(promotion)) == "PROMOTION_GONE"


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    steps=st.lists(st.tuples(st.sampled_from("rrrcxt"), st.integers(0, 5), st.integers(1, 9)), max_size=20)
)
async def test_whatever_happens_the_limits_hold(
    desk: Desk, promotions: Promotions, steps: list[tuple[str, int, int]]
) -> None:
    promotion = await promotions.active(
        f"P-{new_id()}", currency="EUR", limits=pb.Limits(max_redemptions=3, budget="20")
    )
    quotes = [desk.quote(days=5) for _ in range(6)]
    for verb, which, amount in steps:
        quote = quotes[which]
        if verb == "r":
            quote.valid_until = desk.today + timedelta(days=5)
            await desk.reserve(quote, desk.applied(promotion, str(amount)))
        elif verb == "c":
            await desk.consume(quote)
        elif verb == "x":
            await desk.release(quote)
        else:
            desk.stack.clock.move(timedelta(days=amount))
        usage = await promotions.usage(promotion)
        held = usage.reserved_count + usage.consumed_count
        spent = usage.reserved_amount.units + usage.consumed_amount.units
        assert held <= 3
        assert spent <= 20
        states = await promotions.rpc.ListRedemptions(
            pb.ListRedemptionsRequest(filter=f'promotion_id = "{promotion.id}"', page_size=500)
        )
        counted = Counter(each.state for each in states.redemptions)
        assert counted[pb.Redemption.RESERVED] == usage.reserved_count
        assert counted[pb.Redemption.CONSUMED] == usage.consumed_count


class TestInTheLifeOfAQuote:
    """Sending reserves, acceptance consumes, everything else releases."""

    @pytest.fixture
    async def running(self, stack: Stack) -> Stack:
        await stack.start("opportunities", "quotes")
        return stack

    async def test_of_many_quotes_sent_at_once_as_many_have_the_promotion_as_may(
        self, running: Stack
    ) -> None:
        shop, promotions = Shop(running), Promotions(running)
        chair, deal = await shop.product("CHAIR", euros(100)), await shop.deal()
        promotion = await promotions.active(currency="EUR", limits=pb.Limits(max_redemptions=3))
        drafts = [await shop.quote(deal.id, line(chair)) for _ in range(8)]
        assert {draft.total.units for draft in drafts} == {90}

        async def send(draft: quotes_pb2.Quote) -> quotes_pb2.Quote | str:
            try:
                return await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=draft.id))
            except grpc.aio.AioRpcError as error:
                return error.code().name

        answers = await asyncio.gather(*map(send, drafts))
        sent = [answer for answer in answers if isinstance(answer, quotes_pb2.Quote)]
        assert len(sent) == 3
        assert (await promotions.usage(promotion)).reserved_count == 3
        assert {each.total.units for each in sent} == {90}

        first, second, third = sent
        await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=first.id))
        await shop.quotes.RejectQuote(quotes_pb2.RejectQuoteRequest(id=second.id))
        await shop.quotes.ReviseQuote(quotes_pb2.ReviseQuoteRequest(id=third.id))
        usage = await promotions.usage(promotion)
        assert (usage.consumed_count, usage.reserved_count, usage.remaining_count) == (1, 0, 2)
        page = await promotions.rpc.ListRedemptions(
            pb.ListRedemptionsRequest(filter=f'quote_id = "{first.id}"')
        )
        (redemption,) = page.redemptions
        assert (redemption.state, redemption.discount.units) == (pb.Redemption.CONSUMED, 10)

    async def test_a_quote_that_expires_gives_its_share_back(self, running: Stack) -> None:
        shop, promotions = Shop(running), Promotions(running)
        chair, deal = await shop.product("CHAIR", euros(100)), await shop.deal()
        promotion = await promotions.active(limits=pb.Limits(max_redemptions=1))
        quote = await shop.sent(deal.id, line(chair))
        assert (await promotions.usage(promotion)).remaining_count == 0
        running.clock.move(timedelta(days=40))
        assert (await promotions.usage(promotion)).remaining_count == 1
        accept = shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=quote.id))
        assert (await refusal(accept))[0] is Code.FAILED_PRECONDITION


def test_what_a_limit_leaves() -> None:
    usage = Usage(new_id(), reserved_count=2, consumed_count=3, reserved_amount=Decimal(8))
    assert usage.left_of(Bound(6, Decimal(5))) == Bound(1, Decimal(0))
    assert usage.left_of(Bound()) == Bound()


def test_refusals_name_the_promotion() -> None:
    applied = AppliedPromotion(
        promotion_id=new_id(), code="P-1", name="One", discount=Money(Decimal(1), "EUR")
    )
    for refused in (RedemptionLimitReached(applied, "in all"), PromotionGone(applied, "is gone")):
        assert refused.facts["promotion_code"] == "P-1"
        assert "P-1" in str(refused)
