"""Acceptance links: how a customer sees one sent quote and decides on it, and what is kept of that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument

MOST_QUESTIONS = 20
"""How many questions can be asked by one link."""


class Answer(Enum):
    """What the customer decided."""

    NONE = ""
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class EvidenceKind(Enum):
    """What a customer did."""

    VIEWED = "viewed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class AcceptanceLinkCreated(Event):
    """A customer can decide by a link."""


@dataclass(frozen=True, slots=True)
class AcceptanceLinkRevoked(Event):
    """A link was ended."""


@dataclass(frozen=True, slots=True)
class AcceptanceLinkViewed(Event):
    """A customer opened a link for the first time."""


@dataclass(frozen=True, slots=True)
class AcceptanceLinkAnswered(Event):
    """A customer accepted or rejected by a link."""


@dataclass(frozen=True, slots=True)
class QuoteQuestionAsked(Event):
    """A customer asked a question."""

    question: str


class LinkExpiresTooEarly(InvalidArgument):
    """A link would have ended before it is made."""

    def __init__(self) -> None:
        super().__init__("The link must end later than now.", field="acceptance_link.expire_time")


class LinksNotConfigured(FailedPrecondition):
    """Nobody has set the key that links are signed with."""

    def __init__(self) -> None:
        super().__init__("Links need a key to be signed with: the setting SFA_QUOTES_LINK_KEYS.")


class QuestionsExhausted(FailedPrecondition):
    """One link takes so many questions and no more."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_QUESTIONS} questions have been asked already.")


@dataclass(slots=True, kw_only=True)
class AcceptanceLink(Entity):
    """A link. `digest` is the SHA-256 of its token, in hexadecimal digits; the token is not kept."""

    quote_id: UUID
    owner_id: UUID
    digest: str
    recipient_name: str = ""
    language: str
    template_id: UUID | None = None
    document_hash: str
    expires_at: datetime
    revoked_at: datetime | None = None
    viewed_at: datetime | None = None
    answer: Answer = Answer.NONE
    answered_at: datetime | None = None
    question_count: int = 0

    def create(self, at: datetime) -> AcceptanceLinkCreated:
        """Makes it work.

        Raises:
            LinkExpiresTooEarly: it never would.
        """
        if self.expires_at <= at:
            raise LinkExpiresTooEarly
        return AcceptanceLinkCreated()

    def revoke(self, at: datetime) -> AcceptanceLinkRevoked:
        """Ends it; the first time counts."""
        self.revoked_at = self.revoked_at or at
        return AcceptanceLinkRevoked()

    def view(self, at: datetime) -> AcceptanceLinkViewed:
        """Somebody looked; the first time counts."""
        self.viewed_at = self.viewed_at or at
        return AcceptanceLinkViewed()

    def decide(self, answer: Answer, at: datetime) -> AcceptanceLinkAnswered:
        """The customer decided."""
        self.answer, self.answered_at = answer, at
        return AcceptanceLinkAnswered()

    def ask(self, question: str) -> QuoteQuestionAsked:
        """The customer asked.

        Raises:
            QuestionsExhausted: too often.
        """
        if self.question_count >= MOST_QUESTIONS:
            raise QuestionsExhausted
        self.question_count += 1
        return QuoteQuestionAsked(question=question)

    def is_over(self, at: datetime) -> bool:
        """Whether its time has passed."""
        return at >= self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something that a customer did, as it was when it happened."""

    id: UUID
    quote_id: UUID
    link_id: UUID
    kind: EvidenceKind
    at: datetime
    address: str
    user_agent: str
    document_hash: str
    name: str = ""
    signature: bytes = b""
    text: str = ""
    email: str = ""
    purchase_order_number: str = ""

    def chain(self, before: str) -> str:
        """SHA-256 over all of it and the chain of the evidence before."""
        facts = {
            **asdict(self),
            "kind": self.kind.value,
            "at": self.at.isoformat(),
            "signature": hashlib.sha256(self.signature).hexdigest() if self.signature else "",
            "before": before,
        }
        text = json.dumps(facts, sort_keys=True, default=str, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
