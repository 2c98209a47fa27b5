"""What pricing reads and what it answers: documents, promotions, selections and results.

Everything that comes in is exact (`Decimal`, in the document's currency); everything that goes out is a
whole number of the currency's minor units (cents, yen, fils). `docs/promotions.md` states the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum

# --- settings ------------------------------------------------------------------------------------


class Policy(Enum):
    """What the best combination is."""

    LOWEST_TOTAL = "lowest_total"  # what the customer pays, freight and tax included
    HIGHEST_MARGIN = "highest_margin"  # with supplier funding, among totals within `within_percent`


class Combine(Enum):
    """How promotions of one phase meet on one unit."""

    ADD = "add"  # all computed on the price that entered the phase, and added
    COMPOUND = "compound"  # each on what the one before it left, by priority, then code


class Remainder(Enum):
    """Who gets the minor units that a spread amount leaves over."""

    LARGEST = "largest"  # largest remainder; ties by what the lines are worth, never by their order
    LAST_LINE = "last_line"  # every line rounded down, the last in the document's order takes the rest


class UnitOrder(Enum):
    """Which units a promotion takes that does not take them all, and how groups are formed."""

    BEST = "best"  # the solver's choice; inside a group `BuyGet.free` says which are rewarded
    CHEAPEST = "cheapest"  # the cheapest of all matching units are rewarded
    DEAREST = "dearest"  # the dearest of all matching units are rewarded
    CART_ORDER = "cart_order"  # from the first line on; groups are formed one after another


class Rounding(Enum):
    """Into which direction a discount is rounded to minor units."""

    HALF_UP = "half_up"  # half away from zero
    DOWN = "down"  # discounts are cut off: in the seller's favour


class RoundAt(Enum):
    """When."""

    LINE = "line"  # each line once, after the last phase
    PHASE = "phase"  # each line after every phase
    PROMOTION = "promotion"  # each promotion's discount on the whole document, then spread


class TaxRounding(Enum):
    """What tax is rounded on."""

    LINE = "line"
    DOCUMENT = "document"  # once per rate; the lines share it by largest remainder


@dataclass(frozen=True, slots=True)
class Settings:
    """How this seller's promotions add up. The defaults are the product's own rules."""

    policy: Policy = Policy.LOWEST_TOTAL
    within_percent: Decimal = Decimal(0)  # HIGHEST_MARGIN: totals up to this much above the lowest
    combine: Combine = Combine.ADD
    remainder: Remainder = Remainder.LARGEST
    grouping: UnitOrder = UnitOrder.BEST
    rounding: Rounding = Rounding.HALF_UP
    round_at: RoundAt = RoundAt.LINE
    tax_rounding: TaxRounding = TaxRounding.LINE
    record_zero_effect: bool = False  # list promotions that were selected and took nothing off
    zero_only_for_gifts: bool = True  # False: any promotion may bring a line down to zero
    budget_ms: int = 150  # how long the solver may search


# --- the document --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ManualDiscount:
    """A discount that somebody gave by hand, after all promotions: a percentage, then an amount."""

    percent: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)  # for the whole line, or the whole document; as prices are quoted

    def __bool__(self) -> bool:
        return bool(self.percent or self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something offered. Promotions see whole units; what a quantity has beyond them is its rest.

    `unit_price` is what the price resolution found (a contract price, say), `list_price` what the price
    book says, for the explanation alone. Prices, floors and manual discounts are as quoted: gross where
    the document's prices include tax. Cost is always before tax.
    """

    key: str  # stable: the same line keeps it when it moves
    product: str
    quantity: Decimal
    unit_price: Decimal
    parent: str = ""  # the product that this is a variant of
    families: frozenset[str] = frozenset()  # its family and all above it
    list_price: Decimal | None = None
    cost: Decimal | None = None  # per unit; None: unknown, margin floors do not bind
    price_floor: Decimal | None = None  # least price per unit
    margin_floor: Decimal | None = None  # least margin in percent of the net price
    tax_rate: Decimal = Decimal(0)  # percent
    discountable: bool = True  # False: no promotion touches it; it still counts for conditions
    manual: ManualDiscount = ManualDiscount()
    description: str = ""  # how explanations name it; else the product


class ChargeKind(Enum):
    """What is charged beside the goods."""

    FREIGHT = "freight"
    SURCHARGE = "surcharge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Freight or a surcharge: taxed and paid, no part of spend, floors or margin."""

    key: str
    amount: Decimal  # as quoted
    kind: ChargeKind = ChargeKind.FREIGHT
    tax_rate: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A cart or quote to be priced, on one day, for one customer, in one currency."""

    currency: str
    exponent: int  # digits of the minor unit, by ISO 4217
    day: date  # the quote's day: what validity and weekdays are tested on
    lines: tuple[Line, ...]
    charges: tuple[Charge, ...] = ()
    customer: str = ""
    segments: frozenset[str] = frozenset()
    territories: frozenset[str] = frozenset()  # its territory and all above it
    channel: str = ""
    rep: str = ""
    first_order: bool = False
    coupons: frozenset[str] = frozenset()  # upper case
    prices_include_tax: bool = False
    manual: ManualDiscount = ManualDiscount()  # on the whole document, after those of the lines
    price_floor: Decimal | None = None  # least sum of the lines, before tax
    margin_floor: Decimal | None = None  # least margin of all lines, gifts included, in percent
    settings: Settings = Settings()


# --- promotions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matching:
    """Which lines: of one of the products (or their variants) or families, and none excluded.

    Without products and families: every line.
    """

    products: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    excluded_products: frozenset[str] = frozenset()
    excluded_families: frozenset[str] = frozenset()


EVERYTHING = Matching()


@dataclass(frozen=True, slots=True)
class Requirement:
    """So much of something must be on the document, as quoted, before any discount. Uses nothing up."""

    matching: Matching = EVERYTHING
    min_quantity: Decimal = Decimal(0)
    min_spend: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """All must hold; an empty set asks for nothing."""

    requirements: tuple[Requirement, ...] = ()
    customers: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()  # one of
    territories: frozenset[str] = frozenset()  # one of
    channels: frozenset[str] = frozenset()
    reps: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()  # amounts in a promotion need exactly one
    starts_on: date | None = None
    ends_on: date | None = None  # inclusive
    weekdays: frozenset[int] = frozenset()  # ISO: Monday is 1
    first_order: bool = False
    coupons: frozenset[str] = frozenset()  # one of; upper case


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How many whole units a unit benefit takes. Any limit makes it use up the units that it rewards."""

    max_units: int | None = None  # on the document
    max_units_per_line: int | None = None
    step: int = 1  # only complete groups of so many units, over all lines

    @property
    def is_limited(self) -> bool:
        return self.max_units is not None or self.max_units_per_line is not None or self.step > 1


EVERY_UNIT = Reach()


class Per(Enum):
    """What an amount is taken off from."""

    UNIT = "unit"
    LINE = "line"
    GROUP = "group"  # of `group_size` units, over all lines
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentOff:
    """A percentage off the price that entered the phase: of units, or (DOCUMENT) of all matching lines at once."""

    percent: Decimal
    target: Matching = EVERYTHING
    reach: Reach = EVERY_UNIT
    per: Per = Per.UNIT  # UNIT or DOCUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountOff:
    """An amount off every unit, line or group, or once off the document (spread over the matching lines)."""

    amount: Decimal
    per: Per = Per.UNIT
    target: Matching = EVERYTHING
    reach: Reach = EVERY_UNIT  # UNIT only
    group_size: int = 1  # GROUP only
    max_groups: int | None = None  # GROUP only


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPrice:
    """Every unit costs this. Units that cost less already are left alone."""

    price: Decimal
    target: Matching = EVERYTHING
    reach: Reach = EVERY_UNIT


Simple = PercentOff | AmountOff | FixedPrice


class Measure(Enum):
    """What tiers are measured on: as quoted, before any discount."""

    SPEND = "spend"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True)
class Tier:
    """From this much on (inclusive)."""

    least: Decimal
    benefit: Simple


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiered:
    """The benefit of the highest tier that `matching` reaches, taken together on the document."""

    tiers: tuple[Tier, ...]  # ascending; the first may start at zero
    measure: Measure = Measure.SPEND
    matching: Matching = EVERYTHING


@dataclass(frozen=True, slots=True)
class Step:
    """From the n-th unit of a line on, this much off each."""

    from_unit: int
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated:
    """Amounts off by a unit's place in its line: the first 5 off, each further one 1 off. Whole lines, whole units."""

    steps: tuple[Step, ...]
    target: Matching = EVERYTHING
    max_units_per_line: int | None = None


class Free(Enum):
    """Which units of a group are rewarded, among those that could be."""

    CHEAPEST = "cheapest"
    DEAREST = "dearest"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyGet:
    """Buy so many, get so many off: a unit is bought or rewarded, never both.

    `percent` 100 makes the rewarded units gifts, the only ones that may cost nothing.
    """

    buy: Matching = EVERYTHING
    buy_quantity: int
    get: Matching = EVERYTHING
    get_quantity: int
    percent: Decimal = Decimal(100)
    free: Free = Free.CHEAPEST
    max_repeats: int | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a bundle."""

    matching: Matching
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePrice:
    """So many of each part together for one price, where that is less than they cost."""

    components: tuple[Component, ...]
    price: Decimal
    max_repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """A line of its own that costs nothing. Its worth decides ties; its cost counts in the document's margin."""

    product: str
    quantity: Decimal = Decimal(1)
    unit_value: Decimal = Decimal(0)
    unit_cost: Decimal = Decimal(0)
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeShipping:
    """A percentage off every freight charge."""

    percent: Decimal = Decimal(100)


Benefit = Simple | Tiered | Graduated | BuyGet | BundlePrice | Gift | FreeShipping


class Stacking(Enum):
    """With which other promotions on the same document."""

    ANY = "any"
    EXCLUSIVE = "exclusive"  # none
    EXCLUSIVE_IN_GROUP = "exclusive_in_group"  # none of `stacking_group`
    ONLY_WITH = "only_with"  # those whose code is in `combinable_with`


class UsesUp(Enum):
    """Which units no other promotion that uses units up may take."""

    NOTHING = "nothing"
    REWARDED = "rewarded"
    ALL = "all"  # the bought ones too


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One promotion, with what is left of its limits for this document's customer.

    Two promotions go together when each allows the other. Units: a unit belongs to at most one promotion
    that uses it up, and may have any number of others on it.
    """

    code: str  # unique
    benefit: Benefit
    name: str = ""
    priority: int = 0  # higher first; decides ties alone
    phase: int = 0
    conditions: Conditions = Conditions()
    stacking: Stacking = Stacking.ANY
    stacking_group: str = ""
    combinable_with: frozenset[str] = frozenset()
    uses_up: UsesUp | None = (
        None  # None: ALL for groups and bundles, REWARDED with a limited reach, else NOTHING
    )
    truncatable: bool = False  # may be cut to what a floor, a budget or a cap leaves
    max_discount: Decimal | None = None  # on one document
    remaining_redemptions: int | None = None  # in all
    remaining_for_customer: int | None = None
    remaining_budget: Decimal | None = None
    funding_percent: Decimal = Decimal(0)  # how much of its discount (of a gift's cost) the supplier pays
    supplier: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """Where it stands among others: by declared priority, then by code."""
        return (-self.priority, self.code)

    @property
    def consumption(self) -> UsesUp:
        """Which units it uses up, by declaration or by its kind."""
        if self.uses_up is not None:
            return self.uses_up
        match self.benefit:
            case BuyGet() | BundlePrice() | AmountOff(per=Per.GROUP):
                return UsesUp.ALL
            case PercentOff(reach=reach) | AmountOff(reach=reach) | FixedPrice(reach=reach) if (
                reach.is_limited
            ):
                return UsesUp.REWARDED
        return UsesUp.NOTHING


# --- the choice ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Segment:
    """Units of one line that are treated alike. Units in no segment have no promotion.

    `promotions` take something off each of these units; at most one of them uses units up. `bought_for` is
    the promotion (BuyGet with UsesUp.ALL) for which they were bought: used up, not rewarded.
    """

    line: str
    units: int  # whole units; 0 for the rest
    promotions: tuple[str, ...] = ()  # sorted
    bought_for: str = ""
    is_rest: bool = False  # the part of the quantity beyond whole units


@dataclass(frozen=True, slots=True)
class Selection:
    """Which promotions on which units.

    Unit benefits stand in segments, line by line. Promotions on whole lines (Per.LINE, Graduated) stand in
    every segment of the line. Promotions on the document (Per.DOCUMENT, Gift, FreeShipping) stand in `document`.
    """

    segments: tuple[Segment, ...] = ()
    document: tuple[str, ...] = ()


NOTHING = Selection()


# --- the answer ----------------------------------------------------------------------------------


class ReasonKind(Enum):
    """Why a promotion was not used."""

    NOT_STARTED = "not_started"
    EXPIRED = "expired"
    WEEKDAY = "weekday"
    CUSTOMER = "customer"
    SEGMENT = "segment"
    TERRITORY = "territory"
    CHANNEL = "channel"
    REP = "rep"
    CURRENCY = "currency"
    FIRST_ORDER = "first_order"
    COUPON = "coupon"
    QUANTITY = "quantity"
    SPEND = "spend"
    NO_MATCHING_LINE = "no_matching_line"
    REDEMPTIONS = "redemptions"
    CUSTOMER_LIMIT = "customer_limit"
    BUDGET = "budget"
    CAP = "cap"
    FLOOR = "floor"  # would break a price or margin floor
    ZERO = "zero"  # would bring a price to zero or below
    LOST = "lost"  # goes together with what was chosen only at a higher total
    NO_EFFECT = "no_effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that stands in the way, and what would satisfy it."""

    kind: ReasonKind
    message: str  # "2 more units of …"
    missing: Decimal | None = None  # units, or an amount in the document's currency
    wanted: frozenset[str] = frozenset()  # products, segments, coupons…
    line: str = ""  # whose floor
    against: tuple[str, ...] = ()  # codes it lost against
    difference: int | None = None  # how much the total would be higher with it, minor units


@dataclass(frozen=True, slots=True)
class Unused:
    """A promotion that was not used: every reason, the plainest first."""

    code: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What the customer would have to add for a promotion, and what it would take off the total."""

    code: str
    message: str
    missing_quantity: Decimal = Decimal(0)
    missing_spend: Decimal = Decimal(0)
    matching: Matching = EVERYTHING
    gain: int = 0  # minor units off what is on the document today; 0: not known


class StepKind(Enum):
    """What changed a line's amount."""

    LIST = "list"  # list price times quantity
    PRICE = "price"  # contract, tier or manual price against list
    PROMOTION = "promotion"
    MANUAL = "manual"
    DOCUMENT_MANUAL = "document_manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """One step of a line from list to net. The steps of a line add up to its amount."""

    kind: StepKind
    change: int  # minor units, as quoted; negative takes off
    amount: int  # after the step
    code: str = ""
    phase: int = 0
    units: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLine:
    """A line as priced, in minor units. `amount` is as quoted (gross where prices include tax)."""

    key: str
    product: str
    quantity: Decimal
    quoted: int  # unit price times quantity
    promotions: int  # what promotions took off
    manual: int  # what was taken off by hand, the line's share of the document's included
    amount: int  # quoted - promotions - manual
    net: int  # before tax
    tax: int
    gross: int
    steps: tuple[PriceStep, ...]
    is_gift: bool = False
    gift_value: int = 0
    cost: int | None = None
    floor: int | None = None  # the least amount that its floors allow
    needs_approval: bool = False  # below its floor, by price or by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedCharge:
    """A charge as priced, in minor units."""

    key: str
    quoted: int
    promotions: int
    amount: int
    net: int
    tax: int
    gross: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A promotion that was used: on which units, for how much, and who pays for it."""

    code: str
    discount: int  # minor units, as quoted, on lines and charges
    by_line: Mapping[str, int]  # discount by line or charge key
    units: Mapping[str, int]  # rewarded whole units by line key
    bought: Mapping[str, int]  # units used up as bought
    repeats: int = 0
    truncated: bool = False
    gift_value: int = 0
    funding: int = 0  # what the supplier pays


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """In minor units. What the customer pays is `total`."""

    quoted: int  # lines at their unit prices, as quoted
    promotions: int  # what promotions took off lines and charges
    manual: int
    net: int  # lines and charges before tax
    tax: int
    total: int
    charges: int  # of `total`, gross
    gift_value: int
    cost: int | None  # gifts included; None where a line's cost is not known
    funding: int
    margin: int | None  # net of the lines + funding - cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A document as priced under one selection."""

    lines: tuple[PricedLine, ...]  # in the document's order, then gifts by promotion
    charges: tuple[PricedCharge, ...]
    totals: Totals
    tax_by_rate: Mapping[Decimal, int]
    applied: tuple[Applied, ...]  # by priority, then code
    selection: Selection
    needs_approval: bool = False  # a line, or the document, is below its floor
    # filled in by solving and explaining
    unused: tuple[Unused, ...] = ()
    thresholds: tuple[Threshold, ...] = ()  # most worthwhile first
    notes: tuple[str, ...] = ()  # such as: two documents would be cheaper
    proven: bool = False  # nothing is better
    bound: int | None = None  # no selection is below this
    gap: int | None = None  # total - bound; 0 when proven
    solve_ms: float = field(default=0.0, compare=False)
