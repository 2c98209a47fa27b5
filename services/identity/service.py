"""Identity: who works for whom, who may do what, and how they sign in."""

from sfa.identity.v1 import auth_pb2, finance_pb2
from sfa.identity.v1 import organisation_pb2 as pb

from chassis.keyring import KeyRing, LocalMasterKeys
from chassis.service import Service, ServiceContext
from services.identity.deactivation import KIND, DeactivationProcess, Ownerships
from services.identity.federation import Federation
from services.identity.passwords import Passwords
from services.identity.servicer.providers import IdentityProviderServicer
from services.identity.servicer.rates import ExchangeRateServicer
from services.identity.servicer.reporting import ReportingLineServicer
from services.identity.servicer.sessions import SessionServicer
from services.identity.servicer.tenants import TenantServicer
from services.identity.servicer.territories import TerritoryServicer
from services.identity.servicer.tokens import TokenServicer
from services.identity.servicer.users import UserServicer
from services.identity.signing import Signing
from services.identity.store import AttemptStore
from services.identity.subscribers import subscriptions
from services.identity.tables import ENTITIES


def build(context: ServiceContext, passwords: Passwords | None = None) -> Service:
    """The service, wired; `passwords` is how passwords are hashed where it is not as it should be."""
    passwords = passwords or Passwords()
    settings = context.settings
    ring = KeyRing(LocalMasterKeys.parse(settings.key_ring.get_secret_value()))
    signing = Signing(context.database, ring, context.clock)
    attempts = AttemptStore(context.database)
    federation = Federation(context.clock, plain_http=settings.plain_http)
    ownerships = Ownerships(context.peers)
    organisation = pb.DESCRIPTOR.services_by_name
    finance = finance_pb2.DESCRIPTOR.services_by_name
    auth = auth_pb2.DESCRIPTOR.services_by_name
    return Service(
        name="identity",
        servicers={
            organisation["TenantService"]: TenantServicer(passwords, attempts, settings.bootstrap_secret),
            organisation["UserService"]: UserServicer(ownerships),
            organisation["ReportingLineService"]: ReportingLineServicer(),
            organisation["TerritoryService"]: TerritoryServicer(),
            finance["ExchangeRateService"]: ExchangeRateServicer(),
            auth["TokenService"]: TokenServicer(
                passwords, signing, federation, attempts, settings.service_secrets
            ),
            auth["SessionService"]: SessionServicer(passwords, attempts),
            auth["IdentityProviderService"]: IdentityProviderServicer(plain_http=settings.plain_http),
        },
        entities=ENTITIES,
        subscriptions=subscriptions,
        due={KIND: DeactivationProcess(ownerships).step},
    )
