"""Documents and promotions written briefly, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from services.quotes.pricing.model import (
    Benefit,
    Conditions,
    Document,
    Line,
    Matching,
    Promotion,
    Segment,
    Selection,
)

DAY = date(2026, 3, 4)  # a Wednesday


def line(key: str, price: str | int, quantity: str | int = 1, **more: Any) -> Line:
    """A line of a product of its own name."""
    more.setdefault("product", key)
    for name in ("cost", "price_floor", "margin_floor", "tax_rate", "list_price"):
        if more.get(name) is not None:
            more[name] = Decimal(more[name])
    if "families" in more:
        more["families"] = frozenset(more["families"])
    return Line(key=key, quantity=Decimal(quantity), unit_price=Decimal(price), **more)


def document(*lines: Line, exponent: int = 2, **more: Any) -> Document:
    """A document of the lines, in euros."""
    more.setdefault("currency", {0: "JPY", 2: "EUR", 3: "KWD"}.get(exponent, "CLF"))
    return Document(exponent=exponent, day=DAY, lines=lines, **more)


def promotion(code: str, benefit: Benefit, **more: Any) -> Promotion:
    """A promotion without conditions."""
    return Promotion(code=code, benefit=benefit, **more)


def product(*names: str) -> Matching:
    """Lines of these products."""
    return Matching(products=frozenset(names))


def family(*names: str) -> Matching:
    """Lines of these families."""
    return Matching(families=frozenset(names))


def on(key: str, units: int, *codes: str, bought_for: str = "") -> Segment:
    """So many units of a line with these promotions."""
    return Segment(key, units, tuple(sorted(codes)), bought_for)


def select(*segments: Segment, document: Iterable[str] = ()) -> Selection:
    """A selection of segments and promotions on the document."""
    return Selection(segments, tuple(sorted(document)))


EUROS = Conditions(currencies=frozenset({"EUR"}))
