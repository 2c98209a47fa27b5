"""Contacts: the companies that are sold to, and the people who work there."""

from sfa.contacts.v1 import contacts_pb2 as pb

from chassis.service import Service, ServiceContext
from services.contacts.servicer import AccountServicer, ContactServicer
from services.contacts.subscribers import subscriptions
from services.contacts.tables import ACCOUNT, CONTACT


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    region = context.settings.default_region
    services = pb.DESCRIPTOR.services_by_name
    return Service(
        name="contacts",
        servicers={
            services["AccountService"]: AccountServicer(region),
            services["ContactService"]: ContactServicer(region),
        },
        entities=[ACCOUNT, CONTACT],
        subscriptions=subscriptions,
    )
