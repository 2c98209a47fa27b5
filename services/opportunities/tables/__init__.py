"""The tables, and which domain class a row becomes. One module a noun."""

from services.opportunities.tables.details import SEEN_BY
from services.opportunities.tables.opportunities import OPPORTUNITY, opportunities
from services.opportunities.tables.pipelines import PIPELINE, pipelines
from services.opportunities.tables.quote_links import deal_quotes, product_families, products
from services.opportunities.tables.quote_settings import QUOTE_SETTINGS, quote_settings

__all__ = [
    "OPPORTUNITY",
    "PIPELINE",
    "QUOTE_SETTINGS",
    "SEEN_BY",
    "deal_quotes",
    "opportunities",
    "pipelines",
    "product_families",
    "products",
    "quote_settings",
]
