"""The deals behind a figure."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.fields import Field
from chassis.money import minor_unit
from chassis.paging import Keyset, Order, Term
from chassis.store import DEFAULT_PAGE
from services.forecast.book import MISSING, UNDATED, Book, Books, Valued, date_of, day_number, value
from services.forecast.book.interning import Interner
from services.forecast.book.parts import Shares
from services.forecast.book.versions import Rows
from services.forecast.domain.figures import NONE, CountedDeal
from services.forecast.domain.trees import ALL, NodeNotFound
from services.forecast.figures import Selection
from services.forecast.rollup import GroupBy, Owners, RollUp
from services.forecast.store import HistoryStore
from services.forecast.tables import deal_versions

_BY_ID = Order([Term("id", Field.of(deal_versions.c.id, nullable=False, sortable=True), descending=False)])


@dataclass(frozen=True, slots=True)
class LineagePage:
    """Some of the deals, in the currency that they are converted to."""

    deals: list[CountedDeal]
    currency: str
    next_page_token: str


class Lineage:
    """Opens a figure down to its deals, for one caller."""

    def __init__(self, call: Call, books: Books) -> None:
        self.call, self.books = call, books

    async def page(self, request: pb.ListForecastDealsRequest) -> LineagePage:
        """A page of the deals in order of their ids.

        Raises:
            PeriodUnknown, NodeNotFound, PageTokenInvalid: the request is wrong.
        """
        roll_up = await RollUp.of(self.call, self.books)
        selection = roll_up.selection([request.period_id], request.currency)
        periods = [period for period in selection.periods if period.id == selection.periods[0].id]
        selection = replace(selection, periods=periods)
        node = request.node_id or ALL
        arguments = (
            request.period_id,
            request.group_by,
            node,
            request.category,
            request.overdue,
            selection.currency,
        )
        keyset, size = Keyset(_BY_ID, *arguments), request.page_size or DEFAULT_PAGE
        after = keyset.values(request.page_token)
        found = self._found(roll_up, selection, request, node)
        places = found.places(after[0] if after else None)
        shown = [found.deal(int(place)) for place in places[:size]]
        names = await HistoryStore(self.call).names([(deal.id, deal.version) for deal in shown])
        shown = [replace(deal, name=names.get(deal.id, "")) for deal in shown]
        last: dict[str, UUID] = {"id": shown[-1].id} if len(places) > size else {}
        return LineagePage(shown, selection.currency, keyset.token(last) if last else "")

    def _found(
        self, roll_up: RollUp, selection: Selection, request: pb.ListForecastDealsRequest, node: str
    ) -> "Found":
        book, codes = roll_up.book, roll_up.book.codes
        versions, rows = book.versions, roll_up.figures.seen()
        (period,) = selection.periods
        days = versions.closes_on[rows]
        if period.start is None or period.end is None:
            rows = rows[days == UNDATED]
        else:
            rows = rows[(days >= day_number(period.start)) & (days <= day_number(period.end))]
        shares = None
        if request.group_by == GroupBy.PRODUCT:
            if node != ALL:
                shares = book.product_lines.of(rows, versions.amount[rows])
                wanted = MISSING if node == NONE else codes.products.code(_id(node))
                kept = (shares.member == wanted) & (node == NONE or wanted != MISSING)
                shares = Shares(shares.index[kept], shares.member[kept], shares.start[kept], shares.end[kept])
        else:
            owners = roll_up.owners(request.group_by or GroupBy.TEAM, node)
            rows = rows[_owned(roll_up, rows, owners)]
        valued = value(book, rows, roll_up.tenant, selection.currency, selection.today, shares=shares)
        wanted_ones = np.ones(len(valued.category), bool)
        if request.category:
            wanted_ones &= valued.category == request.category
        if request.overdue:
            wanted_ones &= valued.overdue
        index = np.arange(len(rows)) if shares is None else shares.index
        return Found(book, selection.currency, rows[index], valued, shares, wanted_ones)


@dataclass(frozen=True, slots=True)
class Found:
    """What is behind a figure: the rows, or parts of them, of which those that are `wanted` are meant."""

    book: Book
    currency: str
    rows: Rows
    valued: Valued
    shares: Shares | None
    wanted: Any

    def places(self, after: UUID | None) -> Any:
        """Those that are wanted, in the order of the deals' ids, from behind one of these on."""
        places = np.flatnonzero(self.wanted)
        halves = self.book.codes.deals.halves(self.book.versions.deal[self.rows[places]])
        if after is not None:
            high, low = np.uint64(after.int >> 64), np.uint64(after.int & (1 << 64) - 1)
            behind = (halves[:, 0] > high) | ((halves[:, 0] == high) & (halves[:, 1] > low))
            places, halves = places[behind], halves[behind]
        return places[np.lexsort((halves[:, 1], halves[:, 0]))]

    def deal(self, place: int) -> CountedDeal:
        """One of them."""
        codes, versions, valued, row = self.book.codes, self.book.versions, self.valued, int(self.rows[place])
        currency, unit = codes.currencies.id(int(versions.currency[row])), minor_unit(self.currency)
        has_amount = bool(versions.has_amount[row])
        amount = (
            int(versions.amount[row])
            if self.shares is None
            else int(self.shares.end[place] - self.shares.start[place])
        )
        is_converted = has_amount and not valued.unconverted[place]
        return CountedDeal(
            id=codes.deals.id(int(versions.deal[row])),
            version=int(versions.version[row]),
            name="",
            owner_id=_named(codes.users, int(versions.owner[row])),
            account_id=_named(codes.accounts, int(versions.account[row])),
            stage_id=_named(codes.stages, int(versions.stage[row])),
            state=int(versions.state[row]),
            category=int(valued.category[place]),
            probability=int(valued.probability[place]),
            closes_on=date_of(int(versions.closes_on[row])) or date.max,
            overdue=bool(valued.overdue[place]),
            amount=amount * minor_unit(currency) if has_amount else None,
            currency=currency,
            converted=int(valued.converted[place]) * unit if is_converted else None,
            weighted=int(valued.weighted[place]) * unit,
        )


def _owned(roll_up: RollUp, rows: Rows, owners: Owners) -> Any:
    figures, owner = roll_up.figures, roll_up.book.versions.owner[rows]
    if owners.only is not None:
        owned = figures.owned(rows, owners.only)
        return owned | (owner == MISSING) if owners.unowned else owned
    if owners.others is not None:
        return ~figures.owned(rows, owners.others)
    return np.ones(len(rows), bool)


def _named(interner: Interner, code: int) -> UUID | None:
    return None if code == MISSING else interner.id(code)


def _id(node: str) -> UUID:
    try:
        return UUID(node)
    except ValueError:
        raise NodeNotFound(node) from None
