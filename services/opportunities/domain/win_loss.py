"""What was won and lost among closed deals: what is asked, and the figures that answer it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from uuid import UUID

from chassis.errors import InvalidArgument
from chassis.money import Money
from services.opportunities.domain.pipelines import State

YEAR = timedelta(days=365)
_TENTH = Decimal("0.1")


class WinLossBy(Enum):
    """By what deals are told apart."""

    COMPETITOR = "COMPETITOR"
    PRODUCT = "PRODUCT"
    REASON = "REASON"
    STAGE = "STAGE"
    PRICE_GAP = "PRICE_GAP"
    SEGMENT = "SEGMENT"
    INDUSTRY = "INDUSTRY"
    OWNER = "OWNER"


class PeriodBackwards(InvalidArgument):
    """A period ends before it begins."""

    def __init__(self) -> None:
        super().__init__("The last close date is not before the first.", field="from_date")


@dataclass(frozen=True, slots=True)
class WinLossQuestion:
    """Which closed deals are counted, and by what they are told apart."""

    group_by: tuple[WinLossBy, ...]
    from_date: date
    to_date: date
    pipeline_id: UUID | None = None
    competitor_id: UUID | None = None
    most: int = 100

    @classmethod
    def of(
        cls,
        group_by: Sequence[WinLossBy],
        from_date: date | None,
        to_date: date | None,
        today: date,
        pipeline_id: UUID | None,
        competitor_id: UUID | None,
        most: int,
    ) -> "WinLossQuestion":
        """With what was not said: the year up to today, and 100 groups.

        Raises:
            PeriodBackwards: the period ends before it begins.
        """
        until = to_date or today
        since = from_date or until - min(YEAR, until - date.min)
        if since > until:
            raise PeriodBackwards
        return cls(tuple(group_by), since, until, pipeline_id, competitor_id, most or 100)


@dataclass(slots=True)
class WinLossFigures:
    """Won against lost, put together from the sums for each state and currency."""

    won_count: int = 0
    lost_count: int = 0
    won_amounts: dict[str, Decimal] = field(default_factory=dict)
    lost_amounts: dict[str, Decimal] = field(default_factory=dict)
    lost_to_count: int = 0
    price_gaps: Decimal = Decimal(0)
    price_gap_count: int = 0
    unpriced_count: int = 0

    def add(
        self,
        state: State,
        currency: str | None,
        count: int,
        amount: Decimal | None,
        lost_to: int,
        gaps: Decimal | None,
        gap_count: int,
    ) -> None:
        """Takes in the deals of one state and one currency; without a currency they have no amount."""
        if state is State.WON:
            self.won_count += count
        else:
            self.lost_count += count
        if currency is None:
            self.unpriced_count += count
        else:
            amounts = self.won_amounts if state is State.WON else self.lost_amounts
            amounts[currency] = amounts.get(currency, Decimal(0)) + (amount or Decimal(0))
        self.lost_to_count += lost_to
        self.price_gaps += gaps or Decimal(0)
        self.price_gap_count += gap_count

    @property
    def count(self) -> int:
        """All of them."""
        return self.won_count + self.lost_count

    @property
    def win_rate(self) -> Decimal | None:
        """In percent, to one decimal."""
        return _tenth(Decimal(100) * self.won_count / self.count) if self.count else None

    @property
    def average_price_gap(self) -> Decimal | None:
        """In percent of the other's price, to one decimal."""
        return _tenth(self.price_gaps / self.price_gap_count) if self.price_gap_count else None

    def amounts(self, state: State) -> list[Money]:
        """One sum for each currency."""
        found = self.won_amounts if state is State.WON else self.lost_amounts
        return [Money(amount, currency) for currency, amount in sorted(found.items())]


def _tenth(number: Decimal) -> Decimal:
    return number.quantize(_TENTH, ROUND_HALF_UP)
