"""How what a deal may have besides stands in one jsonb column, which is null for deals that have nothing."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from chassis.columns import Codec, money_of
from services.opportunities.domain import (
    PLAIN,
    Access,
    BuyingRole,
    ContactRole,
    CustomDate,
    DealCompetitor,
    Details,
    ForecastCategory,
    Split,
    SplitType,
    TeamMember,
    Threat,
)

SEEN_BY: Final = "seen_by"
"""The key under which the document says who sees the deal by being in it, so that an index finds it."""


def _ids(values: list[str]) -> tuple[UUID, ...]:
    return tuple(map(UUID, values))


def _competitor(item: Mapping[str, Any]) -> DealCompetitor:
    threat = item["threat"]
    return DealCompetitor(
        UUID(item["competitor_id"]),
        Threat(threat) if threat else None,
        _ids(item["product_ids"]),
        money_of(item["price"]),
        item["is_incumbent"],
        item["note"],
    )


def _contact_role(item: Mapping[str, Any]) -> ContactRole:
    role = item["role"]
    return ContactRole(UUID(item["contact_id"]), BuyingRole(role) if role else None, item["is_primary"])


def _each(load: Callable[[Any], Any]) -> Callable[[list[Any]], tuple[Any, ...]]:
    return lambda items: tuple(map(load, items))


_LOADS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "team": _each(lambda item: TeamMember(UUID(item["user_id"]), item["role"], Access(item["access"]))),
    "splits": _each(
        lambda item: Split(UUID(item["user_id"]), SplitType(item["type"]), Decimal(item["percent"]))
    ),
    "contact_roles": _each(_contact_role),
    "tags": tuple,
    "forecast_category": ForecastCategory,
    "custom_dates": _each(lambda item: CustomDate(item["name"], date.fromisoformat(item["day"]))),
    "competitors": _each(_competitor),
    "lost_to_competitor_id": UUID,
    "win_reason": str,
    "merged_into_id": UUID,
    "merged_from_ids": _ids,
    "split_from_id": UUID,
    "split_into_ids": _ids,
}


def _dump(details: Details) -> str | None:
    if details is PLAIN or details == PLAIN:
        return None
    document = {name: value for name in _LOADS if (value := getattr(details, name))}
    if seen_by := details.seen_by:
        document[SEEN_BY] = seen_by
    # decimals and asyncpg's kind of UUID are not known to orjson: they stand there as text
    return orjson.dumps(document, default=str).decode()


def _load(text: str | None) -> Details:
    if text is None:
        return PLAIN
    document = orjson.loads(text)
    document.pop(SEEN_BY, None)
    return Details(**{name: _LOADS[name](value) for name, value in document.items()})


DETAILS_CODEC: Final = Codec(_dump, _load)
