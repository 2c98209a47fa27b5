"""Whose a deal is: the owner's, or by its revenue splits or its overlay splits those who have a share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.forecast.book import exact
from services.forecast.book.parts import Parts, Shares
from services.forecast.book.versions import Rows
from services.forecast.dimensions.question import Credit

if TYPE_CHECKING:
    from services.forecast.book.book import Book


_SAFE: Final = 1 << 62


def credited(book: Book, rows: Rows, credit: Credit, within: Collection[UUID] | None = None) -> Shares:
    """The parts of some versions, each with the user whose it is (-1 for nobody).

    Only what is credited to somebody `within`, where that is given: what nobody owns is not. With overlay
    splits, versions without any have no part.
    """
    amount = book.versions.amount[rows]
    if credit is Credit.OVERLAY:
        shares = book.overlays.of(rows, amount)
        shares = taken(shares, book.overlays.count[rows][shares.index] > 0)
    elif is_whole(book, rows, credit):
        shares = whole(book, rows, book.versions.owner[rows])
    else:
        shares = _else_owner(book, rows, book.splits)
    if within is None:
        return shares
    return taken(shares, seen(book, within)[shares.member])


def is_whole(book: Book, rows: Rows, credit: Credit) -> bool:
    """Whether each of the versions is all its owner's."""
    if credit is Credit.OWNED:
        return True
    return credit is Credit.REVENUE and (not len(book.splits) or not book.splits.count[rows].any())


def seen(book: Book, within: Collection[UUID]) -> npt.NDArray[np.bool_]:
    """For each user's code whether the user is `within`; the last entry is for -1, nobody, who is not."""
    found = np.zeros(len(book.codes.users) + 1, bool)
    found[book.codes.users.codes(within)] = True
    return found


def whole(book: Book, rows: Rows, member: npt.NDArray[Any]) -> Shares:
    """Each version as one part."""
    count = len(rows)
    amount = book.versions.amount[rows]
    return Shares(np.arange(count, dtype=np.int32), member, np.zeros(count, np.int64), amount)


def taken(shares: Shares, mask: npt.NDArray[np.bool_]) -> Shares:
    """Some of the parts."""
    if mask.all():
        return shares
    return Shares(shares.index[mask], shares.member[mask], shares.start[mask], shares.end[mask])


def divided(shares: Shares, parts: Parts, rows: Rows, amount: npt.NDArray[np.int64]) -> Shares:
    """Each part of a version divided once more, as the version's `amount` is by `parts`.

    Running totals are divided and rounded, so that what a part is divided into adds up to it.
    """
    by = parts.of(rows, amount)
    counts = np.bincount(by.index, minlength=len(rows))
    first = np.cumsum(counts) - counts
    sizes = counts[shares.index]
    of = np.repeat(np.arange(len(shares.index)), sizes)
    ordinal = np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = first[shares.index][of] + ordinal
    begin, size = shares.start[of], (shares.end - shares.start)[of]
    over = amount[shares.index][of]

    def portion(end: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        counted = (over != 0) & (size != 0)
        one = np.ones(len(end), np.int64)
        return exact.scaled(
            np.where(counted, end, 0),
            np.where(counted, np.abs(size), one),
            np.where(counted, np.abs(over), one),
        )

    return Shares(
        shares.index[of], by.member[place], begin + portion(by.start[place]), begin + portion(by.end[place])
    )


def largest_remainder(amounts: npt.NDArray[np.int64], weights: Sequence[int]) -> npt.NDArray[np.int64]:
    """Amounts shared out by weight, each in whole units by the largest remainder: one column for each
    weight. Of equal remainders the first comes first; each row adds up to its amount."""
    units: npt.NDArray[Any] = np.abs(amounts)
    by: npt.NDArray[Any] = np.array(weights, np.int64)
    total = sum(weights)
    if int(units.max(initial=0)) * total >= _SAFE:
        units, by = units.astype(object), by.astype(object)
    exactly = units[:, None] * by
    whole = (exactly // total).astype(np.int64)
    rest = (exactly % total).astype(np.int64)
    left = (units - whole.sum(axis=1)).astype(np.int64)
    rank = np.argsort(np.argsort(-rest, axis=1, kind="stable"), axis=1, kind="stable")
    found: npt.NDArray[np.int64] = (whole + (rank < left[:, None])) * np.sign(amounts)[:, None]
    return found


def _else_owner(book: Book, rows: Rows, parts: Parts) -> Shares:
    shares = parts.of(rows, book.versions.amount[rows])
    is_whole = parts.count[rows][shares.index] == 0
    member = np.where(is_whole, book.versions.owner[rows][shares.index], shares.member)
    return Shares(shares.index, member, shares.start, shares.end)
