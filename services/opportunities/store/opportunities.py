"""The queries about deals."""

from uuid import UUID

import sqlalchemy as sa

from chassis.store import EntityStore
from services.opportunities.domain import (
    Opportunity,
)
from services.opportunities.tables import OPPORTUNITY, opportunities


class OpportunityStore(EntityStore[Opportunity]):
    """The deals."""

    type = OPPORTUNITY

    async def stages_in_use(self, pipeline: UUID) -> frozenset[UUID]:
        """The stages of a pipeline that deals stand in, whoever may see them."""
        rows = await self.tx.fetch(
            sa.select(opportunities.c.stage_id)
            .where(opportunities.c.pipeline_id == pipeline, opportunities.c.deleted_at.is_(None))
            .distinct()
        )
        return frozenset(row[0] for row in rows)
