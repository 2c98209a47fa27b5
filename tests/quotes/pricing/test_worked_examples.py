"""docs/promotions.md says nothing that is not so."""

from __future__ import annotations

from typing import Any

import pytest

from services.quotes.pricing.model import Document, Promotion
from services.quotes.pricing.solver import best
from tests.quotes.pricing.codec import decode
from tests.quotes.pricing.worked import examples, explained, outcome, solved


@pytest.mark.parametrize("example", examples(), ids=lambda example: str(example["name"]))
def test_comes_out_as_the_page_says(example: dict[str, Any]) -> None:
    computed = solved(example)
    found = {**outcome(computed), **explained(computed)}
    assert {name: found[name] for name in example["expected"]} == example["expected"]


@pytest.mark.parametrize("example", examples(), ids=lambda example: str(example["name"]))
def test_is_what_the_search_finds(example: dict[str, Any]) -> None:
    document = decode(Document, example["document"])
    result = best(document, decode(tuple[Promotion, ...], example["promotions"]))
    assert result.proven
    assert result.totals.total == example["expected"]["total"]
    assert {one.code: one.discount for one in result.applied} == example["expected"]["applied"]
