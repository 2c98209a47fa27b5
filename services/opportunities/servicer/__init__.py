"""One short method for each RPC: load, ask the domain, save, answer. One module a noun."""

from services.opportunities.servicer.merging import OpportunityMergingServicer
from services.opportunities.servicer.opportunities import OpportunityServicer
from services.opportunities.servicer.pipelines import PipelineServicer
from services.opportunities.servicer.quote_settings import QuoteSettingsServicer

__all__ = ["OpportunityMergingServicer", "OpportunityServicer", "PipelineServicer", "QuoteSettingsServicer"]
