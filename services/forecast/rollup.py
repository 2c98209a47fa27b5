"""Answering what a request asks for: the tree that it names, with the figures that the caller sees."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis import convert, sight
from chassis.call import Call
from services.forecast import wire
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import NONE, Figures
from services.forecast.domain.trees import ALL, Member, Node, NodeNotFound, below, pruned, roll_up
from services.forecast.store import Choice, FigureStore, OrganisationStore, Selection

GroupBy = pb.Forecast.GroupBy


Asked = pb.GetForecastRequest | pb.StreamForecastRequest
Cells = dict[str, dict[str, Figures]]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a forecast is made of: the figures of each owner or product, and the tree that they stand in."""

    group_by: pb.Forecast.GroupBy.ValueType
    selection: Selection
    own: Cells
    members: list[Member]
    covered: dict[UUID, UUID] = field(default_factory=dict)
    """The territory of each owner."""
    total: Mapping[str, Figures] | None = None
    """By product a deal with two products is one deal."""
    lacking: list[Lacking] = field(default_factory=list)

    @property
    def unconverted(self) -> int:
        """How many deals wait for a rate."""
        return sum(figures.unconverted for periods in self.own.values() for figures in periods.values())

    def tree(self) -> list[Node]:
        """All nodes that the caller sees."""
        own = _by_territory(self.own, self.covered) if self.group_by == GroupBy.TERRITORY else self.own
        return roll_up(self.members, own, self.total)

    def rolled_up(self, asked: Asked) -> "RolledUp":
        """The part of the tree that was asked for.

        Raises:
            NodeNotFound: the node is not in it.
        """
        node_id = asked.node_id or ALL
        nodes = below(self.tree(), node_id, asked.depth if asked.HasField("depth") else None)
        return RolledUp(self, pruned(nodes, frozenset({node_id})))


@dataclass(frozen=True, slots=True)
class RolledUp:
    """A forecast: the tree, and what it was made of."""

    basis: Basis
    nodes: list[Node]

    def to_proto(self, only: Sequence[Node] | None = None) -> pb.Forecast:
        """The answer, without watermarks; with all nodes, or only some."""
        basis, selection = self.basis, self.basis.selection
        periods, currency = selection.periods, selection.currency
        return pb.Forecast(
            group_by=basis.group_by,
            currency=currency,
            periods=map(wire.period_to_proto, periods),
            nodes=(
                wire.node_to_proto(node, periods, currency) for node in (self.nodes if only is None else only)
            ),
            missing_rates=(wire.lacking_to_proto(lacking, currency) for lacking in basis.lacking),
            today=convert.date_to_proto(selection.today),
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
        return (await self.basis_for(asked)).rolled_up(asked)

    async def basis_for(self, asked: Asked) -> Basis:
        """What the forecast that was asked for is made of."""
        selection = await self.selection(asked.periods, asked.currency)
        return await self.basis(asked.group_by or GroupBy.TEAM, selection, asked.node_id)

    async def selection(self, periods: Sequence[str], currency: str) -> Selection:
        """Which deals are added up for a request, and how."""
        settings = await self.organisation.settings()
        today = settings.day_of(self.call.now)
        chosen = settings.calendar.selected(list(periods), today)
        return Selection(chosen, currency or settings.reporting_currency, settings.reporting_currency, today)

    async def basis(
        self, group_by: pb.Forecast.GroupBy.ValueType, selection: Selection, asked: str = ""
    ) -> Basis:
        """Everything of one tree; the node `asked` is in it, if there is such a thing at all."""
        total: Mapping[str, Figures] | None = None
        covered: dict[UUID, UUID] = {}
        if group_by == GroupBy.PRODUCT:
            own = await self.figures.by_product(selection)
            total = await self.figures.in_all(selection)
            members = await self.organisation.products({*own, asked})
        else:
            own = await self.figures.by_owner(selection)
            members = await self.members(group_by, {*own, asked})
        if group_by == GroupBy.TERRITORY:
            covered = await self.organisation.territory_of_owners()
        basis = Basis(group_by, selection, own, members, covered, total)
        return replace(basis, lacking=await self.figures.lacking(selection)) if basis.unconverted else basis

    async def renewed(self, basis: Basis, owners: Collection[UUID | None]) -> Basis | None:
        """The same with the figures of some owners read again; None where that is not enough."""
        ids = {str(owner) if owner else NONE for owner in owners}
        if basis.group_by == GroupBy.PRODUCT:
            return None
        if basis.group_by == GroupBy.OWNER and ids - basis.own.keys():
            return None
        choice = Choice(owners=[owner for owner in owners if owner], unowned=None in owners)
        figures = await self.figures.by_owner(basis.selection, choice)
        kept = {owner: periods for owner, periods in basis.own.items() if owner not in ids}
        renewed = replace(basis, own=kept | figures)
        return renewed if renewed.unconverted == basis.unconverted else None

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
            if node_id not in (ALL, NONE):
                _ids_of({node_id})
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
            return Choice(owners=(), unowned=True)
        if group_by == GroupBy.OWNER:
            return Choice(owners=_ids_of({node_id}))
        members = await self.members(GroupBy.TEAM, set())
        if node_id not in {member.id for member in members}:
            return Choice(owners=_ids_of({node_id}))  # an owner whom the forecast has not heard of yet
        return Choice(owners=_ids(below(roll_up(members, {}), node_id)))


def _by_territory(own: Cells, covered: Mapping[UUID, UUID]) -> Cells:
    territories = {str(owner): str(territory) for owner, territory in covered.items()}
    cells: Cells = {}
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
