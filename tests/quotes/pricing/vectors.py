"""Pricing vectors for other implementations: `python -m tests.quotes.pricing.vectors` writes them anew.

The worked examples of docs/promotions.md, then small documents of every kind of benefit, currency and tax,
drawn from a fixed seed; the best selection of each is found by trying all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

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
    FreeShipping,
    Gift,
    Graduated,
    Line,
    ManualDiscount,
    Matching,
    Measure,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Step,
    Tier,
    Tiered,
)
from services.quotes.pricing.pieces import selection_of
from tests.quotes.pricing.codec import decode, encode
from tests.quotes.pricing.making import DAY
from tests.quotes.pricing.oracle import best
from tests.quotes.pricing.worked import DOCS, examples, outcome

FILE = DOCS / "pricing-vectors.json"
_CURRENCIES = {"JPY": 0, "EUR": 2, "KWD": 3}
_NOTE = (
    "Documents, promotions and the best selection of them, as docs/promotions.md says. Amounts that come in are "
    "decimals in the document's currency, results whole minor units. What is left out has its default."
)


def build() -> dict[str, Any]:
    """All vectors."""
    return {"note": _NOTE, "vectors": [_vector(*case) for case in _cases()]}


def text() -> str:
    """The file."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


def _vector(name: str, document: Document, promotions: tuple[Promotion, ...]) -> dict[str, Any]:
    computed = best(document, promotions)
    return {
        "name": name,
        "document": encode(document),
        "promotions": encode(promotions),
        "selection": encode(selection_of(computed.problem, computed.choice)),
        "expected": outcome(computed),
    }


def _cases() -> Iterator[tuple[str, Document, tuple[Promotion, ...]]]:
    for example in examples():
        document = decode(Document, example["document"])
        yield example["name"], document, decode(tuple[Promotion, ...], example["promotions"])
    chance = Random(20260304)
    for currency, exponent in _CURRENCIES.items():
        for inclusive in (False, True):
            document = _document(chance, currency, exponent, inclusive=inclusive)
            for benefit in _benefits(chance, exponent):
                kind = encode(benefit)["kind"]
                per = f" per {benefit.per.value}" if isinstance(benefit, AmountOff | PercentOff) else ""
                tax = "tax included" if inclusive else "before tax"
                second = PercentOff(percent=Decimal(chance.choice(["5", "7.5", "12.5"])))
                yield (
                    f"{kind}{per}, {currency}, {tax}",
                    document,
                    (
                        _promotion("FIRST", benefit, currency, truncatable=chance.random() < 0.5),
                        _promotion("SECOND", second, currency, phase=chance.choice([0, 1])),
                    ),
                )


def _promotion(code: str, benefit: Benefit, currency: str, **more: Any) -> Promotion:
    return Promotion(
        code=code, benefit=benefit, conditions=Conditions(currencies=frozenset({currency})), **more
    )


def _document(chance: Random, currency: str, exponent: int, *, inclusive: bool) -> Document:
    def line(key: str, product: str, units: str, rate: str, **more: Any) -> Line:
        price = Decimal(chance.randint(10**exponent, 40 * 10**exponent)).scaleb(-exponent)
        return Line(
            key=key,
            product=product,
            families=frozenset({"tools" if product == "saw" else "paint"}),
            quantity=Decimal(units),
            unit_price=price,
            tax_rate=Decimal(rate),
            **more,
        )

    return Document(
        currency=currency,
        exponent=exponent,
        day=DAY,
        lines=(
            line("1", "saw", "3" if exponent == 2 else "2", "19"),
            line("2", "brush", "1.5", "7", manual=ManualDiscount(percent=Decimal(3))),
        ),
        charges=(Charge(key="freight", amount=Decimal(5), tax_rate=Decimal(19)),),
        prices_include_tax=inclusive,
    )


def _benefits(chance: Random, exponent: int) -> Iterator[Benefit]:
    amount = Decimal(chance.randint(1, 3 * 10**exponent)).scaleb(-exponent)
    tools = Matching(families=frozenset({"tools"}))
    paint = Matching(families=frozenset({"paint"}))
    yield PercentOff(percent=Decimal("33.3333"), target=tools)
    yield PercentOff(percent=Decimal(15), reach=Reach(max_units=2))
    yield PercentOff(percent=Decimal("2.5"), per=Per.DOCUMENT)
    yield AmountOff(amount=amount)
    yield AmountOff(amount=amount, per=Per.LINE)
    yield AmountOff(amount=amount, per=Per.GROUP, group_size=2)
    yield AmountOff(amount=amount, per=Per.DOCUMENT)
    yield FixedPrice(price=amount + 1, target=paint)
    yield Tiered(
        tiers=(
            Tier(Decimal(2), AmountOff(amount=amount, per=Per.DOCUMENT)),
            Tier(Decimal(5), PercentOff(percent=Decimal(10))),
        ),
        measure=Measure.QUANTITY,
    )
    yield Graduated(steps=(Step(1, amount), Step(2, amount / 2)))
    yield BuyGet(buy_quantity=2, get_quantity=1)
    yield BuyGet(buy=tools, buy_quantity=2, get=paint, get_quantity=1, percent=Decimal(50))
    yield BundlePrice(components=(Component(tools, 1), Component(paint, 1)), price=amount + 2)
    yield Gift(product="apron", unit_value=amount, unit_cost=amount / 2)
    yield FreeShipping()


if __name__ == "__main__":
    FILE.write_text(text())
