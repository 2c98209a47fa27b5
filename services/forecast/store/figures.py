"""Adding deals up: by owner or product, period and category in the database; only the sums come out."""

from decimal import Decimal
from functools import lru_cache
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from chassis import sight
from chassis.call import Call
from chassis.database import Prepared
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import NONE, CountedDeal, Figures, State, Sum
from services.forecast.store.counting import Choice, Node, Selection, Shape, parameters, valued

Cells = dict[str, dict[str, Figures]]
"""Figures by node, then by period."""
_ZERO: Final = Decimal(0)
_EVERYTHING: Final = Choice()


class FigureStore:
    """The sums over the deals that a caller may see."""

    def __init__(self, call: Call) -> None:
        self.call, self.tx = call, call.tx

    async def by_owner(self, selection: Selection, choice: Choice = _EVERYTHING) -> Cells:
        """Figures by owner, then period; deals without an owner are under `none`."""
        return await self._figures(Node.OWNER, selection, choice)

    async def by_product(self, selection: Selection) -> Cells:
        """Figures by product, then period; deals without one are under `none`."""
        return await self._figures(Node.PRODUCT, selection, _EVERYTHING)

    async def in_all(self, selection: Selection) -> dict[str, Figures]:
        """Figures of all deals by period, each deal counted once."""
        return (await self._figures(Node.ALL, selection, _EVERYTHING)).get(NONE, {})

    async def lacking(self, selection: Selection) -> list[Lacking]:
        """The rates that are missing."""
        choice = await self._seen(_EVERYTHING)
        statement = _rates_missing(Shape.of(Node.ALL, selection, choice))
        return [Lacking(*row) for row in await self.tx.read(statement, parameters(selection, choice))]

    async def page(self, selection: Selection, choice: Choice, limit: int) -> list[CountedDeal]:
        """Deals in order of their ids."""
        choice = await self._seen(choice)
        node = Node.ALL if choice.product is None else Node.PRODUCT
        after = () if choice.after is None else (choice.after,)
        one = valued(Shape.of(node, selection, choice), *after).c
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
        statement = statement.order_by(one.id).limit(limit)
        return [CountedDeal(*row) for row in await self.tx.read(statement, parameters(selection, choice))]

    async def _seen(self, choice: Choice) -> Choice:
        """Of the deals that are meant, those that the caller sees."""
        return choice.within((await sight.owners_within(self.call)).within)

    async def _figures(self, node: Node, selection: Selection, choice: Choice) -> Cells:
        choice = await self._seen(choice)
        statement = _sums(Shape.of(node, selection, choice))
        periods = [period.id for period in selection.periods]
        cells: Cells = {}
        for row in await self.tx.read(statement, parameters(selection, choice)):
            id, place, category, state, overdue, count, amount, weighted, unpriced, unconverted = row
            of_node = cells.setdefault(str(id) if id else NONE, {})
            figures = of_node.get(periods[place - 1])
            if figures is None:
                figures = of_node[periods[place - 1]] = Figures()
            added = Sum(amount or _ZERO, count)
            counted = figures.of(category)
            counted += added
            if overdue:
                figures.overdue += added
            if state == State.LOST:
                figures.lost += added
            if weighted:
                figures.weighted += weighted
            figures.unpriced += unpriced
            figures.unconverted += unconverted
        return cells


@lru_cache(maxsize=100)
def _sums(shape: Shape) -> Prepared:
    one = valued(shape).c
    kind = (one.node, one.period, one.category, one.state, one.overdue)
    return Prepared(
        sa.select(
            *kind,
            sa.func.count(),
            sa.func.sum(one.converted),
            sa.func.sum(one.weighted),
            sa.func.count().filter(one.amount.is_(None), one.state == State.OPEN),
            sa.func.count().filter(one.amount.is_not(None), one.converted.is_(None)),
        ).group_by(*kind)
    )


@lru_cache(maxsize=100)
def _rates_missing(shape: Shape) -> Prepared:
    one = valued(shape).c
    return Prepared(
        sa.select(one.currency, one.day, sa.func.count(sa.distinct(one.id)))
        .where(one.amount.is_not(None), one.converted.is_(None))
        .group_by(one.currency, one.day)
        .order_by(one.currency, one.day)
    )
