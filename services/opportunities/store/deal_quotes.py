"""Which quotes of a deal are open, as the quotes service says."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from services.opportunities.tables import deal_quotes

_NAMES = ("id", "version", "opportunity_id", "is_open")
_INSERT = insert(deal_quotes)
_KEEP = _INSERT.values({name: sa.bindparam(f"p_{name}") for name in _NAMES}).on_conflict_do_update(
    index_elements=["tenant_id", "id"],
    set_={name: _INSERT.excluded[name] for name in _NAMES if name != "id"},
    where=deal_quotes.c.version < _INSERT.excluded.version,
)


class DealQuoteStore:
    """The quotes of deals."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes up whether quotes are open, the highest version of each."""
        newest = {row["id"]: row for row in sorted(rows, key=lambda row: row["version"])}
        await self.tx.executemany(
            _KEEP, [{f"p_{name}": row[name] for name in _NAMES} for row in newest.values()]
        )

    async def open_besides(self, opportunity_id: UUID, quote_id: UUID) -> list[UUID]:
        """The open quotes of a deal except one, oldest first."""
        quotes = deal_quotes.c
        rows = await self.tx.fetch(
            sa.select(quotes.id)
            .where(quotes.opportunity_id == opportunity_id, quotes.is_open, quotes.id != quote_id)
            .order_by(quotes.id)
        )
        return [row[0] for row in rows]
