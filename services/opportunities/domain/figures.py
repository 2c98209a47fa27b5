"""How the pipeline is asked for in figures, and the ratios among them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from uuid import UUID

from chassis.errors import FailedPrecondition, InvalidArgument


class RatePolicy(Enum):
    """Which day's rate an amount is converted at."""

    CLOSE = "CLOSE"
    BOOKING = "BOOKING"
    TODAY = "TODAY"


class Dimension(Enum):
    """By what deals are told apart."""

    OWNER = "OWNER"
    ACCOUNT = "ACCOUNT"
    PIPELINE_ID = "PIPELINE_ID"
    STAGE = "STAGE"
    LOST_REASON = "LOST_REASON"
    PRODUCT = "PRODUCT"
    CURRENCY = "CURRENCY"
    SIZE = "SIZE"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    SOURCE = "SOURCE"
    TAG = "TAG"
    COMPETITOR = "COMPETITOR"
    LOST_TO = "LOST_TO"
    SLIPS = "SLIPS"
    CREDIT = "CREDIT"
    SEGMENT = "SEGMENT"
    INDUSTRY = "INDUSTRY"


class CurrencyUnknown(FailedPrecondition):
    """Nobody has said in which currency to answer, and the tenant's is not known here yet."""

    def __init__(self) -> None:
        super().__init__(
            "The tenant's reporting currency is not known here yet: name a currency.", field="currency"
        )


class PeriodInvalid(InvalidArgument):
    """A period that ends before it begins."""

    def __init__(self) -> None:
        super().__init__("The last day must not lie before the first.", field="to")


class InstantInFuture(InvalidArgument):
    """Something was asked for as it will have been recorded."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} must not lie in the future.", field=field)


@dataclass(frozen=True, slots=True)
class Question:
    """Which deals, as of when, in which currency."""

    currency: str
    policy: RatePolicy
    today: date
    pipeline_id: UUID | None = None
    owner_ids: tuple[UUID, ...] = ()
    as_of: datetime | None = None
    effective_as_of: datetime | None = None


@dataclass(slots=True)
class Missing:
    """A rate that some deals wait for: from a currency, on a day."""

    currency: str
    day: date
    deals: int


@dataclass(slots=True)
class Column:
    """One stage of the board, before it has a name."""

    deals: int = 0
    amount: Decimal = Decimal(0)
    weighted: Decimal = Decimal(0)
    unpriced: int = 0
    unconverted: int = 0
    overdue: int = 0
    by_currency: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    top: list[tuple[int, UUID, Decimal | None]] = field(default_factory=list)
    """Place, deal and converted amount."""


@dataclass(slots=True)
class Sums:
    """Won, lost and open deals of one key."""

    key: str = ""
    won: int = 0
    lost: int = 0
    open: int = 0
    won_amount: Decimal = Decimal(0)
    lost_amount: Decimal = Decimal(0)
    open_amount: Decimal = Decimal(0)
    won_priced: int = 0
    won_days: Decimal = Decimal(0)
    lost_days: Decimal = Decimal(0)
    unconverted: int = 0

    @property
    def win_rate(self) -> Decimal | None:
        """Won ÷ closed, by number."""
        return ratio(Decimal(self.won), Decimal(self.won + self.lost))

    @property
    def amount_win_rate(self) -> Decimal | None:
        """Won ÷ closed, by amount."""
        return ratio(self.won_amount, self.won_amount + self.lost_amount)

    @property
    def average_deal(self) -> Decimal | None:
        """What a won deal that has an amount was worth."""
        return ratio(self.won_amount, Decimal(self.won_priced))

    @property
    def average_cycle(self) -> Decimal | None:
        """How many days won deals took."""
        return ratio(self.won_days, Decimal(self.won))

    @property
    def average_lost_cycle(self) -> Decimal | None:
        """How many days lost deals took."""
        return ratio(self.lost_days, Decimal(self.lost))

    @property
    def velocity(self) -> Decimal | None:
        """What the pipeline brings a day: open deals × win rate × average deal ÷ average cycle."""
        rate, deal, cycle = self.win_rate, self.average_deal, self.average_cycle
        if rate is None or deal is None or not cycle:
            return None
        return self.open * rate * deal / cycle


@dataclass(slots=True)
class Lost:
    """Lost deals that have something in common."""

    keys: tuple[str, ...] = ()
    deals: int = 0
    amount: Decimal = Decimal(0)
    days: Decimal = Decimal(0)
    unpriced: int = 0
    unconverted: int = 0


@dataclass(slots=True)
class StageOutcomes:
    """What became of the deals that entered a stage; times in seconds."""

    entered: int = 0
    advanced: int = 0
    won: int = 0
    lost: int = 0
    returned: int = 0
    standing: int = 0
    average: Decimal | None = None
    median: Decimal | None = None
    p80: Decimal | None = None
    to: dict[UUID, int] = field(default_factory=dict)

    @property
    def conversion(self) -> Decimal | None:
        """Those that went on ÷ those that left."""
        return ratio(Decimal(self.advanced), Decimal(self.entered - self.standing))


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    """part ÷ whole, None where there is nothing to divide by."""
    return part / whole if whole else None


def percent(value: Decimal | None) -> str:
    """A ratio in percent, to one decimal; empty where there is none."""
    return "" if value is None else decimals(value * 100, "0.1")


def decimals(value: Decimal | None, step: str) -> str:
    """A number to some decimals, half away from zero; empty where there is none."""
    return "" if value is None else f"{value.quantize(Decimal(step), ROUND_HALF_UP):f}"
