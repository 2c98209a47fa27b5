"""Customers' credit, as the ERP says it, and what it does to a quote that is to be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, FieldViolation
from chassis.money import Money
from services.quotes.domain.approval_reasons import plain


class CreditPolicy(Enum):
    """What is done where a customer's credit does not allow a quote."""

    IGNORE = "ignore"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class CustomerCreditChanged(Event):
    """The ERP said how much credit a customer has."""


@dataclass(frozen=True, slots=True)
class CreditSettingsUpdated(Event):
    """What a customer's credit does was changed."""


class CreditRefused(FailedPrecondition):
    """The customer's credit does not allow it."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__(
            " ".join(sentences), violations=tuple(FieldViolation("account_id", each) for each in sentences)
        )


@dataclass(slots=True, kw_only=True)
class CustomerCredit(Entity):
    """One customer's, by the account's id."""

    credit_limit: Money | None = None
    balance: Money | None = None
    overdue: Money | None = None
    is_blocked: bool = False
    reported_version: int = 0

    def report(
        self,
        version: int,
        credit_limit: Money | None,
        balance: Money | None,
        overdue: Money | None,
        *,
        is_blocked: bool,
    ) -> CustomerCreditChanged | None:
        """Takes what the ERP says; None where something later was said. Of one version the stricter counts."""
        said = (version, is_blocked, *(_weight(each) for each in (overdue, balance)), -_limit(credit_limit))
        known = (
            self.reported_version,
            self.is_blocked,
            *(_weight(each) for each in (self.overdue, self.balance)),
            -_limit(self.credit_limit),
        )
        if said <= known:
            return None
        self.reported_version, self.is_blocked = version, is_blocked
        self.credit_limit, self.balance, self.overdue = credit_limit, balance, overdue
        return CustomerCreditChanged()


def _weight(amount: Money | None) -> tuple[Decimal, str]:
    return (Decimal(0), "") if amount is None else (amount.amount, amount.currency)


def _limit(amount: Money | None) -> Decimal:
    return Decimal("Infinity") if amount is None else amount.amount


@dataclass(slots=True, kw_only=True)
class CreditSettings(Entity):
    """One a tenant."""

    over_limit: CreditPolicy = CreditPolicy.WARN
    overdue: CreditPolicy = CreditPolicy.WARN
    blocked: CreditPolicy = CreditPolicy.BLOCK
    overdue_tolerance: Money | None = None

    def change(self, fields: Mapping[str, Any]) -> CreditSettingsUpdated:
        """Takes new values on."""
        for name, value in fields.items():
            setattr(self, name, value)
        return CreditSettingsUpdated()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a customer's credit says against a quote."""

    policy: CreditPolicy
    sentence: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a customer owes or will, all in one currency, that of the credit limit."""

    balance: Decimal
    unbooked: Decimal
    """What was ordered, and the ERP has not booked yet."""
    quote: Decimal

    @property
    def total(self) -> Decimal:
        """All together."""
        return self.balance + self.unbooked + self.quote


def findings(
    credit: CustomerCredit, settings: CreditSettings, exposure: Exposure | None
) -> tuple[Finding, ...]:
    """What speaks against it, but for what is ignored. `exposure` is None where it cannot be added up, for
    want of an exchange rate: that is warned of where a limit would count."""
    found = []
    if credit.is_blocked:
        found.append(Finding(settings.blocked, "The ERP takes no orders of this customer."))
    overdue = _overdue(credit, settings)
    if overdue is not None:
        found.append(Finding(settings.overdue, f"The customer is overdue with {_text(overdue)}."))
    limit = credit.credit_limit
    if limit is not None and settings.over_limit is not CreditPolicy.IGNORE:
        if exposure is None:
            found.append(
                Finding(CreditPolicy.WARN, "The credit limit cannot be checked: an exchange rate is missing.")
            )
        elif exposure.total > limit.amount:
            found.append(
                Finding(
                    settings.over_limit,
                    f"With this quote the customer would owe {_text(Money(exposure.total, limit.currency))},"
                    f" more than the credit limit of {_text(limit)}.",
                )
            )
    return tuple(each for each in found if each.policy is not CreditPolicy.IGNORE)


def _overdue(credit: CustomerCredit, settings: CreditSettings) -> Money | None:
    if credit.overdue is None or credit.overdue.amount <= 0:
        return None
    tolerance = settings.overdue_tolerance
    if tolerance is not None and tolerance.currency == credit.overdue.currency:
        return credit.overdue if credit.overdue.amount > tolerance.amount else None
    return credit.overdue


def _text(money: Money) -> str:
    return f"{plain(money.amount)} {money.currency}"
