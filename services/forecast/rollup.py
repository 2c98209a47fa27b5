"""Answering what a request asks for: the tree that it names, with the figures that the caller sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis import convert, sight
from chassis.call import Call
from services.forecast import wire
from services.forecast.domain.figures import NONE, Figures
from services.forecast.domain.trees import ALL, Member, Node, NodeNotFound, below, pruned, roll_up
from services.forecast.store import Choice, FigureStore, Lacking, OrganisationStore, Selection

GroupBy = pb.Forecast.GroupBy


Asked = pb.GetForecastRequest | pb.StreamForecastRequest


@dataclass(frozen=True, slots=True)
class RolledUp:
    """A forecast: the tree, and what it was made with."""

    group_by: pb.Forecast.GroupBy.ValueType
    selection: Selection
    nodes: list[Node]
    lacking: list[Lacking]

    def to_proto(self) -> pb.Forecast:
        """The answer, without watermarks."""
        periods, currency = self.selection.periods, self.selection.currency
        return pb.Forecast(
            group_by=self.group_by,
            currency=currency,
            periods=map(wire.period_to_proto, periods),
            nodes=(wire.node_to_proto(node, periods, currency) for node in self.nodes),
            missing_rates=(wire.lacking_to_proto(lacking, currency) for lacking in self.lacking),
            today=convert.date_to_proto(self.selection.today),
        )


class RollUp:
    """The forecast, as one caller sees it at the moment of one call."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.organisation = OrganisationStore(call)
        self.figures = FigureStore(call)

    async def answer(self, asked: Asked) -> RolledUp:
        """The forecast that was asked for.

        Raises:
            PeriodUnknown, PeriodRangeWrong, TooManyPeriods, NodeNotFound: the request is wrong.
            SettingsUnknown: the tenant's settings have not been heard.
        """
        selection = await self.selection(asked.periods, asked.currency)
        group_by = asked.group_by or GroupBy.TEAM
        node_id = asked.node_id or ALL
        nodes = below(await self.tree(group_by, selection, node_id), node_id)
        lacking: list[Lacking] = []
        if any(figures.unconverted for figures in nodes[0].total.values()):
            lacking = await self.figures.lacking(selection)
        shown = below(nodes, node_id, asked.depth) if asked.HasField("depth") else nodes
        return RolledUp(group_by, selection, pruned(shown, frozenset({node_id})), lacking)

    async def selection(self, periods: Sequence[str], currency: str) -> Selection:
        """Which deals are added up for a request, and how."""
        settings = await self.organisation.settings()
        today = settings.day_of(self.call.now)
        chosen = settings.calendar.selected(list(periods), today)
        return Selection(chosen, currency or settings.reporting_currency, settings.reporting_currency, today)

    async def tree(self, group_by: int, selection: Selection, asked: str = ALL) -> list[Node]:
        """All nodes that the caller sees; `asked` is among them, if there is such a thing at all."""
        if group_by == GroupBy.PRODUCT:
            own = await self.figures.by_product(selection)
            members = await self.organisation.products({*own, asked})
            return roll_up(members, own, await self.figures.in_all(selection))
        own = await self.figures.by_owner(selection)
        members = await self.members(group_by, {*own, asked})
        if group_by == GroupBy.TERRITORY:
            own = _by_territory(own, await self.organisation.territory_of_owners())
        return roll_up(members, own)

    async def members(self, group_by: int, ids: set[str]) -> list[Member]:
        """What can be a node: of people only those whom the caller sees."""
        if group_by == GroupBy.TERRITORY:
            return await self.organisation.territories()
        within = (await sight.owners_within(self.call)).within
        people = await (
            self.organisation.people(ids) if group_by == GroupBy.OWNER else self.organisation.team()
        )
        return [member for member in people if within is None or UUID(member.id) in within]

    async def choice(self, group_by: int, node_id: str) -> Choice:
        """Which deals are behind a node.

        Raises:
            NodeNotFound: there is no such node.
        """
        if group_by == GroupBy.PRODUCT:
            return Choice(product=node_id if node_id != ALL else None)
        if node_id == ALL:
            return Choice()
        if group_by == GroupBy.TERRITORY:
            covered = await self.organisation.territory_of_owners()
            if node_id == NONE:
                return Choice(others=list(covered))
            part = _ids(below(roll_up(await self.organisation.territories(), {}), node_id))
            return Choice(owners=[owner for owner, territory in covered.items() if territory in part])
        if node_id == NONE:
            return Choice(unowned=True)
        if group_by == GroupBy.OWNER:
            return Choice(owners=_ids_of({node_id}))
        members = await self.members(GroupBy.TEAM, set())
        if node_id not in {member.id for member in members}:
            return Choice(owners=_ids_of({node_id}))  # an owner whom the forecast has not heard of yet
        return Choice(owners=_ids(below(roll_up(members, {}), node_id)))


def _by_territory(
    own: dict[str, dict[str, Figures]], covered: dict[UUID, UUID]
) -> dict[str, dict[str, Figures]]:
    territories = {str(owner): str(territory) for owner, territory in covered.items()}
    cells: dict[str, dict[str, Figures]] = {}
    for owner, periods in own.items():
        node = cells.setdefault(territories.get(owner, NONE), {})
        for period, figures in periods.items():
            added = node.setdefault(period, Figures())
            added += figures
    return cells


def _ids(nodes: Sequence[Node]) -> frozenset[UUID]:
    return _ids_of({node.id for node in nodes} - {ALL, NONE})


def _ids_of(texts: set[str]) -> frozenset[UUID]:
    try:
        return frozenset(map(UUID, texts))
    except ValueError:
        raise NodeNotFound(next(iter(texts))) from None
