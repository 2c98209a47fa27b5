"""A row of a grid's measures as the figures of a node in a period."""

from collections.abc import Sequence
from decimal import Decimal

from services.forecast.book import Measure
from services.forecast.domain.figures import Category, Figures, Sum


def figures_of(row: Sequence[int], unit: Decimal) -> Figures:
    """A row of a grid's measures as figures."""
    sums = {
        category.name.lower(): Sum(row[category - 1] * unit, row[category - 1 + Measure.OMITTED_DEALS])
        for category in Category
    }
    return Figures(
        **sums,
        overdue=Sum(row[Measure.OVERDUE] * unit, row[Measure.OVERDUE_DEALS]),
        lost=Sum(row[Measure.LOST] * unit, row[Measure.LOST_DEALS]),
        weighted=row[Measure.WEIGHTED] * unit,
        unpriced=row[Measure.UNPRICED_DEALS],
        unconverted=row[Measure.UNCONVERTED_DEALS],
    )
