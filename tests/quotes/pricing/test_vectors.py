"""The committed vectors are what the engine says, and the search finds them."""

from __future__ import annotations

import json

from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.model import Document, Promotion, Selection
from services.quotes.pricing.problem import prepare
from services.quotes.pricing.solver import best
from tests.quotes.pricing.codec import decode, encode
from tests.quotes.pricing.vectors import FILE, text
from tests.quotes.pricing.worked import outcome


def test_the_file_is_as_the_script_writes_it() -> None:
    assert FILE.read_text() == text(), "run: python -m tests.quotes.pricing.vectors"


def test_every_vector_comes_out_as_it_says() -> None:
    for vector in json.loads(FILE.read_text())["vectors"]:
        document = decode(Document, vector["document"])
        promotions = decode(tuple[Promotion, ...], vector["promotions"])
        assert encode(document) == vector["document"]
        assert encode(promotions) == vector["promotions"]
        selection = decode(Selection, vector["selection"])
        assert outcome(compute(prepare(document, promotions), selection)) == vector["expected"]
        found = best(document, promotions)
        lowest = vector["expected"]["total"]
        assert found.bound is not None
        assert found.bound <= lowest <= found.totals.total, vector["name"]
        assert found.totals.total == lowest or not found.proven, vector["name"]
