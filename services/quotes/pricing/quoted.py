"""The document as quoted: what conditions are tested on, and nothing that promotions take off changes it."""

from __future__ import annotations

from decimal import Decimal

from services.quotes.pricing.model import Document, Matching
from services.quotes.pricing.rounding import EXACT, half_up, scaled


class Quoted:
    """Lines by product and family, and what they come to, looked up once per question."""

    __slots__ = (
        "_by_family",
        "_by_product",
        "_everything",
        "_lines",
        "_quantity",
        "_spend",
        "_units",
        "amounts",
        "document",
        "whole",
    )

    def __init__(self, document: Document) -> None:
        self.document = document
        self.amounts = [_amount(line.unit_price, line.quantity, document.exponent) for line in document.lines]
        self.whole = [int(line.quantity) for line in document.lines]
        self._everything = tuple(range(len(document.lines)))
        self._by_product: dict[str, list[int]] = {}
        self._by_family: dict[str, list[int]] = {}
        for index, line in enumerate(document.lines):
            self._by_product.setdefault(line.product, []).append(index)
            if line.parent and line.parent != line.product:
                self._by_product.setdefault(line.parent, []).append(index)
            for family in line.families:
                self._by_family.setdefault(family, []).append(index)
        self._lines: dict[Matching, tuple[int, ...]] = {}
        self._spend: dict[Matching, int] = {}
        self._units: dict[tuple[Matching, bool], int] = {}
        self._quantity: dict[Matching, Decimal] = {}

    def lines(self, matching: Matching) -> tuple[int, ...]:
        """Which lines match, in the document's order."""
        found = self._lines.get(matching)
        if found is None:
            found = self._lines[matching] = self._find(matching)
        return found

    def _find(self, matching: Matching) -> tuple[int, ...]:
        if matching.products or matching.families:
            chosen: set[int] = set()
            for product in matching.products:
                chosen.update(self._by_product.get(product, ()))
            for family in matching.families:
                chosen.update(self._by_family.get(family, ()))
        elif not matching.excluded_products and not matching.excluded_families:
            return self._everything
        else:
            chosen = set(self._everything)
        for product in matching.excluded_products:
            chosen.difference_update(self._by_product.get(product, ()))
        for family in matching.excluded_families:
            chosen.difference_update(self._by_family.get(family, ()))
        return tuple(sorted(chosen))

    def spend(self, matching: Matching) -> int:
        """What the matching lines come to, in minor units, each rounded."""
        found = self._spend.get(matching)
        if found is None:
            found = self._spend[matching] = sum(self.amounts[index] for index in self.lines(matching))
        return found

    def quantity(self, matching: Matching) -> Decimal:
        """How much of them there is, fractions included."""
        found = self._quantity.get(matching)
        if found is None:
            lines = self.document.lines
            found = Decimal(0)
            for index in self.lines(matching):
                found = EXACT.add(found, lines[index].quantity)
            self._quantity[matching] = found
        return found

    def units(self, matching: Matching, *, discountable: bool = False) -> int:
        """How many whole units of them there are, or only those on lines that may be discounted."""
        key = (matching, discountable)
        found = self._units.get(key)
        if found is None:
            lines = self.document.lines
            found = self._units[key] = sum(
                [self.whole[i] for i in self.lines(matching) if not discountable or lines[i].discountable]
            )
        return found


def _amount(price: Decimal, quantity: Decimal, exponent: int) -> int:
    exact = EXACT.multiply(price, quantity)
    places = max(0, -int(exact.as_tuple().exponent) - exponent)
    return half_up(scaled(exact, exponent + places), 10**places)
