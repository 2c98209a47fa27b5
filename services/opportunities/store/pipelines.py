"""The queries about pipelines."""

from dataclasses import replace
from uuid import uuid5

from chassis.store import Conflict, EntityStore, IdTaken
from services.opportunities.domain import (
    Pipeline,
    PipelineUpdated,
    starting_pipeline,
)
from services.opportunities.tables import PIPELINE, pipelines


class PipelineStore(EntityStore[Pipeline]):
    """The pipelines."""

    type = PIPELINE

    async def all(self) -> list[Pipeline]:
        """All of the tenant's, the starting one made where there are none yet."""
        rows = await self.tx.read(
            self.select()
            .where(pipelines.c.deleted_at.is_(None))
            .order_by(pipelines.c.created_at, pipelines.c.id)
        )
        if rows:
            return [self._load(row) for row in rows]
        pipeline = starting_pipeline(uuid5(self.call.caller.tenant, "starting pipeline"))
        by_the_way = PipelineStore(replace(self.call, request_id=None))  # not what the caller asked for
        try:
            await by_the_way.add(pipeline, pipeline.create())
            await by_the_way.flush()
        except IdTaken as error:  # somebody else's first call was faster: make this one again
            raise Conflict from error
        return [pipeline]

    async def make_default(self, pipeline: Pipeline) -> None:
        """Makes another pipeline, that was the default, stand back."""
        for other in await self.all():
            if other.id != pipeline.id and other.is_default:
                other.is_default = False
                await self.save(other, PipelineUpdated())
