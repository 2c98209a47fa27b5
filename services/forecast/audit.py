"""The audit: everything once more, from the opportunities service, by another way.

Deals and sums are taken from the book at one moment. The deals are compared with those of the
opportunities service one by one; the sums with what the domain's rules make of these deals, each added
to its node and to every node above. A deal that is under way while the audit reads is read again.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np
from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2, opportunities_pb2_grpc

from chassis.call import Call
from chassis.client import Peers
from services.forecast import wire
from services.forecast.book import Books
from services.forecast.book.deals import deals_at
from services.forecast.book.reference import Tenant
from services.forecast.dimensions import GroupBy, Question
from services.forecast.domain.figures import Deal, Figures, Stage, Sum
from services.forecast.domain.periods import UNDATED, Granularity
from services.forecast.recount import recounted
from services.forecast.rollup import RollUp
from services.forecast.store import HistoryStore

_PAGE: Final = 500
_SHOWN: Final = 1000
_PATIENCE: Final = 100
_PAUSE_SECONDS: Final = 0.05
_COMPARED: Final = [each.name for each in fields(Deal) if each.compare and each.name not in ("id", "version")]
_KIND: Final = pb.AuditDifference.Kind


@dataclass(slots=True)
class Snapshot:
    """The forecast at one moment: the deals that it counts, and the sums that it answers."""

    deals: dict[UUID, Deal]
    stages: dict[UUID, Stage]
    converting: frozenset[UUID]
    question: Question
    tenant: Tenant
    trees: dict[GroupBy, dict[tuple[str, str], Figures]]
    """The figures that are answered, by node and period."""


@dataclass(slots=True)
class Findings:
    """What was compared, and what is different."""

    deals: int = 0
    figures: int = 0
    differences: list[pb.AuditDifference] = field(default_factory=list)

    def compare(self, theirs: Any, ours: Any, **place: Any) -> None:
        """Notes a value that is different."""
        if theirs != ours:
            self.differences.append(
                pb.AuditDifference(recomputed=_text(theirs), forecast=_text(ours), **place)
            )

    def to_proto(self) -> pb.AuditForecastResponse:
        """The answer."""
        return pb.AuditForecastResponse(
            consistent=not self.differences,
            deals=self.deals,
            figures=self.figures,
            difference_count=len(self.differences),
            differences=self.differences[:_SHOWN],
        )


class Audit:
    """One audit, of what one caller sees."""

    def __init__(self, call: Call, books: Books, peers: Peers) -> None:
        self.call, self.books = call, books
        channel: Any = peers.channel("opportunities")
        self.opportunities = opportunities_pb2_grpc.OpportunityServiceStub(channel)
        self.pipelines = opportunities_pb2_grpc.PipelineServiceStub(channel)
        self.findings = Findings()

    async def run(self, currency: str) -> pb.AuditForecastResponse:
        """Compares everything.

        Raises:
            SettingsUnknown: the tenant's settings have not been heard.
        """
        await self.call.tx.commit()  # nothing is held while others are asked
        stages = wire.stages_of([pipeline async for pipeline in self._pipelines()])
        theirs = {deal.id: deal async for deal in self._deals()}
        await self._heard(stages)
        ours = await self._snapshot(currency, theirs.values())
        self._compare_stages(stages, ours.stages)
        await self._compare_deals(theirs, ours.deals)
        self._compare_figures(theirs, ours, stages)
        self.findings.deals = len(theirs)
        return self.findings.to_proto()

    # Reading

    async def _pipelines(self) -> AsyncIterator[opportunities_pb2.Pipeline]:
        token = ""
        while True:
            page = await self.pipelines.ListPipelines(
                opportunities_pb2.ListPipelinesRequest(page_size=_PAGE, page_token=token)
            )
            for pipeline in page.pipelines:
                yield pipeline
            if not (token := page.next_page_token):
                return

    async def _deals(self) -> AsyncIterator[Deal]:
        token = ""
        while True:
            page = await self.opportunities.ListOpportunities(
                opportunities_pb2.ListOpportunitiesRequest(page_size=_PAGE, page_token=token, order_by="id")
            )
            for message in page.opportunities:
                yield wire.deal_of(message, int(message.etag))
            if not (token := page.next_page_token):
                return

    async def _heard(self, stages: Mapping[UUID, Stage]) -> None:
        """Waits for stages that are under way, for a while."""
        for _ in range(_PATIENCE):
            known = (await RollUp.of(self.call, self.books)).tenant.stages
            await self.call.tx.commit()
            if all(known.get(id) == stage for id, stage in stages.items()):
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _snapshot(self, currency: str, theirs: Iterable[Deal]) -> Snapshot:
        roll_up = await RollUp.of(self.call, self.books)
        tenant, settings = roll_up.tenant, roll_up.tenant.settings
        deals = self._kept(roll_up)
        days = {deal.close_date for deal in (*theirs, *deals.values()) if deal.close_date}
        months = {settings.calendar.period_of(day, Granularity.MONTH) for day in days}
        question = Question(
            group_by=GroupBy.TEAM,
            periods=[*sorted(months, key=lambda month: month.start or date.max), UNDATED],
            currency=currency or settings.reporting_currency,
            today=settings.day_of(self.call.now),
            zone=settings.time_zone,
            now=self.call.now,
            within=roll_up.within,
        )
        snapshot = Snapshot(
            deals=deals,
            stages=tenant.stages,
            converting=frozenset(roll_up.book.references.leads.under_way),
            question=question,
            tenant=tenant,
            trees={tree: roll_up.rolled_up(replace(question, group_by=tree)).figures() for tree in GroupBy},
        )
        names = await HistoryStore(self.call).names([(deal.id, deal.version) for deal in deals.values()])
        snapshot.deals = {id: replace(deal, name=names.get(id, "")) for id, deal in deals.items()}
        await self.call.tx.commit()
        return snapshot

    def _kept(self, roll_up: RollUp, ids: Collection[UUID] | None = None) -> dict[UUID, Deal]:
        """The deals that the caller sees and the book has, those of leads under way too; without names."""
        book = roll_up.book
        rows = book.versions.holding(None, None)
        if roll_up.within is not None:
            owners = book.codes.users.codes(roll_up.within)
            rows = rows[np.isin(book.versions.owner[rows], owners)]
        if ids is not None:
            rows = rows[np.isin(book.versions.deal[rows], book.codes.deals.codes(ids))]
        return {deal.id: deal for deal in deals_at(book, rows)}

    # Comparing

    def _compare_stages(self, theirs: Mapping[UUID, Stage], ours: Mapping[UUID, Stage]) -> None:
        for id, stage in theirs.items():
            self.findings.compare(stage, ours.get(id), kind=_KIND.STAGE_DIFFERS, stage_id=str(id))

    async def _compare_deals(self, theirs: dict[UUID, Deal], ours: Mapping[UUID, Deal]) -> None:
        """Compares the deals; those that were under way are made equal in `theirs`."""
        doubtful = [id for id in theirs.keys() | ours.keys() if theirs.get(id) != ours.get(id)]
        for start in range(0, len(doubtful), _PAGE):
            part = doubtful[start : start + _PAGE]
            for id, (their, our) in (await self._looked_at_again(part)).items():
                self._compare_deal(id, their, our)
                part.remove(id)
            for id in part:  # it has arrived by now: it counts as it did in the snapshot
                theirs.pop(id, None)
                if id in ours:
                    theirs[id] = ours[id]

    async def _looked_at_again(self, ids: list[UUID]) -> dict[UUID, tuple[Deal | None, Deal | None]]:
        """Those that stay different, however long the forecast is waited for."""
        different: dict[UUID, tuple[Deal | None, Deal | None]] = {}
        under_way: dict[UUID, tuple[Deal | None, Deal | None]] = {}
        for _ in range(_PATIENCE):
            response = await self.opportunities.BatchGetOpportunities(
                opportunities_pb2.BatchGetOpportunitiesRequest(ids=map(str, ids))
            )
            found = [wire.deal_of(message, int(message.etag)) for message in response.opportunities]
            theirs = {deal.id: deal for deal in found if not deal.is_deleted}
            kept = self._kept(await RollUp.of(self.call, self.books), ids)
            names = await HistoryStore(self.call).names([(deal.id, deal.version) for deal in kept.values()])
            ours = {id: replace(deal, name=names.get(id, "")) for id, deal in kept.items()}
            await self.call.tx.commit()
            pairs = {id: (theirs.get(id), ours.get(id)) for id in ids}
            under_way = {id: pair for id, pair in pairs.items() if pair[0] != pair[1]}
            final = {id: pair for id, pair in under_way.items() if _are_of_one_version(*pair)}
            different |= final
            ids = list(under_way.keys() - final.keys())
            if not ids:
                return different
            await asyncio.sleep(_PAUSE_SECONDS)
        different |= {id: under_way[id] for id in ids}
        return different

    def _compare_deal(self, id: UUID, theirs: Deal | None, ours: Deal | None) -> None:
        if theirs is None or ours is None:
            kind = _KIND.DEAL_MISSING if ours is None else _KIND.DEAL_SURPLUS
            name = theirs.name if theirs else None, ours.name if ours else None
            self.findings.compare(*name, kind=kind, opportunity_id=str(id), field="name")
            return
        for each in ("version", *_COMPARED):
            place = {"kind": _KIND.DEAL_DIFFERS, "opportunity_id": str(id), "field": each}
            self.findings.compare(getattr(theirs, each), getattr(ours, each), **place)

    def _compare_figures(
        self, theirs: Mapping[UUID, Deal], ours: Snapshot, stages: Mapping[UUID, Stage]
    ) -> None:
        counted = [deal for deal in theirs.values() if deal.lead_id not in ours.converting]
        for tree, answered in ours.trees.items():
            expected = recounted(replace(ours.question, group_by=tree), ours.tenant, counted, stages)
            for node, period in sorted(expected.keys() | answered.keys()):
                self._compare_cell(
                    expected.get((node, period), Figures()),
                    answered.get((node, period), Figures()),
                    {"group_by": tree, "node_id": node, "period_id": period},
                )

    def _compare_cell(self, theirs: Figures, ours: Figures, place: Mapping[str, Any]) -> None:
        for each in fields(Figures):
            their, our = getattr(theirs, each.name), getattr(ours, each.name)
            parts = ("amount", "deals") if isinstance(their, Sum) else ("",)
            self.findings.figures += len(parts)
            if their == our:
                continue
            for part in parts:
                values = (getattr(their, part), getattr(our, part)) if part else (their, our)
                name = f"{each.name}.{part}".rstrip(".")
                self.findings.compare(*values, kind=_KIND.FIGURE_DIFFERS, field=name, **place)


def _are_of_one_version(theirs: Deal | None, ours: Deal | None) -> bool:
    return theirs is not None and ours is not None and theirs.version == ours.version


def _text(value: Any) -> str:
    return (
        str(value)
        if isinstance(value, str | int | Decimal | date | UUID)
        else ""
        if value is None
        else repr(value)
    )
