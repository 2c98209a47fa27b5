"""What a quote does to its deal: the tenant decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument


class PrimaryQuote(Enum):
    """Whether the primary quote sets the line items and the amount of its deal."""

    SETS_AMOUNT = "SETS_AMOUNT"
    PROPOSES_AMOUNT = "PROPOSES_AMOUNT"
    LEAVES_AMOUNT = "LEAVES_AMOUNT"


class Acceptance(Enum):
    """What the acceptance of the primary quote does to its deal."""

    WINS = "WINS"
    MOVES = "MOVES"
    LEAVES_STAGE = "LEAVES_STAGE"


class AcceptanceStageMissing(InvalidArgument):
    """An accepted quote is to move its deal, and nobody says where."""

    def __init__(self) -> None:
        super().__init__(
            "Say to which open stage an accepted quote moves its deal.",
            field="quote_settings.acceptance_stage_id",
        )


@dataclass(frozen=True, slots=True)
class QuoteSettingsUpdated(Event):
    """The quote settings were changed."""


@dataclass(slots=True, kw_only=True)
class QuoteSettings(Entity):
    """One per tenant."""

    primary_quote: PrimaryQuote = PrimaryQuote.SETS_AMOUNT
    acceptance: Acceptance = Acceptance.WINS
    acceptance_stage_id: UUID | None = None

    def change(self, fields: Mapping[str, Any]) -> QuoteSettingsUpdated:
        """Takes new values on.

        Raises:
            AcceptanceStageMissing: deals are to move, and the stage is left out.
        """
        for name, value in fields.items():
            setattr(self, name, value)
        if self.acceptance is Acceptance.MOVES and self.acceptance_stage_id is None:
            raise AcceptanceStageMissing
        return QuoteSettingsUpdated()
