"""Access tokens: JWTs (RFC 9068) signed with Ed25519 by identity, and believed by nobody else's word.

Every service verifies each token again, since the network is not trusted; a verified token is kept
until it expires, since a signature costs more than a database row. What was revoked is kept as
short as a token can live.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol
from uuid import UUID

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from chassis.call import Caller, Sight
from chassis.clock import Clock
from chassis.errors import Unauthenticated, Unavailable
from chassis.ids import new_id
from chassis.telemetry import log

ISSUER: Final = "sfa"
AUDIENCE: Final = "sfa"
ALGORITHM: Final = "Ed25519"
TYPE: Final = "at+jwt"
MAX_LIFETIME: Final = timedelta(minutes=10)
"""No token lives longer, so nothing needs to be remembered as revoked for longer."""
LEEWAY: Final = timedelta(seconds=5)
"""How far the clocks of two machines may lie apart."""
MAX_LENGTH: Final = 8000


class TokenInvalid(Unauthenticated):
    """The token was not made by identity for us, or was changed since."""

    def __init__(self) -> None:
        super().__init__("The access token is not valid; sign in again.")


class TokenExpired(Unauthenticated):
    """The token's time is over."""

    def __init__(self) -> None:
        super().__init__("The access token has expired; get a new one.")


class TokenRevoked(Unauthenticated):
    """The token's session was ended, or its user deactivated."""

    def __init__(self) -> None:
        super().__init__("The session has ended; sign in again.")


class KeysUnavailable(Unavailable):
    """The keys that tokens are verified with cannot be had at the moment."""

    def __init__(self) -> None:
        super().__init__("Tokens cannot be verified at the moment; try again shortly.")


class KeySource(Protocol):
    """Where the public keys come from."""

    async def keys(self, wanted: str) -> Mapping[str, OKPKey]:
        """The keys by id; the source looks again where it does not have `wanted`.

        Raises:
            KeysUnavailable: there are none yet, and they cannot be had.
        """
        ...


class StaticKeys:
    """Keys that are known from the start: identity's own, and those of tests."""

    def __init__(self, *keys: OKPKey) -> None:
        self._keys = {str(key.kid): key for key in keys}

    async def keys(self, wanted: str) -> Mapping[str, OKPKey]:
        return self._keys


class FetchJwks(Protocol):
    """Reads identity's JSON Web Key Set, as its `keys` member: one mapping a key."""

    async def __call__(self) -> list[dict[str, str]]: ...


class RemoteKeys:
    """Identity's keys, fetched when they are needed and kept.

    An unknown key id has them fetched again, but not oftener than every `patience` seconds: a flood
    of forged tokens must not become a flood of calls. What was fetched is taken anew after `max_age`
    seconds, so that a key that was withdrawn goes out of use; while identity is away, the old keys
    stay good.
    """

    def __init__(self, fetch: FetchJwks, *, patience: float = 5.0, max_age: float = 300.0) -> None:
        self._fetch = fetch
        self._patience = patience
        self._max_age = max_age
        self._keys: dict[str, OKPKey] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, wanted: str) -> Mapping[str, OKPKey]:
        now = asyncio.get_running_loop().time()
        if wanted in self._keys and now - self._fetched_at < self._max_age:
            return self._keys
        async with self._lock:
            now = asyncio.get_running_loop().time()
            fresh = wanted in self._keys and now - self._fetched_at < self._max_age
            if not fresh and (now - self._tried_at >= self._patience or not self._keys):
                self._tried_at = now
                await self._look()
        return self._keys

    async def _look(self) -> None:
        try:
            found = await self._fetch()
        except Exception as error:  # whatever keeps identity from answering, the old keys serve
            if not self._keys:
                raise KeysUnavailable from error
            log.warning("signing keys could not be fetched again", error=type(error).__name__)
            return
        self._keys = {key["kid"]: public_key(key) for key in found}
        self._fetched_at = asyncio.get_running_loop().time()


def public_key(jwk: Mapping[str, str]) -> OKPKey:
    """An Ed25519 public key of a JSON Web Key (RFC 8037)."""
    return OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "kid")})


class TokenIssuer:
    """Makes tokens with one signing key. Only identity has such a key (and tests)."""

    def __init__(self, key: OKPKey) -> None:
        self._key = key
        self._header = {"alg": ALGORITHM, "typ": TYPE, "kid": str(key.kid)}

    def issue(self, caller: Caller, issued_at: datetime, name: str = "") -> str:
        """The token of a caller, good until `caller.expires_at`, which is at most `MAX_LIFETIME` away."""
        if caller.expires_at - issued_at > MAX_LIFETIME:
            raise ValueError(f"an access token lives {MAX_LIFETIME} at the most")
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": caller.actor,
            "tenant": str(caller.tenant),
            "roles": list(caller.roles),
            "scope": " ".join(sorted(caller.permissions)),
            "sight": caller.sight.value,
            "sid": caller.session,
            "org": caller.org_position,
            # not a whole number: what was issued after a revocation in the same second holds
            "iat": issued_at.timestamp(),
            "exp": int(caller.expires_at.timestamp()),
            "jti": str(new_id()),
        }
        if name:
            claims["name"] = name
        if caller.via:
            claims["via"] = caller.via
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False)
        return jws.serialize_compact(self._header, payload, self._key, algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    issued_at: datetime


class Revocations:
    """What is no longer believed although its signature holds; fed by identity's events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[tuple[UUID, str], datetime] = OrderedDict()
        self._users: OrderedDict[tuple[UUID, str], datetime] = OrderedDict()

    def revoke_session(self, tenant: UUID, session: str, at: datetime) -> None:
        """Refuses all tokens of a session, whenever they were issued."""
        self._keep(self._sessions, (tenant, session), at)

    def revoke_user(self, tenant: UUID, user: str, at: datetime) -> None:
        """Refuses the tokens that a user was issued up to an instant."""
        self._keep(self._users, (tenant, user), at)

    def cover(self, caller: Caller, issued_at: datetime) -> bool:
        """Whether a token of the caller, issued then, was revoked."""
        if caller.session and (caller.tenant, caller.session) in self._sessions:
            return True
        revoked_at = self._users.get((caller.tenant, caller.actor)) if self._users else None
        return revoked_at is not None and issued_at <= revoked_at

    def _keep(
        self, known: OrderedDict[tuple[UUID, str], datetime], key: tuple[UUID, str], at: datetime
    ) -> None:
        known[key] = max(at, known.get(key, at))
        known.move_to_end(key)
        # Tokens that were issued before these have all expired.
        forgotten = self._clock.now() - MAX_LIFETIME - LEEWAY
        while known and next(iter(known.values())) < forgotten:
            known.popitem(last=False)


class TokenVerifier:
    """Says who a token speaks for."""

    def __init__(
        self,
        keys: KeySource,
        clock: Clock,
        revocations: Revocations | None = None,
        *,
        cached: int = 4000,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self.revocations = revocations or Revocations(clock)
        self._cached = cached
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The caller that the token speaks for.

        Raises:
            TokenInvalid: it was not made by identity, not for us, or it was changed.
            TokenExpired, TokenRevoked: it was good once.
            KeysUnavailable: nobody can say.
        """
        known = self._verified.get(token)
        if known is None:
            known = await self._checked(token)
            self._verified[token] = known
            if len(self._verified) > self._cached:
                self._verified.popitem(last=False)
        else:
            self._verified.move_to_end(token)
        if known.caller.expires_at <= self._clock.now():
            del self._verified[token]
            raise TokenExpired
        if self.revocations.cover(known.caller, known.issued_at):
            raise TokenRevoked
        return known.caller

    async def _checked(self, token: str) -> _Verified:
        if len(token) > MAX_LENGTH:
            raise TokenInvalid
        try:
            signed = jws.extract_compact(token.encode("ascii"))
            header = signed.headers()
        except (JoseError, ValueError, TypeError, RecursionError):
            raise TokenInvalid from None
        if header.get("alg") != ALGORITHM or header.get("typ") != TYPE:
            raise TokenInvalid
        kid = header.get("kid")
        key = (await self._keys.keys(kid)).get(kid) if isinstance(kid, str) else None
        if key is None:
            raise TokenInvalid
        try:
            if not jws.validate_compact(signed, key, algorithms=[ALGORITHM]):
                raise TokenInvalid
            return self._believed(json.loads(signed.payload or b""), token)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise TokenInvalid from None

    def _believed(self, claims: dict[str, Any], token: str) -> _Verified:
        """The caller of claims whose signature holds; ValueError where they are not for us, or not yet."""
        now = self._clock.now()
        issued_at = datetime.fromtimestamp(claims["iat"], UTC)
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
            raise ValueError("of another issuer, or for another audience")
        starts_at = max(issued_at, datetime.fromtimestamp(claims.get("nbf", claims["iat"]), UTC))
        if starts_at > now + LEEWAY or expires_at - issued_at > MAX_LIFETIME + LEEWAY:
            raise ValueError("not valid yet, or for longer than any token is")
        subject = claims["sub"]
        caller = Caller(
            tenant=UUID(claims["tenant"]),
            actor=subject,
            user_id=None if subject.startswith("service:") else UUID(subject),
            permissions=_permissions(claims["scope"]),
            sight=Sight(claims["sight"]),
            expires_at=expires_at,
            roles=tuple(claims["roles"]),
            session=claims["sid"],
            org_position=int(claims["org"]),
            via=claims.get("via"),
            token=token,
        )
        return _Verified(caller, issued_at)


@lru_cache(maxsize=500)
def _permissions(scope: str) -> frozenset[str]:
    """The same few sets are shared by all cached callers."""
    return frozenset(scope.split())
