"""Deals become one, and one becomes several. Amounts add up: what is counted afterwards is what was counted
before, once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from chassis.errors import FailedPrecondition, InvalidArgument
from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, total
from services.opportunities.domain.details import MOST, TooMany
from services.opportunities.domain.opportunities import (
    MAX_AMOUNT,
    AmountTooLarge,
    LineItem,
    NameMissing,
    Opportunity,
    OpportunityClosed,
    OpportunityMerged,
    OpportunitySplit,
)
from services.opportunities.domain.pipelines import State

T = TypeVar("T")


class MergedWithItself(InvalidArgument):
    """A deal was to be merged into itself, or another one twice."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Name each opportunity once, without the one that stays.", field=f"merged_ids[{index}]"
        )


class MergedDealClosed(FailedPrecondition):
    """What is won or lost is history, and is not merged."""

    def __init__(self, index: int, state: State) -> None:
        super().__init__(
            f"Opportunities are merged while they are open; this one is {state.value.lower()}.",
            field=f"merged_ids[{index}]",
        )


class AccountsDiffer(FailedPrecondition):
    """Deals of two customers were to become one."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "The opportunity belongs to another account than the one that stays.",
            field=f"merged_ids[{index}]",
        )


class AmountMissing(FailedPrecondition):
    """A deal that is worth nothing yet cannot be parted."""

    def __init__(self) -> None:
        super().__init__("The opportunity has no amount that could be split.")


class PartEmpty(InvalidArgument):
    """A part is worth nothing."""

    def __init__(self, index: int) -> None:
        super().__init__("A part has an amount above zero.", field=f"parts[{index}].amount")


class PartsExceed(InvalidArgument):
    """The parts are more than the whole."""

    def __init__(self, left: Money, index: int) -> None:
        super().__init__(
            f"Only {left.amount} {left.currency} are left of the opportunity for this part.",
            field=f"parts[{index}].amount",
        )


class PartNeedsLines(InvalidArgument):
    """A deal with line items is parted by them."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "The opportunity has line items: say which of them go into this part, and leave the amount out.",
            field=f"parts[{index}].line_items",
        )


class PartTwice(InvalidArgument):
    """Two parts, or a part and the deal itself, were to have one id."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Give each part an id of its own, other than the opportunity's.", field=f"parts[{index}].id"
        )


class LineShort(InvalidArgument):
    """A part takes more of a product than is left."""

    def __init__(self, index: int, number: int, left: Decimal) -> None:
        super().__init__(
            f"Only {left.normalize():f} of this product are left in the opportunity.",
            field=f"parts[{index}].line_items[{number}].quantity",
        )


@dataclass(frozen=True, slots=True)
class PartLine:
    """How many of a product go into a part."""

    product_id: UUID
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Part:
    """What is split off from a deal: an amount, or some of its products; the rest is as in the deal."""

    name: str
    id: UUID | None = None
    amount: Money | None = None
    lines: tuple[PartLine, ...] = ()
    owner_id: UUID | None = None
    close_date: date | None = None


def merge(
    survivor: Opportunity, others: Sequence[Opportunity], at: datetime, *, adds: bool = True
) -> OpportunityMerged:
    """Takes other deals into one; they are deleted by it.

    With `adds` the amounts and line items of the others come on top, else those of the one that stays
    hold, as the others were the same deal. What the one that stays does not have it takes from them.

    Raises:
        OpportunityClosed, MergedDealClosed: one of them is won or lost.
        MergedWithItself, AccountsDiffer, CurrenciesDiffer, TooMany, AmountTooLarge: they do not fit together.
    """
    if survivor.state is not State.OPEN:
        raise OpportunityClosed(survivor.state)
    _check_merge(survivor, others)
    all_ = (survivor, *others)
    if adds:
        # each as it was counted: to the minor unit
        amounts = [deal.amount.rounded() for deal in all_ if deal.amount is not None]
        survivor.amount = total(amounts, amounts[0].currency) if amounts else None
        if survivor.amount is not None and abs(survivor.amount.amount) >= MAX_AMOUNT:
            raise AmountTooLarge("merged_ids")
        survivor.line_items = _within("line_items", (line for deal in all_ for line in deal.line_items))
    for name in ("account_id", "close_date", "description", "lead_id"):
        setattr(survivor, name, _first(getattr(deal, name) for deal in all_))
    stepped = next((deal for deal in all_ if deal.next_step), survivor)
    survivor.next_step, survivor.next_step_date = stepped.next_step, stepped.next_step_date
    survivor.contact_ids = _within(
        "contact_ids", dict.fromkeys(id for deal in all_ for id in deal.contact_ids)
    )
    survivor.details = survivor.details.changed(_joined(all_) | {"merged_from_ids": _origins(all_)})
    for other in others:
        other.details = other.details.changed({"merged_into_id": survivor.id})
        other.mark_deleted(at)
    return OpportunityMerged(survivor.id, tuple(other.id for other in others))


def split(deal: Opportunity, parts: Sequence[Part]) -> tuple[OpportunitySplit, list[Opportunity]]:
    """Makes parts of a deal deals of their own, in its stage and with its people; the deal keeps the rest.

    Raises:
        OpportunityClosed: it is won or lost.
        AmountMissing, PartEmpty, PartsExceed, PartNeedsLines, LineShort, CurrenciesDiffer: the amount
            cannot be parted so.
        NameMissing, PartTwice, TooMany: the parts do not make deals.
    """
    if deal.state is not State.OPEN:
        raise OpportunityClosed(deal.state)
    seen = {deal.id}
    for index, part in enumerate(parts):
        if part.id in seen:
            raise PartTwice(index)
        if part.id is not None:
            seen.add(part.id)
    made = [_part(deal, part, index) for index, part in enumerate(parts)]
    ids = tuple(each.id for each in made)
    deal.details = deal.details.changed({"split_into_ids": (*deal.details.split_into_ids, *ids)})
    return OpportunitySplit(deal.id, ids), made


def _check_merge(survivor: Opportunity, others: Sequence[Opportunity]) -> None:
    seen = {survivor.id}
    account, currency = survivor.account_id, survivor.amount.currency if survivor.amount else None
    for index, other in enumerate(others):
        if other.id in seen:
            raise MergedWithItself(index)
        seen.add(other.id)
        if other.state is not State.OPEN:
            raise MergedDealClosed(index, other.state)
        if None not in (account, other.account_id) and account != other.account_id:
            raise AccountsDiffer(index)
        account = account or other.account_id
        for found in _currencies(other):
            currency = currency or found
            if found != currency:
                raise CurrenciesDiffer(currency, found, field=f"merged_ids[{index}]")


def _currencies(deal: Opportunity) -> list[str]:
    prices = [each.price.currency for each in deal.details.competitors if each.price is not None]
    return [deal.amount.currency, *prices] if deal.amount is not None else prices


def _joined(deals: Sequence[Opportunity]) -> dict[str, Any]:
    """What several deals have of lists, each thing once; of two words on one thing the earlier deal's."""
    first, *others = (deal.details for deal in deals)
    team, roles, dates = (
        {member.user_id: member for member in first.team},
        {role.contact_id: role for role in first.contact_roles},
        {each.name: each for each in first.custom_dates},
    )
    rivals, tags = first.competitors, dict.fromkeys(first.tags)
    for other in others:
        for member in other.team:
            team.setdefault(member.user_id, member)
        for role in other.contact_roles:
            roles.setdefault(role.contact_id, role)
        for each in other.custom_dates:
            dates.setdefault(each.name, each)
        known = {each.competitor_id for each in rivals}
        rivals += tuple(each for each in other.competitors if each.competitor_id not in known)
        tags.update(dict.fromkeys(other.tags))
    return {
        "team": tuple(team.values()),
        "contact_roles": tuple(roles.values()),
        "custom_dates": tuple(dates.values()),
        "competitors": rivals,
        "tags": tuple(tags),
    }


def _origins(deals: Sequence[Opportunity]) -> tuple[UUID, ...]:
    return (*deals[0].details.merged_from_ids, *(deal.id for deal in deals[1:]))


def _part(deal: Opportunity, part: Part, index: int) -> Opportunity:
    if not part.name:
        raise NameMissing
    if deal.amount is None:
        raise AmountMissing
    taken: tuple[LineItem, ...] = ()
    if deal.line_items:
        if not part.lines or part.amount is not None:
            raise PartNeedsLines(index)
        taken, deal.line_items = _take(deal.line_items, part.lines, index)
        amount = total((line.unit_price * line.quantity for line in taken), deal.amount.currency).rounded()
    else:
        amount = (part.amount or Money(Decimal(0), deal.amount.currency)).rounded()
    left = deal.amount.rounded()
    if amount.currency != deal.amount.currency:
        raise CurrenciesDiffer(deal.amount.currency, amount.currency, field=f"parts[{index}].amount")
    if amount.amount <= 0:
        raise PartEmpty(index)
    if amount.amount > left.amount:
        raise PartsExceed(left, index)
    deal.amount = left - amount
    # the parts of a part are its own
    details = deal.details.changed({"split_from_id": deal.id, "split_into_ids": (), "merged_from_ids": ()})
    return Opportunity(
        id=part.id or new_id(),
        name=part.name,
        account_id=deal.account_id,
        owner_id=part.owner_id or deal.owner_id,
        pipeline_id=deal.pipeline_id,
        stage_id=deal.stage_id,
        amount=amount,
        line_items=taken,
        close_date=part.close_date or deal.close_date,
        next_step=deal.next_step,
        next_step_date=deal.next_step_date,
        description=deal.description,
        lead_id=deal.lead_id,
        contact_ids=deal.contact_ids,
        details=details,
    )


def _take(
    lines: Sequence[LineItem], wanted: Sequence[PartLine], index: int
) -> tuple[tuple[LineItem, ...], tuple[LineItem, ...]]:
    """The lines of a part and those that are left, the earlier lines of a product first."""
    left, taken = list(lines), []
    for number, want in enumerate(wanted):
        missing, had = want.quantity, Decimal(0)
        for place, line in enumerate(left):
            if line.product_id != want.product_id or not missing:
                continue
            quantity = min(line.quantity, missing)
            had += quantity
            missing -= quantity
            taken.append(replace(line, quantity=quantity))
            left[place] = replace(line, quantity=line.quantity - quantity)
        if missing or not had:
            raise LineShort(index, number, had)
        left = [line for line in left if line.quantity]
    return tuple(taken), tuple(left)


def _within(name: str, items: Iterable[T]) -> tuple[T, ...]:
    result = tuple(items)
    if len(result) > MOST[name]:
        raise TooMany(name)
    return result


def _first(values: Iterable[T]) -> T | None:
    """The first that says something; of texts an empty one where none does."""
    value: T | None = None
    for value in values:
        if value:
            return value
    return value
