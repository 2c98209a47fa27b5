"""The forecast's engine: the complete history of a tenant as columns in memory.

PostgreSQL keeps what was heard; a book holds the same as NumPy arrays and is what every figure is
computed from.

    book = await books.of(call)                 # fresh: has everything that was committed before
    rows = book.view()                          # one row for each deal that counts now …
    rows = book.view(recorded_at, effective_at) # … or at an instant
    tenant = book.at(recorded_at)               # settings, stages, rates, people … by then
    valued = value(book, rows, tenant, "EUR", today)
    grid = book.sums(Basis(BY_OWNER, "EUR", today, cuts))         # kept by each change's difference
    grid = Basis(…).grid(book, rows, tenant)                      # of any rows

A book changes only between two awaits: take what belongs together without one.
"""

from services.forecast.book.book import Book
from services.forecast.book.books import Books
from services.forecast.book.cells import BY_OWNER, BY_PRODUCT, IN_ALL, Basis, Dimension, Membership
from services.forecast.book.grid import MEASURES, Cuts, Grid, Measure
from services.forecast.book.interning import MISSING
from services.forecast.book.reference import Reference, Settings, SettingsUnknown, Tenant
from services.forecast.book.valuing import Valued, date_of, day_number, exponent, value
from services.forecast.book.versions import UNDATED, Versions

__all__ = [
    "BY_OWNER", "BY_PRODUCT", "IN_ALL", "MEASURES", "MISSING", "UNDATED", "Basis", "Book", "Books", "Cuts",
    "Dimension", "Grid", "Measure", "Membership", "Reference", "Settings", "SettingsUnknown", "Tenant",
    "Valued", "Versions", "date_of", "day_number", "exponent", "value",
]  # fmt: skip
