"""Tokens for people and for services."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sfa.identity.v1 import auth_pb2 as pb

from chassis.call import Call, Caller, Sight
from chassis.convert import uuid_of
from chassis.entity import ExternalId
from chassis.ids import new_id
from chassis.telemetry import log
from services.identity.domain.people import (
    IDENTITY_PERMISSIONS,
    SERVICE_PERMISSIONS,
    User,
    permissions_of,
    sight_of,
)
from services.identity.domain.signing_in import (
    ACCESS_LIFETIME,
    ACCOUNT_PATIENCE,
    ADDRESS_PATIENCE,
    REFRESH_LIFETIME,
    RefreshToken,
    RefreshTokenRefused,
    Session,
    SessionStarted,
    SignInRefused,
    TenantAmbiguous,
    digest_of,
)
from services.identity.federation import Federation, issuer_of
from services.identity.passwords import Passwords
from services.identity.signing import Signing
from services.identity.store import (
    AttemptStore,
    Handle,
    IdentityProviderStore,
    ReportingLineStore,
    SessionStore,
    UserStore,
    handles_of,
)

_SECRET_BYTES: Final = 32
_SERVICE_LIFETIME: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Presented:
    """A refresh token as it was sent: where it is kept, and its secret."""

    tenant: UUID
    id: UUID
    secret: bytes

    @classmethod
    def read(cls, text: str) -> _Presented:
        """Raises RefreshTokenRefused where the text is no refresh token."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise RefreshTokenRefused from None
        if len(raw) != 32 + _SECRET_BYTES:
            raise RefreshTokenRefused
        return cls(UUID(bytes=raw[:16]), UUID(bytes=raw[16:32]), raw[32:])

    @property
    def text(self) -> str:
        """What is sent."""
        raw = self.tenant.bytes + self.id.bytes + self.secret
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class TokenServicer:
    """Gives tokens for proofs."""

    def __init__(
        self,
        passwords: Passwords,
        signing: Signing,
        federation: Federation,
        attempts: AttemptStore,
        service_secrets: Mapping[str, SecretStr],
    ) -> None:
        self.passwords = passwords
        self.signing = signing
        self.federation = federation
        self.attempts = attempts
        self.service_secrets = service_secrets

    async def IssueToken(self, request: pb.IssueTokenRequest, call: Call) -> pb.IssueTokenResponse:
        grant = request.WhichOneof("grant")
        if grant == "refresh":
            return await self._refreshed(request, call)
        user, method = await (
            self._by_password(request, call) if grant == "password" else self._by_exchange(request, call)
        )
        session = Session(
            user_id=user.id,
            method=method,
            client_address=request.client_address,
            user_agent=request.user_agent,
        )
        await SessionStore(call).add(session, SessionStarted())
        return await self._tokens(call, user, session)

    async def IssueServiceToken(
        self, request: pb.IssueServiceTokenRequest, call: Call
    ) -> pb.IssueServiceTokenResponse:
        known = self.service_secrets.get(request.service)
        if known is None or not _same(known, request.secret):
            raise SignInRefused
        caller = Caller(
            tenant=UUID(request.tenant_id),
            actor=f"service:{request.service}",
            user_id=None,
            permissions=IDENTITY_PERMISSIONS if request.service == "identity" else SERVICE_PERMISSIONS,
            sight=Sight.ALL,
            expires_at=call.now + _SERVICE_LIFETIME,
        )
        issuer = await self.signing.issuer()
        return pb.IssueServiceTokenResponse(
            access_token=issuer.issue(caller, call.now), expires_in=int(_SERVICE_LIFETIME.total_seconds())
        )

    async def RevokeToken(self, request: pb.RevokeTokenRequest, call: Call) -> pb.RevokeTokenResponse:
        try:
            presented = _Presented.read(request.token)
        except RefreshTokenRefused:
            return pb.RevokeTokenResponse()
        await call.become(replace(call.caller, tenant=presented.tenant))
        store = SessionStore(call)
        token = await store.refresh_token(presented.id)
        session = await store.find(token.session_id) if token is not None else None
        if token is not None and session is not None and token.answers_to(presented.secret):
            call.caller = replace(call.caller, actor=str(session.user_id))
            await store.save(session, session.revoke("signed out", call.now))
        return pb.RevokeTokenResponse()

    async def GetJwks(self, request: pb.GetJwksRequest, call: Call) -> pb.GetJwksResponse:
        return pb.GetJwksResponse(keys=await self.signing.published())

    # Passwords

    async def _by_password(self, request: pb.IssueTokenRequest, call: Call) -> tuple[User, str]:
        asked = request.password
        account, address = _account(asked.username), _address(request.client_address)
        await self.attempts.begin([(account, ACCOUNT_PATIENCE), (address, ADDRESS_PATIENCE)], call.now)
        candidates = await handles_of(call, "email", asked.username)
        wanted = uuid_of(asked.tenant_id)
        chosen = [each for each in candidates if wanted in (None, each.tenant)]
        if not chosen:  # as slow as for somebody whom there is
            await self.passwords.verify(None, asked.password)
        proven = [each for each in chosen if await self._knows(call, each, asked.password)]
        if not proven:
            raise SignInRefused
        await self.attempts.take_back(account=account, address=address)
        if len(proven) > 1:
            raise TenantAmbiguous([handle.tenant for handle in proven])
        return await self._user(call, proven[0]), "password"

    async def _knows(self, call: Call, handle: Handle, password: str) -> bool:
        """Whether it is the password of an active user; it takes as long where the user is not, or has
        none. Nothing is open in the database while the hash is computed."""
        await call.become(replace(call.caller, tenant=handle.tenant))
        store = UserStore(call)
        user = await store.find(handle.entity_id)
        is_welcome = user is not None and user.active and user.deleted_at is None
        known = await store.password_hash(handle.entity_id) if is_welcome else None
        await call.tx.rollback()
        return await self.passwords.verify(known, password)

    # External providers

    async def _by_exchange(self, request: pb.IssueTokenRequest, call: Call) -> tuple[User, str]:
        token = request.token_exchange.subject_token
        await self.attempts.begin([(_address(request.client_address), ADDRESS_PATIENCE)], call.now)
        handles = await handles_of(call, "issuer", issuer_of(token))
        if not handles:
            raise SignInRefused
        await call.become(replace(call.caller, tenant=handles[0].tenant))
        provider = await IdentityProviderStore(call).find(handles[0].entity_id)
        await call.tx.rollback()
        if provider is None or provider.deleted_at is not None:
            raise SignInRefused
        subject = await self.federation.verify(provider, token)
        store = UserStore(call)
        user = None
        if provider.external_id_system:
            key = ExternalId(provider.external_id_system, subject.id)
            user = (await store.by_external([key])).get(key)
        if user is None and subject.email:
            user = await store.by_email(subject.email)
        if user is None or not user.active or user.deleted_at is not None:
            raise SignInRefused
        await self.attempts.take_back(address=_address(request.client_address))
        return await self._user(call, Handle(handles[0].tenant, user.id)), provider.issuer

    async def _user(self, call: Call, handle: Handle) -> User:
        """The user who proved to be one; from here on the call is theirs."""
        await call.become(
            replace(
                call.caller,
                tenant=handle.tenant,
                actor=str(handle.entity_id),
                user_id=handle.entity_id,
                sight=Sight.ALL,
            )
        )
        user = await UserStore(call).get(handle.entity_id)
        if not user.active:
            raise SignInRefused
        return user

    # Refresh tokens

    async def _refreshed(self, request: pb.IssueTokenRequest, call: Call) -> pb.IssueTokenResponse:
        presented = _Presented.read(request.refresh.refresh_token)
        await call.become(replace(call.caller, tenant=presented.tenant, sight=Sight.ALL))
        store = SessionStore(call)
        token = await store.refresh_token(presented.id)
        if token is None or not token.answers_to(presented.secret):
            raise RefreshTokenRefused
        session = await store.get(token.session_id)
        call.caller = replace(call.caller, actor=str(session.user_id), user_id=session.user_id)
        if token.was_stolen and session.is_open:
            await store.save(session, session.revoke("a refresh token was used twice", call.now))
            await call.tx.commit()  # the refusal that follows must not take it back
            log.warning(
                "a refresh token was used twice", tenant=str(presented.tenant), session=str(session.id)
            )
        if not token.is_good(call.now) or not session.is_open:
            raise RefreshTokenRefused
        user = await UserStore(call).get(session.user_id)
        if not user.active:
            raise RefreshTokenRefused
        await store.use_refresh_token(token, call.now)
        return await self._tokens(call, user, session)

    async def _tokens(self, call: Call, user: User, session: Session) -> pb.IssueTokenResponse:
        """An access token by the user's roles as they are now, and a new refresh token."""
        caller = Caller(
            tenant=call.caller.tenant,
            actor=str(user.id),
            user_id=user.id,
            permissions=permissions_of(user.roles),
            sight=Sight(sight_of(user.roles)),
            expires_at=call.now + ACCESS_LIFETIME,
            roles=tuple(role.value.lower() for role in user.roles),
            session=str(session.id),
            org_position=await ReportingLineStore(call).position(),
        )
        refresh = _Presented(caller.tenant, new_id(), os.urandom(_SECRET_BYTES))
        await SessionStore(call).add_refresh_token(
            RefreshToken(refresh.id, session.id, digest_of(refresh.secret), call.now + REFRESH_LIFETIME)
        )
        issuer = await self.signing.issuer()
        return pb.IssueTokenResponse(
            access_token=issuer.issue(caller, call.now, user.display_name),
            expires_in=int(ACCESS_LIFETIME.total_seconds()),
            refresh_token=refresh.text,
            scope=" ".join(sorted(caller.permissions)),
            session_id=str(session.id),
        )


def _same(known: SecretStr, given: str) -> bool:
    secret = known.get_secret_value()
    return bool(secret) and hmac.compare_digest(secret.encode(), given.encode())


def _account(username: str) -> str:
    return f"account {username.lower()}"


def _address(address: str) -> str:
    return f"address {address}"
