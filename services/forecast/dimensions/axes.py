"""The trees that deals roll up in: of each, which sums it is made of and at which node they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.forecast.dimensions.axis import Axis
from services.forecast.dimensions.flat import pipelines, segments
from services.forecast.dimensions.people import owners, teams
from services.forecast.dimensions.products import families, products
from services.forecast.dimensions.question import GroupBy, Question
from services.forecast.dimensions.territories import territories

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_AXES = {
    GroupBy.OWNER: owners,
    GroupBy.TEAM: teams,
    GroupBy.TERRITORY: territories,
    GroupBy.PRODUCT: products,
    GroupBy.PRODUCT_FAMILY: families,
    GroupBy.PIPELINE: pipelines,
    GroupBy.SEGMENT: segments,
}


def axis_of(book: Book, question: Question) -> Axis:
    """The tree that a question names, with everything that can be a node of it."""
    return _AXES[question.group_by](book, question)


__all__ = ["Axis", "axis_of"]
