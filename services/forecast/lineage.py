"""The deals behind a figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.fields import Field
from chassis.money import minor_unit
from chassis.paging import Keyset, Order, Term
from chassis.store import DEFAULT_PAGE
from services.forecast.book import MISSING, Book, Books, date_of
from services.forecast.book.interning import Interner
from services.forecast.book.versions import Rows
from services.forecast.dimensions import Question, axis_of
from services.forecast.domain.figures import CountedDeal
from services.forecast.domain.trees import ALL
from services.forecast.rollup import RollUp
from services.forecast.store import HistoryStore
from services.forecast.summing import Entries, entries_of
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
            PeriodUnknown, MonthsAreWeeks, NodeNotFound, PageTokenInvalid: the request is wrong.
        """
        roll_up = await RollUp.of(self.call, self.books)
        question = roll_up.question(request, [request.period_id])
        periods = [period for period in question.periods if period.id == question.periods[0].id]
        question = replace(question, periods=periods)
        size = request.page_size or DEFAULT_PAGE
        keyset = Keyset(_BY_ID, *_arguments(request, question.currency))
        after = keyset.values(request.page_token)
        found = Found.of(roll_up.book, question, request.node_id or ALL, request.category, request.overdue)
        places = found.places(after[0] if after else None)
        shown = [found.deal(int(place)) for place in places[:size]]
        names = await HistoryStore(self.call).names([(deal.id, deal.version) for deal in shown])
        shown = [replace(deal, name=names.get(deal.id, "")) for deal in shown]
        last: dict[str, UUID] = {"id": shown[-1].id} if len(places) > size else {}
        return LineagePage(shown, question.currency, keyset.token(last) if last else "")


def _arguments(request: pb.ListForecastDealsRequest, currency: str) -> tuple[Any, ...]:
    """What two pages must have in common."""
    return (
        request.period_id,
        request.group_by,
        request.node_id or ALL,
        request.category,
        request.overdue,
        currency,
        request.hierarchy,
        request.credit,
        request.rate_date,
        request.as_of.ToJsonString() if request.HasField("as_of") else "",
        request.effective_as_of.ToJsonString() if request.HasField("effective_as_of") else "",
    )


@dataclass(frozen=True, slots=True)
class Found:
    """The deals behind a figure, each with the sum of its parts there."""

    book: Book
    currency: str
    rows: Rows
    part: npt.NDArray[np.int64]
    """For each one of its parts, which says how it counts."""
    entries: Entries
    amount: npt.NDArray[Any]
    converted: npt.NDArray[Any]
    weighted: npt.NDArray[Any]

    @classmethod
    def of(
        cls, book: Book, question: Question, node_id: str, category: int = 0, overdue: bool = False
    ) -> Found:
        """What is behind a node, of one category and overdue where that is asked.

        Raises:
            NodeNotFound: there is no such node.
        """
        axis = axis_of(book, question)
        top = axis.tree.place(node_id)
        entries = entries_of(book, axis, question)
        valued = entries.valued
        wanted = (entries.place >= top) & (entries.place < axis.tree.after[top])
        if category:
            wanted &= valued.category == category
        if overdue:
            wanted &= valued.overdue
        parts = np.flatnonzero(wanted)
        index, first, inverse = np.unique(entries.index[parts], return_index=True, return_inverse=True)

        def added(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            result = np.zeros(len(index), values.dtype)
            np.add.at(result, inverse, values[parts])
            return result

        return cls(
            book,
            question.currency,
            entries.rows[index],
            parts[first],
            entries,
            added(entries.size),
            added(valued.converted),
            added(valued.weighted),
        )

    def places(self, after: UUID | None = None) -> npt.NDArray[Any]:
        """All of them, in the order of the deals' ids, from behind one of these on."""
        places = np.arange(len(self.rows))
        halves = self.book.codes.deals.halves(self.book.versions.deal[self.rows])
        if after is not None:
            high, low = np.uint64(after.int >> 64), np.uint64(after.int & (1 << 64) - 1)
            behind = (halves[:, 0] > high) | ((halves[:, 0] == high) & (halves[:, 1] > low))
            places, halves = places[behind], halves[behind]
        ordered: npt.NDArray[Any] = places[np.lexsort((halves[:, 1], halves[:, 0]))]
        return ordered

    def deal(self, place: int) -> CountedDeal:
        """One of them."""
        codes, versions = self.book.codes, self.book.versions
        row, part = int(self.rows[place]), int(self.part[place])
        valued = self.entries.valued
        currency, unit = codes.currencies.id(int(versions.currency[row])), minor_unit(self.currency)
        has_amount = bool(versions.has_amount[row])
        is_converted = has_amount and not valued.unconverted[part]
        return CountedDeal(
            id=codes.deals.id(int(versions.deal[row])),
            version=int(versions.version[row]),
            name="",
            owner_id=_named(codes.users, int(versions.owner[row])),
            account_id=_named(codes.accounts, int(versions.account[row])),
            stage_id=_named(codes.stages, int(versions.stage[row])),
            state=int(versions.state[row]),
            category=int(valued.category[part]),
            probability=int(valued.probability[part]),
            closes_on=date_of(int(versions.closes_on[row])) or date.max,
            overdue=bool(valued.overdue[part]),
            amount=int(self.amount[place]) * minor_unit(currency) if has_amount else None,
            currency=currency,
            converted=int(self.converted[place]) * unit if is_converted else None,
            weighted=int(self.weighted[place]) * unit,
            pipeline_id=_named(codes.pipelines, int(versions.pipeline[row])),
        )


def _named(interner: Interner, code: int) -> UUID | None:
    return None if code == MISSING else interner.id(code)
