"""Hard cases as JSON: adversarial conflicts kept for regressions, each written once by the program below.

A case states what it is made of: lines as [product, price, quantity, cost or null, margin floor or null],
promotions with a benefit by kind. `python -m benchmarks.hard_cases` writes the set again.
"""

from __future__ import annotations

import json
import random
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Component,
    Document,
    Line,
    Matching,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Settings,
    Stacking,
)

Case = dict[str, Any]


def read(case: Case) -> tuple[Document, tuple[Promotion, ...]]:
    """The document and the promotions of a case."""
    lines = tuple(
        Line(
            key=f"line-{place:03}",
            product=product,
            unit_price=Decimal(price),
            quantity=Decimal(quantity),
            cost=None if cost is None else Decimal(cost),
            margin_floor=None if floor is None else Decimal(floor),
        )
        for place, (product, price, quantity, cost, floor) in enumerate(case["lines"])
    )
    document = Document(currency="EUR", exponent=2, day=date(2026, 6, 15), lines=lines, settings=Settings())
    return document, tuple(_promotion(stated) for stated in case["promotions"])


def _promotion(stated: dict[str, Any]) -> Promotion:
    group = stated.get("group", "")
    partners = frozenset(stated.get("only_with", ()))
    stacking = Stacking.EXCLUSIVE_IN_GROUP if group else Stacking.ONLY_WITH if partners else Stacking.ANY
    return Promotion(
        code=stated["code"],
        benefit=_benefit(stated["benefit"]),
        phase=stated.get("phase", 0),
        stacking=stacking,
        stacking_group=group,
        combinable_with=partners,
        max_discount=Decimal(stated["cap"]) if "cap" in stated else None,
        truncatable=stated.get("truncatable", False),
    )


def _benefit(stated: dict[str, Any]) -> Benefit:
    target = Matching(products=frozenset(stated.get("products", ())))
    match stated["kind"]:
        case "percent":
            reach = Reach(max_units=stated.get("max_units"))
            return PercentOff(percent=Decimal(stated["percent"]), target=target, reach=reach)
        case "amount":
            return AmountOff(amount=Decimal(stated["amount"]), target=target)
        case "document":
            return AmountOff(amount=Decimal(stated["amount"]), per=Per.DOCUMENT)
        case "buy_get":
            return BuyGet(
                buy=target,
                buy_quantity=stated["buy"],
                get=target,
                get_quantity=stated["get"],
                percent=Decimal(stated.get("percent", "100")),
                max_repeats=stated.get("repeats"),
            )
        case "bundle":
            parts = tuple(Component(Matching(products=frozenset({name})), 1) for name in stated["products"])
            return BundlePrice(
                components=parts, price=Decimal(stated["price"]), max_repeats=stated.get("repeats")
            )
    raise ValueError(stated["kind"])


# --- how they were made --------------------------------------------------------------------------


def _cases() -> dict[str, Case]:
    return {
        "meal_deal_against_two_for_one": {
            "why": "taking the larger saving first loses: 2 now, 3 by the smaller one twice",
            "lines": [
                ["cola", "2.00", 2, None, None],
                ["sandwich", "3.00", 2, None, None],
                ["bar", "1.00", 2, None, None],
            ],
            "promotions": [
                {"code": "BOGO", "benefit": {"kind": "buy_get", "products": ["cola"], "buy": 1, "get": 1}},
                {
                    "code": "MEAL",
                    "benefit": {"kind": "bundle", "products": ["cola", "sandwich", "bar"], "price": "4.50"},
                },
            ],
            "total": 900,
        },
        "pairs_in_a_ring": _ring(7),
        "pairs_in_a_long_ring": _ring(25),
        "rivals_in_a_grid_small": _grid(4, 4, 1),
        "rivals_in_a_grid": _grid(8, 10, 2),
        "named_partners": _partners(24, 3),
        "one_pool_many_takers": _pool(6, 4),
        "nearly_equal_rivals": _nearly(30, 5),
        "floors_everywhere": _floors(12, 6),
        "overlapping_deals": _deals(5, 7),
    }


def _ring(size: int) -> Case:
    names = [f"p{place}" for place in range(size)]
    return {
        "why": "each product is in two bundles and there is one of each: an odd ring leaves one out",
        "lines": [[name, f"{10 + place % 3}.00", 1, None, None] for place, name in enumerate(names)],
        "promotions": [
            {
                "code": f"PAIR{place:02}",
                "benefit": {
                    "kind": "bundle",
                    "products": [names[place], names[(place + 1) % size]],
                    "price": f"{15 + place % 2}.50",
                },
            }
            for place in range(size)
        ],
    }


def _grid(groups: int, each: int, seed: int) -> Case:
    draw = random.Random(seed)
    names = [f"p{place}" for place in range(groups * 2)]
    return {
        "why": "one of each group, and groups meet on the same lines in two phases",
        "lines": [
            [name, f"{draw.randint(5, 90)}.{draw.randint(10, 99)}", draw.randint(1, 9), None, None]
            for name in names
        ],
        "promotions": [
            {
                "code": f"G{group}M{member}",
                "group": f"group {group}",
                "phase": draw.randint(0, 1),
                "benefit": {
                    "kind": "percent",
                    "percent": str(draw.randint(3, 20)),
                    "products": draw.sample(names, 3),
                },
            }
            for group in range(groups)
            for member in range(each)
        ],
    }


def _partners(many: int, seed: int) -> Case:
    draw = random.Random(seed)
    names = [f"p{place}" for place in range(12)]
    codes = [f"W{place:02}" for place in range(many)]
    pairs = {code: set(draw.sample(codes, 9)) for code in codes}
    for code, partners in list(pairs.items()):
        for other in partners:
            pairs[other].add(code)
    return {
        "why": "the best clique of promotions that all name each other",
        "lines": [[name, f"{draw.randint(5, 90)}.00", draw.randint(1, 9), None, None] for name in names],
        "promotions": [
            {
                "code": code,
                "only_with": sorted(pairs[code] - {code}),
                "benefit": {
                    "kind": "percent",
                    "percent": str(draw.randint(3, 12)),
                    "products": draw.sample(names, 4),
                },
            }
            for code in codes
        ],
    }


def _pool(takers: int, seed: int) -> Case:
    draw = random.Random(seed)
    names = ["a", "b", "c"]
    return {
        "why": "promotions of limited reach want the same few units",
        "lines": [[name, f"{draw.randint(10, 40)}.{draw.randint(10, 99)}", 6, None, None] for name in names],
        "promotions": [
            {
                "code": f"T{place}",
                "benefit": {
                    "kind": "percent",
                    "percent": str(5 + 3 * place),
                    "products": draw.sample(names, 2),
                    "max_units": 4,
                },
            }
            for place in range(takers)
        ],
    }


def _nearly(many: int, seed: int) -> Case:
    draw = random.Random(seed)
    names = [f"p{place}" for place in range(10)]
    return {
        "why": "rivals that save nearly the same, so that bounds tell little",
        "lines": [[name, "19.99", 7, None, None] for name in names],
        "promotions": [
            {
                "code": f"N{place:02}",
                "group": f"group {place % 6}",
                "phase": place % 3,
                "benefit": {
                    "kind": "percent",
                    "percent": f"{5 + place % 2}.{draw.randint(0, 9)}",
                    "products": draw.sample(names, 4),
                },
            }
            for place in range(many)
        ],
    }


def _floors(lines: int, seed: int) -> Case:
    draw = random.Random(seed)
    names = [f"p{place}" for place in range(lines)]
    return {
        "why": "every line can bear some promotions and not all: units must be left out",
        "lines": [[name, f"{draw.randint(20, 60)}.00", draw.randint(2, 6), "14.00", "20"] for name in names],
        "promotions": [
            {
                "code": f"F{place}",
                "benefit": {
                    "kind": "percent",
                    "percent": str(draw.randint(6, 25)),
                    "products": draw.sample(names, 6),
                },
            }
            for place in range(6)
        ],
    }


def _deals(many: int, seed: int) -> Case:
    draw = random.Random(seed)
    names = ["a", "b", "c", "d"]
    return {
        "why": "buy some, get some on overlapping sets: every unit can be bought for one deal or given by another",
        "lines": [[name, f"{draw.randint(5, 40)}.50", 8, None, None] for name in names],
        "promotions": [
            {
                "code": f"D{place}",
                "benefit": {
                    "kind": "buy_get",
                    "products": draw.sample(names, 2),
                    "buy": draw.randint(1, 3),
                    "get": 1,
                    "percent": draw.choice(["50", "100"]),
                },
            }
            for place in range(many)
        ],
    }


def write(folder: Path) -> None:
    """Write the set, each case with its solving time and what was found, as last measured."""
    from services.quotes.pricing.solver import best

    for name, case in _cases().items():
        document, promotions = read(case)
        result = best(document, promotions, 10_000, detail=False)
        case["total"] = result.totals.total
        case["proven"] = result.proven
        case["gap"] = result.gap
        case["solve_ms"] = round(result.solve_ms, 1)
        (folder / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    write(Path(__file__).parent / "promotions_hard")
