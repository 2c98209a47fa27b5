"""How each quote's prices came about, kept beside the quote: too long for an event, and nobody else's
business."""

import dataclasses
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from chassis.call import Call
from services.quotes.domain.explanations import Explanation, Step, Unused
from services.quotes.tables.quotes import explanations


class ExplanationStore:
    """The explanations, one a quote: of its latest prices, which are those that it was sent with."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, quote_id: UUID, version: int, explanation: Explanation) -> None:
        """Replaces what there is."""
        document = {
            "lines": {str(id): [_plain(step) for step in steps] for id, steps in explanation.lines.items()},
            "unused": [dataclasses.asdict(unused) for unused in explanation.unused],
            "next": list(explanation.next),
            "gap": str(explanation.gap),
        }
        text = sa.cast(sa.literal(orjson.dumps(document).decode(), sa.Text), JSONB)
        first = insert(explanations).values(quote_id=quote_id, version=version, explanation=text)
        await self.tx.execute(
            first.on_conflict_do_update(
                index_elements=["tenant_id", "quote_id"],
                set_={"version": first.excluded.version, "explanation": first.excluded.explanation},
            )
        )
        self.tx.wrote = True

    async def of(self, quote_id: UUID) -> tuple[int, Explanation] | None:
        """The explanation, and the version that it explains; None where the quote was never priced here."""
        row = await self.tx.fetchrow(
            sa.select(
                explanations.c.version, sa.cast(explanations.c.explanation, sa.Text).label("document")
            ).where(explanations.c.quote_id == quote_id)
        )
        if row is None:
            return None
        document = orjson.loads(row["document"])
        lines = {UUID(id): tuple(map(_step, steps)) for id, steps in document["lines"].items()}
        unused = tuple(Unused(**item) for item in document["unused"])
        return row["version"], Explanation(lines, unused, tuple(document["next"]), Decimal(document["gap"]))


def _plain(step: Step) -> dict[str, str]:
    return {name: str(value) for name, value in dataclasses.asdict(step).items()}


def _step(item: dict[str, Any]) -> Step:
    return Step(
        item["kind"], item["text"], Decimal(item["amount"]), Decimal(item["after"]), item["promotion_id"]
    )
