"""The figures of a node in a period, and how a deal counts in them.

Figures are kept alone, category by category; what is cumulative follows from that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext
from enum import IntEnum
from typing import Final, Self
from uuid import UUID

from chassis.money import shares
from services.forecast.domain.currencies import Rates, rounded
from services.forecast.domain.periods import Period

PERCENT: Final = Decimal("0.01")
NONE: Final = "none"
"""The node of what has no owner, territory or product."""


class State(IntEnum):
    """Where a deal stands; the numbers are those of the proto's enum."""

    OPEN = 1
    WON = 2
    LOST = 3


class Category(IntEnum):
    """How a deal is counted; the numbers are those of the proto's enum."""

    OMITTED = 1
    PIPELINE = 2
    BEST_CASE = 3
    COMMIT = 4
    CLOSED = 5


@dataclass(frozen=True, slots=True)
class Stage:
    """What a deal's stage means for the forecast."""

    id: UUID
    category: Category
    probability: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal as the opportunities service has it, as far as the forecast needs it."""

    id: UUID
    version: int
    name: str
    owner_id: UUID | None
    account_id: UUID | None
    stage_id: UUID | None
    state: State
    amount: Decimal | None
    currency: str
    close_date: date | None
    products: tuple[tuple[UUID, Decimal], ...] = ()
    """Each product with its share of the amount, in the order of the line items."""
    lead_id: UUID | None = None
    is_deleted: bool = False
    pipeline_id: UUID | None = None
    splits: tuple[tuple[UUID, Decimal], ...] = ()
    """Each person who has a share of the revenue, with it; they add up to the amount."""
    overlays: tuple[tuple[UUID, Decimal], ...] = ()
    """Each person who is credited beside them, of any sum."""
    category: Category | None = None
    """How it counts while it is open, where that is not what its stage says."""
    recorded_at: datetime | None = field(default=None, compare=False)
    effective_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CountedDeal:
    """A deal, or its share of a product, with what it adds to the figures."""

    id: UUID
    version: int
    name: str
    owner_id: UUID | None
    account_id: UUID | None
    stage_id: UUID | None
    state: int
    category: int
    probability: int
    closes_on: date
    overdue: bool
    amount: Decimal | None
    currency: str
    converted: Decimal | None
    weighted: Decimal
    pipeline_id: UUID | None = None


def product_shares(
    amount: Decimal | None, lines: Iterable[tuple[UUID, Decimal]], currency: str
) -> tuple[tuple[UUID, Decimal], ...]:
    """A deal's amount shared out to its products by what their line items come to."""
    weights: dict[str, Decimal] = {}
    for product, worth in lines:
        weights[str(product)] = weights.get(str(product), Decimal(0)) + worth
    return tuple(
        (UUID(product), share) for product, share in shares(amount or Decimal(0), weights, currency).items()
    )


@dataclass(slots=True)
class Sum:
    """Deals, counted and added up."""

    amount: Decimal = Decimal(0)
    deals: int = 0

    def __iadd__(self, other: "Sum") -> Self:
        self.amount += other.amount
        self.deals += other.deals
        return self

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.amount + other.amount, self.deals + other.deals)


@dataclass(slots=True)
class Figures:
    """All sums of a node in a period, each category alone."""

    closed: Sum = field(default_factory=Sum)
    commit: Sum = field(default_factory=Sum)
    best_case: Sum = field(default_factory=Sum)
    pipeline: Sum = field(default_factory=Sum)
    omitted: Sum = field(default_factory=Sum)
    overdue: Sum = field(default_factory=Sum)
    lost: Sum = field(default_factory=Sum)
    weighted: Decimal = Decimal(0)
    unpriced: int = 0
    unconverted: int = 0

    def __iadd__(self, other: "Figures") -> Self:
        self.closed += other.closed
        self.commit += other.commit
        self.best_case += other.best_case
        self.pipeline += other.pipeline
        self.omitted += other.omitted
        self.overdue += other.overdue
        self.lost += other.lost
        self.weighted += other.weighted
        self.unpriced += other.unpriced
        self.unconverted += other.unconverted
        return self

    @property
    def deals(self) -> int:
        """All deals, lost and omitted ones included."""
        return self.pipeline_cumulative.deals + self.omitted.deals

    @property
    def commit_cumulative(self) -> Sum:
        """What is won and what is committed."""
        return self.closed + self.commit

    @property
    def best_case_cumulative(self) -> Sum:
        """What is won, committed, and what may well close."""
        return self.commit_cumulative + self.best_case

    @property
    def pipeline_cumulative(self) -> Sum:
        """Everything but omitted."""
        return self.best_case_cumulative + self.pipeline

    def of(self, category: int) -> Sum:
        """One category alone."""
        counted: Sum = getattr(self, _NAMES[category])
        return counted


_NAMES: Final[dict[int, str]] = {category: category.name.lower() for category in Category}


def category_of(deal: Deal, stage: Stage | None) -> Category:
    """What is won is closed, what is lost is omitted, whatever the stage says; what is open counts as
    its owner says, else as its stage does, and as pipeline while the stage is not known."""
    if deal.state is State.WON:
        return Category.CLOSED
    if deal.state is State.LOST:
        return Category.OMITTED
    if deal.category is not None:
        return deal.category
    if stage is None:
        return Category.PIPELINE
    return Category.COMMIT if stage.category is Category.CLOSED else stage.category


def is_overdue(deal: Deal, today: date) -> bool:
    """Whether it is open though its close date has passed."""
    return deal.state is State.OPEN and deal.close_date is not None and deal.close_date < today


def rate_day(deal: Deal, today: date) -> date:
    """The day whose rate a deal is converted at: the actual close, or today while it is open."""
    return deal.close_date if deal.state is not State.OPEN and deal.close_date else today


@dataclass(frozen=True, slots=True)
class Counting:
    """How deals are counted in one answer."""

    rates: Rates
    currency: str
    today: date

    def figures(self, deal: Deal, stage: Stage | None) -> Figures:
        """What one deal adds to the node and the period that it is in."""
        return self.part(deal, stage, Decimal(0), deal.amount)

    def product_figures(self, deal: Deal, stage: Stage | None) -> dict[str, Figures]:
        """What one deal adds to each of its products.

        Converted shares are differences of converted running totals: so they add up to the converted
        deal to the minor unit.
        """
        if not deal.products:
            return {NONE: self.figures(deal, stage)}
        parts, before = {}, Decimal(0)
        for product, share in deal.products:
            after = before + share
            parts[str(product)] = self.part(deal, stage, before, after if deal.amount is not None else None)
            before = after
        return parts

    def part(self, deal: Deal, stage: Stage | None, before: Decimal, after: Decimal | None) -> Figures:
        figures = Figures()
        category = category_of(deal, stage)
        counted = figures.of(category)
        amount = Decimal(0)
        if after is None:
            figures.unpriced = int(deal.state is State.OPEN)
        else:
            factor = self.rates.factor(deal.currency, self.currency, rate_day(deal, self.today))
            if factor is None:
                figures.unconverted = 1
            else:
                low, high = (
                    self._converted(before, factor),
                    self._converted(after, factor),
                )
                amount = high - low
                if deal.state is State.OPEN and category is not Category.OMITTED:
                    chance = Decimal(stage.probability if stage else 0) * PERCENT
                    figures.weighted = rounded(high * chance, self.currency) - rounded(
                        low * chance, self.currency
                    )
        counted += Sum(amount, 1)
        if is_overdue(deal, self.today):
            figures.overdue += Sum(amount, 1)
        if deal.state is State.LOST:
            figures.lost += Sum(amount, 1)
        return figures

    def _converted(self, amount: Decimal, factor: Decimal) -> Decimal:
        with localcontext(prec=60):
            return rounded(amount * factor, self.currency)


def period_of(deal: Deal, periods: Iterable[Period]) -> list[Period]:
    """The periods that a deal counts in, by its close date; overlapping periods each count it."""
    return [period for period in periods if deal.close_date in period]
