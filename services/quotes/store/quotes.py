"""Queries of quotes."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.store import EntityStore
from services.quotes.domain.quotes import Quote, QuoteState
from services.quotes.tables.quotes import QUOTE, quotes


class QuoteStore(EntityStore[Quote]):
    """The quotes."""

    type = QUOTE

    async def primary_of(self, opportunity_id: UUID) -> Quote | None:
        """The opportunity's primary quote, whoever may see it."""
        row = await self.tx.fetchrow(
            sa.select(*self.type.rows.columns).where(
                quotes.c.opportunity_id == opportunity_id, quotes.c.is_primary
            )
        )
        return self._load(row) if row is not None else None

    async def has_accepted_primary(self, opportunity_id: UUID) -> bool:
        """Whether the opportunity's primary quote has been accepted."""
        primary = await self.primary_of(opportunity_id)
        return primary is not None and primary.state is QuoteState.ACCEPTED

    async def latest_primary(self, opportunity_id: UUID) -> datetime | None:
        """When any quote of the opportunity last became the primary one."""
        latest: datetime | None = await self.tx.fetchval(
            sa.select(sa.func.max(quotes.c.primary_at)).where(quotes.c.opportunity_id == opportunity_id)
        )
        return latest
