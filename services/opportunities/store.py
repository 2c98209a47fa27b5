"""Every query of this service."""

from collections import OrderedDict
from dataclasses import replace
from time import monotonic
from uuid import UUID, uuid5

import sqlalchemy as sa

from chassis.call import Call
from chassis.store import Conflict, EntityStore, IdTaken
from services.opportunities.domain import (
    Opportunity,
    Pipeline,
    PipelineUpdated,
    QuoteSettings,
    Stage,
    StageNotFound,
    State,
    starting_pipeline,
)
from services.opportunities.tables import OPPORTUNITY, PIPELINE, QUOTE_SETTINGS, opportunities, pipelines


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


class QuoteSettingsStore(EntityStore[QuoteSettings]):
    """The tenant's one resource of settings."""

    type = QUOTE_SETTINGS

    async def current(self, etag: str = "") -> QuoteSettings:
        """The settings that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id = uuid5(self.call.caller.tenant, "quote settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or QuoteSettings(id=id)


class StageBook:
    """All stages of the tenant, read once for many rows."""

    def __init__(self, pipelines: list[Pipeline]) -> None:
        self._pipelines = {pipeline.id: pipeline for pipeline in pipelines}
        self._default = next((pipeline for pipeline in pipelines if pipeline.is_default), pipelines[0])
        self._stages = {stage.id: (pipeline, stage) for pipeline in pipelines for stage in pipeline.stages}

    def entry(self, stage: UUID | None, field: str = "opportunity.stage_id") -> tuple[Pipeline, Stage]:
        """Where a new deal enters: the stage named, else the first of the default pipeline.

        Raises:
            StageNotFound: the tenant has no such stage.
        """
        if stage is None:
            return self._default, self._default.first(State.OPEN)
        if stage not in self._stages:
            raise StageNotFound(field)
        return self._stages[stage]

    def has(self, stage: UUID) -> bool:
        """Whether the tenant has the stage."""
        return stage in self._stages

    def of(self, deal: Opportunity) -> Pipeline:
        """The pipeline that the deal moves through.

        Raises:
            StageNotFound: it is not there any more.
        """
        if deal.pipeline_id not in self._pipelines:
            raise StageNotFound("pipeline_id")
        return self._pipelines[deal.pipeline_id]


class Pipelines:
    """The tenants' stages, remembered for two seconds: every deal that is written asks for them, and
    they hardly ever change. A stage that is not among them is looked for again in the database."""

    def __init__(self, seconds: float = 2.0, most: int = 1000) -> None:
        self._seconds, self._most = seconds, most
        self._books: OrderedDict[UUID, tuple[float, StageBook]] = OrderedDict()

    async def book(self, call: Call, having: UUID | None = None) -> StageBook:
        """The tenant's stages, read anew where the stage `having` is not among those remembered."""
        tenant = call.caller.tenant
        known = self._books.get(tenant)
        if (
            known is not None
            and monotonic() - known[0] < self._seconds
            and (not having or known[1].has(having))
        ):
            return known[1]
        book = StageBook(await PipelineStore(call).all())
        if not call.tx.wrote:
            self._books[tenant] = monotonic(), book
            while len(self._books) > self._most:
                self._books.popitem(last=False)
        return book

    def forget(self, tenant: UUID) -> None:
        """The tenant's pipelines were changed."""
        self._books.pop(tenant, None)
