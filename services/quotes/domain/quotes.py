"""Quotes: written as drafts, approved where that is needed, sent, viewed, then accepted, rejected,
withdrawn, superseded or expired. From submission on the content stands; what the customer has is changed
by a new revision only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from chassis.entity import Entity
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, total
from services.quotes.domain.choices import must_be_chosen, must_be_chosen_once
from services.quotes.domain.discounts import DiscountInFormerCurrency, spread_discount
from services.quotes.domain.lines import MAX_AMOUNT, AmountTooLarge, QuoteLine, must_not_be_negative
from services.quotes.domain.payments import Instalment, scheduled
from services.quotes.domain.quote_events import (
    GIVEN_UP,
    IN_PREPARATION,
    OPEN,
    WITH_CUSTOMER,
    QuoteAccepted,
    QuoteApproved,
    QuoteCancelled,
    QuoteCreated,
    QuoteDeleted,
    QuoteExpired,
    QuoteMadePrimary,
    QuoteRecalled,
    QuoteRejected,
    QuoteSent,
    QuoteState,
    QuoteSubmitted,
    QuoteSuperseded,
    QuoteUndeleted,
    QuoteUpdated,
    QuoteViewed,
)
from services.quotes.domain.quote_refusals import (
    CurrencyUnknown,
    PrimaryQuoteStands,
    QuoteAwaitsApproval,
    QuoteEmpty,
    QuoteEnded,
    QuoteNotDraft,
    QuoteNotInApproval,
    QuoteNotRevisable,
    QuoteNotSent,
    QuoteOutOfDate,
    QuoteRevised,
)
from services.quotes.domain.redemptions import AppliedPromotion
from services.quotes.domain.taxation import UNTAXED, TaxAmount, Taxation, taxed

__all__ = [
    "GIVEN_UP",
    "IN_PREPARATION",
    "OPEN",
    "VALIDITY",
    "WITH_CUSTOMER",
    "CurrencyUnknown",
    "PrimaryQuoteStands",
    "Quote",
    "QuoteAccepted",
    "QuoteApproved",
    "QuoteAwaitsApproval",
    "QuoteCancelled",
    "QuoteCreated",
    "QuoteDeleted",
    "QuoteEmpty",
    "QuoteEnded",
    "QuoteExpired",
    "QuoteMadePrimary",
    "QuoteNotDraft",
    "QuoteNotInApproval",
    "QuoteNotRevisable",
    "QuoteNotSent",
    "QuoteOutOfDate",
    "QuoteRecalled",
    "QuoteRejected",
    "QuoteRevised",
    "QuoteSent",
    "QuoteState",
    "QuoteSubmitted",
    "QuoteSuperseded",
    "QuoteUndeleted",
    "QuoteUpdated",
    "QuoteViewed",
]

VALIDITY = timedelta(days=30)
"""How long a quote stands that does not say."""
_TICK = timedelta(microseconds=1)


@dataclass(slots=True, kw_only=True)
class Quote(Entity):
    """What a customer is offered. All sums are kept as they follow from the lines."""

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
    cloned_from_id: UUID | None = None
    discount_percent: Decimal = Decimal(0)
    discount_value: Decimal = Decimal(0)
    tax_region: str = ""
    prices_include_tax: bool = False
    tax_total: Decimal = Decimal(0)
    payable_total: Decimal = Decimal(0)
    taxes: tuple[TaxAmount, ...] = ()
    is_tax_exempt: bool = False
    payment_days: int = 0
    payment_schedule: tuple[Instalment, ...] = ()
    priced_on: date | None = None
    exchange_rate: Decimal | None = None
    exchange_currency: str = ""
    exchange_date: date | None = None
    submitted_at: datetime | None = None
    approved_at: datetime | None = None
    viewed_at: datetime | None = None
    segments: tuple[str, ...] = ()
    territories: tuple[str, ...] = ()
    channel: str = ""
    coupon_codes: tuple[str, ...] = ()
    promotions: tuple[AppliedPromotion, ...] = ()
    requested_date: date | None = None
    credit_warnings: tuple[str, ...] = ()

    def create(self, lines: tuple[QuoteLine, ...], taxation: Taxation = UNTAXED) -> QuoteCreated:
        """Makes the draft with its lines.

        Raises:
            AmountTooLarge, CurrenciesDiffer: the lines cannot be added up.
            DiscountTwice, DiscountTooLarge: the discount of the whole makes no sense.
            AlternativeChosenTwice: more than one line of a group of alternatives is chosen.
            InstalmentsIncomplete: the instalments are not 100 percent.
        """
        self._offer(lines, taxation)
        return QuoteCreated()

    def change(
        self,
        values: Mapping[str, Any],
        lines: tuple[QuoteLine, ...] | None = None,
        taxation: Taxation = UNTAXED,
    ) -> QuoteUpdated:
        """Sets the fields that `values` names, and the lines where they are given.

        Raises:
            QuoteNotDraft: its content stands.
            AmountTooLarge, CurrenciesDiffer and others as `create`: the lines cannot be added up.
        """
        self.must_be_draft()
        for field, value in values.items():
            setattr(self, field, value)
        self._offer(self.lines if lines is None else lines, taxation)
        return QuoteUpdated()

    def describe(self, values: Mapping[str, Any]) -> QuoteUpdated:
        """Sets fields that no price depends on.

        Raises:
            QuoteNotDraft: its content stands.
        """
        self.must_be_draft()
        for field, value in values.items():
            setattr(self, field, value)
        return QuoteUpdated()

    def as_if(self, values: Mapping[str, Any]) -> Quote:
        """A copy with other values: what it is to be, while that is being priced."""
        return replace(self, **values)

    def must_not_take_off_an_amount(self) -> None:
        """Raises DiscountInFormerCurrency where an amount off the whole would be one of another currency."""
        if self.discount_value:
            raise DiscountInFormerCurrency(self.currency)

    def must_be_draft(self) -> None:
        """Raises QuoteNotDraft where it is none."""
        if self.state is not QuoteState.DRAFT:
            raise QuoteNotDraft(self)

    def must_be_with_customer(self) -> None:
        """Raises QuoteNotSent where there is nothing for the customer to decide on."""
        if self.state not in WITH_CUSTOMER:
            raise QuoteNotSent(self)

    def must_be_ready(self, at: datetime) -> None:
        """Raises a refusal where it could not be sent even if nobody had to approve it.

        Raises:
            QuoteEmpty: there is nothing in it.
            AlternativeOpen: a group of alternatives has no line chosen.
            QuoteOutOfDate: it would have expired before.
        """
        if not any(line.counts for line in self.lines):
            raise QuoteEmpty(self)
        must_be_chosen(self.lines)
        self._must_be_valid(at)

    def submit(self, at: datetime) -> QuoteSubmitted:
        """Hands it in for approval; its content stands from now on.

        Raises:
            QuoteNotDraft: it was handed in or sent before.
            QuoteEmpty, AlternativeOpen, QuoteOutOfDate: it could not be sent.
        """
        self.must_be_draft()
        self.must_be_ready(at)
        self.state, self.submitted_at, self.approved_at = QuoteState.IN_APPROVAL, at, None
        return QuoteSubmitted()

    def approve(self, at: datetime) -> QuoteApproved:
        """Everybody who has to has approved it: it can be sent.

        Raises:
            QuoteNotInApproval: nobody has handed it in.
        """
        if self.state is not QuoteState.IN_APPROVAL:
            raise QuoteNotInApproval(self)
        self.state, self.approved_at = QuoteState.APPROVED, at
        return QuoteApproved()

    def recall(self) -> QuoteRecalled:
        """Takes it back from approval, or sends it back: it is a draft again, and can be changed.

        Raises:
            QuoteNotInApproval: it is not in approval, nor approved and unsent.
        """
        if self.state not in (QuoteState.IN_APPROVAL, QuoteState.APPROVED):
            raise QuoteNotInApproval(self)
        self.state, self.submitted_at, self.approved_at = QuoteState.DRAFT, None, None
        return QuoteRecalled()

    def send(self, at: datetime) -> QuoteSent:
        """Gives it to the customer: from now on everything in it is firm until it expires.

        Raises:
            QuoteAwaitsApproval: it is in approval.
            QuoteNotDraft, QuoteEmpty: there is nothing to send.
            AlternativeOpen: a group of alternatives has no line chosen.
            QuoteOutOfDate: it would have expired before.
        """
        self.must_be_unsent()
        self.valid_until = self.valid_until or (at + VALIDITY).date()
        self.must_be_ready(at)
        self.state, self.sent_at = QuoteState.SENT, at
        return QuoteSent()

    def must_be_unsent(self) -> None:
        """Raises a refusal where it is not a draft, nor approved."""
        if self.state is QuoteState.IN_APPROVAL:
            raise QuoteAwaitsApproval(self)
        if self.state is not QuoteState.APPROVED:
            self.must_be_draft()

    def freeze_exchange_rate(self, rate: Decimal, currency: str, day: date) -> None:
        """What one unit of its currency is worth in the tenant's own, from sending on whatever comes."""
        self.exchange_rate, self.exchange_currency, self.exchange_date = rate, currency, day

    def view(self, at: datetime) -> QuoteViewed:
        """The customer has opened it. The first time counts.

        Raises:
            QuoteNotSent: there is nothing for the customer to see.
        """
        self.must_be_with_customer()
        if self.state is QuoteState.SENT:
            self.state, self.viewed_at = QuoteState.VIEWED, at
        return QuoteViewed()

    def accept(
        self, at: datetime, order_id: UUID, accepted_by: str, purchase_order_number: str
    ) -> QuoteAccepted:
        """The customer accepts, by which the order `order_id` is placed.

        Raises:
            QuoteNotSent: there is nothing to accept.
            QuoteOutOfDate: its validity has passed, whether or not it was marked expired yet.
        """
        self.must_be_with_customer()
        self._must_be_valid(at)
        self.state, self.accepted_at, self.order_id = QuoteState.ACCEPTED, at, order_id
        self.accepted_by, self.purchase_order_number = accepted_by, purchase_order_number
        return QuoteAccepted()

    def reject(self, at: datetime, reason: str) -> QuoteRejected:
        """The customer rejects.

        Raises:
            QuoteNotSent: there is nothing to reject.
        """
        self.must_be_with_customer()
        self._end(QuoteState.REJECTED, at, reason)
        return QuoteRejected()

    def expire(self, at: datetime) -> QuoteExpired | None:
        """Its validity has passed; None where it has not, or where it was decided on before."""
        if self.state not in WITH_CUSTOMER or not self._is_past(at):
            return None
        self._end(QuoteState.EXPIRED, at, "")
        return QuoteExpired()

    def cancel(self, at: datetime, reason: str) -> QuoteCancelled:
        """Withdraws it.

        Raises:
            QuoteEnded: there is nothing to withdraw.
        """
        if self.state not in OPEN:
            raise QuoteEnded(self)
        self._end(QuoteState.CANCELLED, at, reason)
        return QuoteCancelled()

    def make_primary(self, at: datetime, former: Quote | None, latest: datetime | None) -> QuoteMadePrimary:
        """Makes it the one quote that sets its opportunity.

        `former` is the quote that was until now: it gives way by a call of its own. `latest` is when
        any quote of the opportunity last became primary: this one becomes so later, by whatever clock.

        Raises:
            QuoteEnded: it is rejected, expired, cancelled or superseded.
            PrimaryQuoteStands: the former has been accepted.
        """
        if self.state in GIVEN_UP:
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

    def revise(self, at: datetime) -> tuple[Quote, QuoteSuperseded | QuoteUpdated]:
        """The next revision, a draft of the same content, and what becomes of this one by it.

        Raises:
            QuoteNotRevisable: the customer has not had it, or has accepted it.
            QuoteRevised: it has a next revision.
        """
        if self.state in IN_PREPARATION or self.state is QuoteState.ACCEPTED:
            raise QuoteNotRevisable(self)
        if self.revised_by_id is not None:
            raise QuoteRevised(self)
        revision = Quote(
            id=new_id(),
            number=self.number,
            revision=self.revision + 1,
            revised_from_id=self.id,
            is_primary=self.is_primary,
            primary_at=max(at, self.primary_at + _TICK) if self.is_primary and self.primary_at else None,
            opportunity_id=self.opportunity_id,
            **{name: getattr(self, name) for name in _CONTENT},
        )
        event: QuoteSuperseded | QuoteUpdated = QuoteUpdated()
        if self.state in WITH_CUSTOMER:
            self._end(QuoteState.SUPERSEDED, at, "Revised.")
            event = QuoteSuperseded()
        self.revised_by_id, self.is_primary = revision.id, False
        return revision, event

    def clone(self, number: str, day: date, opportunity_id: UUID | None = None) -> tuple[Quote, QuoteCreated]:
        """A draft of its own with the same content and lines of its own, whatever this one's state; to be
        priced as of `day`."""
        content = {name: getattr(self, name) for name in _CONTENT} | {"priced_on": day}
        content["lines"] = tuple(replace(line, id=new_id()) for line in self.lines)
        clone = Quote(
            id=new_id(),
            number=number,
            cloned_from_id=self.id,
            opportunity_id=opportunity_id or self.opportunity_id,
            **content,
        )
        return clone, QuoteCreated()

    def content_as(
        self,
        lines: tuple[QuoteLine, ...],
        taxation: Taxation,
        promotions: tuple[AppliedPromotion, ...] = (),
    ) -> Quote:
        """A copy that offers these lines: what this one would be if it were priced again."""
        copy = replace(self, promotions=promotions)
        copy._offer(lines, taxation)  # of the same class
        return copy

    def take_over(self, priced: Quote) -> None:
        """Offers what `priced`, made by `content_as`, offers."""
        for name in _PRICED:
            setattr(self, name, getattr(priced, name))

    def differs_in_price(self, priced: Quote) -> bool:
        """Whether a copy made by `content_as` offers anything else."""
        return any(getattr(self, name) != getattr(priced, name) for name in _PRICED)

    def _offer(self, lines: tuple[QuoteLine, ...], taxation: Taxation) -> None:
        for index, line in enumerate(lines):
            if line.unit_price.currency != self.currency:
                raise CurrenciesDiffer(
                    line.unit_price.currency, self.currency, field=f"quote.lines[{index}].unit_price"
                )
        must_be_chosen_once(lines)
        must_not_be_negative(lines)
        lines = spread_discount(lines, self.discount_percent, self.discount_value, self.currency)
        self.lines = taxed(lines, taxation)
        counted = [line for line in self.lines if line.counts]
        self.subtotal = total((line.subtotal for line in counted), self.currency).amount
        self.total = total((line.total for line in counted), self.currency).amount
        self.taxes, self.is_tax_exempt = taxation.taxes, taxation.is_exempt
        self.tax_total = sum((line.tax for line in counted), Decimal(0))
        self.payable_total = self.total if self.prices_include_tax else self.total + self.tax_total
        self.payment_schedule = scheduled(self.payment_schedule, self.payable_total, self.currency)
        if self.subtotal >= MAX_AMOUNT:
            raise AmountTooLarge("quote.lines")

    @property
    def discount_total(self) -> Decimal:
        """What the discounts take off."""
        return self.subtotal - self.total

    def needed_on(self, today: date) -> date:
        """By when its goods are needed: the day that the customer asked for, today where that has passed or
        nobody said."""
        return max(self.requested_date or today, today)

    def money(self, amount: Decimal) -> Money:
        """An amount in the quote's currency."""
        return Money(amount, self.currency)

    def _must_be_valid(self, at: datetime) -> None:
        if self._is_past(at):
            raise QuoteOutOfDate(self)

    def _is_past(self, at: datetime) -> bool:
        return self.valid_until is not None and at.date() > self.valid_until

    def _end(self, state: QuoteState, at: datetime, reason: str) -> None:
        self.state, self.ended_at, self.end_reason = state, at, reason


# What pricing a quote again may change.
_PRICED = (
    *("lines", "subtotal", "total", "taxes", "is_tax_exempt", "tax_total", "payable_total"),
    *("payment_schedule", "promotions"),
)
# What a revision or a clone takes over: all but where the quote stood, and until when.
_CONTENT = (
    *("name", "account_id", "contact_id", "owner_id", "currency", "price_book_id", "terms", "description"),
    *("segments", "territories", "channel", "coupon_codes", "requested_date"),
    *("discount_percent", "discount_value", "tax_region", "prices_include_tax", "payment_days", "priced_on"),
    *_PRICED,
)
