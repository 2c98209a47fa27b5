"""Tokens of external OpenID providers: verified by the provider's published keys, which are fetched and
kept. A provider is believed for its own issuer and our audience only."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from chassis.clock import Clock
from chassis.errors import Unavailable
from chassis.telemetry import log
from services.identity.domain.providers import IdentityProvider
from services.identity.domain.signing_in import SignInRefused

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
)  # fmt: skip
"""Signatures by a private key; never a shared secret, never none."""
_TIMEOUT: Final = 5.0
_MAX_BYTES: Final = 256 * 1024
_KEPT: Final = timedelta(minutes=10)
_PATIENCE: Final = timedelta(seconds=10)
_LEEWAY: Final = 30.0
_PROVIDERS: Final = 1000


class ProviderUnavailable(Unavailable):
    """The provider's keys cannot be had."""

    def __init__(self) -> None:
        super().__init__("The identity provider's keys cannot be read at the moment; try again shortly.")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a provider's token is about; `email` only where the provider has verified it."""

    id: str
    email: str


@dataclass(frozen=True, slots=True)
class _Keys:
    by_id: Mapping[str, Mapping[str, Any]]
    fetched_at: datetime


def issuer_of(token: str) -> str:
    """Who a token says it is from. Nobody has verified that.

    Raises:
        SignInRefused: it says nothing.
    """
    try:
        claims = json.loads(jws.extract_compact(token.encode("ascii")).payload or b"")
        issuer = claims["iss"]
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise SignInRefused from None
    if not isinstance(issuer, str) or not issuer:
        raise SignInRefused
    return issuer


class Federation:
    """Verifies tokens of the tenants' providers. `plain_http` lets keys be read without TLS, from the
    same machine: for tests."""

    def __init__(self, clock: Clock, *, plain_http: bool = False) -> None:
        self._clock = clock
        self._plain_http = plain_http
        self._known: OrderedDict[str, _Keys] = OrderedDict()
        self._tried: dict[str, datetime] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def verify(self, provider: IdentityProvider, token: str) -> Subject:
        """Whom the token is about.

        Raises:
            SignInRefused: it is not from the provider, not for us, expired, or changed.
            ProviderUnavailable: nobody can say.
        """
        try:
            signed = jws.extract_compact(token.encode("ascii"))
            header = signed.headers()
            key = await self._key(provider.jwks_uri, header.get("kid"))
            if header.get("alg") not in ALGORITHMS or key is None:
                raise SignInRefused
            if not jws.validate_compact(signed, import_key(dict(key)), algorithms=list(ALGORITHMS)):
                raise SignInRefused
            return self._subject(provider, json.loads(signed.payload or b""))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise SignInRefused from None

    def _subject(self, provider: IdentityProvider, claims: dict[str, Any]) -> Subject:
        """The subject of claims whose signature holds."""
        now = self._clock.now().timestamp()
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        meant_for_us = provider.audience in audience and (
            len(audience) == 1 or claims.get("azp") == provider.audience
        )
        in_time = claims["exp"] > now - _LEEWAY and max(claims["iat"], claims.get("nbf", 0)) < now + _LEEWAY
        if claims["iss"] != provider.issuer or not meant_for_us or not in_time:
            raise SignInRefused
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise SignInRefused
        email = claims.get("email") if claims.get("email_verified") is True else ""
        return Subject(subject, email if isinstance(email, str) else "")

    async def _key(self, uri: str, kid: Any) -> Mapping[str, Any] | None:
        """The provider's key with this id; where it has no ids, its only one."""
        async with self._locks.setdefault(uri, asyncio.Lock()):
            known = self._known.get(uri)
            now = self._clock.now()
            stale = known is None or now - known.fetched_at > _KEPT or (kid or "") not in known.by_id
            if stale and now - self._tried.get(uri, now - _PATIENCE) >= _PATIENCE:
                self._tried[uri] = now
                known = await self._fetch(uri) or known
                if known is not None:
                    self._known[uri] = known
                    self._known.move_to_end(uri)
                if len(self._known) > _PROVIDERS:
                    forgotten, _ = self._known.popitem(last=False)
                    self._tried.pop(forgotten, None)
                    self._locks.pop(forgotten, None)
        if known is None:
            raise ProviderUnavailable
        if kid is None:
            return next(iter(known.by_id.values())) if len(known.by_id) == 1 else None
        return known.by_id.get(kid) if isinstance(kid, str) else None

    async def _fetch(self, uri: str) -> _Keys | None:
        try:
            await self._check_address(uri)
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client,
                asyncio.timeout(2 * _TIMEOUT),
                client.stream("GET", uri, headers={"accept": "application/json"}) as response,
            ):
                response.raise_for_status()
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise ValueError("the key set is too large")
            keys = [key for key in json.loads(body)["keys"] if key.get("use", "sig") == "sig"]
        except (
            httpx.HTTPError,
            OSError,
            TimeoutError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            log.warning("an identity provider's keys cannot be read", error=type(error).__name__)
            return None
        return _Keys({str(key.get("kid", "")): key for key in keys}, self._clock.now())

    async def _check_address(self, uri: str) -> None:
        """Refuses addresses that only we can reach: a tenant must not have us call our own neighbours."""
        if self._plain_http:
            return
        parts = urlsplit(uri)
        found = await asyncio.get_running_loop().getaddrinfo(
            parts.hostname, parts.port or 443, type=socket.SOCK_STREAM
        )
        if parts.scheme != "https" or not all(ipaddress.ip_address(each[4][0]).is_global for each in found):
            raise ValueError("the key set is not on a public address")
