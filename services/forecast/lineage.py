"""The deals behind a figure."""

from dataclasses import dataclass, replace
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.fields import Field
from chassis.paging import Keyset, Order, Term
from chassis.store import DEFAULT_PAGE
from services.forecast.domain.figures import CountedDeal
from services.forecast.domain.trees import ALL
from services.forecast.rollup import GroupBy, RollUp
from services.forecast.tables import deals

_BY_ID = Order([Term("id", Field.of(deals.c.id, nullable=False, sortable=True), descending=False)])


@dataclass(frozen=True, slots=True)
class LineagePage:
    """Some of the deals, in the currency that they are converted to."""

    deals: list[CountedDeal]
    currency: str
    next_page_token: str


class Lineage:
    """Opens a figure down to its deals, for one caller."""

    def __init__(self, call: Call) -> None:
        self.roll_up = RollUp(call)

    async def page(self, request: pb.ListForecastDealsRequest) -> LineagePage:
        """A page of the deals in order of their ids.

        Raises:
            PeriodUnknown, NodeNotFound, PageTokenInvalid: the request is wrong.
        """
        selection = await self.roll_up.selection([request.period_id], request.currency)
        periods = [period for period in selection.periods if period.id == selection.periods[0].id]
        selection = replace(selection, periods=periods)
        node = request.node_id or ALL
        choice = await self.roll_up.choice(request.group_by or GroupBy.TEAM, node)
        arguments = (
            request.period_id,
            request.group_by,
            node,
            request.category,
            request.overdue,
            selection.currency,
        )
        keyset, size = Keyset(_BY_ID, *arguments), request.page_size or DEFAULT_PAGE
        after = keyset.after(request.page_token)
        choice = replace(choice, category=int(request.category), overdue=request.overdue, after=after)
        found = await self.roll_up.figures.page(selection, choice, size + 1)
        last: dict[str, UUID] = {"id": found[size - 1].id} if len(found) > size else {}
        return LineagePage(found[:size], selection.currency, keyset.token(last) if last else "")
