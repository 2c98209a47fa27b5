"""Adding deals up: by owner or product, period and category in the database; only the sums come out."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.call import Call
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import NONE, CountedDeal, Figures, State, Sum
from services.forecast.store.counting import DEAL, NOTHING, ZERO, Choice, Selection, parts, valued


class FigureStore:
    """The sums over the deals that a caller may see."""

    def __init__(self, call: Call) -> None:
        self.call, self.tx = call, call.tx

    async def by_owner(
        self, selection: Selection, choice: Choice | None = None
    ) -> dict[str, dict[str, Figures]]:
        """Figures by owner, then period; deals without an owner are under `none`."""
        return await self._figures(selection, DEAL.owner_id, choice=choice)

    async def by_product(self, selection: Selection) -> dict[str, dict[str, Figures]]:
        """Figures by product, then period; deals without one are under `none`."""
        part = parts()
        return await self._figures(selection, part.c.product_id, part)

    async def in_all(self, selection: Selection) -> dict[str, Figures]:
        """Figures of all deals by period, each deal counted once."""
        return (await self._figures(selection, NOTHING)).get(NONE, {})

    async def lacking(self, selection: Selection) -> list[Lacking]:
        """The rates that are missing."""
        one = valued(self.call, selection, NOTHING).c
        statement = (
            sa.select(one.currency, one.day, sa.func.count(sa.distinct(one.id)))
            .where(one.amount.is_not(None), one.converted.is_(None))
            .group_by(one.currency, one.day)
            .order_by(one.currency, one.day)
        )
        return [Lacking(*row) for row in await self.tx.fetch(statement)]

    async def page(self, selection: Selection, choice: Choice, limit: int) -> list[CountedDeal]:
        """Deals in order of their ids."""
        part = parts() if choice.product is not None else None
        node = part.c.product_id if part is not None else NOTHING
        one = valued(self.call, selection, node, part, choice).c
        statement = sa.select(
            one.id, one.version, one.name, one.owner_id, one.account_id, one.stage_id, one.state, one.category,
            one.probability, one.closes_on, one.overdue, one.amount, one.currency, one.converted, one.weighted,
        )  # fmt: skip
        if choice.product is not None:
            wanted = UUID(choice.product) if choice.product != NONE else None
            statement = statement.where(one.node.is_not_distinct_from(sa.literal(wanted, sa.Uuid)))
        if choice.category:
            statement = statement.where(one.category == choice.category)
        if choice.overdue:
            statement = statement.where(one.overdue)
        return [CountedDeal(*row) for row in await self.tx.fetch(statement.order_by(one.id).limit(limit))]

    async def _figures(
        self,
        selection: Selection,
        node: sa.ColumnElement[UUID],
        part: Any = None,
        choice: Choice | None = None,
    ) -> dict[str, dict[str, Figures]]:
        one = valued(self.call, selection, node, part, choice).c
        missing = sa.func.count().filter(one.amount.is_not(None), one.converted.is_(None))
        unpriced = sa.func.count().filter(one.amount.is_(None), one.state == State.OPEN)
        kind = (one.node, one.period, one.category, one.state, one.overdue)
        statement = sa.select(
            *kind, sa.func.count(), sa.func.sum(one.converted), sa.func.sum(one.weighted), unpriced, missing
        ).group_by(*kind)
        periods = [period.id for period in selection.periods]
        cells: dict[str, dict[str, Figures]] = {}
        for row in await self.tx.fetch(statement):
            id, place, category, state, overdue, count, amount, weighted, without, unconverted = row
            of_node = cells.setdefault(str(id) if id else NONE, {})
            figures = of_node.get(periods[place - 1])
            if figures is None:
                figures = of_node[periods[place - 1]] = Figures()
            added = Sum(amount or ZERO, count)
            counted = figures.of(category)
            counted += added
            if overdue:
                figures.overdue += added
            if state == State.LOST:
                figures.lost += added
            if weighted:
                figures.weighted += weighted
            figures.unpriced += without
            figures.unconverted += unconverted
        return cells
