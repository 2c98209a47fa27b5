"""Approval rules: the matrix of what may not be offered without somebody's word, and whose word that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument
from chassis.money import Money

RANKS: Final[Mapping[str, int]] = {"rep": 1, "manager": 2, "operations": 3, "administrator": 4}
"""The roles that can decide, by what they weigh. An integration decides nothing."""


def rank_of(roles: Iterable[str]) -> int:
    """What the weightiest of somebody's roles weighs; 0 for none that can decide."""
    return max((RANKS.get(role, 0) for role in roles), default=0)


class DiscountBasis(Enum):
    """Which discount is looked at."""

    MANUAL = "manual"
    TOTAL = "total"


class Measure(Enum):
    """Whether a figure is that of the whole quote or of each line."""

    DOCUMENT = "document"
    LINE = "line"


class ApproverKind(Enum):
    """How an approver is named."""

    USER = "user"
    ROLE = "role"
    OWNERS_MANAGER = "owners_manager"


class Needs(Enum):
    """How many of a rule's approvers must approve."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ApprovalRuleCreated(Event):
    """A rule was made."""


@dataclass(frozen=True, slots=True)
class ApprovalRuleUpdated(Event):
    """A rule was changed."""


@dataclass(frozen=True, slots=True)
class ApprovalRuleDeleted(Event):
    """A rule was deleted."""


class RuleNameMissing(InvalidArgument):
    """A rule without a name cannot say who asks."""

    def __init__(self) -> None:
        super().__init__("An approval rule needs a name.", field="approval_rule.name")


class ApproversMissing(InvalidArgument):
    """A rule that nobody can satisfy."""

    def __init__(self) -> None:
        super().__init__("Say who approves.", field="approval_rule.approvers")


class ApproverUnclear(InvalidArgument):
    """An approver is named by nothing, or by a role that decides nothing."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Name a user, a role other than INTEGRATION, or how many levels up the owner's manager is.",
            field=f"approval_rule.approvers[{index}]",
        )


class ApproverBelowMinimum(InvalidArgument):
    """An approver could never pass the rule's own floor."""

    def __init__(self, index: int, role: str, minimum: str) -> None:
        super().__init__(
            f"The role {role} is below {minimum}, which this rule says is the least.",
            field=f"approval_rule.approvers[{index}].role",
        )


class AmountRepeated(InvalidArgument):
    """Two thresholds in one currency."""

    def __init__(self, currency: str) -> None:
        super().__init__(f"State one amount in {currency}.", field="approval_rule.condition.amounts_from")


class PercentOutOfRange(InvalidArgument):
    """A percentage that no quote can have."""

    def __init__(self, field: str) -> None:
        super().__init__("A percentage lies between -1000 and 100.", field=f"approval_rule.condition.{field}")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a quote must be like for a rule to ask: all that is stated must be so.

    Where product families are stated, discount, margin and floor are those of their lines alone.
    """

    discount_above: Decimal | None = None
    discount_basis: DiscountBasis = DiscountBasis.MANUAL
    margin_below: Decimal | None = None
    asks_where_cost_unknown: bool = False
    measure: Measure = Measure.DOCUMENT
    amounts_from: tuple[Money, ...] = ()
    product_families: tuple[str, ...] = ()
    payment_days_above: int | None = None
    payment_terms: tuple[str, ...] = ()
    submitter_roles: tuple[str, ...] = ()
    below_floor: bool = False


@dataclass(frozen=True, slots=True)
class Approver:
    """Whose word a rule wants."""

    kind: ApproverKind
    user_id: UUID | None = None
    role: str = ""
    levels_up: int = 1


@dataclass(slots=True, kw_only=True)
class ApprovalRule(Entity):
    """One cell of the matrix. Lower levels are asked before higher ones; one level's rules together."""

    name: str = ""
    description: str = ""
    is_active: bool = True
    level: int = 1
    condition: Condition = Condition()
    approvers: tuple[Approver, ...] = ()
    needs: Needs = Needs.ALL
    in_turn: bool = False
    minimum_role: str = ""
    remind_after_hours: int = 24

    def create(self) -> ApprovalRuleCreated:
        """Makes the rule.

        Raises:
            RuleNameMissing, ApproversMissing, ApproverUnclear, ApproverBelowMinimum, AmountRepeated,
            PercentOutOfRange: it could not be followed.
        """
        self._must_make_sense()
        return ApprovalRuleCreated()

    def change(self, values: Mapping[str, Any]) -> ApprovalRuleUpdated:
        """Sets the fields that `values` names; approvals that were asked for before go on as they began.

        Raises:
            the same as `create`.
        """
        known = {field.name for field in fields(self)}
        for name, value in values.items():
            assert name in known, name
            setattr(self, name, value)
        self._must_make_sense()
        return ApprovalRuleUpdated()

    def _must_make_sense(self) -> None:
        if not self.name.strip():
            raise RuleNameMissing
        if not self.approvers:
            raise ApproversMissing
        for index, approver in enumerate(self.approvers):
            self._check(index, approver)
        currencies = [amount.currency for amount in self.condition.amounts_from]
        for currency in currencies:
            if currencies.count(currency) > 1:
                raise AmountRepeated(currency)
        for name in ("discount_above", "margin_below"):
            percent = getattr(self.condition, name)
            if percent is not None and not -1000 <= percent <= 100:
                raise PercentOutOfRange(f"{name}_percent")

    def _check(self, index: int, approver: Approver) -> None:
        if approver.kind is ApproverKind.USER and approver.user_id is None:
            raise ApproverUnclear(index)
        if approver.kind is ApproverKind.ROLE:
            if approver.role not in RANKS:
                raise ApproverUnclear(index)
            if RANKS[approver.role] < RANKS.get(self.minimum_role, 0):
                raise ApproverBelowMinimum(index, approver.role, self.minimum_role)
