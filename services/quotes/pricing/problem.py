"""A document and its promotions made ready for choosing: everything that no choice changes, as integers.

Amounts are in ticks, `tick` of them to the minor unit, fine enough that every percentage of every phase is
exact (beyond 40 digits, which takes some twenty compounding phases, what is left is cut off).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from services.quotes.pricing.eligibility import obstacles, reached
from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Combine,
    Document,
    FixedPrice,
    FreeShipping,
    Gift,
    Graduated,
    Line,
    Per,
    PercentOff,
    Promotion,
    Reason,
    Rounding,
    Stacking,
    Tiered,
    UsesUp,
)
from services.quotes.pricing.quoted import Quoted
from services.quotes.pricing.rounding import EXACT, ceiling, digits, half_up, net_of_gross, ratio, scaled

_MOST_DIGITS = 40
_HUNDRED = Decimal(100)


class Kind(Enum):
    """How an offer takes its discount."""

    UNIT_PERCENT = "unit_percent"
    UNIT_AMOUNT = "unit_amount"
    UNIT_PRICE = "unit_price"
    LINE_AMOUNT = "line_amount"
    GROUP_AMOUNT = "group_amount"
    BUNDLE = "bundle"
    BUY_GET = "buy_get"
    DOCUMENT_PERCENT = "document_percent"
    DOCUMENT_AMOUNT = "document_amount"
    GIFT = "gift"
    SHIPPING = "shipping"


ON_UNITS = frozenset(
    {
        Kind.UNIT_PERCENT,
        Kind.UNIT_AMOUNT,
        Kind.UNIT_PRICE,
        Kind.LINE_AMOUNT,
        Kind.GROUP_AMOUNT,
        Kind.BUNDLE,
        Kind.BUY_GET,
    }
)  # stand in segments; the others in `Selection.document`


@dataclass(slots=True)
class LineFacts:
    """A line, ready to be priced."""

    index: int
    key: str
    line: Line
    whole: int  # whole units
    unit: int  # ticks a unit
    rest: int  # ticks of what lies beyond whole units; 0: nothing
    rest_size: Decimal  # how much that is
    entry: int  # ticks of all
    quoted: int  # minor units of all
    weight: int  # multiplies an amount as quoted into its share of net value before tax
    percent: tuple[int, int]  # manual, as numerator and denominator
    amount: int  # manual, ticks
    tie: int = 0  # place among equals: by what lines are worth, then by key
    plain: int = 0  # minor units without promotions, after manual discounts
    floor: int | None = None  # the least that its own floors allow, minor units, after manual discounts
    least: int = 0  # the least that promotions may leave, minor units, after manual discounts
    promotable: bool = True
    cost: int | None = None  # ticks of all


@dataclass(slots=True)
class Offer:
    """An eligible promotion, its tier settled, ready to be chosen."""

    index: int  # place in `Problem.offers`: by priority, then code
    promotion: Promotion
    code: str
    benefit: Benefit
    kind: Kind
    phase: int  # index into `Problem.phases`
    uses_up: UsesUp
    truncatable: bool
    targets: tuple[int, ...]  # lines it may take something off
    buys: tuple[int, ...]  # lines whose units may be bought for it
    parts: tuple[tuple[int, ...], ...]  # BUNDLE: lines by component
    percent: tuple[int, int]
    amount: int  # ticks: off, or the price
    line_amounts: Mapping[int, int]  # LINE_AMOUNT: ticks by line
    limit: int | None  # ticks at most on this document
    conflicts: int = 0  # bits of the offers that do not go together with it
    gains: Mapping[int, int] | None = None  # ticks a whole unit at the quoted price, by line (unit benefits)
    max_repeats: int | None = None


@dataclass(slots=True)
class Problem:
    """A document and the promotions that may be used on it."""

    document: Document
    promotions: tuple[Promotion, ...]
    quoted: Quoted
    lines: tuple[LineFacts, ...]
    line_index: Mapping[str, int]
    offers: tuple[Offer, ...]
    offer_index: Mapping[str, int]
    obstacles: Mapping[str, tuple[Reason, ...]]  # by code, of promotions that are not offers
    phases: tuple[int, ...]
    tick: int  # ticks to the minor unit
    power: int  # ticks = 10^power × amount
    quanta: tuple[int, ...]  # by phase index: amounts after it are multiples of this
    manual_percent: tuple[int, int]
    allocations: dict[object, object] = field(
        default_factory=dict
    )  # what fixed orders of units come to, as asked for

    def conflict(self, one: int, other: int) -> bool:
        """Whether two offers do not go together."""
        return bool(self.offers[one].conflicts >> other & 1)


def prepare(document: Document, promotions: Sequence[Promotion]) -> Problem:
    """Settle what no choice changes. The promotions' order does not matter."""
    ordered = tuple(sorted(promotions, key=lambda promotion: promotion.rank))
    quoted = Quoted(document)
    hindered: dict[str, tuple[Reason, ...]] = {}
    eligible: list[tuple[Promotion, Benefit]] = []
    for promotion in ordered:
        reasons = obstacles(quoted, promotion)
        if reasons:
            hindered[promotion.code] = reasons
        else:
            eligible.append((promotion, _settled(quoted, promotion.benefit)))
    phases = tuple(sorted({promotion.phase for promotion, _ in eligible}))
    fine, quanta = _fineness(document, eligible, phases)
    power = document.exponent + fine
    tick = 10**fine
    lines = _lines(document, quoted, power, tick)
    offers = tuple(
        _offer(index, promotion, benefit, phases, quoted, lines, power, tick)
        for index, (promotion, benefit) in enumerate(eligible)
    )
    _find_conflicts(offers)
    problem = Problem(
        document=document,
        promotions=ordered,
        quoted=quoted,
        lines=lines,
        line_index={facts.key: facts.index for facts in lines},
        offers=offers,
        offer_index={offer.code: offer.index for offer in offers},
        obstacles=hindered,
        phases=phases,
        tick=tick,
        power=power,
        quanta=quanta,
        manual_percent=ratio(document.manual.percent),
    )
    _settle_plain(problem)
    return problem


def _settled(quoted: Quoted, benefit: Benefit) -> Benefit:
    if isinstance(benefit, Tiered):
        tier = reached(quoted, benefit)
        assert tier is not None  # else it is not eligible
        return tier.benefit
    return benefit


def _fineness(
    document: Document, eligible: Sequence[tuple[Promotion, Benefit]], phases: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """Digits behind the minor unit that all phases need together, and what is left of them after each."""
    prices = [digits(line.unit_price) for line in document.lines]
    prices += [digits(line.cost) for line in document.lines if line.cost is not None]
    prices += [digits(line.manual.amount) for line in document.lines if line.manual.amount]
    prices += [digits(amount) for _, benefit in eligible for amount in _amounts(benefit)]
    quantities = max((digits(line.quantity) for line in document.lines), default=0)
    later = _percent_digits(document.manual.percent)
    later += max((_percent_digits(line.manual.percent) for line in document.lines), default=0)
    needed = max(later, 0)
    after: list[int] = []
    compound = document.settings.combine is Combine.COMPOUND
    by_phase: dict[int, list[int]] = {phase: [0] for phase in phases}
    for promotion, benefit in eligible:
        percent = getattr(benefit, "percent", None)
        if percent is not None and not isinstance(benefit, FreeShipping):
            by_phase[promotion.phase].append(_percent_digits(percent))
    for phase in reversed(phases):
        after.append(needed)
        needed += sum(by_phase[phase]) if compound else max(by_phase[phase])
    after.reverse()
    base = max(0, max(prices, default=0) - document.exponent) + quantities
    fine = min(base + needed, _MOST_DIGITS)
    return fine, tuple(10 ** min(digits_left, fine) for digits_left in after)


def _amounts(benefit: Benefit) -> tuple[Decimal, ...]:
    match benefit:
        case AmountOff(amount=amount):
            return (amount,)
        case FixedPrice(price=price) | BundlePrice(price=price):
            return (price,)
        case Graduated(steps=steps):
            return tuple(step.amount for step in steps)
    return ()


def _percent_digits(percent: Decimal) -> int:
    return digits(percent) + 2 if percent else 0


def _lines(document: Document, quoted: Quoted, power: int, tick: int) -> tuple[LineFacts, ...]:
    rates = {line.tax_rate for line in document.lines} if document.prices_include_tax else set()
    grossing = {rate: ratio(rate) for rate in rates}
    facts: list[LineFacts] = []
    for index, line in enumerate(document.lines):
        whole = quoted.whole[index]
        rest_size = EXACT.subtract(line.quantity, Decimal(whole))
        unit = scaled(line.unit_price, power)
        rest = scaled(EXACT.multiply(line.unit_price, rest_size), power) if rest_size else 0
        weight = 1
        for rate, (numerator, denominator) in grossing.items():
            weight *= denominator if rate == line.tax_rate else denominator + numerator
        facts.append(
            LineFacts(
                index=index,
                key=line.key,
                line=line,
                whole=whole,
                unit=unit,
                rest=rest,
                rest_size=rest_size,
                entry=unit * whole + rest,
                quoted=quoted.amounts[index],
                weight=weight,
                percent=ratio(line.manual.percent),
                amount=scaled(line.manual.amount, power),
                cost=None if line.cost is None else scaled(EXACT.multiply(line.cost, line.quantity), power),
            )
        )
    for place, one in enumerate(sorted(facts, key=_worth)):
        one.tie = place
    return tuple(facts)


def _worth(facts: LineFacts) -> tuple[object, ...]:
    """Ties between lines go by all that counts in money first, so that renaming a line changes no total."""
    line = facts.line
    return (
        line.tax_rate,
        -line.unit_price,
        -line.quantity,
        _known(line.cost),
        _known(line.price_floor),
        _known(line.margin_floor),
        line.manual.percent,
        line.manual.amount,
        line.discountable,
        line.product,
        line.parent,
        sorted(line.families),
        line.key,
    )


def _known(number: Decimal | None) -> tuple[bool, Decimal]:
    return (number is None, number or Decimal(0))


def after_manual(problem: Problem, facts: LineFacts, ticks: int) -> int:
    """An amount of ticks less the line's manual discounts and the document's percentage; never below zero."""
    numerator, denominator = facts.percent
    if numerator:
        ticks -= ticks * numerator // denominator
    if facts.amount:
        ticks = max(0, ticks - facts.amount)
    numerator, denominator = problem.manual_percent
    if numerator:
        ticks -= ticks * numerator // denominator
    return ticks


def rounded(problem: Problem, facts: LineFacts, ticks: int) -> int:
    """An amount of the line in whole minor units, as the settings round."""
    if problem.document.settings.rounding is Rounding.DOWN:
        return facts.quoted - (facts.quoted * problem.tick - ticks) // problem.tick
    return half_up(ticks, problem.tick)


def _settle_plain(problem: Problem) -> None:
    """What every line comes to without promotions, and the least that promotions may leave of it."""
    document = problem.document
    for facts in problem.lines:
        facts.plain = rounded(problem, facts, after_manual(problem, facts, facts.entry))
        facts.floor = _floor(document, facts.line)
        least = facts.floor or 0
        if document.settings.zero_only_for_gifts:
            least = max(least, 1)
        facts.least = least
        facts.promotable = facts.line.discountable and facts.plain > 0 and facts.plain >= (facts.floor or 0)
    if all(facts.promotable for facts in problem.lines):
        return
    for offer in problem.offers:
        offer.targets = tuple(index for index in offer.targets if problem.lines[index].promotable)
        if offer.parts:
            offer.parts = tuple(
                tuple(index for index in part if problem.lines[index].promotable) for part in offer.parts
            )


def _floor(document: Document, line: Line) -> int | None:
    """The least amount as quoted, in minor units, that a line's price and margin floors allow."""
    floors: list[int] = []
    if line.price_floor is not None:
        floors.append(_up(EXACT.multiply(line.price_floor, line.quantity), document.exponent))
    if line.margin_floor is not None and line.cost is not None:
        floors.append(_margin_floor(document, line, line.cost, line.margin_floor))
    return max(floors) if floors else None


def _margin_floor(document: Document, line: Line, cost: Decimal, margin: Decimal) -> int:
    """The least amount whose net leaves the margin: net × (100 - margin) ≥ cost × 100."""
    whole_cost = EXACT.multiply(cost, line.quantity)
    places = digits(whole_cost) + digits(margin)
    left = scaled(EXACT.subtract(_HUNDRED, margin), digits(margin))
    if left <= 0:
        return 10**18  # no price leaves a margin of 100 percent
    wanted = scaled(whole_cost, document.exponent + places + 2)
    net = ceiling(wanted, left * 10 ** (places - digits(margin)))
    if not document.prices_include_tax:
        return net
    numerator, denominator = ratio(line.tax_rate)
    gross = net * (denominator + numerator) // denominator
    while net_of_gross(gross, line.tax_rate) < net:
        gross += 1
    while gross and net_of_gross(gross - 1, line.tax_rate) >= net:
        gross -= 1
    return gross


def _up(amount: Decimal, exponent: int) -> int:
    places = max(0, digits(amount) - exponent)
    return ceiling(scaled(amount, exponent + places), 10**places)


def _offer(
    index: int,
    promotion: Promotion,
    benefit: Benefit,
    phases: tuple[int, ...],
    quoted: Quoted,
    lines: Sequence[LineFacts],
    power: int,
    tick: int,
) -> Offer:
    limits = [amount for amount in (promotion.max_discount, promotion.remaining_budget) if amount is not None]
    offer = Offer(
        index=index,
        promotion=promotion,
        code=promotion.code,
        benefit=benefit,
        kind=_kind(benefit),
        phase=phases.index(promotion.phase),
        uses_up=promotion.consumption,
        truncatable=promotion.truncatable,
        targets=(),
        buys=(),
        parts=(),
        percent=(0, 1),
        amount=0,
        line_amounts={},
        limit=scaled(min(limits), power) if limits else None,
    )
    match benefit:
        case PercentOff(percent=percent, target=target):
            offer.targets = quoted.lines(target)
            offer.percent = ratio(min(percent, _HUNDRED))
        case AmountOff(amount=amount, target=target, per=per, max_groups=max_groups):
            offer.targets = quoted.lines(target)
            offer.amount = scaled(amount, power)
            offer.max_repeats = max_groups
            if per is Per.LINE:
                offer.line_amounts = dict.fromkeys(offer.targets, offer.amount)
        case FixedPrice(price=price, target=target):
            offer.targets = quoted.lines(target)
            offer.amount = scaled(price, power)
        case Graduated(target=target):
            offer.targets = quoted.lines(target)
            offer.line_amounts = {i: scaled(graduated(benefit, lines[i].whole), power) for i in offer.targets}
        case BuyGet(percent=percent, buy=buy, get=get, max_repeats=max_repeats):
            offer.targets = quoted.lines(get)
            offer.buys = quoted.lines(buy)
            offer.percent = ratio(percent)
            offer.max_repeats = max_repeats
        case BundlePrice(price=price, components=components, max_repeats=max_repeats):
            offer.parts = tuple(quoted.lines(component.matching) for component in components)
            offer.targets = tuple(sorted({index for part in offer.parts for index in part}))
            offer.amount = scaled(price, power)
            offer.max_repeats = max_repeats
        case FreeShipping(percent=percent):
            offer.percent = ratio(percent)
    if offer.kind in (Kind.UNIT_PERCENT, Kind.UNIT_AMOUNT, Kind.UNIT_PRICE, Kind.BUY_GET):
        offer.gains = _gains(offer, lines)
    return offer


def graduated(benefit: Graduated, units: int) -> Decimal:
    """What so many units of one line get off together."""
    if benefit.max_units_per_line is not None:
        units = min(units, benefit.max_units_per_line)
    total = Decimal(0)
    for place, step in enumerate(benefit.steps):
        last = benefit.steps[place + 1].from_unit - 1 if place + 1 < len(benefit.steps) else units
        total += step.amount * max(0, min(units, last) - step.from_unit + 1)
    return total


def _gains(offer: Offer, lines: Sequence[LineFacts]) -> dict[int, int]:
    """`gain` of a unit at the quoted price, by line."""
    if offer.kind is Kind.UNIT_AMOUNT:
        return dict.fromkeys(offer.targets, offer.amount)
    if offer.kind is Kind.UNIT_PRICE:
        return {i: max(0, lines[i].unit - offer.amount) for i in offer.targets}
    numerator, denominator = offer.percent
    return {i: lines[i].unit * numerator // denominator for i in offer.targets}


def gain(offer: Offer, price: int) -> int:
    """What a unit benefit takes off a unit at this price, in ticks; never a surcharge, not yet cut."""
    if offer.kind is Kind.UNIT_AMOUNT:
        return offer.amount
    if offer.kind is Kind.UNIT_PRICE:
        return max(0, price - offer.amount)
    numerator, denominator = offer.percent
    return price * numerator // denominator


def _kind(benefit: Benefit) -> Kind:
    match benefit:
        case PercentOff(per=per):
            return Kind.DOCUMENT_PERCENT if per is Per.DOCUMENT else Kind.UNIT_PERCENT
        case AmountOff(per=per):
            return {
                Per.UNIT: Kind.UNIT_AMOUNT,
                Per.LINE: Kind.LINE_AMOUNT,
                Per.GROUP: Kind.GROUP_AMOUNT,
                Per.DOCUMENT: Kind.DOCUMENT_AMOUNT,
            }[per]
        case FixedPrice():
            return Kind.UNIT_PRICE
        case Graduated():
            return Kind.LINE_AMOUNT
        case BuyGet():
            return Kind.BUY_GET
        case BundlePrice():
            return Kind.BUNDLE
        case Gift():
            return Kind.GIFT
        case FreeShipping():
            return Kind.SHIPPING
        case Tiered():
            raise TypeError("a tier is settled before")


def _find_conflicts(offers: Sequence[Offer]) -> None:
    """Two promotions go together when each allows the other."""
    every = (1 << len(offers)) - 1
    codes = {offer.code: 1 << offer.index for offer in offers}
    groups: dict[str, int] = {}
    for offer in offers:
        if offer.promotion.stacking is Stacking.EXCLUSIVE_IN_GROUP:
            name = offer.promotion.stacking_group
            groups[name] = groups.get(name, 0) | 1 << offer.index
    refuses: list[int] = []
    for offer in offers:
        promotion = offer.promotion
        own = 1 << offer.index
        if promotion.stacking is Stacking.ANY:
            refuses.append(0)
        elif promotion.stacking is Stacking.EXCLUSIVE:
            refuses.append(every & ~own)
        elif promotion.stacking is Stacking.EXCLUSIVE_IN_GROUP:
            refuses.append(groups[promotion.stacking_group] & ~own)
        else:
            allowed = own
            for code in promotion.combinable_with:
                allowed |= codes.get(code, 0)
            refuses.append(every & ~allowed)
    for offer in offers:
        offer.conflicts |= refuses[offer.index]
        mask, bit = refuses[offer.index], 1 << offer.index
        while mask:
            low = mask & -mask
            offers[low.bit_length() - 1].conflicts |= bit
            mask ^= low
