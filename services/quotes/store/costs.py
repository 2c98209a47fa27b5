"""Queries of what products cost the seller."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from uuid import UUID

import sqlalchemy as sa

from chassis.money import Money
from chassis.store import EntityStore
from services.quotes.domain.costs import ProductCost, cost_on
from services.quotes.store.base import any_of
from services.quotes.tables.costs import PRODUCT_COST, product_costs


class CostStore(EntityStore[ProductCost]):
    """The costs. Whoever reads amounts off them for a caller checks `costs.read`."""

    type = PRODUCT_COST

    async def of_products(
        self, product_ids: Iterable[UUID], currency: str | None = None
    ) -> list[ProductCost]:
        """All costs of the products, in one currency or in every one."""
        ids = set(product_ids)
        if not ids:
            return []
        cost = product_costs.c
        statement = self.select().where(any_of(cost.product_id, ids, sa.Uuid), cost.deleted_at.is_(None))
        if currency is not None:
            statement = statement.where(cost.currency == currency)
        return [self._load(row) for row in await self.tx.fetch(statement)]

    async def on(self, product_ids: Iterable[UUID], currency: str, day: date) -> dict[UUID, Money]:
        """What one base unit of each product costs on a day, those that have a cost in the currency.

        For margins: the amounts themselves are for those alone who may see them.
        """
        by_product: dict[UUID, list[ProductCost]] = defaultdict(list)
        for cost in await self.of_products(product_ids, currency):
            by_product[cost.product_id].append(cost)
        found = {product: cost_on(costs, day) for product, costs in by_product.items()}
        return {product: cost.unit_cost for product, cost in found.items() if cost is not None}
