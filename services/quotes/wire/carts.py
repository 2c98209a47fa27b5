"""Carts as they are asked about, and their prices with the whole explanation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from sfa.quotes.v1 import pricing_pb2 as pb

from chassis import convert
from chassis.money import Money, minor_unit
from services.quotes.domain.carts import Cart, CartCharge, CartLine
from services.quotes.domain.coupons import CouponOutcome, GivenCoupon
from services.quotes.domain.promotions import Promotion
from services.quotes.pricing import model
from services.quotes.wire.benefits import decimal, text_of

_CHARGE_KINDS: Final = {
    pb.Cart.Charge.KIND_UNSPECIFIED: model.ChargeKind.FREIGHT,
    pb.Cart.Charge.FREIGHT: model.ChargeKind.FREIGHT,
    pb.Cart.Charge.SURCHARGE: model.ChargeKind.SURCHARGE,
}
_STEPS: Final = {kind: pb.Pricing.Step.Kind.Value(kind.name) for kind in model.StepKind}
_OUTCOMES: Final = {each: pb.Pricing.CouponResult.Outcome.Value(each.name) for each in CouponOutcome}
_ID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def cart_of(message: pb.Cart, today: date, rep_id: UUID | None) -> Cart:
    """The cart as it is asked about; the rep is `rep_id` where it is not said."""
    return Cart(
        currency=message.currency,
        day=convert.date_of(message.date, "cart.date") if message.HasField("date") else today,
        lines=tuple(_line(index, line) for index, line in enumerate(message.lines)),
        charges=tuple(
            CartCharge(
                key=charge.key or f"charge-{index + 1}",
                amount=convert.money_of(charge.amount, f"cart.charges[{index}].amount"),
                kind=_CHARGE_KINDS[charge.kind],
                tax_percent=decimal(charge.tax_percent),
            )
            for index, charge in enumerate(message.charges)
        ),
        account_id=convert.uuid_of(message.account_id),
        segments=frozenset(message.segments),
        territories=frozenset(message.territories),
        channel=message.channel,
        rep_id=convert.uuid_of(message.rep_id) or rep_id,
        price_book_id=convert.uuid_of(message.price_book_id),
        coupon_codes=tuple(message.coupon_codes),
        prices_include_tax=message.prices_include_tax,
        discount_percent=decimal(message.discount_percent),
    )


def _line(index: int, line: pb.Cart.Line) -> CartLine:
    def money(name: Literal["unit_price", "unit_cost", "price_floor"]) -> Money | None:
        field = f"cart.lines[{index}].{name}"
        return convert.money_of(getattr(line, name), field) if line.HasField(name) else None

    return CartLine(
        key=line.key or str(index + 1),
        product_id=UUID(line.product_id),
        quantity=Decimal(line.quantity),
        unit_price=money("unit_price"),
        unit_cost=money("unit_cost"),
        price_floor=money("price_floor"),
        tax_percent=decimal(line.tax_percent),
        discount_percent=decimal(line.discount_percent),
        is_discountable=not line.is_not_discountable,
    )


class PricingWriter:
    """Writes the price of one cart: minor units as money, products by their names in every sentence."""

    def __init__(
        self,
        currency: str,
        by_code: Mapping[str, Promotion],
        names: Mapping[UUID, str],
        *,
        shows_margin: bool,
    ) -> None:
        self._currency = currency
        self._unit = minor_unit(currency)
        self._by_code = by_code
        self._names = {str(id): name for id, name in names.items()}
        self._shows_margin = shows_margin

    def pricing(self, result: model.Result, coupons: Iterable[GivenCoupon]) -> pb.Pricing:
        """The whole answer."""
        answer = pb.Pricing(
            notes=[self._named(note) for note in result.notes],
            is_proven=result.proven,
            needs_approval=result.needs_approval,
            solve_ms=result.solve_ms,
        )
        self._set(answer.gap, result.gap or 0)
        for line in result.lines:
            self._line(answer.lines.add(), line)
        for charge in result.charges:
            item = answer.charges.add(key=charge.key)
            self._set(item.quoted_amount, charge.quoted)
            self._set(item.promotion_amount, charge.promotions)
            self._amounts(item, charge)
        self._totals(answer.totals, result.totals)
        given = {each.promotion_id: each.code for each in coupons if each.outcome is CouponOutcome.ACCEPTED}
        for applied in result.applied:
            self._used(answer.used.add(), applied, given)
        for unused in result.unused:
            self._unused(answer.unused.add(), unused)
        for threshold in result.thresholds:
            self._threshold(answer.thresholds.add(), threshold)
        for coupon in coupons:
            answer.coupons.add(
                code=coupon.code,
                outcome=_OUTCOMES[coupon.outcome],
                promotion_id=str(coupon.promotion_id or ""),
            )
        return answer

    def _set(self, target: Any, minor: int) -> None:
        convert.set_money(target, Money(minor * self._unit, self._currency))

    def _amounts(self, item: Any, priced: model.PricedLine | model.PricedCharge) -> None:
        self._set(item.net_amount, priced.net)
        self._set(item.tax_amount, priced.tax)
        self._set(item.gross_amount, priced.gross)

    def _line(self, item: pb.Pricing.Line, line: model.PricedLine) -> None:
        item.key, item.product_id = line.key, line.product
        item.quantity = convert.decimal_text(line.quantity)
        item.is_gift, item.needs_approval = line.is_gift, line.needs_approval
        self._set(item.quoted_amount, line.quoted)
        self._set(item.promotion_amount, line.promotions)
        self._set(item.manual_amount, line.manual)
        self._set(item.amount, line.amount)
        self._amounts(item, line)
        if line.is_gift:
            self._set(item.gift_value, line.gift_value)
        for step in line.steps:
            promotion = self._by_code.get(step.code)
            said = item.steps.add(
                kind=_STEPS[step.kind],
                promotion_id=str(promotion.id) if promotion else "",
                promotion_code=step.code,
                phase=step.phase,
                units=step.units,
                is_truncated=step.truncated,
            )
            self._set(said.change, step.change)
            self._set(said.amount, step.amount)

    def _totals(self, item: pb.Pricing.Totals, totals: model.Totals) -> None:
        self._set(item.quoted_amount, totals.quoted)
        self._set(item.promotion_amount, totals.promotions)
        self._set(item.manual_amount, totals.manual)
        self._set(item.net_amount, totals.net)
        self._set(item.tax_amount, totals.tax)
        self._set(item.total, totals.total)
        self._set(item.charge_amount, totals.charges)
        self._set(item.gift_value, totals.gift_value)
        self._set(item.funding_amount, totals.funding)
        if totals.margin is not None and self._shows_margin:
            self._set(item.margin, totals.margin)

    def _used(self, item: pb.Pricing.Used, applied: model.Applied, given: Mapping[UUID | None, str]) -> None:
        promotion = self._by_code[applied.code]
        item.promotion_id, item.code, item.name = str(promotion.id), promotion.code, promotion.name
        item.repeats, item.is_truncated = applied.repeats, applied.truncated
        item.coupon_code = given.get(promotion.id, "")
        self._set(item.discount, applied.discount)
        self._set(item.gift_value, applied.gift_value)
        self._set(item.funding_amount, applied.funding)
        for key in sorted({*applied.by_line, *applied.units, *applied.bought}):
            part = item.parts.add(
                key=key, units=applied.units.get(key, 0), bought_units=applied.bought.get(key, 0)
            )
            self._set(part.discount, applied.by_line.get(key, 0))

    def _unused(self, item: pb.Pricing.Unused, unused: model.Unused) -> None:
        promotion = self._by_code[unused.code]
        item.promotion_id, item.code, item.name = str(promotion.id), promotion.code, promotion.name
        for reason in unused.reasons:
            self._reason(item.reasons.add(), reason)

    def _reason(self, item: pb.Pricing.Reason, reason: model.Reason) -> None:
        item.kind, item.message, item.line = reason.kind.value, self._named(reason.message), reason.line
        item.missing = text_of(reason.missing) if reason.missing is not None else ""
        item.wanted.extend(sorted(filter(None, reason.wanted)))
        item.against.extend(reason.against)
        if reason.difference is not None:
            self._set(item.difference, reason.difference)

    def _threshold(self, item: pb.Pricing.Threshold, threshold: model.Threshold) -> None:
        promotion = self._by_code[threshold.code]
        item.promotion_id, item.code, item.name = str(promotion.id), promotion.code, promotion.name
        item.message = self._named(threshold.message)
        item.missing_quantity = text_of(threshold.missing_quantity)
        item.missing_spend = text_of(threshold.missing_spend)
        item.product_ids.extend(sorted(threshold.matching.products))
        item.families.extend(sorted(threshold.matching.families))
        if threshold.gain:
            self._set(item.gain, threshold.gain)

    def _named(self, sentence: str) -> str:
        return _ID.sub(lambda found: self._names.get(found[0], found[0]), sentence)
