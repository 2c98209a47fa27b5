"""The tenants' stages, looked up and remembered."""

from collections import OrderedDict
from time import monotonic
from uuid import UUID

from chassis.call import Call
from services.opportunities.domain import (
    Opportunity,
    Pipeline,
    Stage,
    StageNotFound,
    State,
)
from services.opportunities.store.pipelines import PipelineStore


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
