"""Queries of the catalogue."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

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

    async def variants_of(self, parent_ids: Iterable[UUID]) -> list[Product]:
        """The variants of the products, those that are not deleted."""
        ids = list(parent_ids)
        if not ids:
            return []
        rows = await self.tx.fetch(
            self.select().where(any_of(products.c.parent_id, ids, sa.Uuid), products.c.deleted_at.is_(None))
        )
        return [self._load(row) for row in rows]

    async def bundles_with(self, product_ids: Iterable[UUID]) -> list[Product]:
        """The bundles that hold one of the products, those that are not deleted."""
        wanted = [f'[{{"product_id": "{id}"}}]' for id in product_ids]
        if not wanted:
            return []
        part = sa.func.unnest(sa.literal(wanted, sa.ARRAY(sa.Text))).table_valued("part").render_derived()
        holds = products.c.components.contains(sa.cast(part.c.part, JSONB))
        rows = await self.tx.fetch(
            self.select().join_from(products, part, holds).where(products.c.deleted_at.is_(None))
        )
        return list({product.id: product for product in map(self._load, rows)}.values())
