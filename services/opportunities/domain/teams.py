"""Who of ours works on a deal, besides its owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from chassis.errors import InvalidArgument, PermissionDenied


class Access(Enum):
    """What a member may do with the deal."""

    READ = "READ"
    EDIT = "EDIT"


class MemberTwice(InvalidArgument):
    """A user is on the team twice."""

    def __init__(self, index: int) -> None:
        super().__init__("A user is on the team once.", field=f"opportunity.team[{index}].user_id")


class DealOnlyReadable(PermissionDenied):
    """Somebody sees the deal as one of its team, and may not change it."""

    def __init__(self) -> None:
        super().__init__("You see this opportunity as one of its team, without the right to change it.")


class ReservedToOwner(PermissionDenied):
    """A member of the team who may change the deal may not change everything."""

    def __init__(self) -> None:
        super().__init__(
            "Owner, team, splits and deletion of an opportunity are up to its owner and those above."
        )


@dataclass(frozen=True, slots=True)
class TeamMember:
    """Somebody who works on a deal."""

    user_id: UUID
    role: str = ""
    access: Access = Access.READ


def check_team(team: Sequence[TeamMember]) -> None:
    """Raises MemberTwice where somebody stands in it twice."""
    seen = set()
    for index, member in enumerate(team):
        if member.user_id in seen:
            raise MemberTwice(index)
        seen.add(member.user_id)
