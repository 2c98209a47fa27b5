"""Tokens of a tenant's own OpenID provider are exchanged for ours; those of anybody else are not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import grpc
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from sfa.api.v1.resource_pb2 import ExternalId
from sfa.identity.v1 import auth_pb2 as pb
from sfa.identity.v1 import auth_pb2_grpc as stubs
from sfa.identity.v1 import organisation_pb2

from tests.identity.conftest import ADDRESS, Company, Refused

ISSUER, AUDIENCE = "https://login.acme.example", "sfa-client"


class Provider:
    """An OpenID provider: a key, and a web server that publishes it."""

    def __init__(self) -> None:
        self.key: RSAKey | ECKey | OKPKey = ECKey.generate_key("P-256", {"kid": "one"})
        self.body: bytes | None = None
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                keys = {"keys": [provider.key.as_dict(private=False)]}
                body = provider.body if provider.body is not None else json.dumps(keys).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Keeps quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    @property
    def jwks_uri(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/keys"

    def token(
        self, company: Company, *, key: Any = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """An ID token as the provider makes them, with some claims changed; `...` leaves one out."""
        now = company.stack.clock.now().timestamp()
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "user-4711",
            "email": ADDRESS,
            "email_verified": True,
            "iat": now,
            "exp": now + 300,
        } | claims
        algorithm = {"EC": "ES256", "RSA": "RS256", "OKP": "Ed25519", "oct": "HS256"}[
            (key or self.key).key_type
        ]
        return jws.serialize_compact(
            {"alg": algorithm, "kid": "one"} | (header or {}),
            json.dumps({name: value for name, value in payload.items() if value is not ...}),
            key or self.key,
            algorithms=[algorithm],
        )


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


async def bind(
    company: Company, provider: Provider, tenant: Any = None, **fields: str
) -> pb.IdentityProvider:
    claims = {"tenant": tenant} if tenant else {}
    providers = stubs.IdentityProviderServiceStub(
        company.stack.channel("identity", "administrator", **claims)
    )
    new = pb.IdentityProvider(name="Acme SSO", issuer=ISSUER, audience=AUDIENCE, jwks_uri=provider.jwks_uri)
    for name, value in fields.items():
        setattr(new, name, value)
    return await providers.CreateIdentityProvider(pb.CreateIdentityProviderRequest(identity_provider=new))


async def exchange(company: Company, token: str, address: str = "192.0.2.1") -> pb.IssueTokenResponse:
    grant = pb.IssueTokenRequest.TokenExchangeGrant(
        subject_token=token, subject_token_type="urn:ietf:params:oauth:token-type:id_token"
    )
    return await company.tokens.IssueToken(pb.IssueTokenRequest(token_exchange=grant, client_address=address))


async def test_a_providers_token_is_exchanged_for_ours(company: Company, provider: Provider) -> None:
    await bind(company, provider)
    tokens = await exchange(company, provider.token(company))
    caller = await company.verifier().verify(tokens.access_token)
    assert (caller.tenant, caller.user_id) == (company.stack.tenant, company.stack.callers.user("ada"))
    await company.refresh(tokens.refresh_token)
    await exchange(company, provider.token(company))
    assert provider.asked == 1  # keys are kept


async def test_a_provider_that_changes_its_key_is_asked_again(company: Company, provider: Provider) -> None:
    await bind(company, provider)
    keys: list[RSAKey | OKPKey] = [
        RSAKey.generate_key(2048, {"kid": "rsa"}),
        OKPKey.generate_key("Ed25519", {"kid": "okp"}),
    ]
    for number, key in enumerate(keys, 1):
        provider.key = key
        await exchange(company, provider.token(company, header={"kid": key.kid}))
        assert provider.asked == number
        async with Refused("SIGN_IN_REFUSED"):
            await exchange(company, provider.token(company, header={"kid": "unknown"}))
        assert provider.asked == number  # not at once again
        company.stack.clock.move(timedelta(seconds=11))


async def test_the_providers_subject_is_known_by_external_id_before_the_address(
    company: Company, provider: Provider
) -> None:
    await bind(company, provider, external_id_system="acme-sso")
    await company.user("anna", external_ids=[ExternalId(system="acme-sso", id="user-4711")])
    tokens = await exchange(company, provider.token(company, email_verified=False))
    caller = await company.verifier().verify(tokens.access_token)
    assert caller.user_id == company.stack.callers.user("anna")


NOT_FOR_US_NOW: list[dict[str, Any]] = [
    {"iss": "https://login.evil.example"},
    {"aud": "another client"},
    {"aud": [AUDIENCE, "another client"]},
    {"aud": []},
    {"exp": 1},
    {"exp": ...},
    {"iat": 9999999999},
    {"nbf": 9999999999},
    {"sub": ...},
    {"sub": ""},
    {"sub": 7},
    {"email": "nobody@example.com"},
    {"email_verified": False},
    {"email_verified": "true"},
    {"email": ["ada@example.com"]},
]


async def test_a_token_that_is_not_for_us_now_is_refused(company: Company, provider: Provider) -> None:
    await bind(company, provider)
    for number, claims in enumerate(NOT_FOR_US_NOW):
        async with Refused("SIGN_IN_REFUSED", grpc.StatusCode.UNAUTHENTICATED):
            await exchange(company, provider.token(company, **claims), f"192.0.2.{number}")


async def test_a_token_signed_by_another_key_is_refused(company: Company, provider: Provider) -> None:
    await bind(company, provider)
    forger = ECKey.generate_key("P-256", {"kid": "one"})
    shared = OctKey.generate_key(256)
    header, payload, _ = provider.token(company).split(".")
    tokens = [
        provider.token(company, key=forger),
        provider.token(company, key=forger, header={"kid": "two"}),
        provider.token(company, key=shared),
        f"{header}.{payload}.",
        "eyJhbGciOiJub25lIn0." + payload + ".",
        "no token at all",
    ]
    for token in tokens:
        async with Refused("SIGN_IN_REFUSED"):
            await exchange(company, token)


async def test_a_token_for_two_audiences_is_ours_where_we_asked_for_it(
    company: Company, provider: Provider
) -> None:
    await bind(company, provider)
    await exchange(company, provider.token(company, aud=[AUDIENCE, "other"], azp=AUDIENCE))


async def test_an_issuer_speaks_for_one_tenant_only(company: Company, provider: Provider) -> None:
    other = uuid4()
    await company.provision(str(other), ADDRESS)
    await bind(company, provider)
    async with Refused("ISSUER_TAKEN", grpc.StatusCode.ALREADY_EXISTS):
        await bind(company, provider, tenant=other)
    tokens = await exchange(company, provider.token(company))
    assert (await company.verifier().verify(tokens.access_token)).tenant == company.stack.tenant


async def test_a_removed_provider_is_no_longer_believed_and_its_issuer_is_free(
    company: Company, provider: Provider
) -> None:
    bound = await bind(company, provider)
    providers = stubs.IdentityProviderServiceStub(company.stack.channel("identity", "administrator"))
    await providers.DeleteIdentityProvider(pb.DeleteIdentityProviderRequest(id=bound.id))
    async with Refused("SIGN_IN_REFUSED"):
        await exchange(company, provider.token(company))
    await bind(company, provider)
    await exchange(company, provider.token(company))


async def test_a_provider_without_readable_keys_is_a_matter_of_later(
    company: Company, provider: Provider
) -> None:
    await bind(company, provider)
    provider.body = b"<html>We are down</html>"
    async with Refused("PROVIDER_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE):
        await exchange(company, provider.token(company))
    provider.body = b"[" * 300_000
    async with Refused("PROVIDER_UNAVAILABLE"):
        await exchange(company, provider.token(company))


async def test_a_deactivated_user_is_not_let_in_by_the_provider(company: Company, provider: Provider) -> None:
    await bind(company, provider)
    await company.user("eva", roles=[organisation_pb2.ADMINISTRATOR])
    connection = await company.stack.connect("identity", as_owner=True)
    try:
        await connection.execute("UPDATE data.users SET active = false WHERE email = $1", ADDRESS)
    finally:
        await connection.close()
    async with Refused("SIGN_IN_REFUSED"):
        await exchange(company, provider.token(company))


async def test_a_provider_that_cannot_work_is_refused(company: Company, provider: Provider) -> None:
    for field, value in (
        ("name", ""),
        ("issuer", ""),
        ("audience", ""),
        ("jwks_uri", ""),
        ("jwks_uri", "ftp://example.com/keys"),
    ):
        async with Refused("PROVIDER_INCOMPLETE", grpc.StatusCode.INVALID_ARGUMENT):
            await bind(company, provider, **{field: value})
