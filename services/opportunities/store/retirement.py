"""The deals of stages that were taken out of their pipeline: found by an index, moved on a few at a time."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from services.opportunities.domain import Pipeline
from services.opportunities.store.opportunities import OpportunityStore
from services.opportunities.tables import opportunities

AT_ONCE: Final = 200
"""How many deals one transaction moves."""

_IN_USE: Final = sa.text(
    "SELECT stage FROM unnest(:stages) AS stage WHERE EXISTS (SELECT FROM opportunities"
    " WHERE pipeline_id = :pipeline AND stage_id = stage AND deleted_at IS NULL)"
).bindparams(sa.bindparam("stages", type_=sa.ARRAY(sa.Uuid)), sa.bindparam("pipeline", type_=sa.Uuid))
_deal = opportunities.c


class RetirementStore(OpportunityStore):
    """Deals by the stage that they stand in, whoever may see them."""

    async def in_use(self, pipeline: Pipeline) -> frozenset[UUID]:
        """The stages of a pipeline that deals stand in, those that were taken out among them."""
        stages = [stage.id for stage in (*pipeline.stages, *pipeline.retired_stages)]
        rows = await self.tx.fetch(_IN_USE, {"stages": stages, "pipeline": pipeline.id})
        return frozenset(row[0] for row in rows)

    async def count_left(self, pipeline: Pipeline) -> int:
        """How many deals stand in stages that were taken out."""
        statement = sa.select(sa.func.count()).select_from(opportunities).where(*_left(pipeline))
        return int(await self.tx.fetchval(statement))

    async def move_on(self, pipeline: Pipeline) -> int:
        """Moves some of those deals to where they belong by now; answers how many, 0 when all are."""
        if not pipeline.retired_stages:
            return 0
        some = self.type.rows.select.where(*_left(pipeline)).order_by(_deal.id).limit(AT_ONCE)
        # locked, so that whoever is changing one of them at this moment comes first or after, not between
        rows = await self.tx.fetch(some.with_for_update())
        for deal in map(self._load, rows):
            assert deal.stage_id is not None
            await self.save(deal, deal.migrate(pipeline.standing(deal.stage_id)))
        return len(rows)


def _left(pipeline: Pipeline) -> Collection[sa.ColumnElement[bool]]:
    retired = sa.literal([stage.id for stage in pipeline.retired_stages], sa.ARRAY(sa.Uuid))
    return (_deal.pipeline_id == pipeline.id, _deal.stage_id == sa.any_(retired), _deal.deleted_at.is_(None))
