"""The figures of owners and products, straight from the cells of a book."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

from chassis.money import minor_unit
from services.forecast.book import (
    BY_OWNER,
    BY_PRODUCT,
    IN_ALL,
    MISSING,
    Basis,
    Book,
    Cuts,
    Dimension,
    Tenant,
    day_number,
)
from services.forecast.book.grid import DEALS, Grid
from services.forecast.book.interning import Interner
from services.forecast.book.versions import Rows
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import NONE, Figures
from services.forecast.domain.periods import Period
from services.forecast.figures import figures_of

Cells = dict[str, dict[str, Figures]]
"""Figures by node, then by period."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deals are added up, and how."""

    periods: Sequence[Period]
    currency: str
    reporting_currency: str
    today: date

    @property
    def cuts(self) -> Cuts:
        """The days between which deals are added up."""
        days = {day for period in self.periods for day in _ends(period)}
        return Cuts(tuple(sorted(days)))

    def basis(self, dimension: Dimension) -> Basis:
        """How deals are added up by a dimension."""
        return Basis(dimension, self.currency, self.today, self.cuts)


class BookFigures:
    """The figures of a book, of the deals of those whom a caller sees; of all where `within` is None."""

    def __init__(self, book: Book, within: Collection[UUID] | None) -> None:
        self.book, self.within = book, within
        self.tenant: Tenant = book.at()

    def by_owner(self, selection: Selection) -> Cells:
        """Figures by owner, then period; deals without an owner are under `none`."""
        return self._cells(selection, BY_OWNER, self.book.codes.users)

    def by_product(self, selection: Selection) -> Cells:
        """Figures by product, then period; deals without one are under `none`."""
        return self._cells(selection, BY_PRODUCT, self.book.codes.products)

    def in_all(self, selection: Selection) -> dict[str, Figures]:
        """Figures of all deals by period, each deal counted once."""
        return self._cells(selection, IN_ALL, None).get(NONE, {})

    def seen(self) -> Rows:
        """The deals that count and that the caller sees."""
        rows = self.book.view()
        return rows if self.within is None else rows[self.owned(rows, self.within)]

    def owned(self, rows: Rows, owners: Collection[UUID]) -> "np.typing.NDArray[np.bool_]":
        """Which of the rows belong to some owners."""
        return np.isin(self.book.versions.owner[rows], self.book.codes.users.codes(owners))

    def lacking(self, selection: Selection) -> list[Lacking]:
        """The rates that are missing."""
        rows = self.seen()
        entries = selection.basis(IN_ALL).entries(self.book, rows, self.tenant)
        valued = entries.valued
        wanted = valued.unconverted & _in_periods(selection, entries.bucket)
        currencies, days = self.book.versions.currency[rows][wanted], valued.day[wanted]
        pairs, counts = np.unique(np.stack([currencies, days], axis=1), axis=0, return_counts=True)
        epoch = date(1970, 1, 1)
        found = [
            Lacking(self.book.codes.currencies.id(currency), epoch + timedelta(day), count)
            for (currency, day), count in zip(pairs.tolist(), counts.tolist(), strict=True)
        ]
        return sorted(found, key=lambda lacking: (lacking.currency, lacking.day))

    def _cells(self, selection: Selection, dimension: Dimension, members: Interner | None) -> Cells:
        basis = selection.basis(dimension)
        grid = (
            self.book.sums(basis) if self.within is None else basis.grid(self.book, self.seen(), self.tenant)
        )
        unit, cuts = minor_unit(selection.currency), basis.cuts
        cells: Cells = {}
        for period in selection.periods:
            if period.start is None or period.end is None:
                within = grid.bucket == cuts.undated
            else:
                buckets = cuts.between(*map(day_number, (period.start, period.end + _DAY)))
                within = (grid.bucket >= buckets.start) & (grid.bucket < buckets.stop)
            for member, figures in _added(grid, within, unit).items():
                node = NONE if members is None or member == MISSING else str(members.id(member))
                cells.setdefault(node, {})[period.id] = figures
        return cells


def _added(grid: Grid, within: Any, unit: Decimal) -> Mapping[int, Figures]:
    result: dict[int, Figures] = {}
    members, measures = grid.member[within], grid.measures[within]
    distinct, places = np.unique(members, return_inverse=True)
    total = np.zeros((len(distinct), measures.shape[1]), measures.dtype)
    np.add.at(total, places, measures)
    for member, row in zip(distinct.tolist(), total.tolist(), strict=True):
        if any(row[DEALS]):
            result[member] = figures_of(row, unit)
    return result


def _ends(period: Period) -> tuple[int, ...]:
    if period.start is None or period.end is None:
        return ()
    return day_number(period.start), day_number(period.end + _DAY)


def _in_periods(selection: Selection, bucket: Any) -> Any:
    cuts = selection.cuts
    wanted = np.zeros(cuts.undated + 1, bool)
    for period in selection.periods:
        if period.start is None or period.end is None:
            wanted[cuts.undated] = True
        else:
            wanted[cuts.between(*map(day_number, (period.start, period.end + _DAY)))] = True
    return wanted[bucket]
