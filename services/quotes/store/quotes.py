"""Queries of quotes."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.message import Message

from chassis import history, sight
from chassis.schema import changes
from chassis.store import EntityNotFound, EntityStore
from services.quotes.domain.quotes import Quote, QuoteState
from services.quotes.tables.quotes import QUOTE, quotes


class QuoteStore(EntityStore[Quote]):
    """The quotes."""

    type = QUOTE

    async def steady(self, id: UUID | str) -> Quote:
        """The quote, which nobody changes until the call ends: what is promised to it is promised to the
        quote that was read.

        Raises:
            EntityNotFound: there is none that the caller may see, or it is deleted.
        """
        wanted = sa.bindparam("wanted", None, sa.Uuid)
        statement = self._prepared(
            "steady",
            lambda: self.select().where(quotes.c.id == wanted).with_for_update(read=True, of=quotes),
        )
        row = await self.tx.fetchrow(statement, {**sight.parameters(self.call), "wanted": UUID(str(id))})
        quote = self._load(row) if row is not None else None
        if quote is None or quote.deleted_at is not None:
            raise EntityNotFound(self.type.name, id)
        return quote

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

    async def at_version(self, id: UUID, etag: str, field: str = "etag") -> Message:
        """The resource as a version left it; the caller was seen to see the quote.

        Raises:
            EntityNotFound: there is no such version.
        """
        number = etag.removeprefix("W/").strip('"')
        row = None
        if number.isascii() and number.isdigit() and len(number) <= 18:
            row = await self.tx.fetchrow(
                sa.select(changes.c.event_type, changes.c.event).where(
                    changes.c.entity == self.type.name,
                    changes.c.entity_id == id,
                    changes.c.version == int(number),
                )
            )
        if row is None:
            raise EntityNotFound("version", etag, field)
        return history.resource_of(history.decoded(row["event_type"], row["event"]))
