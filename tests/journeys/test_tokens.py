"""Whoever comes with the wrong token, or with none, or too late, is refused by the gateway and by every service
by itself, whatever is asked: every route and every RPC, walked by their descriptors."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from chassis.clock import SystemClock
from chassis.contract import PUBLIC, Rpc, rpcs
from chassis.database import Database
from chassis.ids import new_id
from chassis.keyring import KeyRing, LocalMasterKeys
from deploy.topology import SERVICES
from gateway.transcoding import Route
from services.identity.signing import Signing
from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.system import CONTRACT, ROUTES, Company, System, asked, client_of, unforeseen

TWO_SECONDS = 2.0
SECRET = "Strictly confidential"
HOUR = 3600
RPCS: Sequence[Rpc] = [
    rpc for service in CONTRACT.services for rpc in rpcs(service) if rpc.permission != PUBLIC
]
GUARDED: Sequence[Route] = [route for route in ROUTES if not route.is_public]
Statuses = dict[str, Any]


@pytest.fixture(scope="module")
async def system(make_folder: MakeFolder) -> AsyncIterator[System]:
    """The whole system, which lets strangers knock as often as they like."""
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("SFA_GATEWAY_ANONYMOUS_RATE_BURST", "100000")
        async with System.running(make_folder("system")) as running:
            before = unforeseen()
            yield running
            assert unforeseen() == before


@pytest.fixture(scope="module")
async def acme(system: System) -> Company:
    """A company with an administrator, and Bob, who sells."""
    company = await system.company("Acme")
    async with company.signed_in() as ada:
        await company.hire(ada, "bob")
    return company


@pytest.fixture(scope="module")
async def forger(system: System, acme: Company) -> Forger:
    """Somebody who has stolen identity's key."""
    installation = system.installation
    database = await Database.connect(installation.database_url("identity"))
    ring = KeyRing(LocalMasterKeys.parse(installation.secrets.key("key ring")))
    issuer = await Signing(database, ring, SystemClock()).issuer()
    await database.close()
    tokens = await acme.tokens()
    return Forger(tokens["access_token"], tokens["refresh_token"], issuer._key)


@dataclass
class Forger:
    """Makes tokens that differ from a good one in one thing."""

    good: str
    refresh: str
    key: OKPKey

    def signed(self, key: OKPKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """The good token with other claims, and a signature that holds unless it is of another key."""
        changed = {name: value for name, value in (self.claims | claims).items() if value is not None}
        return jws.serialize_compact(
            self.header | (header or {}), json.dumps(changed), key or self.key, algorithms=["Ed25519"]
        )

    def unsigned(self) -> str:
        """By `alg: none`."""
        head = base64.urlsafe_b64encode(json.dumps(self.header | {"alg": "none"}).encode()).rstrip(b"=")
        return f"{head.decode()}.{self.good.split('.')[1]}."

    def by_public_key(self) -> str:
        """As if the public key were a shared secret."""
        secret = OctKey.import_key(str(self.key.as_dict(private=False)["x"]))
        return jws.serialize_compact(
            self.header | {"alg": "HS256"}, json.dumps(self.claims), secret, algorithms=["HS256"]
        )

    def glued(self) -> str:
        """Claims that somebody else signed."""
        return ".".join((*self.signed(sub=str(new_id())).split(".")[:2], self.good.split(".")[2]))

    def another_key(self) -> OKPKey:
        return OKPKey.generate_key("Ed25519", parameters={"kid": self.header["kid"]}, auto_kid=False)

    @property
    def header(self) -> dict[str, Any]:
        return dict(_json(self.good.split(".")[0]))

    @property
    def claims(self) -> dict[str, Any]:
        return dict(_json(self.good.split(".")[1]))

    @property
    def now(self) -> float:
        return SystemClock().now().timestamp()


WRONG: dict[str, Callable[[Forger], str]] = {
    "none": lambda forger: "",
    "garbage": lambda forger: "garbage",
    "three parts": lambda forger: "a.b.c",
    "refresh token": lambda forger: forger.refresh,
    "alg none": Forger.unsigned,
    "mac by the public key": Forger.by_public_key,
    "another issuer": lambda forger: forger.signed(iss="https://idp.example"),
    "another audience": lambda forger: forger.signed(aud="another"),
    "another type": lambda forger: forger.signed(header={"typ": "JWT"}),
    "another key": lambda forger: forger.signed(forger.another_key()),
    "unknown key": lambda forger: forger.signed(header={"kid": str(new_id())}),
    "signature of another": Forger.glued,
    "expired": lambda forger: forger.signed(iat=forger.now - 600, exp=forger.now - 10),
    "not yet good": lambda forger: forger.signed(iat=forger.now + HOUR, exp=forger.now + HOUR + 60),
    "good for a year": lambda forger: forger.signed(exp=forger.now + 365 * 24 * HOUR),
    "no tenant": lambda forger: forger.signed(tenant=None),
    "tenant of no form": lambda forger: forger.signed(tenant="acme"),
}


async def test_the_forger_can_forge(system: System, forger: Forger) -> None:
    """So that what is refused below is refused for what is wrong with it."""
    assert await answers(system, forger.signed()) == {200}
    assert set((await rpc_statuses(system, forger.signed(), reads())).values()) == {grpc.StatusCode.OK}


@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_token_is_refused_by_the_gateway_and_by_every_service(
    system: System, forger: Forger, kind: str
) -> None:
    token = WRONG[kind](forger)
    assert await answers(system, token) == {401}
    statuses = await rpc_statuses(system, token, reads())
    assert set(statuses.values()) == {grpc.StatusCode.UNAUTHENTICATED}, statuses


async def test_no_route_and_no_rpc_lets_anybody_in_without_a_good_token(
    system: System, forger: Forger
) -> None:
    for kind in ("none", "expired", "another key"):
        token = WRONG[kind](forger)
        found = await http_statuses(system.url, token, GUARDED)
        assert not {route: status for route, status in found.items() if status != 401}, kind
        called = await rpc_statuses(system, token, RPCS)
        assert not {rpc: code for rpc, code in called.items() if code is not grpc.StatusCode.UNAUTHENTICATED}


async def test_no_route_and_no_rpc_forgets_to_ask_for_its_permission(
    system: System, acme: Company, forger: Forger
) -> None:
    """Somebody who may do nothing may do nothing; a rep, what reps may."""
    bob = await acme.tokens("bob")
    may = set(bob["scope"].split())
    for token, allowed in ((forger.signed(scope=""), set[str]()), (bob["access_token"], may)):
        routes = [route for route in GUARDED if route.rpc.permission not in allowed]
        assert routes
        found = await http_statuses(system.url, token, routes)
        assert not {route: status for route, status in found.items() if status != 403}
        called = await rpc_statuses(system, token, [rpc for rpc in RPCS if rpc.permission not in allowed])
        assert not {
            rpc: code for rpc, code in called.items() if code is not grpc.StatusCode.PERMISSION_DENIED
        }


async def test_another_tenants_records_are_not_there(system: System, acme: Company) -> None:
    other = await system.company("Other")
    async with acme.signed_in() as ada, other.signed_in() as eve:
        await fill(ada)
        theirs = await everything(ada)
        wrong = {}
        for route in GUARDED:
            if route.variables:
                for id in theirs.get(collection(route), ()):
                    answer = await send(eve, route, id)
                    refusals = (404,) if route.method in ("GET", "DELETE") else (404, 422)
                    if answer.status_code not in refusals or SECRET in answer.text:
                        wrong[f"{route.method} {route.template}"] = f"{answer.status_code} {answer.text}"
            elif route.method == "GET" and not route.streams:
                answer = await send(eve, route)
                if answer.status_code >= 500 or SECRET in answer.text:
                    wrong[f"{route.method} {route.template}"] = f"{answer.status_code} {answer.text}"
        assert not wrong
        for name, ids in theirs.items():
            answer = await eve.post(f"/v1/{name}:batchGet", json={"ids": ids})
            assert SECRET not in answer.text
        assert await everything(ada) == theirs


async def test_a_session_that_ended_is_refused_in_every_process_within_two_seconds(
    system: System, acme: Company
) -> None:
    ended, going_on = [(await acme.tokens("bob"))["access_token"] for _ in range(2)]
    await believed(system, ended)
    async with client_of(system.url, ended) as bob:
        assert (await bob.post("/v1/me:signOut", json={})).status_code in (200, 204)
    await refused_everywhere(system, ended)
    await believed(system, going_on)


async def test_a_stream_ends_with_its_session(system: System, acme: Company) -> None:
    token = (await acme.tokens("bob"))["access_token"]
    async with client_of(system.url, token) as bob, bob.stream("GET", "/v1/forecast:stream") as stream:
        assert stream.status_code == 200
        lines = stream.aiter_lines()
        while not (await anext(lines)).startswith("data:"):
            pass
        await bob.post("/v1/me:signOut", json={})
        async with asyncio.timeout(TWO_SECONDS + 3):
            async for _ in lines:
                pass


async def test_who_was_away_when_a_session_ended_hears_of_it_afterwards(
    system: System, acme: Company
) -> None:
    token = (await acme.tokens("bob"))["access_token"]
    await system.stop("forecast")
    async with client_of(system.url, token) as bob:
        await bob.post("/v1/me:signOut", json={})
    await system.start("forecast")
    await refused_everywhere(system, token)

    token = (await acme.tokens("bob"))["access_token"]
    await believed(system, token)
    await system.nats.stop()
    async with client_of(system.url, token) as bob:
        await bob.post("/v1/me:signOut", json={})
    await system.nats.start()
    await refused_everywhere(system, token, seconds=10)


async def test_who_was_deactivated_is_out_at_once(system: System, acme: Company) -> None:
    async with acme.signed_in() as ada:
        id = await acme.hire(ada, "cid")
        tokens = await acme.tokens("cid")
        await believed(system, tokens["access_token"])
        answer = await ada.post(f"/v1/users/{id}:deactivate", json={})
        assert answer.status_code == 200, answer.text
    await refused_everywhere(system, tokens["access_token"])
    again = await acme.oauth(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        await acme.tokens("cid")


async def test_a_refresh_token_that_is_used_twice_ends_the_whole_family(
    system: System, acme: Company
) -> None:
    first = await acme.tokens("bob")

    async def refresh(tokens: dict[str, Any]) -> httpx.Response:
        return await acme.oauth(grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    second = (await refresh(first)).raise_for_status().json()
    await believed(system, second["access_token"])
    for tokens in (first, second):
        answer = await refresh(tokens)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    for tokens in (first, second):
        await refused_everywhere(system, tokens["access_token"])


# Asking


def reads() -> list[Rpc]:
    """One RPC of each service that asks little."""
    found: dict[str, Rpc] = {}
    for route in sorted(GUARDED, key=lambda route: len(route.template)):
        if route.method == "GET" and not route.variables and not route.verb:
            found.setdefault(route.service, route.rpc)
    assert set(found) == set(SERVICES)
    return list(found.values())


async def answers(system: System, token: str) -> set[int]:
    """What the gateway answers for all services."""
    async with client_of(system.url, token) as client:
        return {answer.status_code for answer in (await asked(client)).values()}


async def believed(system: System, token: str) -> None:
    """Asserts that everybody takes the token, and so knows it from now on."""
    assert await answers(system, token) == {200}
    assert set((await rpc_statuses(system, token, reads())).values()) == {grpc.StatusCode.OK}


async def refused_everywhere(system: System, token: str, seconds: float = TWO_SECONDS) -> None:
    async def is_refused() -> bool:
        called = set((await rpc_statuses(system, token, reads())).values())
        return called == {grpc.StatusCode.UNAUTHENTICATED} and await answers(system, token) == {401}

    await eventually(is_refused, "every process refuses it", seconds)


async def http_statuses(url: str, token: str, routes: Iterable[Route]) -> Statuses:
    """What each route answers to a request that has little more than the token."""
    async with client_of(url, token) as client:
        return {
            f"{route.method} {route.template}": (await send(client, route)).status_code for route in routes
        }


async def send(client: httpx.AsyncClient, route: Route, id: str = "") -> httpx.Response:
    """A request to a route, for a record of that id."""
    path = route.template
    for variable in route.variables:
        path = path.replace(f"{{{variable}}}", id or str(new_id()))
    return await client.request(route.method, path, json={} if route.body else None)


async def rpc_statuses(system: System, token: str, called: Iterable[Rpc]) -> Statuses:
    """What the services answer to empty requests; what several of them serve is asked of each."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with AsyncExitStack() as stack:
        channels = {
            service: await stack.enter_async_context(grpc.aio.insecure_channel(system.address(service)))
            for service in SERVICES
        }
        found: Statuses = {}
        for rpc in called:
            service = rpc.name.split(".")[1]
            for place in (service,) if service in channels else SERVICES:
                code = await status(channels[place], rpc, metadata)
                if code is not grpc.StatusCode.UNIMPLEMENTED or service in channels:
                    found[f"{place} {rpc.path}"] = code
        return found


async def status(channel: grpc.aio.Channel, rpc: Rpc, metadata: Any) -> grpc.StatusCode:
    make = channel.unary_stream if rpc.descriptor.server_streaming else channel.unary_unary
    call: Any = make(rpc.path, rpc.request_class.SerializeToString, rpc.response_class.FromString)
    calling = call(rpc.request_class(), metadata=metadata, timeout=20)
    try:
        if rpc.descriptor.server_streaming:
            await calling.read()
            calling.cancel()
        else:
            await calling
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


# What there is


async def fill(client: httpx.AsyncClient) -> None:
    """Makes something of most kinds, all of it confidential."""

    async def make(path: str, **body: Any) -> str:
        answer = await client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    account = await make("accounts", name=SECRET)
    await make("contacts", familyName=SECRET, accountId=account)
    await make("leads", companyName=SECRET)
    await make("queues", name=SECRET)
    await make("territories", name=SECRET)
    await make("products", name=SECRET, code="X1")
    amount = {"currencyCode": "EUR", "units": "5"}
    deal = await make("opportunities", name=SECRET, accountId=account, amount=amount)
    await make("quotes", opportunityId=deal, name=SECRET)


async def everything(client: httpx.AsyncClient) -> dict[str, list[str]]:
    """The ids of all records, by collection."""
    found = {}
    for route in GUARDED:
        if route.method == "GET" and not route.variables and not route.verb and not route.streams:
            document = (await client.get(route.template)).json()
            items = document.get(collection(route), ())
            if items and "id" in items[0]:
                found[collection(route)] = sorted(item["id"] for item in items)
    assert {
        "accounts",
        "contacts",
        "leads",
        "opportunities",
        "pipelines",
        "products",
        "quotes",
        "users",
    } <= set(found)
    return found


def collection(route: Route) -> str:
    """The first word of a path: `accounts`."""
    return route.segments[1]


def _json(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
