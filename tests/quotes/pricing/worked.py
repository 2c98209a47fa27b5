"""Worked examples in JSON, and what the engine says to them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.explanation import explain
from services.quotes.pricing.model import Document, Promotion
from services.quotes.pricing.report import report
from tests.quotes.pricing.codec import decode
from tests.quotes.pricing.oracle import best

DOCS = Path(__file__).resolve().parents[3] / "docs"


def examples() -> list[dict[str, Any]]:
    """The JSON blocks of docs/promotions.md."""
    text = (DOCS / "promotions.md").read_text()
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def solved(example: dict[str, Any]) -> Computed:
    """The best selection of an example, by trying all."""
    return best(decode(Document, example["document"]), decode(tuple[Promotion, ...], example["promotions"]))


def outcome(computed: Computed) -> dict[str, Any]:
    """What an implementation must agree on."""
    result = report(computed)
    return {
        "total": result.totals.total,
        "tax": result.totals.tax,
        "nets": [line.net for line in result.lines if not line.is_gift],
        "taxes": [line.tax for line in result.lines if not line.is_gift],
        "applied": {one.code: one.discount for one in result.applied},
        "gifts": {line.key.removeprefix("gift:"): line.gift_value for line in result.lines if line.is_gift},
        "needs_approval": result.needs_approval,
    }


def explained(computed: Computed) -> dict[str, Any]:
    """What the documentation shows of an explanation."""
    result = explain(computed, detail=True)
    return {
        "unused": {one.code: " ".join(reason.message for reason in one.reasons) for one in result.unused},
        "thresholds": {one.code: one.message for one in result.thresholds},
        "notes": list(result.notes),
    }
