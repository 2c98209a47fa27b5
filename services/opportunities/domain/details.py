"""What a deal may have besides what every deal has. Most deals have little of it, so that it stands in
one value, which is the same for all that have nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Final
from uuid import UUID

from chassis.errors import InvalidArgument
from services.opportunities.domain.buying_roles import ContactRole, check_contact_roles
from services.opportunities.domain.competition import DealCompetitor, with_competitor
from services.opportunities.domain.pipelines import ForecastCategory
from services.opportunities.domain.splits import Split, check_splits
from services.opportunities.domain.teams import TeamMember, check_team

MOST: Final = {
    "line_items": 500,
    "contact_ids": 100,
    "team": 50,
    "splits": 50,
    "contact_roles": 100,
    "tags": 50,
    "custom_dates": 20,
    "competitors": 20,
    "merged_from_ids": 100,
    "split_into_ids": 100,
}
"""How many of each a deal has at the most."""


class TooMany(InvalidArgument):
    """A deal would have more of something than it may."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"An opportunity has {MOST[name]} {name.replace('_', ' ')} at the most.",
            field=f"opportunity.{name}",
        )


class CustomDateTwice(InvalidArgument):
    """Two dates of a deal have one name."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "Two dates of an opportunity have different names.",
            field=f"opportunity.custom_dates[{index}].name",
        )


class TagEmpty(InvalidArgument):
    """A tag of blanks."""

    def __init__(self, index: int) -> None:
        super().__init__("A tag is more than blanks.", field=f"opportunity.tags[{index}]")


@dataclass(frozen=True, slots=True)
class CustomDate:
    """A further date that matters to a deal."""

    name: str
    day: date


@dataclass(frozen=True, slots=True)
class Details:
    """What a deal may have besides what every deal has."""

    team: tuple[TeamMember, ...] = ()
    splits: tuple[Split, ...] = ()
    contact_roles: tuple[ContactRole, ...] = ()
    tags: tuple[str, ...] = ()
    forecast_category: ForecastCategory | None = None
    custom_dates: tuple[CustomDate, ...] = ()
    competitors: tuple[DealCompetitor, ...] = ()
    lost_to_competitor_id: UUID | None = None
    win_reason: str = ""
    merged_into_id: UUID | None = None
    merged_from_ids: tuple[UUID, ...] = ()
    split_from_id: UUID | None = None
    split_into_ids: tuple[UUID, ...] = ()

    @property
    def seen_by(self) -> tuple[UUID, ...]:
        """Who sees the deal besides those who see its owner's: the team, and whoever has a split."""
        if not self.team and not self.splits:
            return ()
        members = (member.user_id for member in self.team)
        return tuple(dict.fromkeys((*members, *(split.user_id for split in self.splits))))

    def changed(self, values: Mapping[str, Any]) -> "Details":
        """These with new values, by the names of the fields; `PLAIN` where nothing is left.

        Raises:
            MemberTwice, SplitOutOfRange, SplitTwice, RevenueSplitsIncomplete, ContactTwice, TagEmpty,
            CustomDateTwice, TooMany: the values do not make sense.
        """
        result = replace(self, **values)
        if result.lost_to_competitor_id is not None:
            rivals = with_competitor(result.competitors, result.lost_to_competitor_id)
            result = replace(result, competitors=rivals)
        if "team" in values:
            check_team(result.team)
        if "splits" in values:
            check_splits(result.splits)
        if "contact_roles" in values:
            check_contact_roles(result.contact_roles)
        if "tags" in values:
            result = replace(result, tags=_tags(result.tags))
        if "custom_dates" in values:
            _check_dates(result.custom_dates)
        for name in DETAILS & MOST.keys():
            if len(getattr(result, name)) > MOST[name]:
                raise TooMany(name)
        return PLAIN if result == PLAIN else result


PLAIN: Final = Details()
"""What a deal has that has nothing of it."""

DETAILS: Final = frozenset(field.name for field in fields(Details))
"""The names of all of it."""


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for index, tag in enumerate(tags):
        words = " ".join(tag.split()).lower()
        if not words:
            raise TagEmpty(index)
        found.append(words)
    return tuple(dict.fromkeys(found))


def _check_dates(dates: tuple[CustomDate, ...]) -> None:
    seen = set()
    for index, each in enumerate(dates):
        if each.name in seen:
            raise CustomDateTwice(index)
        seen.add(each.name)
