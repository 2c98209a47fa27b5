"""What a deal is by itself: the pipeline that it is in, the segment of its account."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Dimension, Membership
from services.forecast.book.reference import Tenant
from services.forecast.book.versions import Rows
from services.forecast.dimensions.axis import Axis, by_code
from services.forecast.dimensions.credit import credited
from services.forecast.dimensions.question import Credit, Question
from services.forecast.dimensions.tree import Stand, TreeBuilder
from services.forecast.domain.trees import NodeKind

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_SEGMENT = UUID("5d1b3f2e-94b3-5f3f-8a49-7b6c4f0d1e22")
Of = Callable[["Book", Rows], npt.NDArray[Any]]
"""The member of each row."""


def pipelines(book: Book, question: Question) -> Axis:
    """The pipelines, side by side."""
    names = book.at(question.organisation).names("pipeline")
    builder, codes = TreeBuilder(), book.codes.pipelines
    places = np.zeros(len(codes) + 1, np.int32)
    for id, name in names.items():
        builder.add(id, Stand(str(id), name, NodeKind.PIPELINE))
    for code, id in enumerate(codes.ids(range(len(codes)))):
        places[code] = builder.add(id, Stand(str(id), str(id), NodeKind.PIPELINE))
    places[-1] = builder.none()
    return _axis(question, builder, places, "pipelines", lambda book, rows: book.versions.pipeline[rows])


def segments(book: Book, question: Question) -> Axis:
    """The segments of the deals' accounts, side by side."""
    accounts = {
        code: content["segment"]
        for id, content in book.at(question.organisation).of("account").items()
        if content["segment"] and (code := book.codes.accounts.code(id)) >= 0
    }
    names = sorted(set(accounts.values()))
    number = {name: place for place, name in enumerate(names)}
    segment = np.full(len(book.codes.accounts) + 1, -1, np.int32)
    segment[list(accounts)] = [number[name] for name in accounts.values()]
    builder = TreeBuilder()
    places = [builder.add(name, Stand(segment_id(name), name, NodeKind.SEGMENT)) for name in names]
    places.append(builder.none())

    def of(book: Book, rows: Rows) -> npt.NDArray[Any]:
        account = book.versions.account[rows]
        return segment[np.where(account < len(segment) - 1, account, -1)]

    name = f"segments {hash(tuple(sorted(accounts.items())))}"
    return _axis(question, builder, np.array(places, np.int32), name, of)


def segment_id(name: str) -> str:
    """The id of a segment's node."""
    return str(uuid5(_SEGMENT, name))


def _axis(question: Question, builder: TreeBuilder, places: npt.NDArray[np.int32], name: str, of: Of) -> Axis:
    credit, within = question.credit, question.within
    is_whole = within is None and credit is not Credit.OVERLAY  # all credits of a deal are all of it

    def members(book: Book, rows: Rows, _: Tenant) -> Membership:
        member = of(book, rows)
        if is_whole:
            return Membership(member)
        shares = credited(book, rows, credit, within)
        return Membership(member[shares.index], shares)

    tree, place_of = builder.build()
    return Axis(
        tree,
        Dimension(f"{name} by {credit.name}", members),
        by_code(place_of[places]),
        is_kept=within is None,
        may_share=not is_whole,
    )
