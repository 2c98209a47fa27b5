"""The cases of other engines' test suites in this engine's terms: which setting and selection each assumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from services.quotes.pricing.model import (
    EVERYTHING,
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Combine,
    Component,
    Conditions,
    Document,
    FixedPrice,
    Graduated,
    Line,
    Matching,
    Measure,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Remainder,
    Requirement,
    RoundAt,
    Rounding,
    Settings,
    Step,
    Tier,
    Tiered,
    UnitOrder,
)
from tests.quotes.pricing.making import DAY

# What each case assumes, where it is not the product's own rule. All of them let a line come down to zero.
SETTINGS: dict[str, dict[str, Any]] = {
    "OSC-05": {"grouping": UnitOrder.CHEAPEST},
    "OSC-11": {"rounding": Rounding.DOWN, "round_at": RoundAt.PROMOTION},
    "OSC-12": {"rounding": Rounding.DOWN, "round_at": RoundAt.PROMOTION},
    "OSC-17": {"remainder": Remainder.LAST_LINE},
    "OSC-19": {"grouping": UnitOrder.CHEAPEST},
    "OSC-22": {"record_zero_effect": True},
    "OSC-32": {"grouping": UnitOrder.CHEAPEST},
    "OSC-34": {"grouping": UnitOrder.CHEAPEST},
    "SOL-09": {"grouping": UnitOrder.CART_ORDER},
    "SOL-10": {"grouping": UnitOrder.CART_ORDER},
    "MED-09": {"combine": Combine.COMPOUND},
    "MED-11": {"grouping": UnitOrder.DEAREST},
    "MED-13": {"grouping": UnitOrder.DEAREST},
}

CUSTOMERS_OF = frozenset({"VIP", "top100"})


@dataclass(frozen=True)
class Posed:
    """A case as a document and promotions."""

    document: Document
    promotions: tuple[Promotion, ...]


def posed(
    case: dict[str, Any], quantity: int | None = None, spend: str | None = None, row: Any = None
) -> Posed:
    """The case in this engine's terms; a row of its table fills the cart where it states none."""
    settings = replace(Settings(zero_only_for_gifts=False), **SETTINGS.get(case["id"], {}))
    lines = tuple(_line(entry) for entry in case["cart"]) if case["cart"] else _table_lines(row)
    document = Document(
        currency="EUR",
        exponent=2,
        day=DAY,
        lines=lines,
        segments=frozenset({"VIP"}),
        settings=settings,
    )
    promotions = tuple(_promotion(place, entry, row) for place, entry in enumerate(case["promotions"]))
    return Posed(document, promotions)


def _table_lines(row: dict[str, Any]) -> tuple[Line, ...]:
    if "amount" in row:
        return (Line(key="A", product="A", quantity=Decimal(1), unit_price=Decimal(row["amount"])),)
    if not row.get("qty"):
        return ()
    return (Line(key="A", product="A", quantity=Decimal(row["qty"]), unit_price=Decimal(100)),)


def _line(entry: dict[str, Any]) -> Line:
    sku = entry["sku"]
    families = set()
    if sku.startswith("TSHIRT"):
        families = {"tshirt", "cotton"}
    elif sku.startswith("SWEATER"):
        families = {"sweater", "cotton"}
    return Line(
        key=sku,
        product="P1" if sku.startswith("P1") else sku,
        families=frozenset(families),
        quantity=Decimal(entry["qty"]),
        unit_price=Decimal(entry["unit_price"]),
        discountable=entry.get("discountable", True),
    )


def _promotion(place: int, entry: dict[str, Any], row: dict[str, Any]) -> Promotion:
    asked = entry.get("condition", {})
    requirements = []
    if "min_units_in_cart" in asked:
        requirements.append(Requirement(min_quantity=Decimal(asked["min_units_in_cart"])))
    if "min_cart_value" in asked:
        requirements.append(Requirement(min_spend=Decimal(asked["min_cart_value"])))
    budget = None
    if "campaign_budget" in entry:
        budget = Decimal(entry["campaign_budget"]) - Decimal(entry["campaign_used"])
    return Promotion(
        code=entry.get("name", f"P{place + 1}"),
        priority=int(entry.get("priority", 0)),
        benefit=_benefit(entry, asked, row) if "type" in entry else PercentOff(percent=Decimal(1)),
        conditions=Conditions(
            requirements=tuple(requirements),
            segments=frozenset(asked.get("customer_group_in", ())),
        ),
        truncatable=True,  # those engines cap every discount at what is there
        remaining_budget=budget,
    )


def _benefit(entry: dict[str, Any], asked: dict[str, Any], row: dict[str, Any]) -> Benefit:
    target = _matching(entry.get("applies_to"))
    reach = Reach(
        max_units=entry.get("max_affected_units"),
        max_units_per_line=entry.get("max_units_per_line"),
        step=entry.get("group_size", 1),
    )
    match entry["type"]:
        case "percent_off":
            return PercentOff(percent=Decimal(entry["percent"]), target=target, reach=reach)
        case "fixed_off_cart" if not reach.is_limited:
            return AmountOff(amount=Decimal(entry["amount"]), per=Per.DOCUMENT)
        case "fixed_off_cart" | "fixed_off_each_unit":
            return AmountOff(amount=Decimal(entry["amount"]), reach=reach)
        case "fixed_off_each_line":
            # an amount for a line whose units are limited, or single, is an amount for each of them
            return AmountOff(amount=Decimal(entry["amount"]), target=target, reach=reach)
        case "fixed_price":
            return FixedPrice(price=Decimal(entry["amount"]))
        case "cheapest_unit_free":
            bought = (
                asked.get("min_units_in_cart", 2) - 1
            )  # where a value is asked for: beside any other unit
            return BuyGet(
                buy_quantity=bought,
                get_quantity=1,
                max_repeats=entry.get("max_applications"),
            )
        case "bundle_fixed_price":
            return BundlePrice(
                components=(Component(EVERYTHING, entry["bundle_units"]),),
                price=Decimal(entry["bundle_price"]),
                max_repeats=entry["max_applications"],
            )
        case "tiered_percent":
            tiers = [Tier(Decimal(0), PercentOff(percent=Decimal(entry["base_percent"])))]
            tiers += [Tier(Decimal(n), PercentOff(percent=Decimal(p))) for n, p in entry["tiers"].items()]
            return Tiered(tiers=tuple(tiers), measure=Measure.SPEND)
        case "tiered_fixed":
            tiers = [Tier(Decimal(0), AmountOff(amount=Decimal(entry["base"]), per=Per.DOCUMENT))]
            tiers += [
                Tier(Decimal(n), AmountOff(amount=Decimal(amount), per=Per.DOCUMENT))
                for n, amount in entry["tiers"].items()
            ]
            return Tiered(tiers=tuple(tiers), measure=Measure.SPEND)
        case "first_and_additional":
            return Graduated(
                steps=(Step(1, Decimal(entry["first"])), Step(2, Decimal(entry["additional"]))),
                max_units_per_line=row.get("max_units"),
            )
        case "buy_get":
            return BuyGet(
                buy=_matching(entry["buy"]),
                buy_quantity=entry["buy"]["qty"],
                get=_matching(entry["get"]),
                get_quantity=entry["get"]["qty"],
                percent=Decimal(entry["get"]["percent"]),
                max_repeats=1,  # that engine applies it once
            )
    raise KeyError(entry["type"])


def _matching(entry: dict[str, Any] | None) -> Matching:
    if entry is None:
        return EVERYTHING
    if "product" in entry:
        return Matching(products=frozenset({entry["product"]}))
    return Matching(families=frozenset({entry["category"]}))
