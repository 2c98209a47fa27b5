"""Quotes: written as drafts, sent, then accepted, rejected, withdrawn or expired. From sending on the
content stands; a change is a new revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, total
from services.quotes.domain.lines import MAX_AMOUNT, AmountTooLarge, QuoteLine

VALIDITY = timedelta(days=30)
"""How long a quote stands that does not say."""
_TICK = timedelta(microseconds=1)


class QuoteState(Enum):
    """Where a quote stands."""

    DRAFT = "draft"
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class QuoteCreated(Event):
    """A quote was made, as a draft."""


@dataclass(frozen=True, slots=True)
class QuoteUpdated(Event):
    """A draft was changed, or a quote gave way to another as the primary one."""


@dataclass(frozen=True, slots=True)
class QuoteSent(Event):
    """A quote was sent to the customer."""


@dataclass(frozen=True, slots=True)
class QuoteAccepted(Event):
    """A customer accepted a quote."""


@dataclass(frozen=True, slots=True)
class QuoteRejected(Event):
    """A customer rejected a quote."""


@dataclass(frozen=True, slots=True)
class QuoteExpired(Event):
    """A sent quote's validity passed."""


@dataclass(frozen=True, slots=True)
class QuoteCancelled(Event):
    """A quote was withdrawn, or replaced by a revision."""


@dataclass(frozen=True, slots=True)
class QuoteMadePrimary(Event):
    """A quote became the primary one of its opportunity."""


@dataclass(frozen=True, slots=True)
class QuoteDeleted(Event):
    """A draft was deleted."""


@dataclass(frozen=True, slots=True)
class QuoteUndeleted(Event):
    """A deleted draft was restored."""


class QuoteNotDraft(FailedPrecondition):
    """Only a draft can be changed, sent or deleted."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(
            f"Quote {quote.number} is {quote.state.value}, no longer a draft; revise it instead."
        )


class QuoteNotSent(FailedPrecondition):
    """Only a quote that the customer has can be accepted or rejected."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value}: only a sent quote can be decided on.")


class QuoteEnded(FailedPrecondition):
    """The quote is accepted, rejected, expired or cancelled."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value} already.")


class QuoteOutOfDate(FailedPrecondition):
    """The quote's validity has passed."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} was valid until {quote.valid_until}.", field="valid_until")


class QuoteEmpty(FailedPrecondition):
    """A quote without lines offers nothing."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} has no lines.", field="lines")


class QuoteNotRevisable(FailedPrecondition):
    """A draft is changed, and what was accepted stands."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value} and cannot be revised.")


class QuoteRevised(FailedPrecondition):
    """A quote has one next revision."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} revision {quote.revision} has been revised already.")


class PrimaryQuoteStands(FailedPrecondition):
    """Once the primary quote is accepted, no other takes its place."""

    def __init__(self, primary: Quote) -> None:
        super().__init__(f"Quote {primary.number} is the primary one and has been accepted.")


class CurrencyUnknown(InvalidArgument):
    """Neither the quote nor its opportunity says in which currency."""

    def __init__(self) -> None:
        super().__init__(
            "The opportunity has no amount yet: state the quote's currency.", field="quote.currency"
        )


@dataclass(slots=True, kw_only=True)
class Quote(Entity):
    """What a customer is offered. Subtotal and total are kept as they follow from the lines."""

    number: str
    revision: int = 1
    name: str = ""
    opportunity_id: UUID
    account_id: UUID | None = None
    contact_id: UUID | None = None
    owner_id: UUID
    state: QuoteState = QuoteState.DRAFT
    currency: str
    price_book_id: UUID
    valid_until: date | None = None
    lines: tuple[QuoteLine, ...] = ()
    subtotal: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    is_primary: bool = False
    primary_at: datetime | None = None
    terms: str = ""
    description: str = ""
    sent_at: datetime | None = None
    accepted_at: datetime | None = None
    accepted_by: str = ""
    purchase_order_number: str = ""
    order_id: UUID | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    revised_from_id: UUID | None = None
    revised_by_id: UUID | None = None

    def create(self, lines: tuple[QuoteLine, ...]) -> QuoteCreated:
        """Makes the draft with its lines.

        Raises:
            AmountTooLarge, CurrenciesDiffer: the lines cannot be added up.
        """
        self._offer(lines)
        return QuoteCreated()

    def change(self, values: Mapping[str, Any], lines: tuple[QuoteLine, ...] | None = None) -> QuoteUpdated:
        """Sets the fields that `values` names, and the lines where they are given.

        Raises:
            QuoteNotDraft: its content stands.
            AmountTooLarge, CurrenciesDiffer: the lines cannot be added up.
        """
        self.must_be_draft()
        for field, value in values.items():
            setattr(self, field, value)
        self._offer(self.lines if lines is None else lines)
        return QuoteUpdated()

    def must_be_draft(self) -> None:
        """Raises QuoteNotDraft where it is none."""
        if self.state is not QuoteState.DRAFT:
            raise QuoteNotDraft(self)

    def send(self, at: datetime) -> QuoteSent:
        """Gives it to the customer.

        Raises:
            QuoteNotDraft, QuoteEmpty: there is nothing to send.
            QuoteOutOfDate: it would have expired before.
        """
        self.must_be_draft()
        if not self.lines:
            raise QuoteEmpty(self)
        self.valid_until = self.valid_until or (at + VALIDITY).date()
        self._must_be_valid(at)
        self.state, self.sent_at = QuoteState.SENT, at
        return QuoteSent()

    def accept(
        self, at: datetime, order_id: UUID, accepted_by: str, purchase_order_number: str
    ) -> QuoteAccepted:
        """The customer accepts, by which the order `order_id` is placed.

        Raises:
            QuoteNotSent: there is nothing to accept.
            QuoteOutOfDate: its validity has passed, whether or not it was marked expired yet.
        """
        self._must_be_sent()
        self._must_be_valid(at)
        self.state, self.accepted_at, self.order_id = QuoteState.ACCEPTED, at, order_id
        self.accepted_by, self.purchase_order_number = accepted_by, purchase_order_number
        return QuoteAccepted()

    def reject(self, at: datetime, reason: str) -> QuoteRejected:
        """The customer rejects.

        Raises:
            QuoteNotSent: there is nothing to reject.
        """
        self._must_be_sent()
        self._end(QuoteState.REJECTED, at, reason)
        return QuoteRejected()

    def expire(self, at: datetime) -> QuoteExpired | None:
        """Its validity has passed; None where it has not, or where it was decided on before."""
        if self.state is not QuoteState.SENT or not self._is_past(at):
            return None
        self._end(QuoteState.EXPIRED, at, "")
        return QuoteExpired()

    def cancel(self, at: datetime, reason: str) -> QuoteCancelled:
        """Withdraws it.

        Raises:
            QuoteEnded: there is nothing to withdraw.
        """
        if self.state not in (QuoteState.DRAFT, QuoteState.SENT):
            raise QuoteEnded(self)
        self._end(QuoteState.CANCELLED, at, reason)
        return QuoteCancelled()

    def make_primary(self, at: datetime, former: Quote | None, latest: datetime | None) -> QuoteMadePrimary:
        """Makes it the one quote that sets its opportunity.

        `former` is the quote that was until now: it gives way by a call of its own. `latest` is when
        any quote of the opportunity last became primary: this one becomes so later, by whatever clock.

        Raises:
            QuoteEnded: it is rejected, expired or cancelled.
            PrimaryQuoteStands: the former has been accepted.
        """
        if self.state in (QuoteState.REJECTED, QuoteState.EXPIRED, QuoteState.CANCELLED):
            raise QuoteEnded(self)
        if former is not None and former.id != self.id and former.state is QuoteState.ACCEPTED:
            raise PrimaryQuoteStands(former)
        if not self.is_primary:
            self.is_primary = True
            self.primary_at = at if latest is None else max(at, latest + _TICK)
        return QuoteMadePrimary()

    def give_way(self) -> QuoteUpdated:
        """Another quote becomes the primary one."""
        self.is_primary = False
        return QuoteUpdated()

    def delete(self, at: datetime) -> QuoteDeleted:
        """Deletes a draft.

        Raises:
            QuoteNotDraft: the customer has had it.
        """
        self.must_be_draft()
        self.mark_deleted(at)
        self.is_primary = False
        return QuoteDeleted()

    def revise(self, at: datetime) -> tuple[Quote, QuoteCancelled | QuoteUpdated]:
        """The next revision, a draft of the same content, and what becomes of this one by it.

        Raises:
            QuoteNotRevisable: it is a draft, or accepted.
            QuoteRevised: it has a next revision.
        """
        if self.state in (QuoteState.DRAFT, QuoteState.ACCEPTED):
            raise QuoteNotRevisable(self)
        if self.revised_by_id is not None:
            raise QuoteRevised(self)
        revision = Quote(
            id=new_id(),
            number=self.number,
            revision=self.revision + 1,
            revised_from_id=self.id,
            primary_at=max(at, self.primary_at + _TICK) if self.is_primary and self.primary_at else None,
            **{name: getattr(self, name) for name in _CONTENT},
        )
        event = self.cancel(at, "Revised.") if self.state is QuoteState.SENT else QuoteUpdated()
        self.revised_by_id, self.is_primary = revision.id, False
        return revision, event

    def _offer(self, lines: tuple[QuoteLine, ...]) -> None:
        for index, line in enumerate(lines):
            if line.unit_price.currency != self.currency:
                raise CurrenciesDiffer(
                    line.unit_price.currency, self.currency, field=f"quote.lines[{index}].unit_price"
                )
        self.lines = lines
        self.subtotal = total((line.subtotal for line in lines), self.currency).amount
        self.total = total((line.total for line in lines), self.currency).amount
        if self.subtotal >= MAX_AMOUNT:
            raise AmountTooLarge("quote.lines")

    @property
    def discount_total(self) -> Decimal:
        """What the discounts take off."""
        return self.subtotal - self.total

    def money(self, amount: Decimal) -> Money:
        """An amount in the quote's currency."""
        return Money(amount, self.currency)

    def _must_be_sent(self) -> None:
        if self.state is not QuoteState.SENT:
            raise QuoteNotSent(self)

    def _must_be_valid(self, at: datetime) -> None:
        if self._is_past(at):
            raise QuoteOutOfDate(self)

    def _is_past(self, at: datetime) -> bool:
        return self.valid_until is not None and at.date() > self.valid_until

    def _end(self, state: QuoteState, at: datetime, reason: str) -> None:
        self.state, self.ended_at, self.end_reason = state, at, reason


# What a revision takes over: all but where the quote stood, and until when.
_CONTENT = (
    *("name", "opportunity_id", "account_id", "contact_id", "owner_id", "currency", "price_book_id"),
    *("lines", "subtotal", "total", "is_primary", "terms", "description"),
)
