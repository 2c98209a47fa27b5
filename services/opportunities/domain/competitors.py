"""Competitors: what they sell, where they are strong and weak against us, and what a rep answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument, NotFound
from services.opportunities.domain.competition import DealCompetitor, Threat
from services.opportunities.domain.opportunities import Opportunity


class CompetitorNameMissing(InvalidArgument):
    """A competitor without a name."""

    def __init__(self) -> None:
        super().__init__("A competitor needs a name.", field="competitor.name")


class CompetitorProductTwice(InvalidArgument):
    """Two products of a competitor have one name or one id."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "The products of a competitor differ in name and id.", field=f"competitor.products[{index}]"
        )


class CompetitorProductUnknown(NotFound):
    """A product is named that the competitor does not sell."""

    def __init__(self, field: str) -> None:
        super().__init__("The competitor has no such product.", field=field)


class CompetitorUnknown(NotFound):
    """A competitor is named that is not there, or no more."""

    def __init__(self, id: UUID, field: str) -> None:
        super().__init__(f"There is no competitor {id}.", field=field)


class BattleCardIncomplete(InvalidArgument):
    """A battle card without competitor, claim or answer."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "A battle card names its competitor, a claim and an answer.", field=f"battle_card.{name}"
        )


@dataclass(frozen=True, slots=True)
class CompetitorProduct:
    """Something that a competitor sells, and which of our products it competes with."""

    id: UUID
    name: str
    description: str = ""
    our_product_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class CompetitorTrait:
    """A strength or a weakness, of all or of one product against one of ours."""

    text: str
    product_id: UUID | None = None
    our_product_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CompetitorCreated(Event):
    """A competitor was recorded."""


@dataclass(frozen=True, slots=True)
class CompetitorUpdated(Event):
    """A competitor was changed."""


@dataclass(frozen=True, slots=True)
class CompetitorDeleted(Event):
    """A competitor was deleted."""


@dataclass(frozen=True, slots=True)
class CompetitorUndeleted(Event):
    """A competitor was restored."""


@dataclass(slots=True, kw_only=True)
class Competitor(Entity):
    """Somebody who sells what we sell."""

    name: str = ""
    website: str = ""
    description: str = ""
    products: tuple[CompetitorProduct, ...] = ()
    strengths: tuple[CompetitorTrait, ...] = ()
    weaknesses: tuple[CompetitorTrait, ...] = ()

    def create(self) -> CompetitorCreated:
        """Checks what was said of it.

        Raises:
            CompetitorNameMissing, CompetitorProductTwice, CompetitorProductUnknown: it makes no sense.
        """
        self._check()
        return CompetitorCreated()

    def change(self, fields: Mapping[str, Any]) -> CompetitorUpdated:
        """Takes new values on; raises what `create` raises."""
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()
        return CompetitorUpdated()

    def delete(self, at: datetime) -> CompetitorDeleted:
        """Is deleted; it can be restored for 30 days."""
        self.mark_deleted(at)
        return CompetitorDeleted()

    def undelete(self, at: datetime) -> CompetitorUndeleted:
        """Is restored."""
        self.restore(at)
        return CompetitorUndeleted()

    def _check(self) -> None:
        if not self.name:
            raise CompetitorNameMissing
        ids: set[UUID] = set()
        names: set[str] = set()
        for index, product in enumerate(self.products):
            if product.id in ids or product.name in names:
                raise CompetitorProductTwice(index)
            ids.add(product.id)
            names.add(product.name)
        for name in ("strengths", "weaknesses"):
            for index, trait in enumerate(getattr(self, name)):
                if trait.product_id is not None and trait.product_id not in ids:
                    raise CompetitorProductUnknown(f"competitor.{name}[{index}].product_id")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that backs an answer."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class CardConditions:
    """Which deals a battle card is for: of each that is not empty the deal has one."""

    segments: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    product_ids: tuple[UUID, ...] = ()
    competitor_product_ids: tuple[UUID, ...] = ()
    stage_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Customer:
    """What is known of a deal's account."""

    segment: str = ""
    industry: str = ""


@dataclass(frozen=True, slots=True)
class BattleCardCreated(Event):
    """A battle card was made."""


@dataclass(frozen=True, slots=True)
class BattleCardUpdated(Event):
    """A battle card was changed."""


@dataclass(frozen=True, slots=True)
class BattleCardDeleted(Event):
    """A battle card was deleted."""


@dataclass(frozen=True, slots=True)
class BattleCardUndeleted(Event):
    """A battle card was restored."""


@dataclass(slots=True, kw_only=True)
class BattleCard(Entity):
    """What a rep answers to what a competitor claims."""

    competitor_id: UUID | None = None
    claim: str = ""
    evidence: tuple[Evidence, ...] = ()
    answer: str = ""
    conditions: CardConditions = CardConditions()
    priority: int = 0

    def create(self) -> BattleCardCreated:
        """Checks what was said in it.

        Raises:
            BattleCardIncomplete: competitor, claim or answer is missing.
        """
        self._check()
        return BattleCardCreated()

    def change(self, fields: Mapping[str, Any]) -> BattleCardUpdated:
        """Takes new values on; raises what `create` raises."""
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()
        return BattleCardUpdated()

    def delete(self, at: datetime) -> BattleCardDeleted:
        """Is deleted; it can be restored for 30 days."""
        self.mark_deleted(at)
        return BattleCardDeleted()

    def undelete(self, at: datetime) -> BattleCardUndeleted:
        """Is restored."""
        self.restore(at)
        return BattleCardUndeleted()

    def closeness(self, deal: Opportunity, rival: DealCompetitor, customer: Customer) -> int | None:
        """How many of its conditions the deal meets; None where it does not meet one."""
        asked = self.conditions
        met = 0
        for wanted, there in (
            (_folded(asked.segments), _folded([customer.segment])),
            (_folded(asked.industries), _folded([customer.industry])),
            (set(asked.product_ids), {line.product_id for line in deal.line_items}),
            (set(asked.competitor_product_ids), set(rival.product_ids)),
            (set(asked.stage_ids), {deal.stage_id}),
        ):
            if wanted and wanted.isdisjoint(there):
                return None
            met += bool(wanted)
        return met

    def _check(self) -> None:
        for name in ("competitor_id", "claim", "answer"):
            if not getattr(self, name):
                raise BattleCardIncomplete(name)


def fitting(
    cards: Iterable[BattleCard], deal: Opportunity, rival: DealCompetitor, customer: Customer
) -> list[BattleCard]:
    """The cards against a competitor that fit a deal: the closest first, then by priority."""
    found = [
        (closeness, card)
        for card in cards
        if card.competitor_id == rival.competitor_id
        and (closeness := card.closeness(deal, rival, customer)) is not None
    ]
    found.sort(key=lambda each: (-each[0], -each[1].priority, each[1].id))
    return [card for _, card in found]


def by_threat(rivals: Sequence[DealCompetitor]) -> list[DealCompetitor]:
    """The most dangerous first; those of whom nobody said how dangerous they are last."""
    order = [Threat.HIGH, Threat.MEDIUM, Threat.LOW, None]
    return sorted(rivals, key=lambda each: order.index(each.threat))


def check_named(
    fields: Mapping[str, Any],
    known: Mapping[UUID, Competitor],
    before: Iterable[DealCompetitor] = (),
    within: str = "opportunity.",
) -> None:
    """Whether the competitors that a change of a deal names are there; those that it has had may be deleted.

    Raises:
        CompetitorUnknown, CompetitorProductUnknown: one of them, or of their products, is not.
    """
    had = {each.competitor_id: each for each in before}
    for index, rival in enumerate(fields.get("competitors") or ()):
        if had.get(rival.competitor_id) == rival:
            continue
        field = f"{within}competitors[{index}]"
        competitor = known.get(rival.competitor_id)
        if competitor is None or (competitor.deleted_at is not None and rival.competitor_id not in had):
            raise CompetitorUnknown(rival.competitor_id, f"{field}.competitor_id")
        products = {product.id for product in competitor.products}
        for number, product in enumerate(rival.product_ids):
            if product not in products:
                raise CompetitorProductUnknown(f"{field}.product_ids[{number}]")
    winner = fields.get("lost_to_competitor_id")
    if winner is not None and winner not in had:
        competitor = known.get(winner)
        if competitor is None or competitor.deleted_at is not None:
            raise CompetitorUnknown(winner, f"{within}lost_to_competitor_id")


def _folded(texts: Iterable[str]) -> set[str]:
    return {text.strip().casefold() for text in texts if text.strip()}
