"""Every query of this service. One module a noun."""

from services.opportunities.store.opportunities import OpportunityStore
from services.opportunities.store.pipelines import PipelineStore
from services.opportunities.store.quote_settings import QuoteSettingsStore
from services.opportunities.store.stage_book import Pipelines, StageBook

__all__ = ["OpportunityStore", "PipelineStore", "Pipelines", "QuoteSettingsStore", "StageBook"]
