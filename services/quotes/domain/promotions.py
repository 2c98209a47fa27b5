"""Promotions: written as drafts, activated, paused, ended. What one gives and asks for is said in the terms
of pricing (`services/quotes/pricing/model.py`); this is its life, its limits, and what makes no sense."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument
from services.quotes.domain.promotion_rules import faults_of, products_of
from services.quotes.domain.redemptions import UNBOUNDED, Bound
from services.quotes.pricing import model
from services.quotes.pricing.validation import check

UNCONDITIONAL: Final = model.Conditions()
_FIELDS: Final = {
    "benefit.tiers": "benefit.tiered.tiers",
    "benefit.components": "benefit.bundle_price.components",
    "uses_up": "stacking.uses_up",
    "funding_percent": "funding.percent",
}
"""Where a promotion has what pricing calls otherwise."""


class PromotionState(Enum):
    """Where a promotion stands."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PromotionCreated(Event):
    """A promotion was made, as a draft."""


@dataclass(frozen=True, slots=True)
class PromotionUpdated(Event):
    """A promotion was changed."""


@dataclass(frozen=True, slots=True)
class PromotionActivated(Event):
    """A promotion takes part in prices."""


@dataclass(frozen=True, slots=True)
class PromotionPaused(Event):
    """A promotion takes no part for now."""


@dataclass(frozen=True, slots=True)
class PromotionEnded(Event):
    """A promotion is over for good."""


@dataclass(frozen=True, slots=True)
class PromotionDeleted(Event):
    """A promotion was deleted."""


@dataclass(frozen=True, slots=True)
class PromotionUndeleted(Event):
    """A deleted promotion was restored."""


class PromotionInvalid(InvalidArgument):
    """A promotion makes no sense; every field that is wrong is named."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        violations = tuple(
            FieldViolation(f"promotion.{field}", sentence) for field, sentence in faults.items()
        )
        super().__init__(" ".join(dict.fromkeys(faults.values())), violations=violations)


class PromotionCodeTaken(AlreadyExists):
    """Two promotions cannot share a code."""

    def __init__(self) -> None:
        super().__init__("Another promotion has this code already.", field="promotion.code")


class PromotionStateWrong(FailedPrecondition):
    """A verb does not go with where the promotion stands."""

    def __init__(self, promotion: Promotion, verb: str) -> None:
        super().__init__(f"Promotion {promotion.code} is {promotion.state.value}: it cannot be {verb}.")


class PromotionOver(FailedPrecondition):
    """The last day of a promotion has passed."""

    def __init__(self, promotion: Promotion) -> None:
        super().__init__(
            f"Promotion {promotion.code} was valid until {promotion.valid_to}.", field="promotion.valid_to"
        )


class CurrencyFixed(FailedPrecondition):
    """What was redeemed is counted in the promotion's currency."""

    def __init__(self, promotion: Promotion) -> None:
        super().__init__(
            f"Promotion {promotion.code} has been active: its currency is fixed.", field="promotion.currency"
        )


@dataclass(frozen=True, slots=True)
class StackingRule:
    """With which others it goes, and which units it uses up."""

    mode: model.Stacking = model.Stacking.ANY
    group: str = ""
    combinable_with: frozenset[str] = frozenset()
    uses_up: model.UsesUp | None = None
    truncatable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of it there is; None is without limit. Amounts are in the promotion's currency."""

    max_redemptions: int | None = None
    max_redemptions_per_account: int | None = None
    budget: Decimal | None = None
    max_discount: Decimal | None = None

    @property
    def in_all(self) -> Bound:
        """For everybody together."""
        return Bound(self.max_redemptions, self.budget)

    @property
    def per_account(self) -> Bound:
        """For one customer."""
        return Bound(self.max_redemptions_per_account)


@dataclass(frozen=True, slots=True)
class Funding:
    """Who pays for it."""

    supplier: str = ""
    supplier_account_id: UUID | None = None
    percent: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Promotion(Entity):
    """Something that makes a document cheaper, under conditions.

    Of `conditions` days, coupons and currency are said by the promotion itself.
    """

    code: str = ""
    name: str = ""
    description: str = ""
    state: PromotionState = PromotionState.DRAFT
    priority: int = 0
    phase: int = 0
    currency: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    needs_coupon: bool = False
    benefit: model.Benefit | None = None
    conditions: model.Conditions = UNCONDITIONAL
    stacking: StackingRule = StackingRule()
    limits: Limits = Limits()
    funding: Funding = Funding()
    activated_at: datetime | None = None
    ended_at: datetime | None = None

    def create(self) -> PromotionCreated:
        """Makes the draft known.

        Raises:
            PromotionInvalid: it makes no sense.
        """
        self._check()
        return PromotionCreated()

    def change(self, values: Mapping[str, Any]) -> PromotionUpdated:
        """Sets the fields that `values` names.

        Raises:
            PromotionStateWrong: it has ended.
            CurrencyFixed: it has been active in another currency.
            PromotionInvalid: it would make no sense.
        """
        if self.state is PromotionState.ENDED:
            raise PromotionStateWrong(self, "changed")
        if self.activated_at is not None and values.get("currency", self.currency) != self.currency:
            raise CurrencyFixed(self)
        for field, value in values.items():
            setattr(self, field, value)
        self._check()
        return PromotionUpdated()

    def activate(self, at: datetime) -> PromotionActivated:
        """Has it take part in prices.

        Raises:
            PromotionStateWrong: it is active, or has ended.
            PromotionOver: its last day has passed.
        """
        if self.state not in (PromotionState.DRAFT, PromotionState.PAUSED):
            raise PromotionStateWrong(self, "activated")
        if self.valid_to is not None and self.valid_to < at.date():
            raise PromotionOver(self)
        self.state, self.activated_at = PromotionState.ACTIVE, self.activated_at or at
        return PromotionActivated()

    def pause(self) -> PromotionPaused:
        """Has it take no part for now.

        Raises:
            PromotionStateWrong: it is not active.
        """
        if self.state is not PromotionState.ACTIVE:
            raise PromotionStateWrong(self, "paused")
        self.state = PromotionState.PAUSED
        return PromotionPaused()

    def end(self, at: datetime) -> PromotionEnded:
        """Ends it for good.

        Raises:
            PromotionStateWrong: it has ended.
        """
        if self.state is PromotionState.ENDED:
            raise PromotionStateWrong(self, "ended")
        self.state, self.ended_at = PromotionState.ENDED, at
        return PromotionEnded()

    @property
    def products(self) -> frozenset[UUID]:
        """The products that it is about."""
        return frozenset(UUID(id) for id in products_of(self.benefit, self.conditions))

    def must_be_about(self, known: Collection[UUID]) -> None:
        """Raises PromotionInvalid where it is about a product that is not among those `known`."""
        named = products_of(self.benefit, self.conditions)
        faults = {field: f"There is no product {id}." for id, field in named.items() if UUID(id) not in known}
        if faults:
            raise PromotionInvalid(faults)

    @property
    def is_live(self) -> bool:
        """Whether it takes part in prices, on its days."""
        return self.state is PromotionState.ACTIVE and self.deleted_at is None

    def priced(
        self,
        *,
        opened_by: str = "",
        redemptions: Bound = UNBOUNDED,
        for_account: Bound = UNBOUNDED,
    ) -> model.Promotion:
        """What pricing reads of it: with the coupon that opens it, and what is left of its limits."""
        assert self.benefit is not None, "a promotion that was checked has a benefit"
        currencies = frozenset({self.currency}) if self.currency else self.conditions.currencies
        conditions = replace(
            self.conditions,
            currencies=currencies,
            starts_on=self.valid_from,
            ends_on=self.valid_to,
            # what opens it is not said to who has not got it
            coupons=frozenset({opened_by}) if self.needs_coupon else frozenset(),
        )
        return model.Promotion(
            code=self.code,
            name=self.name,
            benefit=self.benefit,
            priority=self.priority,
            phase=self.phase,
            conditions=conditions,
            stacking=self.stacking.mode,
            stacking_group=self.stacking.group,
            combinable_with=self.stacking.combinable_with,
            uses_up=self.stacking.uses_up,
            truncatable=self.stacking.truncatable,
            max_discount=self.limits.max_discount,
            remaining_redemptions=redemptions.count,
            remaining_for_customer=for_account.count,
            remaining_budget=redemptions.amount,
            funding_percent=self.funding.percent,
            supplier=self.funding.supplier,
        )

    def _check(self) -> None:
        faults = {
            field: f"A promotion needs a {field}."
            for field in ("code", "name", "benefit")
            if not getattr(self, field)
        }
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            faults["valid_to"] = "valid_to must not be before valid_from."
        if self.benefit is not None:
            faults |= faults_of(self.benefit, self.conditions)
        faults |= self._stacking_faults()
        if self.funding.percent and not self.funding.supplier and self.funding.supplier_account_id is None:
            faults["funding.supplier"] = "Say which supplier pays."
        if not self.currency:
            faults |= dict.fromkeys(self._amounts(), "An amount needs the promotion's currency.")
        elif self.conditions.currencies and self.currency not in self.conditions.currencies:
            faults["conditions.currencies"] = (
                "A promotion with a currency of its own is for documents in that one."
            )
        if not faults:
            faults = self._faults_in_pricing()
        if faults:
            raise PromotionInvalid(faults)

    def _faults_in_pricing(self) -> dict[str, str]:
        """What pricing would refuse besides, so that it never has to."""
        try:
            check(self.priced())
        except InvalidArgument as refusal:
            where = refusal.violations[0].field if refusal.violations else ""
            return {_FIELDS.get(where, where): str(refusal)}
        return {}

    def _stacking_faults(self) -> dict[str, str]:
        stacking, faults = self.stacking, {}
        if (stacking.mode is model.Stacking.EXCLUSIVE_IN_GROUP) != bool(stacking.group):
            faults["stacking.group"] = "A group goes with EXCLUSIVE_IN_GROUP, and that with a group."
        if (stacking.mode is model.Stacking.ONLY_WITH) != bool(stacking.combinable_with):
            faults["stacking.combinable_with"] = "Codes go with ONLY_WITH, and that with codes."
        return faults

    def _amounts(self) -> list[str]:
        """Where it states amounts, in a currency that must be known."""
        found = []
        match self.benefit:
            case model.AmountOff():
                found.append("benefit.amount_off.amount")
            case model.FixedPrice():
                found.append("benefit.fixed_price.price")
            case model.BundlePrice():
                found.append("benefit.bundle_price.price")
            case model.Graduated():
                found.append("benefit.graduated.steps")
            case model.Tiered() as tiered:
                by_spend = tiered.measure is model.Measure.SPEND and any(tier.least for tier in tiered.tiers)
                if by_spend or any(not isinstance(each.benefit, model.PercentOff) for each in tiered.tiers):
                    found.append("benefit.tiered.tiers")
            case model.Gift() as gift if gift.unit_value or gift.unit_cost:
                found.append("benefit.gift.unit_value")
        if any(requirement.min_spend for requirement in self.conditions.requirements):
            found.append("conditions.requirements")
        found += [f"limits.{name}" for name in ("budget", "max_discount") if getattr(self.limits, name)]
        return found
