"""Signing in: forms in, OAuth's own answers and errors out."""

import httpx
import pytest
from sfa.identity.v1 import auth_pb2 as pb

from chassis.errors import InvalidArgument, ResourceExhausted, Unauthenticated, Unavailable
from tests.callers import Callers
from tests.gateway.conftest import Answering, Start

TOKEN = "/v1/oauth/token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


async def test_a_password_gives_tokens(nobody: httpx.AsyncClient, answering: Answering) -> None:
    answering.on(
        "IssueToken",
        pb.IssueTokenResponse(access_token="a", expires_in=600, refresh_token="r", scope="x.read"),
    )
    form = {"grant_type": "password", "username": "ada@acme.example", "password": " pä ß "}
    answer = await nobody.post(TOKEN, data=form, headers={"User-Agent": "Tests/1"})
    assert answer.json() == {
        "access_token": "a", "token_type": "Bearer", "expires_in": 600, "refresh_token": "r", "scope": "x.read",
    }  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    request = answering.last.request
    assert (request.password.password, request.user_agent, request.client_address) == (
        " pä ß ",
        "Tests/1",
        "127.0.0.1",
    )
    assert "authorization" not in answering.last.metadata


async def test_other_grants_reach_identity(nobody: httpx.AsyncClient, answering: Answering) -> None:
    await nobody.post(TOKEN, data={"grant_type": "refresh_token", "refresh_token": "r"})
    assert answering.last.request.refresh.refresh_token == "r"
    form = {"grant_type": EXCHANGE, "subject_token": "t", "subject_token_type": "urn:x"}
    answer = await nobody.post(TOKEN, data=form)
    assert answering.last.request.token_exchange.subject_token == "t"
    assert answer.json()["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (await nobody.post("/v1/oauth/revoke", data={"token": "r"})).json() == {}
    assert answering.last.request.token == "r"


@pytest.mark.parametrize(
    ("refusal", "status", "error"),
    [
        (Unauthenticated("Wrong."), 400, "invalid_grant"),
        (InvalidArgument("Wrong."), 400, "invalid_request"),
        (ResourceExhausted("Too often.", retry_after="30"), 429, "temporarily_unavailable"),
        (Unavailable("Away."), 503, "temporarily_unavailable"),
    ],
)
async def test_refusals_are_oauth_errors(
    nobody: httpx.AsyncClient, answering: Answering, refusal: Exception, status: int, error: str
) -> None:
    answering.on("IssueToken", refusal)
    answer = await nobody.post(TOKEN, data={"grant_type": "password", "username": "a", "password": "b"})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers.get("retry-after") == {429: "30", 503: "1"}.get(status)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type=password", "invalid_request"),
        (b"grant_type=password&username=a&password=", "invalid_request"),
        (b"grant_type=password&grant_type=password", "invalid_request"),
        (b"grant_type=magic", "unsupported_grant_type"),
        (b"grant_type=password&username=a&password=%00", "invalid_request"),
        (b"grant_type=password&username=%ff&password=b", "invalid_request"),
        (b"\xff", "invalid_request"),
        (b"&".join(b"a%d=1" % i for i in range(100)), "invalid_request"),
    ],
)
async def test_bad_forms_are_refused(
    nobody: httpx.AsyncClient, answering: Answering, content: bytes, error: str
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await nobody.post(TOKEN, content=content, headers=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert not answering.seen


async def test_json_is_no_form(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.post(TOKEN, json={"grant_type": "password"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await nobody.get(TOKEN)).status_code == 405


async def test_guessing_is_slowed_down_by_address(start: Start) -> None:
    client = await start(role=None, anonymous_rate_per_second=0.1, anonymous_rate_burst=2)
    answers = [await client.post(TOKEN, data={"grant_type": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_the_public_keys_are_where_everybody_looks(
    nobody: httpx.AsyncClient, answering: Answering, callers: Callers
) -> None:
    key = pb.Jwk(kty="OKP", crv="Ed25519", x="AAAA", kid="k", use="sig", alg="Ed25519")
    answering.on("GetJwks", pb.GetJwksResponse(keys=[key]))
    answer = await nobody.get("/.well-known/jwks.json")
    assert answer.json() == {
        "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "k", "use": "sig", "alg": "Ed25519"}]
    }
    assert "max-age" in answer.headers["cache-control"]
