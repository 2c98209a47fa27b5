"""How long quotes hold stock: by how far a quote is, and for whom it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument
from services.quotes.domain.quotes import WITH_CUSTOMER, Quote, QuoteState

DRAFT_HOURS = 24
"""How long a quote that the customer has not had holds stock where no rule says."""
LONGEST_HOURS = 24 * 366
_LAST = date.max - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class StockSettingsUpdated(Event):
    """The stock settings were changed."""


class HoldRuleTwice(InvalidArgument):
    """Two rules are for the same quotes."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Another rule is for the same state and customer.", field=f"stock_settings.hold_rules[{index}]"
        )


class HoldRuleTooLong(InvalidArgument):
    """A rule holds stock for a year and more, or less than not at all."""

    def __init__(self, index: int) -> None:
        super().__init__(
            f"A hold lasts from 0 to {LONGEST_HOURS} hours.",
            field=f"stock_settings.hold_rules[{index}].hours",
        )


class HoldsNotAllowed(FailedPrecondition):
    """By the tenant's rules such a quote holds no stock."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"A quote that is {quote.state.value} holds no stock for this customer.")


@dataclass(frozen=True, slots=True)
class HoldRule:
    """For quotes in a state (any: None) for a customer (any: None): how long they hold stock.

    No hours at all mean: until the end of the quote's validity. Zero hours mean: not at all.
    """

    state: QuoteState | None = None
    account_id: UUID | None = None
    hours: int | None = None


@dataclass(slots=True, kw_only=True)
class StockSettings(Entity):
    """One per tenant."""

    hold_rules: tuple[HoldRule, ...] = ()

    def change(self, fields: Mapping[str, Any]) -> StockSettingsUpdated:
        """Takes new values on.

        Raises:
            HoldRuleTwice, HoldRuleTooLong: naming the rule.
        """
        for name, value in fields.items():
            setattr(self, name, value)
        seen = set()
        for index, rule in enumerate(self.hold_rules):
            if (rule.state, rule.account_id) in seen:
                raise HoldRuleTwice(index)
            if rule.hours is not None and not 0 <= rule.hours <= LONGEST_HOURS:
                raise HoldRuleTooLong(index)
            seen.add((rule.state, rule.account_id))
        return StockSettingsUpdated()

    def holds_until(self, quote: Quote, at: datetime) -> datetime:
        """When a hold that the quote takes now expires; never after the quote itself.

        Raises:
            HoldsNotAllowed: it may take none.
        """
        rule = _closest(self.hold_rules, quote) or _usual(quote)
        if rule.hours == 0:
            raise HoldsNotAllowed(quote)
        end = None
        if quote.valid_until is not None:
            end = datetime.combine(min(quote.valid_until, _LAST) + timedelta(days=1), time.min, UTC)
        if rule.hours is None:
            return end or at + timedelta(hours=DRAFT_HOURS)
        until = at + timedelta(hours=rule.hours)
        return min(until, end) if end is not None else until


def _closest(rules: Sequence[HoldRule], quote: Quote) -> HoldRule | None:
    """The rule that says most about the quote; the customer weighs more than the state."""
    fitting = [
        rule
        for rule in rules
        if rule.state in (None, quote.state) and rule.account_id in (None, quote.account_id)
    ]
    return max(fitting, key=lambda rule: (rule.account_id is not None, rule.state is not None), default=None)


def _usual(quote: Quote) -> HoldRule:
    return HoldRule(hours=None if quote.state in WITH_CUSTOMER else DRAFT_HOURS)
