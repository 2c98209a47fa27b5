"""Every figure once more, one deal after the other: each is added to its node and to every node above.

It is slow and plain, and shares nothing with how the forecast adds up: the audit and the tests hold the two
against each other. Amounts are converted at the rate of the close.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, time
from decimal import Decimal
from typing import Final
from uuid import UUID

from chassis.money import shares
from services.forecast.book.reference import Interval, Tenant
from services.forecast.dimensions.flat import segment_id
from services.forecast.dimensions.products import family_id
from services.forecast.dimensions.question import Credit, GroupBy, Hierarchy, Question
from services.forecast.domain.currencies import rounded
from services.forecast.domain.figures import NONE, Counting, Deal, Figures, Stage, State, Sum
from services.forecast.domain.hierarchies import former_id
from services.forecast.domain.trees import ALL
from services.forecast.wire.heard import microseconds

Cells = dict[tuple[str, str], Figures]
Part = tuple[list[str], Decimal, Decimal]
"""The nodes that a part of a deal counts at, and from which running total to which it goes."""
_ONCE: Final = ("closed", "commit", "best_case", "pipeline", "omitted", "overdue", "lost")


def recounted(
    question: Question, tenant: Tenant, deals: Iterable[Deal], stages: Mapping[UUID, Stage]
) -> Cells:
    """The figures of some deals, by node and period."""
    counting = Counting(tenant.rates, question.currency, question.today)
    recount = _Recount(question, tenant)
    cells: Cells = {}
    for deal in deals:
        stage = stages.get(deal.stage_id) if deal.stage_id else None
        at: dict[str, Figures] = {}
        for nodes, before, after in recount.parts(deal):
            figures = counting.part(deal, stage, before, after if deal.amount is not None else None)
            for node in nodes:
                at[node] = _with(at.get(node), figures)
        for period in question.periods:
            if deal.close_date in period:
                for node, figures in at.items():
                    cell = cells.setdefault((node, period.id), Figures())
                    cell += figures
    return cells


def _with(known: Figures | None, more: Figures) -> Figures:
    """The figures of one more part of the same deal, which counts once."""
    if known is None:
        known = Figures()
        known += more
        return known
    for name in _ONCE:
        counted: Sum = getattr(known, name)
        counted.amount += getattr(more, name).amount
    known.weighted += more.weighted
    return known


class _Recount:
    """Where each deal stands."""

    def __init__(self, question: Question, tenant: Tenant) -> None:
        self.question, self.tenant = question, tenant
        self.now = question.standing
        self.lines, self.assignments = _by_user(tenant.lines), _by_user(tenant.assignments)

    def parts(self, deal: Deal) -> Iterator[Part]:
        """The parts of a deal, each with the nodes that it counts at."""
        within, group_by = self.question.within, self.question.group_by
        by_user = group_by in (GroupBy.OWNER, GroupBy.TEAM, GroupBy.TERRITORY)
        if not by_user and within is None and self.question.credit is not Credit.OVERLAY:
            deal = replace(deal, splits=())  # together, all credits of a deal are the deal
        for user, before, after in self._credits(deal):
            if within is not None and user not in within:
                continue
            if group_by is GroupBy.OWNER:
                yield [str(user or NONE), ALL], before, after
            elif group_by is GroupBy.TEAM:
                yield self._team(user, self._at(deal)), before, after
            elif group_by is GroupBy.TERRITORY:
                yield from self._territories(deal, user, before, after)
            elif group_by is GroupBy.PIPELINE:
                yield [str(deal.pipeline_id or NONE), ALL], before, after
            elif group_by is GroupBy.SEGMENT:
                account = self.tenant.of("account").get(deal.account_id) if deal.account_id else None
                segment = account["segment"] if account else ""
                yield [segment_id(segment) if segment else NONE, ALL], before, after
            else:
                yield from self._products(deal, before, after)

    def _credits(self, deal: Deal) -> Iterator[tuple[UUID | None, Decimal, Decimal]]:
        credit, amount = self.question.credit, deal.amount or Decimal(0)
        members = deal.overlays if credit is Credit.OVERLAY else deal.splits
        if credit is Credit.OWNED or (credit is Credit.REVENUE and not members):
            yield deal.owner_id, Decimal(0), amount
            return
        before = Decimal(0)
        for user, share in members:
            yield user, before, before + share
            before += share

    def _at(self, deal: Deal) -> int:
        """When a deal's owner stood where the deal stands: in the middle of the day of the close."""
        is_closed = deal.state is not State.OPEN and deal.close_date is not None
        if deal.close_date is None or not is_closed or self.question.hierarchy is not Hierarchy.BOOKED:
            return self.now
        return microseconds(datetime.combine(deal.close_date, time(12), self.question.zone))

    def _team(self, user: UUID | None, at: int) -> list[str]:
        if user is None:
            return [NONE, ALL]
        path = self._path(user, at)
        shown = [each for each in path if self._is_shown(each, user)]
        nodes = [ALL]
        for each in shown:
            above, now = self._path(each, at), self._path(each, self.now)
            is_there = [one for one in above if self._is_shown(one, each)] == [
                one for one in now if self._is_shown(one, each)
            ]
            nodes.append(str(each) if is_there else former_id(above))
        return nodes

    def _is_shown(self, user: UUID, owner: UUID) -> bool:
        within = self.question.within
        return (user == owner or user in self.tenant.users) and (within is None or user in within)

    def _path(self, user: UUID, at: int) -> list[UUID]:
        """Whom somebody stood below, from the top down to that person."""
        path = [user]
        while (line := _holding(self.lines.get(path[0], ()), at)) and line.other not in path:
            path.insert(0, line.other)
        return path

    def _territories(self, deal: Deal, user: UUID | None, before: Decimal, after: Decimal) -> Iterator[Part]:
        known, at = self.tenant.territories, self._at(deal)
        intervals = self.assignments.get(user, ()) if user else ()
        holding = [each for each in intervals if each.other in known and each.holds(at)]
        covered = {str(each.other): Decimal(each.content.get("share") or 1) for each in holding}
        if sum(covered.values()) != 1 or len(covered) < len(holding):
            last = _holding(holding, at)
            covered = {str(last.other): Decimal(1)} if last else {NONE: Decimal(1)}
        ordered = dict(sorted(covered.items()))
        for territory, share in shares(after - before, ordered, deal.currency).items():
            nodes, id = [ALL], territory
            while id != NONE:
                nodes.append(id)
                parent = known[UUID(id)].parent
                id = str(parent) if parent in known else NONE
            yield nodes if territory != NONE else [NONE, ALL], before, before + share
            before += share

    def _products(self, deal: Deal, before: Decimal, after: Decimal) -> Iterator[Part]:
        amount, size, end, low = deal.amount or Decimal(0), after - before, Decimal(0), before
        for product, share in deal.products or ((None, amount),):
            end += share
            high = before + rounded(size * end / amount, deal.currency) if amount else after
            yield self._product(product), low, high
            low = high

    def _product(self, product: UUID | None) -> list[str]:
        if self.question.group_by is GroupBy.PRODUCT:
            return [str(product or NONE), ALL]
        content = self.tenant.of("product").get(product) if product else None
        family = content.get("family", "") if content else ""
        if not family:
            return [NONE, ALL]
        records = {id: each for id, each in self.tenant.of("product_family").items() if not each["deleted"]}
        named = {each["name"]: each for each in records.values()}
        nodes: list[str] = [ALL]
        while family and family_id(family) not in nodes:
            nodes.append(family_id(family))
            record = named.get(family)
            above = records.get(UUID(record["parent_id"])) if record and record["parent_id"] else None
            family = above["name"] if above else ""
        return nodes


def _by_user(intervals: Iterable[Interval]) -> dict[UUID, list[Interval]]:
    found: dict[UUID, list[Interval]] = {}
    for each in intervals:
        found.setdefault(each.user, []).append(each)
    return found


def _holding(intervals: Iterable[Interval], at: int) -> Interval | None:
    """What holds at an instant; of several, what began last."""
    holding = [each for each in intervals if each.holds(at)]
    return max(holding, key=lambda each: (each.valid_from, each.id), default=None)
