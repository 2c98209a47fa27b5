"""The queries about what quotes do to deals."""

from uuid import uuid5

from chassis.store import EntityStore
from services.opportunities.domain import (
    QuoteSettings,
)
from services.opportunities.tables import QUOTE_SETTINGS


class QuoteSettingsStore(EntityStore[QuoteSettings]):
    """The tenant's one resource of settings."""

    type = QUOTE_SETTINGS

    async def current(self, etag: str = "") -> QuoteSettings:
        """The settings that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id = uuid5(self.call.caller.tenant, "quote settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or QuoteSettings(id=id)
