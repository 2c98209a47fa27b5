"""Queries of the catalogue."""

from collections.abc import Sequence

import sqlalchemy as sa

from chassis.store import EntityStore
from services.quotes.domain.products import Product
from services.quotes.store.base import any_of
from services.quotes.tables.products import PRODUCT, products


class ProductStore(EntityStore[Product]):
    """The products."""

    type = PRODUCT

    async def by_code(self, codes: Sequence[str]) -> dict[str, Product]:
        """Those that are not deleted, by code."""
        if not codes:
            return {}
        rows = await self.tx.fetch(
            self.select().where(any_of(products.c.code, codes, sa.Text), products.c.deleted_at.is_(None))
        )
        return {product.code: product for product in map(self._load, rows)}
