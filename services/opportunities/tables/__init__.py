"""The tables, and which domain class a row becomes. One module a noun."""

from services.opportunities.tables.details import SEEN_BY
from services.opportunities.tables.opportunities import OPPORTUNITY, opportunities
from services.opportunities.tables.pipelines import PIPELINE, pipelines
from services.opportunities.tables.quote_settings import QUOTE_SETTINGS, quote_settings

__all__ = [
    "OPPORTUNITY",
    "PIPELINE",
    "QUOTE_SETTINGS",
    "SEEN_BY",
    "opportunities",
    "pipelines",
    "quote_settings",
]
