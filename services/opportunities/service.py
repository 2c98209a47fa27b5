"""Opportunities: the deals and the pipelines that they move through."""

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.service import Service, ServiceContext
from services.opportunities.servicer import OpportunityServicer, PipelineServicer
from services.opportunities.store import Pipelines
from services.opportunities.subscribers import subscriptions
from services.opportunities.tables import OPPORTUNITY, PIPELINE


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    pipelines = Pipelines()
    services = pb.DESCRIPTOR.services_by_name
    return Service(
        name="opportunities",
        servicers={
            services["OpportunityService"]: OpportunityServicer(pipelines),
            services["PipelineService"]: PipelineServicer(pipelines),
        },
        entities=[OPPORTUNITY, PIPELINE],
        subscriptions=subscriptions,
    )
