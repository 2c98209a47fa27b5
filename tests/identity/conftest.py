"""A tenant of the test's own, and people in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
import pytest
from argon2 import PasswordHasher
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from joserfc.jwk import OKPKey
from sfa.identity.v1 import auth_pb2, auth_pb2_grpc
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.identity.v1 import organisation_pb2_grpc as stubs

from chassis.service import Service, ServiceContext
from chassis.tokens import KeySource, RemoteKeys, TokenVerifier
from services.identity.passwords import Passwords
from services.identity.service import build
from tests.engines import PASSWORD
from tests.stack import Stack

ADDRESS: Final = "ada@example.com"
SECRET: Final = "correct horse battery"


class Company:
    """Identity with one tenant, whose administrator is Ada."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.bare = stack.bare_channel("identity")
        self.tenants = stubs.TenantServiceStub(stack.channel("identity", "administrator", name="ada"))
        self.users = stubs.UserServiceStub(stack.channel("identity", "administrator", name="ada"))
        self.lines = stubs.ReportingLineServiceStub(stack.channel("identity", "operations"))
        self.territories = stubs.TerritoryServiceStub(stack.channel("identity", "operations"))
        self.tokens = auth_pb2_grpc.TokenServiceStub(self.bare)

    async def start(self) -> None:
        """Starts identity, again if need be."""
        await self.stack.start("identity", build=quick)

    async def provision(
        self, tenant: str = "", email: str = ADDRESS, **fields: Any
    ) -> pb.ProvisionTenantResponse:
        """Makes the test's tenant, or another one."""
        own = not tenant
        return await stubs.TenantServiceStub(self.bare).ProvisionTenant(
            pb.ProvisionTenantRequest(
                bootstrap_secret=PASSWORD,
                tenant=pb.Tenant(
                    id=tenant or str(self.stack.tenant),
                    **({"name": "Acme", "reporting_currency": "EUR", "time_zone": "Europe/Rome"} | fields),
                ),
                administrator=pb.User(
                    id=str(self.stack.callers.user("ada")) if own else "", email=email, display_name="Ada"
                ),
                password=SECRET,
            )
        )

    async def user(self, name: str, **fields: Any) -> pb.User:
        """Makes a user; the id is the one that `stack.channel(name=…)` speaks for."""
        user = pb.User(id=str(self.stack.callers.user(name)), display_name=name, **fields)
        return await self.users.CreateUser(pb.CreateUserRequest(user=user))

    async def sign_in(
        self, email: str = ADDRESS, password: str = SECRET, **request: Any
    ) -> auth_pb2.IssueTokenResponse:
        """Tokens for a password."""
        grant = auth_pb2.IssueTokenRequest.PasswordGrant(
            username=email, password=password, tenant_id=request.pop("tenant_id", "")
        )
        return await self.tokens.IssueToken(
            auth_pb2.IssueTokenRequest(password=grant, **({"client_address": "192.0.2.1"} | request))
        )

    async def refresh(self, token: str) -> auth_pb2.IssueTokenResponse:
        """Tokens for a refresh token."""
        grant = auth_pb2.IssueTokenRequest.RefreshGrant(refresh_token=token)
        return await self.tokens.IssueToken(auth_pb2.IssueTokenRequest(refresh=grant))

    def remote_keys(self) -> RemoteKeys:
        """The keys that identity publishes."""

        async def fetch() -> list[dict[str, str]]:
            answer = await self.tokens.GetJwks(auth_pb2.GetJwksRequest())
            return [{"kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid} for key in answer.keys]

        return RemoteKeys(fetch, patience=0)

    def verifier(self) -> TokenVerifier:
        """Another service's verifier of identity's tokens."""
        return TokenVerifier(self.remote_keys(), self.stack.clock)

    def believe(self, service: str = "identity") -> None:
        """Lets a service of the stack believe identity's tokens beside those of the test."""
        verifier = self.stack.services[service].verifier
        assert isinstance(verifier, TokenVerifier)
        verifier._keys = _Both(self.stack.callers.keys, self.remote_keys())


class _Both:
    def __init__(self, one: KeySource, other: KeySource) -> None:
        self._sources = one, other

    async def keys(self, wanted: str) -> Mapping[str, OKPKey]:
        one, other = self._sources
        known = await one.keys(wanted)
        return known if wanted in known else await other.keys(wanted)


def quick(context: ServiceContext) -> Service:
    """Identity with password hashes that are not worth much, and quickly made."""
    return build(context, Passwords(PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)))


@pytest.fixture
async def company(stack: Stack) -> Company:
    """Identity, and the test's tenant in it."""
    company = Company(stack)
    await company.start()
    await company.provision()
    return company


class Refused:
    """`async with Refused("REASON"):` expects a refusal, and keeps what it says."""

    def __init__(self, reason: str, code: grpc.StatusCode | None = None) -> None:
        self._reason = reason
        self._code = code
        self.facts: dict[str, str] = {}

    async def __aenter__(self) -> Refused:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, _: object) -> bool:
        assert isinstance(error, grpc.aio.AioRpcError), f"{error!r} instead of {self._reason}"
        status = rpc_status.from_call(error)
        info = ErrorInfo()
        assert status is not None, error
        status.details[0].Unpack(info)
        assert (info.reason, self._code or error.code()) == (self._reason, error.code()), error
        self.facts = dict(info.metadata)
        return True
