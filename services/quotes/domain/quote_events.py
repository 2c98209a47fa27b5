"""Where a quote stands, and what happens to it."""

from dataclasses import dataclass
from enum import Enum

from chassis.entity import Event


class QuoteState(Enum):
    """Where a quote stands."""

    DRAFT = "draft"
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    IN_APPROVAL = "in_approval"
    APPROVED = "approved"
    VIEWED = "viewed"
    SUPERSEDED = "superseded"


WITH_CUSTOMER = frozenset({QuoteState.SENT, QuoteState.VIEWED})
"""The customer has it and has not decided: everything in it is firm."""
IN_PREPARATION = frozenset({QuoteState.DRAFT, QuoteState.IN_APPROVAL, QuoteState.APPROVED})
"""The customer has not had it."""
OPEN = WITH_CUSTOMER | IN_PREPARATION
GIVEN_UP = frozenset({QuoteState.REJECTED, QuoteState.EXPIRED, QuoteState.CANCELLED, QuoteState.SUPERSEDED})
"""Nothing comes of it any more."""


@dataclass(frozen=True, slots=True)
class QuoteCreated(Event):
    """A quote was made, as a draft."""


@dataclass(frozen=True, slots=True)
class QuoteUpdated(Event):
    """A draft was changed, or a quote gave way to another as the primary one."""


@dataclass(frozen=True, slots=True)
class QuoteSubmitted(Event):
    """A draft was handed in for approval."""


@dataclass(frozen=True, slots=True)
class QuoteApproved(Event):
    """Everybody who had to has approved a quote, or nobody had to."""


@dataclass(frozen=True, slots=True)
class QuoteRecalled(Event):
    """A quote went back from approval to be a draft."""


@dataclass(frozen=True, slots=True)
class QuoteSent(Event):
    """A quote was sent to the customer."""


@dataclass(frozen=True, slots=True)
class QuoteViewed(Event):
    """A customer opened a quote for the first time."""


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
    """A quote was withdrawn."""


@dataclass(frozen=True, slots=True)
class QuoteSuperseded(Event):
    """A quote that the customer had was replaced by its next revision."""


@dataclass(frozen=True, slots=True)
class QuoteMadePrimary(Event):
    """A quote became the primary one of its opportunity."""


@dataclass(frozen=True, slots=True)
class QuoteDeleted(Event):
    """A draft was deleted."""


@dataclass(frozen=True, slots=True)
class QuoteUndeleted(Event):
    """A deleted draft was restored."""
