"""Every query of this service. One module a noun."""

from services.opportunities.store.belonging import BelongingStore
from services.opportunities.store.deal_quotes import DealQuoteStore
from services.opportunities.store.opportunities import OpportunityStore
from services.opportunities.store.pipelines import PipelineStore
from services.opportunities.store.quote_settings import QuoteSettingsStore
from services.opportunities.store.retirement import RetirementStore
from services.opportunities.store.stage_book import Entrant, Pipelines, StageBook

__all__ = [
    "BelongingStore",
    "DealQuoteStore",
    "Entrant",
    "OpportunityStore",
    "PipelineStore",
    "Pipelines",
    "QuoteSettingsStore",
    "RetirementStore",
    "StageBook",
]
