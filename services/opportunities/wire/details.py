"""What a deal may have besides what every deal has, between the protos and the domain."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from sfa.opportunities.v1 import deals_pb2 as pb
from sfa.opportunities.v1.opportunities_pb2 import ForecastCategory as Category
from sfa.opportunities.v1.opportunities_pb2 import Opportunity as Resource

from chassis import convert
from services.opportunities.domain import (
    Access,
    BuyingRole,
    ContactRole,
    CustomDate,
    DealCompetitor,
    ForecastCategory,
    Opportunity,
    Split,
    SplitType,
    TeamMember,
    Threat,
    amounts_of,
)

_K = TypeVar("_K")
_V = TypeVar("_V")

_ACCESSES = {each: pb.TeamMember.Access.Value(each.name) for each in Access}
_TYPES = {each: pb.Split.Type.Value(each.name) for each in SplitType}
_ROLES = {each: pb.ContactRole.Role.Value(each.name) for each in BuyingRole}
_THREATS = {each: pb.DealCompetitor.Threat.Value(each.name) for each in Threat}
_CATEGORIES = {each: Category.Value(each.name) for each in ForecastCategory}


def _inverted(mapping: Mapping[_K, _V]) -> dict[_V, _K]:
    return {value: key for key, value in mapping.items()}


_ACCESS_OF, _TYPE_OF, _ROLE_OF = _inverted(_ACCESSES), _inverted(_TYPES), _inverted(_ROLES)
_THREAT_OF, _CATEGORY_OF = _inverted(_THREATS), _inverted(_CATEGORIES)


def add_details(result: Resource, deal: Opportunity) -> None:
    """Writes what the deal has of it into the resource."""
    details = deal.details
    for member in details.team:
        result.team.add(user_id=str(member.user_id), role=member.role, access=_ACCESSES[member.access])
    if details.splits:
        _add_splits(result, deal)
    for role in details.contact_roles:
        added = result.contact_roles.add(contact_id=str(role.contact_id), is_primary=role.is_primary)
        if role.role is not None:
            added.role = _ROLES[role.role]
    result.tags.extend(details.tags)
    if details.forecast_category is not None:
        result.forecast_category = _CATEGORIES[details.forecast_category]
    for custom in details.custom_dates:
        convert.set_date(result.custom_dates.add(name=custom.name).date, custom.day)
    for rival in details.competitors:
        _set_competitor(result.competitors.add(), rival)
    if details.lost_to_competitor_id is not None:
        result.lost_to_competitor_id = str(details.lost_to_competitor_id)
    result.win_reason = details.win_reason
    if details.merged_into_id is not None:
        result.merged_into_id = str(details.merged_into_id)
    result.merged_from_ids.extend(map(str, details.merged_from_ids))
    if details.split_from_id is not None:
        result.split_from_id = str(details.split_from_id)
    result.split_into_ids.extend(map(str, details.split_into_ids))


def _add_splits(result: Resource, deal: Opportunity) -> None:
    splits = deal.details.splits
    for split in splits:
        result.splits.add(
            user_id=str(split.user_id), type=_TYPES[split.type], percent=convert.decimal_text(split.percent)
        )
    if deal.amount is not None:
        for message, amount in zip(result.splits, amounts_of(splits, deal.amount), strict=True):
            convert.set_money(message.amount, amount)


def deal_competitor_to_proto(rival: DealCompetitor) -> pb.DealCompetitor:
    """A competitor in a deal."""
    result = pb.DealCompetitor()
    _set_competitor(result, rival)
    return result


def _set_competitor(target: pb.DealCompetitor, rival: DealCompetitor) -> None:
    target.competitor_id = str(rival.competitor_id)
    if rival.threat is not None:
        target.threat = _THREATS[rival.threat]
    target.product_ids.extend(map(str, rival.product_ids))
    if rival.price is not None:
        convert.set_money(target.price, rival.price)
    target.is_incumbent = rival.is_incumbent
    target.note = rival.note


def _team(message: Resource) -> tuple[TeamMember, ...]:
    return tuple(
        TeamMember(UUID(each.user_id), each.role, _ACCESS_OF.get(each.access, Access.READ))
        for each in message.team
    )


def _splits(message: Resource) -> tuple[Split, ...]:
    return tuple(
        Split(UUID(each.user_id), _TYPE_OF[each.type], Decimal(each.percent)) for each in message.splits
    )


def _contact_roles(message: Resource) -> tuple[ContactRole, ...]:
    return tuple(
        ContactRole(UUID(each.contact_id), _ROLE_OF.get(each.role), each.is_primary)
        for each in message.contact_roles
    )


def _custom_dates(message: Resource) -> tuple[CustomDate, ...]:
    return tuple(
        CustomDate(each.name, convert.date_of(each.date, f"opportunity.custom_dates[{index}].date"))
        for index, each in enumerate(message.custom_dates)
    )


def _competitors(message: Resource) -> tuple[DealCompetitor, ...]:
    return tuple(
        DealCompetitor(
            UUID(each.competitor_id),
            _THREAT_OF.get(each.threat),
            tuple(dict.fromkeys(map(UUID, each.product_ids))),
            convert.money_of(each.price, f"opportunity.competitors[{index}].price")
            if each.HasField("price")
            else None,
            each.is_incumbent,
            each.note,
        )
        for index, each in enumerate(message.competitors)
    )


# How each of it that a client may set is read.
DETAIL_FIELDS: Mapping[str, Callable[[Resource], Any]] = {
    "team": _team,
    "splits": _splits,
    "contact_roles": _contact_roles,
    "tags": lambda message: tuple(message.tags),
    "forecast_category": lambda message: _CATEGORY_OF.get(message.forecast_category),
    "custom_dates": _custom_dates,
    "competitors": _competitors,
    "lost_to_competitor_id": lambda message: convert.uuid_of(message.lost_to_competitor_id),
    "win_reason": lambda message: message.win_reason,
}
