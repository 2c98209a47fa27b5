"""What the forecast keeps of the others' events.

None of it is the forecast's own: all of it can be emptied and filled again from the owners' history.
"""

from services.forecast.tables.book import deal_versions, progress, reference_versions
from services.forecast.tables.metadata import metadata

__all__ = ["deal_versions", "metadata", "progress", "reference_versions"]
