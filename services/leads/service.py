"""Leads: who may become a customer, until they do or turn out not to."""

from sfa.leads.v1 import leads_pb2 as pb

from chassis.service import Service, ServiceContext
from services.leads.conversion import KIND, Conversions
from services.leads.servicer import LeadServicer, QueueServicer
from services.leads.subscribers import subscriptions
from services.leads.tables import LEAD, QUEUE


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    conversions = Conversions(context.peers)
    services = pb.DESCRIPTOR.services_by_name
    return Service(
        name="leads",
        servicers={
            services["LeadService"]: LeadServicer(conversions, context.settings.default_region),
            services["QueueService"]: QueueServicer(),
        },
        entities=[LEAD, QUEUE],
        subscriptions=subscriptions,
        due={KIND: conversions.go_forward},
    )
