"""Answering what a request asks for: the tree that it names, with the figures that the caller sees."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis import convert, sight
from chassis.call import Call
from services.forecast import wire
from services.forecast.book import Book, Books
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import NONE, Figures
from services.forecast.domain.trees import ALL, Member, Node, NodeKind, NodeNotFound, below, pruned, roll_up
from services.forecast.figures import BookFigures, Selection
from services.forecast.wire.heard import microseconds

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


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose deals are meant: of some, or of everybody but some others; everybody's where nothing is said."""

    only: frozenset[UUID] | None = None
    others: frozenset[UUID] | None = None
    unowned: bool = False
    """Beside the deals of `only`, those without an owner."""


class RollUp:
    """The forecast, as one caller sees it at the moment of one call."""

    def __init__(self, call: Call, book: Book, within: Collection[UUID] | None) -> None:
        self.call, self.book, self.within = call, book, within
        self.figures = BookFigures(book, within)
        self.tenant = book.at()

    @classmethod
    async def of(cls, call: Call, books: Books) -> "RollUp":
        """With everything that was committed before; nothing may be awaited until it is used."""
        within = (await sight.owners_within(call)).within
        return cls(call, await books.of(call), within)

    def answer(self, asked: Asked) -> RolledUp:
        """The forecast that was asked for.

        Raises:
            PeriodUnknown, PeriodRangeWrong, TooManyPeriods, NodeNotFound: the request is wrong.
            SettingsUnknown: the tenant's settings have not been heard.
        """
        return self.basis_for(asked).rolled_up(asked)

    def basis_for(self, asked: Asked) -> Basis:
        """What the forecast that was asked for is made of."""
        selection = self.selection(asked.periods, asked.currency)
        return self.basis(asked.group_by or GroupBy.TEAM, selection, asked.node_id)

    def selection(self, periods: Sequence[str], currency: str) -> Selection:
        """Which deals are added up for a request, and how."""
        settings = self.tenant.settings
        today = settings.day_of(self.call.now)
        chosen = settings.calendar.selected(list(periods), today)
        return Selection(chosen, currency or settings.reporting_currency, settings.reporting_currency, today)

    def basis(self, group_by: pb.Forecast.GroupBy.ValueType, selection: Selection, asked: str = "") -> Basis:
        """Everything of one tree; the node `asked` is in it, if there is such a thing at all."""
        total: Mapping[str, Figures] | None = None
        covered: dict[UUID, UUID] = {}
        if group_by == GroupBy.PRODUCT:
            own = self.figures.by_product(selection)
            total = self.figures.in_all(selection)
            members = _named(self.tenant.products, {*own, asked}, NodeKind.PRODUCT)
        else:
            own = self.figures.by_owner(selection)
            members = self.members(group_by, {*own, asked})
        if group_by == GroupBy.TERRITORY:
            covered = self.territory_of_owners()
        basis = Basis(group_by, selection, own, members, covered, total)
        return replace(basis, lacking=self.figures.lacking(selection)) if basis.unconverted else basis

    def members(self, group_by: int, ids: set[str]) -> list[Member]:
        """What can be a node: of people only those whom the caller sees."""
        if group_by == GroupBy.TERRITORY:
            return [
                Member(str(each.id), each.name, NodeKind.TERRITORY, str(each.parent) if each.parent else None)
                for each in self.tenant.territories.values()
            ]
        people = _named(self.tenant.users, ids, NodeKind.USER) if group_by == GroupBy.OWNER else self._team()
        return [member for member in people if self.within is None or UUID(member.id) in self.within]

    def _team(self) -> list[Member]:
        now = microseconds(self.call.now)
        managers = {line.user: str(line.other) for line in self.tenant.lines if line.holds(now)}
        return [
            Member(str(id), name, NodeKind.USER, managers.get(id)) for id, name in self.tenant.users.items()
        ]

    def territory_of_owners(self) -> dict[UUID, UUID]:
        """Which territory each user covers at the moment."""
        now = microseconds(self.call.now)
        held = [
            each
            for each in self.tenant.assignments
            if each.holds(now) and each.other in self.tenant.territories
        ]
        held.sort(key=lambda each: (each.valid_from, each.id))
        return {each.user: each.other for each in held}

    def owners(self, group_by: int, node_id: str) -> Owners:
        """Whose deals are behind a node.

        Raises:
            NodeNotFound: there is no such node.
        """
        if node_id == ALL:
            return Owners()
        if group_by == GroupBy.TERRITORY:
            covered = self.territory_of_owners()
            if node_id == NONE:
                return Owners(others=frozenset(covered))
            members = self.members(GroupBy.TERRITORY, set())
            part = _ids(below(roll_up(members, {}), node_id))
            return Owners(frozenset(owner for owner, territory in covered.items() if territory in part))
        if node_id == NONE:
            return Owners(frozenset(), unowned=True)
        if group_by == GroupBy.OWNER:
            return Owners(_ids_of({node_id}))
        members = self.members(GroupBy.TEAM, set())
        if node_id not in {member.id for member in members}:
            return Owners(_ids_of({node_id}))  # an owner whom the forecast has not heard of yet
        return Owners(_ids(below(roll_up(members, {}), node_id)))


def _named(names: Mapping[UUID, str], ids: set[str], kind: NodeKind) -> list[Member]:
    return [Member(str(id), name, kind) for id, name in names.items() if str(id) in ids]


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
