"""Queries of product families."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from chassis.store import EntityStore
from services.quotes.domain.families import ProductFamily, lineages
from services.quotes.store.base import any_of
from services.quotes.tables.families import PRODUCT_FAMILY, product_families


class FamilyStore(EntityStore[ProductFamily]):
    """The product families."""

    type = PRODUCT_FAMILY

    async def all(self) -> dict[UUID, ProductFamily]:
        """All that are not deleted: a tenant has few."""
        rows = await self.tx.fetch(self.select().where(product_families.c.deleted_at.is_(None)))
        return {family.id: family for family in map(self._load, rows)}

    async def lineages(self) -> dict[str, tuple[ProductFamily, ...]]:
        """Each family by its name, with those that it lies in, from itself up."""
        return lineages((await self.all()).values())

    async def by_name(self, names: Sequence[str]) -> dict[str, ProductFamily]:
        """Those that are not deleted, by name."""
        if not names:
            return {}
        rows = await self.tx.fetch(
            self.select().where(
                any_of(product_families.c.name, names, sa.Text), product_families.c.deleted_at.is_(None)
            )
        )
        return {family.name: family for family in map(self._load, rows)}
