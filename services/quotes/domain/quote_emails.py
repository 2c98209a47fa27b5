"""E-mails that take a quote to a customer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition
from services.quotes.domain.products import FieldRequired


class EmailState(Enum):
    """Where an e-mail stands."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class QuoteEmailQueued(Event):
    """An e-mail is about to go out."""


@dataclass(frozen=True, slots=True)
class QuoteEmailSent(Event):
    """The mail server took an e-mail."""


@dataclass(frozen=True, slots=True)
class QuoteEmailFailed(Event):
    """An e-mail could not be sent."""


class EmailNotConfigured(FailedPrecondition):
    """Nobody has set a mail server."""

    def __init__(self) -> None:
        super().__init__("E-mail needs the settings SFA_QUOTES_SMTP_HOST and SFA_QUOTES_SMTP_FROM.")


@dataclass(slots=True, kw_only=True)
class QuoteEmail(Entity):
    """One e-mail to one person."""

    quote_id: UUID
    owner_id: UUID
    recipient_email: str
    recipient_name: str = ""
    message: str = ""
    language: str = ""
    template_id: UUID | None = None
    state: EmailState = EmailState.QUEUED
    acceptance_link_id: UUID
    sent_at: datetime | None = None
    failure: str = ""

    def create(self) -> QuoteEmailQueued:
        """Queues it.

        Raises:
            FieldRequired: it goes to nobody.
        """
        if not self.recipient_email:
            raise FieldRequired("quote email", "recipient_email")
        return QuoteEmailQueued()

    def succeed(self, at: datetime) -> QuoteEmailSent:
        """The mail server took it."""
        self.state, self.sent_at, self.failure = EmailState.SENT, at, ""
        return QuoteEmailSent()

    def fail(self, why: str) -> QuoteEmailFailed:
        """It will not be tried again."""
        self.state, self.failure = EmailState.FAILED, why[:500]
        return QuoteEmailFailed()
