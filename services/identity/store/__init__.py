"""Every query of this service."""

from services.identity.store.locking import lock
from services.identity.store.organisation import (
    ExchangeRateStore,
    ReportingLineStore,
    TerritoryAssignmentStore,
    TerritoryStore,
    of_user,
)
from services.identity.store.people import DeactivationStore, TenantStore, UserStore
from services.identity.store.signing_in import (
    AttemptStore,
    Handle,
    IdentityProviderStore,
    SessionStore,
    SigningKeyStore,
    handles_of,
)

__all__ = [
    "AttemptStore",
    "DeactivationStore",
    "ExchangeRateStore",
    "Handle",
    "IdentityProviderStore",
    "ReportingLineStore",
    "SessionStore",
    "SigningKeyStore",
    "TenantStore",
    "TerritoryAssignmentStore",
    "TerritoryStore",
    "UserStore",
    "handles_of",
    "lock",
    "of_user",
]
