"""Who else wants a deal, and how dangerous they are in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from uuid import UUID

from chassis.errors import InvalidArgument
from chassis.money import CurrenciesDiffer, Money


class Threat(Enum):
    """How dangerous a competitor is in a deal."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class CompetitorTwice(InvalidArgument):
    """A competitor is in one deal twice."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "A competitor stands once among those of the deal.",
            field=f"opportunity.competitors[{index}].competitor_id",
        )


class CompetitorMissing(InvalidArgument):
    """A deal was lost at a price, and nobody asked it."""

    def __init__(self) -> None:
        super().__init__("Say which competitor asked that price.", field="lost_to_competitor_id")


@dataclass(frozen=True, slots=True)
class DealCompetitor:
    """A competitor in a deal: with what, at which price."""

    competitor_id: UUID
    threat: Threat | None = None
    product_ids: tuple[UUID, ...] = ()
    price: Money | None = None
    is_incumbent: bool = False
    note: str = ""


def check_competitors(competitors: Sequence[DealCompetitor], currency: str | None) -> None:
    """Whether these can be those of a deal in a currency (None where it has no amount yet).

    Raises:
        CompetitorTwice: one stands there twice.
        CurrenciesDiffer: a price is in another currency than the deal, or than another one's price.
    """
    seen = set()
    for index, each in enumerate(competitors):
        if each.competitor_id in seen:
            raise CompetitorTwice(index)
        seen.add(each.competitor_id)
        if each.price is not None:
            currency = currency or each.price.currency
            if each.price.currency != currency:
                field = f"opportunity.competitors[{index}].price"
                raise CurrenciesDiffer(each.price.currency, currency, field=field)


def with_competitor(
    competitors: Sequence[DealCompetitor], competitor_id: UUID, price: Money | None = None
) -> tuple[DealCompetitor, ...]:
    """These with one more where it is not among them, at a price where one is said."""
    found = {each.competitor_id: each for each in competitors}
    known = found.get(competitor_id, DealCompetitor(competitor_id))
    found[competitor_id] = known if price is None else replace(known, price=price)
    return tuple(found.values())
