"""The realistic mix that pricing is measured on: a wholesaler's quotes and the promotions live at one time.

Stated here in numbers, so that a figure means something: a catalogue of 2,000 products in 40 families of 8
divisions, prices from 2 to 2,000 spread evenly by logarithm, costs 50 to 70 % of the price, a margin floor
of 5 % on every line, quantities 1 to 10 (60 %), 11 to 50 (30 %) and 51 to 200 (10 %), two tax rates on top
of net prices, tax rounded once per rate, freight on every quote. Of the promotions 72 % are for single
products, 20 % for families, 8 % for the whole quote; a quarter are for some customers only, a tenth need a
coupon, a quarter exclude others of their group, one in fifty excludes all others, 6 % go with named ones
only, and 15 % of those for products compound on the rest in a second phase. Those that reach far
are marked truncatable, as sellers with floors do.
"""

from __future__ import annotations

import math
import random
from datetime import date
from decimal import Decimal

from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Charge,
    Component,
    Conditions,
    Document,
    FixedPrice,
    Free,
    FreeShipping,
    Gift,
    Line,
    Matching,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Requirement,
    Settings,
    Stacking,
    TaxRounding,
    Tier,
    Tiered,
)

PRODUCTS = 2000
FAMILIES = 40
DIVISIONS = 8
GROUPS = ("spring", "clearance", "partner", "volume", "launch", "loyalty")
DAY = date(2026, 6, 15)


def _cents(value: float) -> Decimal:
    return Decimal(round(value * 100)).scaleb(-2)


def _family(product: int) -> str:
    return f"family-{product % FAMILIES:02}"


def _price(product: int) -> Decimal:
    draw = random.Random(product)
    return _cents(math.exp(draw.uniform(math.log(2), math.log(2000))))


def a_document(seed: int, lines: int, settings: Settings | None = None) -> Document:
    """A quote of so many lines, each a product of its own."""
    draw = random.Random(f"document {seed}")
    made = []
    for number, product in enumerate(draw.sample(range(PRODUCTS), lines)):
        price = _price(product)
        size = draw.random()
        top = (1, 10) if size < 0.6 else (11, 50) if size < 0.9 else (51, 200)
        made.append(
            Line(
                key=f"line-{number:04}",
                product=f"product-{product:04}",
                families=frozenset({_family(product), f"division-{product % DIVISIONS}"}),
                quantity=Decimal(draw.randint(*top)),
                unit_price=price,
                cost=_cents(float(price) * draw.uniform(0.50, 0.70)),
                margin_floor=Decimal(5),
                tax_rate=Decimal(7) if product % 10 == 0 else Decimal(19),
            )
        )
    return Document(
        currency="EUR",
        exponent=2,
        day=DAY,
        lines=tuple(made),
        charges=(Charge(key="freight", amount=Decimal("49.00"), tax_rate=Decimal(19)),),
        customer="customer-1",
        segments=frozenset({"retail", "north"}),
        territories=frozenset({"europe"}),
        channel="field",
        coupons=frozenset({"WELCOME", "FAIR26"}),
        settings=settings or Settings(tax_rounding=TaxRounding.DOCUMENT),
    )


def the_promotions(seed: int, count: int, among: Document) -> tuple[Promotion, ...]:
    """So many live promotions; half of those for products are for some that the quote has, two a line at most."""
    draw = random.Random(f"promotions {seed}")
    quoted = [int(line.product[-4:]) for line in among.lines]
    share = min(0.5, 2 * len(quoted) / count)
    return tuple(_promotion(draw, number, quoted, share) for number in range(count))


def _promotion(draw: random.Random, number: int, quoted: list[int], share: float) -> Promotion:
    def product() -> int:
        return draw.choice(quoted) if draw.random() < share else draw.randrange(PRODUCTS)

    def products(most: int) -> Matching:
        return Matching(products=frozenset(f"product-{product():04}" for _ in range(draw.randint(1, most))))

    def family() -> Matching:
        return Matching(families=frozenset({_family(product())}))

    def one() -> Matching:
        return Matching(products=frozenset({f"product-{product():04}"}))

    percent = Decimal(draw.choice([2, 3, 5, 5, 8, 10, 10, 12, 15]))
    conditions: dict[str, object] = {}
    truncatable, wide = False, False
    kind = draw.random()
    made: Benefit
    if kind < 0.30:
        made = PercentOff(percent=percent, target=products(5))
    elif kind < 0.38:
        target = one()
        price = _price(int(next(iter(target.products))[-4:]))
        made = AmountOff(amount=_cents(float(price) * draw.uniform(0.02, 0.12)), target=target)
    elif kind < 0.43:
        target = one()
        price = _price(int(next(iter(target.products))[-4:]))
        made = FixedPrice(price=_cents(float(price) * draw.uniform(0.82, 0.97)), target=target)
    elif kind < 0.53:
        target = products(3)
        made = PercentOff(percent=percent, target=target)
        conditions["requirements"] = (
            Requirement(matching=target, min_quantity=Decimal(draw.choice([5, 10, 20, 50]))),
        )
    elif kind < 0.61:
        same = one() if draw.random() < 0.8 else products(3)
        made = BuyGet(
            buy=same,
            buy_quantity=draw.choice([4, 5, 9, 10]),
            get=same,
            get_quantity=1,
            percent=Decimal(draw.choice([50, 100])),
            free=Free.CHEAPEST,
            max_repeats=draw.choice([1, 2, 5, 10]),
        )
    elif kind < 0.66:
        parts = tuple(Component(one(), draw.choice([1, 1, 2])) for _ in range(draw.choice([2, 2, 3])))
        worth = sum(
            (_price(int(next(iter(part.matching.products))[-4:])) * part.quantity for part in parts),
            Decimal(0),
        )
        made = BundlePrice(components=parts, price=_cents(float(worth) * draw.uniform(0.85, 0.95)))
    elif kind < 0.72:
        made = PercentOff(
            percent=percent, target=products(3), reach=Reach(max_units=draw.choice([5, 10, 20]))
        )
    elif kind < 0.84:
        made, truncatable = PercentOff(percent=min(percent, Decimal(8)), target=family()), True
    elif kind < 0.92:
        target, truncatable = family(), True
        made = Tiered(
            matching=target,
            tiers=tuple(
                Tier(Decimal(least), PercentOff(percent=Decimal(off), target=target))
                for least, off in ((500, 2), (2000, 4), (10000, 6))
            ),
        )
    else:
        wide = True
        beside: list[Benefit] = [
            AmountOff(amount=Decimal(draw.choice([25, 50, 100])), per=Per.DOCUMENT),
            PercentOff(percent=Decimal(draw.choice([1, 2, 3])), per=Per.DOCUMENT),
            Gift(product="sample box", unit_value=Decimal("19.90"), unit_cost=Decimal("7.50")),
            FreeShipping(),
        ]
        made = draw.choice(beside)
        truncatable = not isinstance(made, Gift)
        conditions["requirements"] = (Requirement(min_spend=Decimal(draw.choice([500, 1000, 5000, 20000]))),)
    who = draw.random()
    if who < 0.25:
        conditions["segments"] = frozenset({draw.choice(["retail", "north", "public", "key account"])})
    elif who < 0.35:
        conditions["coupons"] = frozenset({draw.choice(["WELCOME", "FAIR26", "VIP", "COMEBACK"])})
    elif who < 0.45:
        conditions["territories"] = frozenset({draw.choice(["europe", "america"])})
    stacked = draw.random()
    stacking, group, partners = Stacking.ANY, "", frozenset[str]()
    if stacked < 0.25 or wide:
        stacking = Stacking.EXCLUSIVE_IN_GROUP
        group = "whole quote" if wide else draw.choice(GROUPS)
    elif stacked < 0.27:
        stacking = Stacking.EXCLUSIVE
    elif stacked < 0.33:
        stacking = Stacking.ONLY_WITH
        partners = frozenset(f"P{draw.randrange(max(10, number)):04}" for _ in range(8))
    return Promotion(
        code=f"P{number:04}",
        benefit=made,
        priority=draw.randrange(5),
        phase=1 if not truncatable and draw.random() < 0.15 else 0,
        conditions=Conditions(**conditions),  # type: ignore[arg-type]  # each by its own name
        stacking=stacking,
        stacking_group=group,
        combinable_with=partners,
        truncatable=truncatable or draw.random() < 0.1,
        max_discount=Decimal(draw.choice([200, 500, 2000])) if truncatable and draw.random() < 0.2 else None,
        funding_percent=Decimal(draw.choice([0, 0, 50, 100])),
        supplier="supplier",
    )
