"""What was won and lost, counted by the database: one statement over the deals that were closed in a period."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql import JSONB

from chassis.call import Call
from chassis.fields import contains
from services.opportunities.domain.pipelines import State
from services.opportunities.domain.win_loss import WinLossBy, WinLossFigures, WinLossQuestion
from services.opportunities.store.opportunities import OpportunityStore
from services.opportunities.tables import OPPORTUNITY, opportunities
from services.opportunities.tables.competitors import competitors, customers

_GAPS: Final = ((-20, "BELOW_-20"), (-10, "-20_TO_-10"), (0, "-10_TO_0"), (10, "0_TO_10"), (20, "10_TO_20"))
_DEARER: Final = "ABOVE_20"
_SEVERAL: Final = {
    WinLossBy.COMPETITOR: ("competitors", "competitor_id"),
    WinLossBy.PRODUCT: (None, "product_id"),
}
"""Of these a deal has any number: where in which list they stand."""

_deals = opportunities.c
_details = _deals.details


class WinLossStore:
    """The closed deals that the caller sees."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tx = call.tx

    async def figures(
        self, asked: WinLossQuestion
    ) -> tuple[list[tuple[tuple[str, ...], WinLossFigures]], bool, WinLossFigures]:
        """The groups with the most deals, whether there are more, and all deals together, each once."""
        groups: dict[tuple[str, ...], WinLossFigures] = {}
        if asked.group_by:
            groups = await self._counted(asked, asked.group_by)
        total = (await self._counted(asked, ())).get((), WinLossFigures())
        ordered = sorted(groups.items(), key=lambda each: (-each[1].count, each[0]))
        return ordered[: asked.most], len(ordered) > asked.most, total

    async def names_of_competitors(self, ids: list[UUID]) -> dict[str, str]:
        """What competitors are called, by their ids as text."""
        if not ids:
            return {}
        rows = await self.tx.read(
            sa.select(competitors.c.id, competitors.c.name).where(
                competitors.c.id == sa.any_(sa.literal(ids, sa.ARRAY(sa.Uuid)))
            )
        )
        return {str(row[0]): row[1] for row in rows}

    async def _counted(
        self, asked: WinLossQuestion, dimensions: tuple[WinLossBy, ...]
    ) -> dict[tuple[str, ...], WinLossFigures]:
        deals = self._closed(asked).subquery("closed")
        source: Any = deals
        keys: list[ColumnElement[Any]] = []
        for dimension in dimensions:
            if dimension in _SEVERAL:
                # each of a deal's once, and an empty one for a deal without any
                item = _items(deals, dimension).lateral(dimension.value.lower())
                source = source.outerjoin(item, sa.true())
                keys.append(sa.func.coalesce(item.c.key, ""))
            else:
                keys.append(deals.c[dimension.value])
        lost_to = deals.c.lost_to != ""
        if WinLossBy.COMPETITOR in dimensions:
            lost_to = deals.c.lost_to == keys[dimensions.index(WinLossBy.COMPETITOR)]
            lost_to = sa.and_(lost_to, deals.c.lost_to != "")
        statement = (
            sa.select(
                *keys,
                deals.c.state,
                deals.c.currency,
                sa.func.count(),
                sa.func.sum(deals.c.amount),
                sa.func.count().filter(lost_to),
                sa.func.sum(deals.c.gap),
                sa.func.count(deals.c.gap),
            )
            .select_from(source)
            .group_by(*keys, deals.c.state, deals.c.currency)
        )
        result: dict[tuple[str, ...], WinLossFigures] = {}
        width = len(keys)
        for row in await self.tx.read(statement):
            key = tuple(row[index] or "" for index in range(width))
            state, *figures = row[width:]
            result.setdefault(key, WinLossFigures()).add(State(state), *figures)
        return result

    def _closed(self, asked: WinLossQuestion) -> sa.Select[Any]:
        """The deals of the period, with what they are told apart by."""
        gap = _gap()
        reason = sa.case(
            (_deals.state == State.LOST.value, _deals.lost_reason), else_=_details["win_reason"].astext
        )
        customer = (
            sa.select(customers.c.segment, customers.c.industry)
            .where(customers.c.id == _deals.account_id)
            .lateral("customer")
        )
        ranges = sa.case((gap.is_(None), ""), *((gap < edge, name) for edge, name in _GAPS), else_=_DEARER)
        amount = sa.case((_deals.currency.is_not(None), _deals.amount))
        statement = (
            sa.select(
                _deals.id,
                _deals.state,
                _deals.currency,
                amount.label("amount"),
                _deals.line_items,
                _details["competitors"].label("competitors"),
                gap.label("gap"),
                sa.func.coalesce(_lost_to(), "").label("lost_to"),
                sa.func.coalesce(reason, "").label(WinLossBy.REASON.value),
                sa.cast(_deals.closed_from, sa.Text).label(WinLossBy.STAGE.value),
                ranges.label(WinLossBy.PRICE_GAP.value),
                sa.func.coalesce(customer.c.segment, "").label(WinLossBy.SEGMENT.value),
                sa.func.coalesce(customer.c.industry, "").label(WinLossBy.INDUSTRY.value),
                sa.cast(_deals.owner_id, sa.Text).label(WinLossBy.OWNER.value),
            )
            .select_from(opportunities.outerjoin(customer, sa.true()))
            .where(
                _deals.deleted_at.is_(None),
                _deals.state != State.OPEN.value,
                _deals.close_date >= asked.from_date,
                _deals.close_date <= asked.to_date,
            )
        )
        if asked.pipeline_id is not None:
            statement = statement.where(_deals.pipeline_id == asked.pipeline_id)
        if asked.competitor_id is not None:
            field = OPPORTUNITY.fields["competitors.competitor_id"]
            statement = statement.where(contains(field, asked.competitor_id))
        visible = OpportunityStore(self.call).visible()
        return statement if visible is None else statement.where(visible)


def _items(deals: sa.Subquery, dimension: WinLossBy) -> sa.Select[Any]:
    """The different things of one kind that a deal has."""
    name, key = _SEVERAL[dimension]
    listed = deals.c[name] if name else deals.c.line_items
    item = sa.func.jsonb_array_elements(listed).table_valued(sa.column("value", JSONB))
    return sa.select(item.c.value[key].astext.label("key")).distinct()


def _lost_to() -> ColumnElement[str]:
    lost_to = _details["lost_to_competitor_id"].astext
    return sa.case((_deals.state == State.LOST.value, lost_to))


def _gap() -> ColumnElement[Any]:
    """How much dearer we were, in percent of the price of whoever won or, where we did, of the cheapest; null
    where a price is not known, or in another currency."""
    rival = sa.func.jsonb_array_elements(_details["competitors"]).table_valued(sa.column("value", JSONB))
    price = rival.c.value["price"]
    asked = sa.cast(price["amount"].astext, sa.Numeric)
    theirs = (
        sa.select(sa.func.min(asked))
        .where(
            price["currency"].astext == _deals.currency,
            asked > 0,
            sa.or_(
                _deals.state == State.WON.value,
                rival.c.value["competitor_id"].astext == _details["lost_to_competitor_id"].astext,
            ),
        )
        .select_from(rival)
        .correlate(opportunities)
        .scalar_subquery()
    )
    return sa.case((_details.is_not(None), (_deals.amount - theirs) * 100 / theirs))
