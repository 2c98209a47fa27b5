"""Queries of product families."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa

from chassis.store import EntityStore
from services.quotes.domain.families import ProductFamily, lineages, tax_class_of
from services.quotes.domain.products import Product
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

    async def with_tax_classes(self, products: Mapping[UUID, Product]) -> dict[UUID, Product]:
        """The products as they are taxed: those that say no tax class have their family's. Asks only
        where one says none and is in a family; nothing of this is written."""
        if not any(product.family and not product.tax_class for product in products.values()):
            return dict(products)
        families = await self.lineages()
        taxed = {}
        for id, product in products.items():
            found = tax_class_of(product.tax_class, product.family, families)
            taxed[id] = product if found == product.tax_class else replace(product, tax_class=found)
        return taxed

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
