"""Tokens hold for whom, for what and for how long identity said, and nothing else passes for one."""

import asyncio
import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from chassis.call import Caller, Sight
from chassis.tokens import (
    MAX_LIFETIME,
    KeysUnavailable,
    RemoteKeys,
    StaticKeys,
    TokenExpired,
    TokenInvalid,
    TokenIssuer,
    TokenRevoked,
    TokenVerifier,
)

NOW = datetime(2026, 1, 5, 12, 0, 0, 250_000, UTC)
KEY = OKPKey.generate_key("Ed25519", {"kid": "one"})
ANNA = uuid4()
TENANT = uuid4()


class MovableClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def verifier(clock: MovableClock) -> TokenVerifier:
    return TokenVerifier(StaticKeys(KEY), clock)


def caller(**changes: Any) -> Caller:
    anna = Caller(
        tenant=TENANT,
        actor=str(ANNA),
        user_id=ANNA,
        permissions=frozenset({"leads.read", "leads.write"}),
        sight=Sight.SUBTREE,
        expires_at=(NOW + timedelta(minutes=5)).replace(microsecond=0),
        roles=("manager",),
        session=str(UUID(int=7)),
        org_position=4711,
    )
    return replace(anna, **changes)


def token(**changes: Any) -> str:
    return TokenIssuer(KEY).issue(caller(**changes), NOW, "Anna")


def forged(
    claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, key: OKPKey = KEY
) -> str:
    """A token with some claims and headers of its own, signed by hand with whatever key."""
    payload = json.loads(_decoded(token().split(".")[1])) | (claims or {})
    headers = {"alg": "Ed25519", "typ": "at+jwt", "kid": "one"} | (header or {})
    signed = f"{_encoded(headers)}.{_encoded(payload)}"
    return f"{signed}.{_base64(_private(key).sign(signed.encode()))}"


def _private(key: OKPKey) -> Ed25519PrivateKey:
    private = key.get_op_key("sign")
    assert isinstance(private, Ed25519PrivateKey)
    return private


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _encoded(data: dict[str, Any]) -> str:
    """JSON without the members that are `...`."""
    return _base64(json.dumps({name: value for name, value in data.items() if value is not ...}).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def test_the_verified_caller_is_the_one_that_was_issued(verifier: TokenVerifier) -> None:
    text = token()
    assert await verifier.verify(text) == caller(token=text)


async def test_a_service_has_no_user_id(verifier: TokenVerifier) -> None:
    found = await verifier.verify(token(actor="service:leads", user_id=None, via="lead conversion"))
    assert (found.actor, found.user_id, found.via) == ("service:leads", None, "lead conversion")


async def test_a_token_expires_though_it_is_cached(verifier: TokenVerifier, clock: MovableClock) -> None:
    text = token()
    await verifier.verify(text)
    clock.time = NOW + timedelta(minutes=5)
    with pytest.raises(TokenExpired):
        await verifier.verify(text)
    with pytest.raises(TokenExpired):
        await verifier.verify(text)


async def test_a_token_that_is_not_valid_yet_is_refused(verifier: TokenVerifier, clock: MovableClock) -> None:
    clock.time = NOW - timedelta(seconds=30)
    with pytest.raises(TokenInvalid):
        await verifier.verify(token())
    clock.time = NOW
    with pytest.raises(TokenInvalid):
        await verifier.verify(forged({"nbf": NOW.timestamp() + 60}))


def test_no_token_is_issued_for_longer_than_revocations_are_remembered() -> None:
    with pytest.raises(ValueError, match="at the most"):
        token(expires_at=NOW + MAX_LIFETIME + timedelta(seconds=1))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://accounts.example.com"},
        {"aud": "somebody else"},
        {"aud": ["sfa"]},
        {"exp": NOW.timestamp() + 86400},
        {"exp": "tomorrow"},
        {"exp": ...},
        {"iat": ...},
        {"sub": ...},
        {"sub": "not a uuid"},
        {"sub": 7},
        {"tenant": "not a uuid"},
        {"sight": "everything"},
        {"scope": None},
    ],
)
async def test_claims_that_identity_does_not_make_are_refused(
    verifier: TokenVerifier, claims: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        await verifier.verify(forged(claims))


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "two"},
        {"kid": 7},
        {"kid": ["one"]},
        {"kid": ...},
        {"typ": "JWT"},
        {"typ": ...},
        {"crit": ["exp"], "exp": 1},
    ],
)
async def test_headers_that_identity_does_not_make_are_refused(
    verifier: TokenVerifier, header: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        await verifier.verify(forged(header=header))


async def test_alg_none_is_refused(verifier: TokenVerifier) -> None:
    _, payload, signature = token().split(".")
    for alg in ("none", "None", "NONE", "", "EdDSA", None):
        header = _encoded({"alg": alg, "typ": "at+jwt", "kid": "one"})
        for tail in ("", signature):
            with pytest.raises(TokenInvalid):
                await verifier.verify(f"{header}.{payload}.{tail}")


async def test_a_mac_with_the_public_key_is_refused(verifier: TokenVerifier) -> None:
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'one'})}.{token().split('.')[1]}"
    mac = hmac.digest(KEY.as_bytes(private=False), signed.encode(), "sha256")
    with pytest.raises(TokenInvalid):
        await verifier.verify(f"{signed}.{_base64(mac)}")


async def test_another_key_under_our_key_id_is_refused(verifier: TokenVerifier) -> None:
    with pytest.raises(TokenInvalid):
        await verifier.verify(forged(key=OKPKey.generate_key("Ed25519")))


async def test_a_token_with_its_own_key_inside_is_refused(verifier: TokenVerifier) -> None:
    own = OKPKey.generate_key("Ed25519", {"kid": "mine"})
    header = {"jwk": own.as_dict(private=False), "kid": "mine"}
    with pytest.raises(TokenInvalid):
        await verifier.verify(forged(header=header, key=own))


async def test_a_token_changed_in_any_place_is_refused(verifier: TokenVerifier) -> None:
    text = token()
    await verifier.verify(text)
    for index in range(0, len(text), 7):
        other = "A" if text[index] != "A" else "B"
        with pytest.raises(TokenInvalid):
            await verifier.verify(text[:index] + other + text[index + 1 :])


async def test_the_payload_of_one_token_with_the_signature_of_another_is_refused(
    verifier: TokenVerifier,
) -> None:
    header, _, signature = token().split(".")
    with pytest.raises(TokenInvalid):
        await verifier.verify(f"{header}.{token(tenant=uuid4()).split('.')[1]}.{signature}")


@given(st.text(max_size=300))
async def test_no_text_at_all_passes_for_a_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        await TokenVerifier(StaticKeys(KEY), MovableClock()).verify(text)


async def test_a_very_long_token_is_refused_unread(verifier: TokenVerifier) -> None:
    with pytest.raises(TokenInvalid):
        await verifier.verify("A" * 100_000)


async def test_a_revoked_session_is_refused_though_it_is_cached(verifier: TokenVerifier) -> None:
    text, other = token(), token(session=str(uuid4()))
    await verifier.verify(text)
    verifier.revocations.revoke_session(TENANT, str(UUID(int=7)), NOW)
    with pytest.raises(TokenRevoked):
        await verifier.verify(text)
    await verifier.verify(other)


async def test_a_session_of_the_same_id_in_another_tenant_goes_on(verifier: TokenVerifier) -> None:
    verifier.revocations.revoke_session(uuid4(), str(UUID(int=7)), NOW)
    await verifier.verify(token())


async def test_a_deactivated_user_is_refused_until_a_token_is_issued_later(
    verifier: TokenVerifier, clock: MovableClock
) -> None:
    verifier.revocations.revoke_user(TENANT, str(ANNA), NOW)
    with pytest.raises(TokenRevoked):
        await verifier.verify(token())
    clock.time = NOW + timedelta(milliseconds=1)
    later = TokenIssuer(KEY).issue(caller(), clock.time)
    assert (await verifier.verify(later)).user_id == ANNA


async def test_an_old_revocation_does_not_undo_a_newer_one(verifier: TokenVerifier) -> None:
    verifier.revocations.revoke_user(TENANT, str(ANNA), NOW)
    verifier.revocations.revoke_user(TENANT, str(ANNA), NOW - timedelta(minutes=1))
    with pytest.raises(TokenRevoked):
        await verifier.verify(token())


async def test_revocations_are_forgotten_once_no_token_can_be_that_old(
    verifier: TokenVerifier, clock: MovableClock
) -> None:
    for minute in range(60):
        clock.time = NOW + timedelta(minutes=minute)
        verifier.revocations.revoke_session(TENANT, str(minute), clock.time)
    assert len(verifier.revocations._sessions) <= 12


async def test_the_cache_is_bounded(clock: MovableClock) -> None:
    verifier = TokenVerifier(StaticKeys(KEY), clock, cached=3)
    for _ in range(10):
        await verifier.verify(token())
    assert len(verifier._verified) == 3


class Identity:
    """Counts how often it is asked for its keys."""

    def __init__(self, *keys: OKPKey) -> None:
        self.published = list(keys)
        self.asked = 0
        self.away = False

    async def __call__(self) -> list[dict[str, str]]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError
        return [
            {name: str(value) for name, value in key.as_dict(private=False).items()} for key in self.published
        ]


async def test_remote_keys_are_fetched_once_for_many(clock: MovableClock) -> None:
    identity = Identity(KEY)
    verifier = TokenVerifier(RemoteKeys(identity), clock)
    await asyncio.gather(*(verifier.verify(token()) for _ in range(20)))
    assert identity.asked == 1


async def test_a_new_key_is_fetched_when_it_is_first_met(clock: MovableClock) -> None:
    identity = Identity(KEY)
    verifier = TokenVerifier(RemoteKeys(identity, patience=0), clock)
    await verifier.verify(token())
    two = OKPKey.generate_key("Ed25519", {"kid": "two"})
    identity.published.append(two)
    await verifier.verify(forged(header={"kid": "two"}, key=two))
    await verifier.verify(token())
    assert identity.asked == 2


async def test_a_flood_of_unknown_key_ids_does_not_flood_identity(clock: MovableClock) -> None:
    identity = Identity(KEY)
    verifier = TokenVerifier(RemoteKeys(identity), clock)
    await verifier.verify(token())
    for number in range(50):
        with pytest.raises(TokenInvalid):
            await verifier.verify(forged(header={"kid": f"unknown-{number}"}))
    assert identity.asked == 1


async def test_a_withdrawn_key_goes_out_of_use(clock: MovableClock) -> None:
    two = OKPKey.generate_key("Ed25519", {"kid": "two"})
    identity = Identity(KEY, two)
    verifier = TokenVerifier(RemoteKeys(identity, patience=0, max_age=0), clock)
    await verifier.verify(token())
    identity.published.remove(KEY)
    with pytest.raises(TokenInvalid):
        await verifier.verify(token())


async def test_while_identity_is_away_known_keys_serve_and_unknown_ones_do_not(clock: MovableClock) -> None:
    identity = Identity(KEY)
    keys = RemoteKeys(identity, patience=0, max_age=0)
    verifier = TokenVerifier(keys, clock)
    await verifier.verify(token())
    identity.away = True
    await verifier.verify(token())
    with pytest.raises(TokenInvalid):
        await verifier.verify(forged(header={"kid": "two"}))


async def test_before_any_key_was_had_nobody_is_told_that_the_token_is_wrong(clock: MovableClock) -> None:
    identity = Identity(KEY)
    identity.away = True
    verifier = TokenVerifier(RemoteKeys(identity, patience=0), clock)
    with pytest.raises(KeysUnavailable):
        await verifier.verify(token())
    identity.away = False
    await verifier.verify(token())
