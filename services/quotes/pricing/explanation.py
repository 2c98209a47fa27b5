"""Why a promotion was not used, what would change that, and what to offer the customer next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from services.quotes.pricing.by_priority import additions, by_priority
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.eligibility import lacking, lacking_for, next_tier_reason
from services.quotes.pricing.evaluation import compute, plain_of
from services.quotes.pricing.model import (
    EVERYTHING,
    AmountOff,
    BundlePrice,
    BuyGet,
    Document,
    Line,
    Matching,
    Per,
    Promotion,
    Reason,
    ReasonKind,
    Result,
    Threshold,
    Tier,
    Tiered,
    Unused,
    UsesUp,
)
from services.quotes.pricing.pieces import IllegalSelection, Violation
from services.quotes.pricing.problem import Offer, Problem, prepare
from services.quotes.pricing.report import report
from services.quotes.pricing.splitting import cheaper_apart

_MOST_WORK = 400  # lines times promotions whose loss, or gain, is priced; beyond, they are only named
_LACKING = frozenset({ReasonKind.QUANTITY, ReasonKind.SPEND})


def explain(computed: Computed, *, detail: bool = False) -> Result:
    """The priced document with every promotion accounted for.

    Without `detail` nothing more is priced: losses and gains are named, their amounts left out. With it a
    small document takes some ten times as long as its price; on large ones only the first are priced.
    """
    problem = computed.problem
    result = report(computed)
    notes = cheaper_apart(computed) if detail else ()
    return replace(
        result,
        unused=tuple(_unused(computed, result, detail=detail)),
        thresholds=tuple(_thresholds(problem, computed, detail=detail)),
        notes=notes,
    )


# --- why not --------------------------------------------------------------------------------------


def _unused(computed: Computed, result: Result, *, detail: bool) -> Iterable[Unused]:
    problem = computed.problem
    used = {one.code for one in result.applied}
    work = 0
    for promotion in problem.promotions:
        code = promotion.code
        if code in used:
            continue
        if code in problem.obstacles:
            yield Unused(code, problem.obstacles[code])
            continue
        work += len(problem.lines)
        priced = detail and work <= _MOST_WORK
        offer = problem.offers[problem.offer_index[code]]
        yield Unused(code, (_lost(computed, offer, priced=priced),))


def _lost(computed: Computed, offer: Offer, *, priced: bool) -> Reason:
    problem = computed.problem
    if not offer.targets and offer.gains is not None:
        return Reason(
            kind=ReasonKind.FLOOR,
            message="What it applies to is at or below its price or margin floor already.",
        )
    if offer.index in computed.choice.selected:
        return Reason(kind=ReasonKind.NO_EFFECT, message="Would take nothing off.")
    against = [i for i in computed.applied if problem.conflict(offer.index, i)]
    if against:
        return _beaten(computed, offer, against, "Does not go together with", priced=priced)
    users = _users(computed, offer)
    if not priced:
        if users:
            return _beaten(computed, offer, users, "Its units are used up by", priced=False)
        return Reason(kind=ReasonKind.LOST, message="Would not lower the total.")
    return _tried(computed, offer, users)


def _users(computed: Computed, offer: Offer) -> list[int]:
    """Offers that use up units it could take, when it uses units up itself."""
    if offer.uses_up is UsesUp.NOTHING:
        return []
    offers = computed.problem.offers
    lines = {*offer.targets, *offer.buys}
    users: set[int] = set()
    for piece in computed.choice.pieces:
        if piece.line in lines:
            users.update(i for i in piece.offers if offers[i].uses_up is not UsesUp.NOTHING)
            if piece.bought_for >= 0:
                users.add(piece.bought_for)
    return sorted(users)


def _beaten(computed: Computed, offer: Offer, against: Sequence[int], words: str, *, priced: bool) -> Reason:
    problem = computed.problem
    codes = tuple(problem.offers[i].code for i in against)
    difference = None
    if priced:
        kept = [i for i in computed.applied if i not in against]
        other = compute(problem, by_priority(problem, [*kept, offer.index]))
        difference = max(0, other.total - computed.total)
    more = ""
    if difference:
        more = f"; with it instead the total would be {_money(problem, difference)} higher"
    return Reason(
        kind=ReasonKind.LOST,
        message=f"{words} {', '.join(codes)}{more}.",
        against=codes,
        difference=difference,
    )


def _tried(computed: Computed, offer: Offer, users: Sequence[int]) -> Reason:
    """What happens when it is added to what was chosen."""
    problem = computed.problem
    first: Violation | None = None
    for selection in additions(problem, computed.choice, offer.index):
        try:
            other = compute(problem, selection)
        except IllegalSelection as refused:
            first = first or refused.violations[0]
            continue
        if offer.index not in other.applied or other.total == computed.total:
            return Reason(
                kind=ReasonKind.NO_EFFECT, message="Would take nothing off the total.", difference=0
            )
        difference = other.total - computed.total
        return Reason(
            kind=ReasonKind.LOST,
            message="Is not part of the best combination."
            if difference < 0
            else f"The total would be {_money(problem, difference)} higher with it.",
            difference=max(0, difference),
        )
    if users:
        return _beaten(computed, offer, users, "Its units are used up by", priced=True)
    if first is None or first.kind is None:
        return Reason(kind=ReasonKind.NO_EFFECT, message="Finds nothing to take something off.")
    return Reason(kind=first.kind, message=first.message, line=first.line, against=_others(first, offer.code))


def _others(violation: Violation, code: str) -> tuple[str, ...]:
    return tuple(other for other in (*violation.against, violation.code) if other and other != code)


def _money(problem: Problem, minor: int) -> str:
    document = problem.document
    return f"{document.currency} {Decimal(minor).scaleb(-document.exponent)}"


# --- what next ------------------------------------------------------------------------------------


def _thresholds(problem: Problem, computed: Computed, *, detail: bool) -> Sequence[Threshold]:
    """What more on the document would bring, the most worthwhile first."""
    found: list[Threshold] = []
    work = 0
    for promotion in problem.promotions:
        for reasons, relaxed, document in _nearly(problem, computed, promotion):
            work += len(problem.lines)
            gain = _gain(computed, relaxed, document) if detail and work <= _MOST_WORK else 0
            if detail and work <= _MOST_WORK and gain <= 0:
                continue
            found.append(
                Threshold(
                    code=promotion.code,
                    message=" and ".join(reason.message.rstrip(".") for reason in reasons)
                    + (f": {_money(problem, gain)} off." if gain else "."),
                    missing_quantity=_missing(reasons, ReasonKind.QUANTITY),
                    missing_spend=_missing(reasons, ReasonKind.SPEND),
                    matching=_matching(problem, promotion),
                    gain=gain,
                )
            )
    return sorted(found, key=lambda one: (-one.gain, one.missing_spend, one.missing_quantity, one.code))


def _missing(reasons: Sequence[Reason], kind: ReasonKind) -> Decimal:
    return sum((reason.missing or Decimal(0) for reason in reasons if reason.kind is kind), Decimal(0))


def _matching(problem: Problem, promotion: Promotion) -> Matching:
    """What more is asked of: the first requirement that is not met, else what the benefit counts."""
    for requirement in promotion.conditions.requirements:
        if any(lacking(problem.quoted, requirement)):
            return requirement.matching
    match promotion.benefit:
        case BuyGet(get=matching) | Tiered(matching=matching) | AmountOff(target=matching):
            return matching
    return EVERYTHING


Nearly = tuple[Sequence[Reason], Promotion, Document]


def _nearly(problem: Problem, computed: Computed, promotion: Promotion) -> Iterable[Nearly]:
    """Reasons that are matters of more only, with the promotion and document as they would be then."""
    document = problem.document
    reasons = problem.obstacles.get(promotion.code)
    benefit = promotion.benefit
    if reasons is not None:
        if all(reason.kind in _LACKING for reason in reasons):
            if isinstance(benefit, Tiered):
                benefit = (_tier_above(problem, benefit) or benefit.tiers[0]).benefit
            relaxed = replace(
                promotion, benefit=benefit, conditions=replace(promotion.conditions, requirements=())
            )
            yield reasons, relaxed, _with_more(problem, relaxed, 1)
    elif isinstance(benefit, Tiered):
        tier = _tier_above(problem, benefit)
        if tier is not None:
            yield (
                [next_tier_reason(problem.quoted, benefit, tier)],
                replace(promotion, benefit=tier.benefit),
                document,
            )
    elif isinstance(benefit, BuyGet):
        index = problem.offer_index[promotion.code]
        got = sum(computed.choice.pieces[place].units for place in computed.choice.by_offer.get(index, ()))
        times = got // benefit.get_quantity + 1
        if got and (benefit.max_repeats is None or times <= benefit.max_repeats):
            lacking = lacking_for(problem.quoted, benefit, times)
            if lacking and _missing(lacking, ReasonKind.QUANTITY) <= benefit.get_quantity:
                yield lacking, promotion, _with_more(problem, promotion, times)


def _tier_above(problem: Problem, tiered: Tiered) -> Tier | None:
    for tier in tiered.tiers:
        reason = next_tier_reason(problem.quoted, tiered, tier)
        if reason.missing is not None and reason.missing > 0:
            return tier
    return None


def _with_more(problem: Problem, promotion: Promotion, times: int) -> Document:
    """The document with the units that so many groups lack, on lines that it has."""
    document, benefit = problem.document, promotion.benefit
    wanted: list[tuple[tuple[int, ...], int]] = []
    quoted = problem.quoted
    if isinstance(benefit, BuyGet):
        size = times * (benefit.buy_quantity + benefit.get_quantity)
        if benefit.buy == benefit.get:
            wanted.append((quoted.lines(benefit.buy), size))
        else:
            wanted.append((quoted.lines(benefit.buy), times * benefit.buy_quantity))
            wanted.append((quoted.lines(benefit.get), times * benefit.get_quantity))
    elif isinstance(benefit, BundlePrice):
        wanted += [(quoted.lines(part.matching), times * part.quantity) for part in benefit.components]
    elif isinstance(benefit, AmountOff) and benefit.per is Per.GROUP:
        wanted.append((quoted.lines(benefit.target), times * benefit.group_size))
    lines: list[Line] = list(document.lines)
    for matching, number in wanted:
        missing = number - sum(int(lines[i].quantity) for i in matching)
        if missing > 0 and matching:
            cheapest = min(matching, key=lambda i: (lines[i].unit_price, problem.lines[i].tie))
            lines[cheapest] = replace(lines[cheapest], quantity=lines[cheapest].quantity + missing)
    return replace(document, lines=tuple(lines))


def _gain(computed: Computed, promotion: Promotion, document: Document) -> int:
    """How much more promotions would take off then than they do now, at least. Minor units."""
    problem = computed.problem
    chosen = [
        problem.offers[i].promotion for i in computed.applied if problem.offers[i].code != promotion.code
    ]
    then = prepare(document, [*chosen, promotion])
    if promotion.code not in then.offer_index:
        return 0
    mine = then.offer_index[promotion.code]
    together = [i for i in range(len(then.offers)) if not then.conflict(mine, i)]
    total = min(compute(then, by_priority(then, among)).total for among in ([mine], together))
    off_then = plain_of(then).total - total
    off_now = plain_of(problem).total - computed.total
    return max(0, off_then - off_now)
