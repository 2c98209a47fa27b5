"""Opportunities: the deals and the pipelines that they move through."""

from sfa.opportunities.v1 import merging_pb2
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.service import Service, ServiceContext
from services.opportunities.servicer import (
    OpportunityMergingServicer,
    OpportunityServicer,
    PipelineServicer,
    QuoteSettingsServicer,
)
from services.opportunities.store import Pipelines
from services.opportunities.subscribers import subscriptions
from services.opportunities.tables import OPPORTUNITY, PIPELINE, QUOTE_SETTINGS


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    pipelines = Pipelines()
    services = {**pb.DESCRIPTOR.services_by_name, **merging_pb2.DESCRIPTOR.services_by_name}
    return Service(
        name="opportunities",
        servicers={
            services["OpportunityService"]: OpportunityServicer(pipelines),
            services["OpportunityMergingService"]: OpportunityMergingServicer(),
            services["PipelineService"]: PipelineServicer(pipelines),
            services["QuoteSettingsService"]: QuoteSettingsServicer(pipelines),
        },
        entities=[OPPORTUNITY, PIPELINE, QUOTE_SETTINGS],
        subscriptions=subscriptions,
    )
