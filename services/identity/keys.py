"""The keys that access tokens are signed with. The private halves are kept encrypted; there is one that
signs, and those before it stay published as long as a token of theirs can live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chassis.entity import Entity, Event
from chassis.tokens import LEEWAY, MAX_LIFETIME

ROTATED_AFTER: Final = timedelta(days=30)
_PUBLISHED_FOR: Final = MAX_LIFETIME + LEEWAY + timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SigningKeyRotated(Event):
    """Tokens are signed with another key from now on."""


@dataclass(frozen=True, slots=True)
class SigningKeyRetired(Event):
    """A key signs no more."""


@dataclass(slots=True, kw_only=True)
class SigningKey(Entity):
    """An Ed25519 key pair: `public` is 32 bytes, `sealed` the encrypted private half.

    It belongs to the whole deployment, and stands under the nil tenant.
    """

    public: bytes
    sealed: bytes
    retired_at: datetime | None = None

    def is_due(self, at: datetime) -> bool:
        """Whether another one should take over."""
        return self.created_at is not None and at - self.created_at >= ROTATED_AFTER

    def is_published(self, at: datetime) -> bool:
        """Whether there may be tokens that it signed."""
        return self.retired_at is None or at < self.retired_at + _PUBLISHED_FOR

    def retire(self, at: datetime) -> SigningKeyRetired:
        """Signs no more."""
        self.retired_at = at
        return SigningKeyRetired()
