"""Callers and their tokens, signed with a key that the services of a test take for identity's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid5

import grpc
from joserfc.jwk import OKPKey

from chassis.call import Call, Caller, Sight
from chassis.client import TokenSource
from chassis.clock import Clock
from chassis.ids import new_id
from chassis.tokens import StaticKeys, TokenIssuer

_LIFETIME: Final = timedelta(minutes=5)
_READS: Final = frozenset(
    f"{service}.read"
    for service in (
        "identity",
        "contacts",
        "leads",
        "opportunities",
        "quotes",
        "forecast",
        "events",
        "operations",
    )
)
_REP: Final = _READS | {
    f"{service}.write" for service in ("contacts", "leads", "opportunities", "quotes", "forecast")
}
_OPERATIONS: Final = _REP | {
    "identity.write", "pipelines.write", "products.write", "documents.write", "costs.read", "costs.write",
    "promotions.read", "promotions.write", "forecast.audit", "quotas.write", "competitors.write",
    "history.write", "approvals.write",
}  # fmt: skip
ROLES: Final = {
    "rep": (_REP, Sight.OWN),
    "manager": (_REP | {"costs.read", "competitors.write"}, Sight.SUBTREE),
    "operations": (_OPERATIONS, Sight.ALL),
    "administrator": (_OPERATIONS | {"identity.admin"}, Sight.ALL),
    "integration": (
        _REP
        | {
            "products.write",
            "quotas.write",
            "competitors.write",
            "costs.read",
            "costs.write",
            "history.write",
        },
        Sight.ALL,
    ),
}


KEY: Final = OKPKey.generate_key("Ed25519", parameters={"kid": "test"}, auto_kid=False)
"""What the tokens of all tests in this process are signed with, so that a service can outlive a test."""


class Callers:
    """The people and services of one test; `tenant` is the test's own."""

    def __init__(self, clock: Clock, key: OKPKey = KEY) -> None:
        self.clock = clock
        self.tenant = new_id()
        self.key = key
        self.keys = StaticKeys(self.key)
        self._issuer = TokenIssuer(self.key)

    def user(self, name: str = "rep", tenant: UUID | None = None) -> UUID:
        """The id of a person of the tenant: always the same for the same name."""
        return uuid5(tenant or self.tenant, name)

    def caller(self, role: str = "rep", *, name: str | None = None, **claims: Any) -> Caller:
        """Somebody with a role, called by it unless a name is given; `claims` are fields of `Caller`."""
        permissions, sight = ROLES[role]
        tenant = claims.pop("tenant", self.tenant)
        user = self.user(name or role, tenant)
        fields: dict[str, Any] = {
            "tenant": tenant,
            "actor": str(user),
            "user_id": user,
            "permissions": permissions,
            "sight": sight,
            "expires_at": self.clock.now() + _LIFETIME,
            "roles": (role,),
            "session": str(uuid5(user, "session")),
        }
        return Caller(**(fields | claims))

    def service(self, name: str, tenant: UUID | None = None) -> Caller:
        """A service that acts on an event: it may do everything, for one tenant."""
        return self.caller(
            "administrator",
            tenant=tenant or self.tenant,
            actor=f"service:{name}",
            user_id=None,
            roles=(),
            session="",
        )

    def token(self, caller: Caller) -> str:
        """A token that is good for five minutes of the test's clock."""
        return self._issuer.issue(caller, self.clock.now())

    def token_source(self, service: str) -> TokenSource:
        """Where a service of the test gets the tokens from that it acts on events with."""

        async def source(call: Call) -> str:
            return self.token(self.service(service, call.caller.tenant))

        return source


class CallerChannel:
    """A gRPC channel that speaks for one caller, with a fresh token for each call."""

    def __init__(self, channel: grpc.aio.Channel, callers: Callers, make: Callable[[], Caller]) -> None:
        self._channel = channel
        self._callers = callers
        self._make = make

    @classmethod
    def of(cls, channel: grpc.aio.Channel, callers: Callers, make: Callable[[], Caller]) -> grpc.aio.Channel:
        """Typed as what generated stubs take."""
        return cast("grpc.aio.Channel", cls(channel, callers, make))

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """What a generated stub asks for."""
        return self._with_token(self._channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """What a generated stub asks for."""
        return self._with_token(self._channel.unary_stream(*arguments, **options))

    def _with_token(self, call: Any) -> Any:
        def invoke(request: Any, *, metadata: Any = (), timeout: float | None = 20, **options: Any) -> Any:
            token = self._callers.token(self._make())
            return call(
                request,
                metadata=(("authorization", f"Bearer {token}"), *metadata),
                timeout=timeout,
                **options,
            )

        return invoke
