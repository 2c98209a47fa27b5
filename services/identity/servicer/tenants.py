"""The tenant itself."""

from __future__ import annotations

import hmac
from dataclasses import replace

from pydantic import SecretStr
from sfa.identity.v1 import organisation_pb2 as pb

from chassis.call import Call, Sight
from chassis.convert import fields_to_change, uuid_of
from chassis.errors import Unauthenticated
from chassis.ids import new_id
from services.identity import wire
from services.identity.domain.people import Role, User
from services.identity.domain.signing_in import ADDRESS_PATIENCE, check_password
from services.identity.domain.tenants import Tenant, fiscal_periods
from services.identity.passwords import Passwords
from services.identity.store import AttemptStore, TenantStore, UserStore


class BootstrapSecretWrong(Unauthenticated):
    """Only who runs the deployment makes tenants."""

    def __init__(self) -> None:
        super().__init__("The bootstrap secret is not right.")


class TenantServicer:
    """Tenants and their fiscal periods."""

    def __init__(self, passwords: Passwords, attempts: AttemptStore, bootstrap_secret: SecretStr) -> None:
        self.passwords = passwords
        self.attempts = attempts
        self.bootstrap_secret = bootstrap_secret.get_secret_value()

    async def ProvisionTenant(
        self, request: pb.ProvisionTenantRequest, call: Call
    ) -> pb.ProvisionTenantResponse:
        await self._check_secret(request.bootstrap_secret, call)
        tenant = Tenant(id=uuid_of(request.tenant.id) or new_id())
        created = tenant.create(fields_to_change(request.tenant, None, wire.TENANT_FIELDS))
        user = User(
            id=uuid_of(request.administrator.id) or new_id(),
            **fields_to_change(request.administrator, None, wire.USER_FIELDS),
        )
        user.roles = tuple(dict.fromkeys((*user.roles, Role.ADMINISTRATOR)))
        user_created = user.create(by_administrator=True)
        check_password(request.password, user.email, "password")
        password_hash = await self.passwords.hash(request.password)
        await call.become(replace(call.caller, tenant=tenant.id, actor="service:identity", sight=Sight.ALL))
        await TenantStore(call).add(tenant, created)
        users = UserStore(call)
        user.set_password(call.now)
        await users.add(user, user_created)
        await users.keep_password(user.id, password_hash)
        return pb.ProvisionTenantResponse(
            tenant=wire.tenant_to_proto(tenant), administrator=wire.user_to_proto(user)
        )

    async def GetTenant(self, request: pb.GetTenantRequest, call: Call) -> pb.Tenant:
        return wire.tenant_to_proto(await TenantStore(call).own())

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, call: Call) -> pb.Tenant:
        store = TenantStore(call)
        fields = fields_to_change(request.tenant, request.update_mask, wire.TENANT_FIELDS)
        tenant = await store.own(request.etag)
        await store.save(tenant, tenant.change(fields))
        return wire.tenant_to_proto(tenant)

    async def ListFiscalPeriods(
        self, request: pb.ListFiscalPeriodsRequest, call: Call
    ) -> pb.ListFiscalPeriodsResponse:
        tenant = await TenantStore(call).own()
        year = request.year or tenant.fiscal_calendar.year_of(tenant.day_of(call.now))
        periods = fiscal_periods(max(year, 2), tenant.fiscal_calendar)
        return pb.ListFiscalPeriodsResponse(fiscal_periods=map(wire.period_to_proto, periods))

    async def _check_secret(self, secret: str, call: Call) -> None:
        await self.attempts.begin([("bootstrap", ADDRESS_PATIENCE)], call.now)
        if not self.bootstrap_secret or not hmac.compare_digest(
            self.bootstrap_secret.encode(), secret.encode()
        ):
            raise BootstrapSecretWrong
        await self.attempts.take_back(account="bootstrap")
