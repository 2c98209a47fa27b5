"""Opportunities. The stage decides everything: whether a deal is open, won or lost, how likely it is, and
how the forecast counts it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, total
from services.opportunities.domain.competition import (
    CompetitorMissing,
    check_competitors,
    with_competitor,
)
from services.opportunities.domain.details import DETAILS, MOST, PLAIN, Details, TooMany
from services.opportunities.domain.pipelines import Pipeline, Stage, State
from services.opportunities.domain.quote_links import NOTHING, OrderNotice, OrderNotNoticed, QuoteLinks


class NameMissing(InvalidArgument):
    """A deal without a name."""

    def __init__(self) -> None:
        super().__init__("An opportunity needs a name.", field="opportunity.name")


class OpportunityClosed(FailedPrecondition):
    """The deal is won or lost already."""

    def __init__(self, state: State) -> None:
        super().__init__(f"The opportunity is {state.value.lower()} already; reopen it first.")


class OpportunityOpen(FailedPrecondition):
    """The deal is still being worked on."""

    def __init__(self) -> None:
        super().__init__("The opportunity is open.")


class StageNotOpen(FailedPrecondition):
    """A deal is won or lost by a verb, not by a move."""

    def __init__(self) -> None:
        super().__init__(
            "An opportunity is moved between open stages; win or lose it to close it.", field="stage_id"
        )


class AmountDiffersFromLines(InvalidArgument):
    """The amount of a deal with line items is their sum."""

    def __init__(self, expected: Money) -> None:
        super().__init__(
            f"The line items add up to {expected.amount} {expected.currency}; leave the amount out, or make it that.",
            field="opportunity.amount",
        )


MAX_AMOUNT: Final = Decimal(10) ** 15


class AmountTooLarge(InvalidArgument):
    """Lines or deals add up to more than an amount can be."""

    def __init__(self, field: str) -> None:
        super().__init__("An opportunity is worth less than 10^15.", field=field)


class MergedAway(FailedPrecondition):
    """A deal went into another one, where its amount counts now."""

    def __init__(self, into: UUID) -> None:
        super().__init__(f"The opportunity was merged into {into}; it cannot be restored by itself.")


class LostReasonMissing(InvalidArgument):
    """A deal is lost for a reason."""

    def __init__(self) -> None:
        super().__init__("Say why the opportunity was lost.", field="lost_reason")


@dataclass(frozen=True, slots=True)
class LineItem:
    """One product in a deal."""

    product_id: UUID
    quantity: Decimal
    unit_price: Money


class NothingProposed(FailedPrecondition):
    """No quote proposes anything, or by now another one does."""

    def __init__(self) -> None:
        super().__init__("No such quote proposes line items and an amount for the opportunity.")


@dataclass(frozen=True, slots=True)
class QuoteProposal:
    """Line items and an amount that a quote would set; `version` is the quote's."""

    quote_id: UUID
    version: int
    amount: Money
    line_items: tuple[LineItem, ...]


@dataclass(frozen=True, slots=True)
class OpportunityCreated(Event):
    """An opportunity was made."""


@dataclass(frozen=True, slots=True)
class OpportunityUpdated(Event):
    """Fields other than the stage were changed."""


@dataclass(frozen=True, slots=True)
class OpportunityMoved(Event):
    """It went to another open stage."""

    from_stage_id: UUID


@dataclass(frozen=True, slots=True)
class OpportunityWon(Event):
    """It was won."""

    from_stage_id: UUID


@dataclass(frozen=True, slots=True)
class OpportunityLost(Event):
    """It was lost."""

    from_stage_id: UUID


@dataclass(frozen=True, slots=True)
class OpportunityReopened(Event):
    """It was opened again."""

    from_stage_id: UUID


@dataclass(frozen=True, slots=True)
class OpportunityMerged(Event):
    """Deals became one: told of the one that stays and of those that went into it."""

    surviving_id: UUID
    merged_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class OpportunitySplit(Event):
    """Parts of a deal became deals: told of the one that was split and of each part."""

    original_id: UUID
    part_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class OpportunityOrderNoticed(Event):
    """An order of it came to nothing."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class OpportunityDeleted(Event):
    """It was deleted."""


@dataclass(frozen=True, slots=True)
class OpportunityUndeleted(Event):
    """It was restored."""


@dataclass(slots=True, kw_only=True)
class Opportunity(Entity):
    """A deal that a sales team works on."""

    name: str = ""
    account_id: UUID | None = None
    owner_id: UUID | None = None
    pipeline_id: UUID | None = None
    stage_id: UUID | None = None
    closed_from: UUID | None = None
    state: State = State.OPEN
    amount: Money | None = None
    line_items: tuple[LineItem, ...] = ()
    close_date: date | None = None
    closed_at: datetime | None = None
    lost_reason: str = ""
    next_step: str = ""
    next_step_date: date | None = None
    description: str = ""
    lead_id: UUID | None = None
    contact_ids: tuple[UUID, ...] = ()
    primary_quote_id: UUID | None = None
    primary_quote_at: datetime | None = None
    primary_quote_version: int = 0
    quote_proposal: QuoteProposal | None = None
    quote_links: QuoteLinks | None = None
    details: Details = PLAIN

    @classmethod
    def create(
        cls, fields: Mapping[str, Any], pipeline: Pipeline, stage: Stage, at: datetime, id: UUID | None = None
    ) -> tuple["Opportunity", OpportunityCreated]:
        """A new deal in a stage of a pipeline; one that enters the won or lost stage is closed at `at`.

        Raises:
            NameMissing, AmountDiffersFromLines, CurrenciesDiffer: the values do not make a deal.
            ForecastCategoryFixed: the pipeline leaves it to its stages.
        """
        pipeline.check_category(fields)
        deal = cls(id=id or new_id(), pipeline_id=pipeline.id, stage_id=stage.id, state=stage.kind)
        deal.change(fields)
        if stage.kind is not State.OPEN:
            deal._close(pipeline.first(State.OPEN), stage, None, at)
        return deal, OpportunityCreated()

    def change(self, fields: Mapping[str, Any]) -> OpportunityUpdated:
        """Takes new values on, by the names of the fields.

        Raises:
            NameMissing, AmountDiffersFromLines, CurrenciesDiffer, or what `Details.changed` raises: the
            values do not make a deal.
        """
        if DETAILS.isdisjoint(fields):
            for name, value in fields.items():
                setattr(self, name, value)
        else:
            for name, value in fields.items():
                if name not in DETAILS:
                    setattr(self, name, value)
            self.details = self.details.changed({name: fields[name] for name in DETAILS & fields.keys()})
        if not self.name:
            raise NameMissing
        # A deal may be won at another amount than its lines add up to; then it keeps that amount.
        if self.line_items and ("line_items" in fields or ("amount" in fields and self.state is State.OPEN)):
            self.amount = self._amount_of_lines(fields.get("amount"))
        if self.details is not PLAIN:
            self._settle(fields)
        return OpportunityUpdated()

    def move(self, stage: Stage, pipeline: Pipeline | None = None) -> OpportunityMoved:
        """Goes to another open stage, of another pipeline where one is given.

        Raises:
            OpportunityClosed: it is not open.
            StageNotOpen: the stage is the won or the lost one.
        """
        if self.state is not State.OPEN:
            raise OpportunityClosed(self.state)
        if stage.kind is not State.OPEN:
            raise StageNotOpen
        moved = OpportunityMoved(self._stage())
        self.stage_id = stage.id
        if pipeline is not None:
            self.pipeline_id = pipeline.id
        return moved

    def migrate(self, stage: Stage) -> Event:
        """Goes where the deals of its stage go that was taken out of the pipeline, open or closed."""
        event: Event = OpportunityMoved(self._stage()) if self.state is State.OPEN else OpportunityUpdated()
        self.stage_id = stage.id
        return event

    def win(
        self,
        won: Stage,
        at: datetime,
        close_date: date | None = None,
        amount: Money | None = None,
        reason: str = "",
    ) -> OpportunityWon:
        """Closes as won, at the amount on record or at another one.

        Raises:
            OpportunityClosed: it is closed already.
        """
        if self.state is not State.OPEN:
            raise OpportunityClosed(self.state)
        event = OpportunityWon(self._stage())
        if amount is not None:
            self.amount = amount
        if reason:
            self.details = self.details.changed({"win_reason": reason})
        self._close(None, won, close_date or at.date(), at)
        return event

    def lose(
        self,
        lost: Stage,
        reason: str,
        at: datetime,
        close_date: date | None = None,
        competitor_id: UUID | None = None,
        price: Money | None = None,
    ) -> OpportunityLost:
        """Closes as lost, for a reason, to a competitor who asked for a price where that is known.

        Raises:
            OpportunityClosed: it is closed already.
            CompetitorMissing: there is a price, and nobody who asks it.
            CurrenciesDiffer: the price is in another currency than the deal.
        """
        if self.state is not State.OPEN:
            raise OpportunityClosed(self.state)
        event = OpportunityLost(self._stage())
        self.lost_reason = reason
        if price is not None:
            if competitor_id is None:
                raise CompetitorMissing
            if self.amount is not None and price.currency != self.amount.currency:
                raise CurrenciesDiffer(price.currency, self.amount.currency, field="competitor_price")
        if competitor_id is not None:
            rivals = with_competitor(self.details.competitors, competitor_id, price)
            self.details = self.details.changed(
                {"competitors": rivals, "lost_to_competitor_id": competitor_id}
            )
        self._close(None, lost, close_date or at.date(), at)
        return event

    def reopen(self, stage: Stage) -> OpportunityReopened:
        """Is worked on again, in the given stage.

        Raises:
            OpportunityOpen: it is open.
            StageNotOpen: the stage is the won or the lost one.
        """
        if self.state is State.OPEN:
            raise OpportunityOpen
        if stage.kind is not State.OPEN:
            raise StageNotOpen
        event = OpportunityReopened(self._stage())
        self.stage_id, self.state = stage.id, State.OPEN
        self.closed_at, self.closed_from, self.lost_reason = None, None, ""
        if self.details is not PLAIN:
            self.details = self.details.changed({"lost_to_competitor_id": None, "win_reason": ""})
        return event

    def put(self, fields: Mapping[str, Any], stage: Stage | None, at: datetime) -> Event:
        """Becomes what a row of an import says, whatever verbs that takes; answers the weightiest event."""
        updated = self.change(fields)
        if stage is None or stage.id == self.stage_id:
            return updated
        if stage.kind is State.OPEN:
            return self.move(stage) if self.state is State.OPEN else self.reopen(stage)
        event: Event = (
            OpportunityWon(self._stage()) if stage.kind is State.WON else OpportunityLost(self._stage())
        )
        self._close(None, stage, fields.get("close_date") or at.date(), at)
        return event

    def follow(
        self, proposal: QuoteProposal, primary_at: datetime, *, sets: bool
    ) -> OpportunityUpdated | None:
        """Takes over what its primary quote says, or keeps it as a proposal; None where that is old news.

        `primary_at` is when the quote became the primary one: of two, the later one counts. A quote
        without lines says nothing yet.
        """
        if self.state is not State.OPEN:
            return None
        if proposal.quote_id != self.primary_quote_id:
            if self.primary_quote_at is not None and primary_at <= self.primary_quote_at:
                return None
        elif proposal.version <= self.primary_quote_version:
            return None
        self.primary_quote_id, self.primary_quote_at = proposal.quote_id, primary_at
        self.primary_quote_version = proposal.version
        self.quote_proposal = None
        if not proposal.line_items and not proposal.amount.amount:
            return OpportunityUpdated()
        if sets:
            self.amount, self.line_items = proposal.amount, proposal.line_items
        elif (proposal.amount, proposal.line_items) != (self.amount, self.line_items):
            self.quote_proposal = proposal
        return OpportunityUpdated()

    def release(self, quote_id: UUID, version: int, *, deleted: bool) -> OpportunityUpdated | None:
        """Its primary quote has come to nothing: what it set stays, what it proposes does not.

        None where the quote is not the primary one, or where this is old news.
        """
        if quote_id != self.primary_quote_id or version <= self.primary_quote_version:
            return None
        self.primary_quote_version = version
        self.quote_proposal = None
        if deleted:
            self.primary_quote_id = None
        return OpportunityUpdated()

    def confirm_quote(self, quote_id: UUID | None) -> OpportunityUpdated:
        """Takes over what its primary quote proposes, also where its acceptance has won the deal.

        Raises:
            OpportunityClosed: it is lost.
            NothingProposed: there is no proposal of that quote.
        """
        proposal = self._proposal(quote_id)
        self.amount, self.line_items, self.quote_proposal = proposal.amount, proposal.line_items, None
        return OpportunityUpdated()

    def dismiss_quote(self) -> OpportunityUpdated:
        """Drops what its primary quote proposes.

        Raises:
            OpportunityClosed, NothingProposed: there is nothing to drop.
        """
        self._proposal(None)
        self.quote_proposal = None
        return OpportunityUpdated()

    def offer_siblings(self, quote_ids: Iterable[UUID]) -> OpportunityUpdated:
        """Offers to close the quotes that were left open when another one was accepted."""
        self.quote_links = (self.quote_links or NOTHING).offering(quote_ids)
        return OpportunityUpdated()

    def drop_siblings(self, quote_ids: Iterable[UUID]) -> OpportunityUpdated:
        """No longer offers to close quotes: they have ended, or are kept."""
        if self.quote_links is not None:
            self.quote_links = self.quote_links.without_siblings(quote_ids)
        return OpportunityUpdated()

    def notice_order(self, notice: OrderNotice) -> OpportunityOrderNoticed:
        """Tells its owner of an order that came to nothing; stage and amount stay as they are."""
        self.quote_links = (self.quote_links or NOTHING).noticing(notice)
        return OpportunityOrderNoticed(notice.order_id)

    def forget_order(self, order_id: UUID, version: int | None = None) -> OpportunityUpdated:
        """What was said of an order holds no more: somebody took note, or by a later `version` of the order
        it was taken after all.

        Raises:
            OrderNotNoticed: nothing was said of it, or the version is no later.
        """
        links = self.quote_links or NOTHING
        said = [notice for notice in links.order_notices if notice.order_id == order_id]
        if not said or (version is not None and version <= said[0].version):
            raise OrderNotNoticed
        self.quote_links = links.without_order(order_id)
        return OpportunityUpdated()

    def delete(self, at: datetime) -> OpportunityDeleted:
        """Is deleted; it can be restored for 30 days."""
        self.mark_deleted(at)
        return OpportunityDeleted()

    def undelete(self, at: datetime) -> OpportunityUndeleted:
        """Is restored.

        Raises:
            MergedAway: it went into another deal, and would count twice.
        """
        if (into := self.details.merged_into_id) is not None:
            raise MergedAway(into)
        self.restore(at)
        return OpportunityUndeleted()

    def _proposal(self, quote_id: UUID | None) -> QuoteProposal:
        if self.state is State.LOST:
            raise OpportunityClosed(self.state)
        proposal = self.quote_proposal
        if proposal is None or quote_id not in (None, proposal.quote_id):
            raise NothingProposed
        return proposal

    def _settle(self, fields: Mapping[str, Any]) -> None:
        """Lets what the deal has agree with what was changed of it."""
        details = self.details
        if "contact_roles" in fields:
            of_roles = (role.contact_id for role in details.contact_roles)
            self.contact_ids = tuple(dict.fromkeys((*self.contact_ids, *of_roles)))
            if len(self.contact_ids) > MOST["contact_ids"]:
                raise TooMany("contact_ids")
        elif details.contact_roles and "contact_ids" in fields:
            kept = tuple(role for role in details.contact_roles if role.contact_id in self.contact_ids)
            self.details = details.changed({"contact_roles": kept})
        if details.competitors and not fields.keys().isdisjoint(("competitors", "amount", "line_items")):
            check_competitors(details.competitors, self.amount.currency if self.amount else None)

    def _stage(self) -> UUID:
        assert self.stage_id is not None
        return self.stage_id

    def _close(self, source: Stage | None, stage: Stage, close_date: date | None, at: datetime) -> None:
        self.closed_from = source.id if source else self.stage_id
        self.stage_id, self.state, self.closed_at = stage.id, stage.kind, at
        self.close_date = close_date or self.close_date or at.date()

    def _amount_of_lines(self, stated: Money | None) -> Money:
        currencies: Sequence[str] = [line.unit_price.currency for line in self.line_items]
        for currency in currencies:
            if currency != currencies[0]:
                raise CurrenciesDiffer(currencies[0], currency, field="opportunity.line_items")
        exact = total((line.unit_price * line.quantity for line in self.line_items), currencies[0])
        if abs(exact.amount) >= MAX_AMOUNT:
            raise AmountTooLarge("opportunity.line_items")
        expected = exact.rounded()
        if stated is not None and stated != expected:
            raise AmountDiffersFromLines(expected)
        return expected
