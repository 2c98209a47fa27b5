"""The sums over all deals as they are now, kept by the difference that each change makes.

A cell is what one member (an owner, a product …) has in one bucket of days. When a deal changes, what its
former version added is taken away and what its present one adds is added: so a change costs by itself,
not by the number of deals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from services.forecast.book.exact import Amounts
from services.forecast.book.grid import MEASURES, Cuts, Grid, Measure, grid, measures_of
from services.forecast.book.parts import Shares
from services.forecast.book.reference import Tenant
from services.forecast.book.valuing import Valued, value
from services.forecast.book.versions import Rows

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_SAFE: Final = 2**62
_REMEMBERED: Final = 200
"""How many changes whoever made sums out of the cells can follow, instead of adding all up again."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Whose each row is: `member` has one code for each row; or, with `shares`, the parts tell."""

    member: npt.NDArray[Any]
    shares: Shares | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """What deals are added up by. Dimensions with one name are one: a cell is looked up by it."""

    name: str
    members: Callable[[Book, Rows, Tenant], Membership]


def _owners(book: Book, rows: Rows, _: Tenant) -> Membership:
    return Membership(book.versions.owner[rows])


def _products(book: Book, rows: Rows, _: Tenant) -> Membership:
    shares = book.product_lines.of(rows, book.versions.amount[rows])
    return Membership(shares.member, shares)


def _nobody(book: Book, rows: Rows, _: Tenant) -> Membership:
    return Membership(np.full(len(rows), -1, np.int32))


BY_OWNER: Final = Dimension("owner", _owners)
BY_PRODUCT: Final = Dimension("product", _products)
IN_ALL: Final = Dimension("all", _nobody)


@dataclass(frozen=True, slots=True)
class Entries:
    """What some rows, or parts of rows, add, and where; `index` says of which row each is a part."""

    member: npt.NDArray[Any]
    bucket: npt.NDArray[np.int64]
    valued: Valued
    index: npt.NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class Basis:
    """How deals are added up: by what, in which currency, on which day, in which buckets."""

    dimension: Dimension
    currency: str
    today: date
    cuts: Cuts

    @property
    def key(self) -> tuple[str, str, date, Cuts]:
        """What says whether two are the same."""
        return self.dimension.name, self.currency, self.today, self.cuts

    def entries(self, book: Book, rows: Rows, tenant: Tenant) -> Entries:
        """What each row, or part of a row, adds, and where."""
        members = self.dimension.members(book, rows, tenant)
        valued = value(book, rows, tenant, self.currency, self.today, shares=members.shares)
        bucket = self.cuts.of(book.versions.closes_on[rows])
        if members.shares is None:
            return Entries(members.member, bucket, valued, None)
        index = members.shares.index
        return Entries(members.member, bucket[index], valued, index)

    def grid(self, book: Book, rows: Rows, tenant: Tenant) -> Grid:
        """The sums over some rows."""
        entries = self.entries(book, rows, tenant)
        return grid(entries.member, entries.bucket, self.cuts.undated + 1, entries.valued)


class Cells:
    """The sums over all deals as they are now."""

    def __init__(self, basis: Basis, book: Book, rows: Rows, tenant: Tenant) -> None:
        self.basis, self.valued = basis, tenant.valued
        sums = basis.grid(book, rows, tenant)
        self._buckets = basis.cuts.undated + 1
        self._count = len(sums.member)
        self._member, self._bucket, self._measures = sums.member, sums.bucket, sums.measures
        self._places: dict[int, int] | None = None
        self.changes = 0
        """How often something was added since they were made."""
        self._journal: deque[Grid] = deque(maxlen=_REMEMBERED)
        largest = np.abs(sums.measures[:, : Measure.WEIGHTED + 1]).sum() if self._count else 0
        self._bound = int(largest) if sums.measures.dtype != object else _SAFE

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        return self._measures.nbytes + 16 * len(self._member) + 100 * len(self._places or ())

    def grid(self) -> Grid:
        """All cells; some may have no deal any longer."""
        count = self._count
        return Grid(self._member[:count], self._bucket[:count], self._measures[:count])

    def change(self, book: Book, former: Rows, present: Rows, tenant: Tenant) -> None:
        """Takes away what the `former` versions added, and adds what the `present` ones do."""
        rows = np.concatenate([former, present])
        if not len(rows):
            return
        entries = self.basis.entries(book, rows, tenant)
        added = measures_of(entries.valued)
        self._bound += int(np.abs(added).sum())
        if self._bound >= _SAFE and self._measures.dtype != object:
            self._measures = self._measures.astype(object)
        index = np.arange(len(rows)) if entries.index is None else entries.index
        added[index < len(former)] *= -1
        keys = (entries.member.astype(np.int64) + 1) * self._buckets + entries.bucket
        places = [self._place(key) for key in keys.tolist()]  # may make the measures longer
        np.add.at(self._measures, places, added)
        self.changes += 1
        self._journal.append(Grid(keys // self._buckets - 1, keys % self._buckets, added))

    def since(self, changes: int) -> list[Grid] | None:
        """What was added since there had been so many changes; None where that is too long ago."""
        missed = self.changes - changes
        if not 0 <= missed <= len(self._journal):
            return None
        return [self._journal[len(self._journal) - missed + place] for place in range(missed)]

    def _place(self, key: int) -> int:
        if self._places is None:
            keys = (self._member[: self._count] + 1) * self._buckets + self._bucket[: self._count]
            self._places = {known: place for place, known in enumerate(keys.tolist())}
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._count
            if place == len(self._member):
                more = place // 4 + 16
                self._member = np.concatenate([self._member, np.zeros(more, np.int64)])
                self._bucket = np.concatenate([self._bucket, np.zeros(more, np.int64)])
                nothing: Amounts = np.zeros((more, MEASURES), self._measures.dtype)
                self._measures = np.concatenate([self._measures, nothing])
            self._member[place], self._bucket[place] = key // self._buckets - 1, key % self._buckets
            self._count += 1
        return place
