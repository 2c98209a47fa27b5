"""The trees that deals roll up in: of each, which sums it is made of and at which node they stand.

A tree is kept while nothing else is known of the organisation and nobody's standing changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from services.forecast.book.reference import Tenant
from services.forecast.dimensions.axis import Axis
from services.forecast.dimensions.flat import pipelines, segments
from services.forecast.dimensions.people import owners, teams
from services.forecast.dimensions.products import families, products
from services.forecast.dimensions.question import GroupBy, Question
from services.forecast.dimensions.territories import territories

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_AXES: Final[dict[GroupBy, Callable[[Book, Question], Axis]]] = {
    GroupBy.OWNER: owners,
    GroupBy.TEAM: teams,
    GroupBy.TERRITORY: territories,
    GroupBy.PRODUCT: products,
    GroupBy.PRODUCT_FAMILY: families,
    GroupBy.PIPELINE: pipelines,
    GroupBy.SEGMENT: segments,
}
_KEPT: Final = 24


class _Kept:
    """The trees of what was recorded of a tenant by one instant."""

    def __init__(self, tenant: Tenant) -> None:
        intervals = (*tenant.lines, *tenant.assignments)
        self.edges = sorted({edge for each in intervals for edge in (each.valid_from, each.valid_to)})
        """When anybody comes to stand elsewhere."""
        self.axes: OrderedDict[Any, Axis] = OrderedDict()


_OF_TENANT: WeakKeyDictionary[Tenant, _Kept] = WeakKeyDictionary()


def axis_of(book: Book, question: Question) -> Axis:
    """The tree that a question names, with everything that can be a node of it."""
    tenant, codes = book.at(question.organisation), book.codes
    kept = _OF_TENANT.get(tenant)
    if kept is None:
        kept = _OF_TENANT[tenant] = _Kept(tenant)
    key = (
        question.group_by,
        question.hierarchy,
        question.credit,
        question.within,
        question.zone.key,
        bisect_right(kept.edges, question.standing),
        id(codes),
        tuple(map(len, (codes.users, codes.products, codes.pipelines, codes.accounts))),
        tuple(map(bool, map(len, (book.splits, book.overlays)))),
    )
    axis = kept.axes.get(key)
    if axis is None:
        axis = kept.axes[key] = _AXES[question.group_by](book, question)
        if len(kept.axes) > _KEPT:
            kept.axes.popitem(last=False)
    kept.axes.move_to_end(key)
    return axis


__all__ = ["Axis", "axis_of"]
