"""The tenants' stages, looked up and remembered."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.call import Call
from chassis.convert import uuid_of
from chassis.errors import NotFound
from services.opportunities.domain import (
    Opportunity,
    Pipeline,
    Stage,
    StageNotFound,
    State,
)
from services.opportunities.store.belonging import BelongingStore
from services.opportunities.store.pipelines import PipelineStore


class PipelineNotFound(NotFound):
    """A new deal was to enter a pipeline that the tenant does not have."""

    def __init__(self, field: str) -> None:
        super().__init__("There is no such pipeline.", field=field)


@dataclass(frozen=True, slots=True)
class Entrant:
    """What a new deal says of where it enters."""

    stage_id: UUID | None = None
    pipeline_id: UUID | None = None
    owner_id: UUID | None = None
    product_id: UUID | None = None
    """Of its first line item."""

    @classmethod
    def of(cls, message: pb.Opportunity, owner_id: UUID | None) -> "Entrant":
        """As the deal that is asked for says."""
        product = message.line_items[0].product_id if message.line_items else ""
        return cls(uuid_of(message.stage_id), uuid_of(message.pipeline_id), owner_id, uuid_of(product))


@dataclass(frozen=True, slots=True)
class Belonging:
    """To whom the people of new deals report, nearest first, and which families their products lie in."""

    managers: Mapping[UUID, Sequence[UUID]]
    families: Mapping[UUID, Sequence[str]]


NOWHERE = Belonging({}, {})


class StageBook:
    """All stages of the tenant, read once for many rows."""

    def __init__(self, pipelines: list[Pipeline]) -> None:
        self._pipelines = {pipeline.id: pipeline for pipeline in pipelines}
        self._default = next((pipeline for pipeline in pipelines if pipeline.is_default), pipelines[0])
        self._stages = {stage.id: (pipeline, stage) for pipeline in pipelines for stage in pipeline.stages}
        self._retired = {stage.id for pipeline in pipelines for stage in pipeline.retired_stages}
        self._by_manager: dict[UUID, Pipeline] = {}
        self._by_family: dict[str, Pipeline] = {}
        for pipeline in pipelines:
            for manager in pipeline.manager_ids:
                self._by_manager.setdefault(manager, pipeline)
            for family in pipeline.product_families:
                self._by_family.setdefault(family, pipeline)

    @property
    def managers(self) -> Collection[UUID]:
        """Those whose teams have pipelines of their own."""
        return self._by_manager.keys()

    @property
    def has_product_lines(self) -> bool:
        """Whether there are pipelines for product lines."""
        return bool(self._by_family)

    def entry(
        self, entrant: Entrant, belonging: Belonging = NOWHERE, field: str = "opportunity.stage_id"
    ) -> tuple[Pipeline, Stage]:
        """Where a new deal enters: the stage named, else the first of the pipeline named, else of the one
        for its product line, for its owner's team, or for everybody.

        Raises:
            StageNotFound: the tenant has no such stage, or another pipeline has it.
            PipelineNotFound: the tenant has no such pipeline.
        """
        pipeline = None
        if entrant.pipeline_id is not None:
            pipeline = self._pipelines.get(entrant.pipeline_id)
            if pipeline is None:
                raise PipelineNotFound(field.replace("stage_id", "pipeline_id"))
        if entrant.stage_id is not None:
            found = self._stages.get(entrant.stage_id)
            if found is None or (pipeline is not None and found[0] is not pipeline):
                raise StageNotFound(field)
            return found
        pipeline = pipeline or self._chosen(entrant, belonging)
        return pipeline, pipeline.first(State.OPEN)

    def _chosen(self, entrant: Entrant, belonging: Belonging) -> Pipeline:
        if self._by_family and entrant.product_id is not None:
            for family in belonging.families.get(entrant.product_id, ()):
                if family in self._by_family:
                    return self._by_family[family]
        if self._by_manager and entrant.owner_id is not None:
            for manager in (entrant.owner_id, *belonging.managers.get(entrant.owner_id, ())):
                if manager in self._by_manager:
                    return self._by_manager[manager]
        return self._default

    def has(self, id: UUID) -> bool:
        """Whether the tenant has the stage, or had it; or has the pipeline."""
        return id in self._stages or id in self._retired or id in self._pipelines

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
        """The tenant's stages, read anew where the stage or pipeline `having` is not among those remembered."""
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

    async def belonging(self, call: Call, book: StageBook, entrants: Iterable[Entrant]) -> Belonging:
        """What has to be looked up to place new deals; nothing where no team or product line has a pipeline
        of its own, or where all deals say where they enter."""
        if not (book.managers or book.has_product_lines):
            return NOWHERE
        open_ = [each for each in entrants if each.stage_id is None and each.pipeline_id is None]
        store = BelongingStore(call)
        owners = {each.owner_id for each in open_ if each.owner_id} if book.managers else set()
        products = {each.product_id for each in open_ if each.product_id} if book.has_product_lines else set()
        return Belonging(
            await store.managers(owners, book.managers) if owners else {},
            await store.families(products) if products else {},
        )

    def forget(self, tenant: UUID) -> None:
        """The tenant's pipelines were changed."""
        self._books.pop(tenant, None)
