"""Who decides at the customer's: what each contact of a deal means for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from chassis.errors import InvalidArgument


class BuyingRole(Enum):
    """The part that somebody plays in the purchase."""

    DECISION_MAKER = "DECISION_MAKER"
    ECONOMIC_BUYER = "ECONOMIC_BUYER"
    TECHNICAL_BUYER = "TECHNICAL_BUYER"
    CHAMPION = "CHAMPION"
    EXECUTIVE_SPONSOR = "EXECUTIVE_SPONSOR"
    INFLUENCER = "INFLUENCER"
    EVALUATOR = "EVALUATOR"
    END_USER = "END_USER"
    BLOCKER = "BLOCKER"
    PROCUREMENT = "PROCUREMENT"
    OTHER = "OTHER"


class ContactTwice(InvalidArgument):
    """A contact has two roles in one deal."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "A contact stands once among the roles.", field=f"opportunity.contact_roles[{index}].contact_id"
        )


@dataclass(frozen=True, slots=True)
class ContactRole:
    """What a contact means for a deal."""

    contact_id: UUID
    role: BuyingRole | None = None
    is_primary: bool = False


def check_contact_roles(roles: Sequence[ContactRole]) -> None:
    """Raises ContactTwice where somebody stands there twice."""
    seen = set()
    for index, role in enumerate(roles):
        if role.contact_id in seen:
            raise ContactTwice(index)
        seen.add(role.contact_id)
