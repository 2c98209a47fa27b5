"""Queries of tax."""

from datetime import date
from uuid import UUID, uuid5

from chassis.store import EntityStore
from services.quotes.domain.taxes import TaxExemption, TaxRate, TaxSettings
from services.quotes.tables.taxes import TAX_EXEMPTION, TAX_RATE, TAX_SETTINGS, tax_exemptions, tax_rates


class TaxRateStore(EntityStore[TaxRate]):
    """The rates."""

    type = TAX_RATE

    async def of_region(self, region: str, day: date) -> list[TaxRate]:
        """Those of a region that could hold on a day."""
        rate = tax_rates.c
        rows = await self.tx.fetch(
            self.select().where(
                rate.region == region,
                rate.deleted_at.is_(None),
                (rate.valid_from.is_(None)) | (rate.valid_from <= day),
                (rate.valid_to.is_(None)) | (rate.valid_to >= day),
            )
        )
        return [self._load(row) for row in rows]


class TaxExemptionStore(EntityStore[TaxExemption]):
    """The exemptions."""

    type = TAX_EXEMPTION

    async def of_account(self, account_id: UUID) -> list[TaxExemption]:
        """All of a customer's."""
        rows = await self.tx.fetch(
            self.select().where(
                tax_exemptions.c.account_id == account_id, tax_exemptions.c.deleted_at.is_(None)
            )
        )
        return [self._load(row) for row in rows]


class TaxSettingsStore(EntityStore[TaxSettings]):
    """The tenant's one resource of settings."""

    type = TAX_SETTINGS

    async def current(self, etag: str = "") -> TaxSettings:
        """The settings that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id = uuid5(self.call.caller.tenant, "tax settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or TaxSettings(id=id)
