"""From computed integers to an answer that explains itself: every line from list to net, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from services.quotes.pricing.charges import gift_amount
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.floors import margin_slack, price_floor, total_cost
from services.quotes.pricing.grouping import repeats
from services.quotes.pricing.model import (
    NOTHING,
    Applied,
    Document,
    Gift,
    PricedCharge,
    PricedLine,
    PriceStep,
    Promotion,
    Result,
    Selection,
    StepKind,
    Totals,
)
from services.quotes.pricing.pieces import selection_of
from services.quotes.pricing.problem import Kind, Offer, Problem, prepare
from services.quotes.pricing.ranking import funding
from services.quotes.pricing.rounding import EXACT, half_up, scaled

Units = Mapping[int, Mapping[str, int]]  # rewarded whole units by offer and line key


def evaluate(document: Document, promotions: Sequence[Promotion], selection: Selection = NOTHING) -> Result:
    """Price a document under a selection.

    Raises:
        IllegalSelection: it breaks a rule, a floor or a limit.
    """
    problem = prepare(document, promotions)
    return report(compute(problem, selection))


def report(computed: Computed) -> Result:
    """The answer, without what searching and explaining add."""
    problem = computed.problem
    units = {offer: _count(computed, places) for offer, places in computed.choice.by_offer.items()}
    lines = [_line(computed, index, units) for index in range(len(problem.lines))]
    gifts = [line for index in computed.applied for line in _gift(problem, problem.offers[index])]
    charges = tuple(_charge(computed, place) for place in range(len(computed.charges)))
    shares = _by_offer(computed)
    applied = tuple(
        _applied(computed, problem.offers[index], units.get(index, {}), shares.get(index, {}))
        for index in computed.applied
    )
    by_rate: dict[Decimal, int] = {}
    for facts, tax in zip(problem.lines, computed.taxes, strict=True):
        by_rate[facts.line.tax_rate] = by_rate.get(facts.line.tax_rate, 0) + tax
    for stated, charge in zip(problem.document.charges, charges, strict=True):
        by_rate[stated.tax_rate] = by_rate.get(stated.tax_rate, 0) + charge.tax
    below = any(line.needs_approval for line in lines) or _document_below(computed)
    return Result(
        lines=(*lines, *gifts),
        charges=charges,
        totals=_totals(computed, charges, sum(one.funding for one in applied)),
        tax_by_rate=by_rate,
        applied=applied,
        selection=selection_of(problem, computed.choice),
        needs_approval=below,
    )


def _document_below(computed: Computed) -> bool:
    problem = computed.problem
    net = sum(computed.nets)
    floor = price_floor(problem)
    if floor is not None and net < floor:
        return True
    slack = margin_slack(problem, net, computed.gift_cost)
    return slack is not None and slack < 0


def _line(computed: Computed, index: int, units: Units) -> PricedLine:
    problem = computed.problem
    facts = problem.lines[index]
    line = facts.line
    subtotal, before, amount = (
        computed.subtotals[index],
        computed.before_header[index],
        computed.amounts[index],
    )
    net, tax = computed.nets[index], computed.taxes[index]
    return PricedLine(
        key=facts.key,
        product=line.product,
        quantity=line.quantity,
        quoted=facts.quoted,
        promotions=facts.quoted - subtotal,
        manual=subtotal - amount,
        amount=amount,
        net=net,
        tax=tax,
        gross=net + tax,
        steps=_steps(computed, index, units, subtotal, before, amount),
        cost=None if facts.cost is None else half_up(facts.cost, problem.tick),
        floor=facts.floor,
        needs_approval=facts.floor is not None and amount < facts.floor,
    )


def _steps(
    computed: Computed, index: int, units: Units, subtotal: int, before: int, amount: int
) -> tuple[PriceStep, ...]:
    problem = computed.problem
    facts = problem.lines[index]
    steps: list[PriceStep] = []
    listed = facts.quoted
    if facts.line.list_price is not None and facts.line.list_price != facts.line.unit_price:
        exact = EXACT.multiply(facts.line.list_price, facts.line.quantity)
        listed = half_up(scaled(exact, problem.document.exponent + 12), 10**12)
    steps.append(PriceStep(kind=StepKind.LIST, change=listed, amount=listed, units=facts.whole))
    if listed != facts.quoted:
        steps.append(PriceStep(kind=StepKind.PRICE, change=facts.quoted - listed, amount=facts.quoted))
    now = facts.quoted
    shares = computed.shares[index]
    for offer in sorted(shares, key=lambda i: (problem.offers[i].phase, i)):
        now -= shares[offer]
        steps.append(
            PriceStep(
                kind=StepKind.PROMOTION,
                change=-shares[offer],
                amount=now,
                code=problem.offers[offer].code,
                phase=problem.phases[problem.offers[offer].phase],
                units=units.get(offer, {}).get(facts.key, facts.whole),
                truncated=offer in computed.truncated,
            )
        )
    if before != subtotal:
        steps.append(PriceStep(kind=StepKind.MANUAL, change=before - subtotal, amount=before))
    if amount != before:
        steps.append(PriceStep(kind=StepKind.DOCUMENT_MANUAL, change=amount - before, amount=amount))
    return tuple(steps)


def _count(computed: Computed, places: Sequence[int]) -> dict[str, int]:
    units: dict[str, int] = {}
    for place in places:
        piece = computed.choice.pieces[place]
        if piece.units:
            key = computed.problem.lines[piece.line].key
            units[key] = units.get(key, 0) + piece.units
    return units


def _gift(problem: Problem, offer: Offer) -> list[PricedLine]:
    gift = offer.benefit
    if not isinstance(gift, Gift):
        return []
    value = gift_amount(problem, gift.unit_value, gift.quantity)
    return [
        PricedLine(
            key=f"gift:{offer.code}",
            product=gift.product,
            quantity=gift.quantity,
            quoted=0,
            promotions=0,
            manual=0,
            amount=0,
            net=0,
            tax=0,
            gross=0,
            steps=(PriceStep(kind=StepKind.PROMOTION, change=0, amount=0, code=offer.code),),
            is_gift=True,
            gift_value=value,
            cost=gift_amount(problem, gift.unit_cost, gift.quantity),
        )
    ]


def _charge(computed: Computed, place: int) -> PricedCharge:
    problem = computed.problem
    charge = problem.document.charges[place]
    amount, net, tax = computed.charges[place]
    quoted = half_up(scaled(charge.amount, problem.power), problem.tick)
    return PricedCharge(
        key=charge.key,
        quoted=quoted,
        promotions=quoted - amount,
        amount=amount,
        net=net,
        tax=tax,
        gross=net + tax,
    )


def _by_offer(computed: Computed) -> dict[int, dict[str, int]]:
    """What each offer took off lines, by their keys, in the document's order."""
    found: dict[int, dict[str, int]] = {}
    for facts, shares in zip(computed.problem.lines, computed.shares, strict=True):
        for index, share in shares.items():
            if share:
                found.setdefault(index, {})[facts.key] = share
    return found


def _applied(computed: Computed, offer: Offer, units: Mapping[str, int], by_line: dict[str, int]) -> Applied:
    problem = computed.problem
    index = offer.index
    for charge, off in zip(problem.document.charges, computed.shipping.get(index, ()), strict=False):
        if off:
            by_line[charge.key] = off
    discount = computed.discounts.get(index, 0)
    value = 0
    if isinstance(offer.benefit, Gift):
        value = gift_amount(problem, offer.benefit.unit_value, offer.benefit.quantity)
    grouped = offer.kind in (Kind.BUY_GET, Kind.BUNDLE, Kind.GROUP_AMOUNT)
    by_index = {problem.line_index[key]: number for key, number in units.items()}
    return Applied(
        code=offer.code,
        discount=discount,
        by_line=by_line,
        units=units,
        bought=_count(computed, computed.choice.bought.get(index, ())),
        repeats=(repeats(offer, by_index) or 0) if grouped else 0,
        truncated=index in computed.truncated,
        gift_value=value,
        funding=funding(problem, offer, discount),
    )


def _totals(computed: Computed, charges: Sequence[PricedCharge], funded: int) -> Totals:
    problem = computed.problem
    quoted = sum(facts.quoted for facts in problem.lines)
    ticks = total_cost(problem)
    cost = None if ticks is None else half_up(ticks, problem.tick) + computed.gift_cost
    net = sum(computed.nets)
    return Totals(
        quoted=quoted,
        promotions=quoted - sum(computed.subtotals) + sum(charge.promotions for charge in charges),
        manual=sum(computed.subtotals) - sum(computed.amounts),
        net=net + sum(charge.net for charge in charges),
        tax=sum(computed.taxes) + sum(charge.tax for charge in charges),
        total=computed.total,
        charges=sum(charge.gross for charge in charges),
        gift_value=computed.gift_value,
        cost=cost,
        funding=funded,
        margin=None if cost is None else net + funded - cost,
    )
