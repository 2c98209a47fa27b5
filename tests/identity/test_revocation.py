"""What identity revokes is refused by every process within two seconds, and by one that starts later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from sfa.identity.v1 import auth_pb2 as pb
from sfa.identity.v1 import auth_pb2_grpc as stubs
from sfa.identity.v1 import organisation_pb2

from chassis.broker import Broker
from chassis.client import Peers
from chassis.credentials import RevocationFeed, ServiceTokens, identity_keys
from chassis.subscriptions import service_call
from chassis.tokens import Revocations, TokenInvalid, TokenRevoked, TokenVerifier
from tests.engines import PASSWORD
from tests.eventually import eventually
from tests.identity.conftest import SECRET, Company, Refused


class Process:
    """What any service process has: keys from identity, and an ear for revocations."""

    def __init__(self, company: Company, user: str) -> None:
        clock = company.stack.clock
        self.peers = Peers({"identity": company.stack.address("identity")})
        self.broker = Broker(company.stack.nats.url(user), user)
        revocations = Revocations(clock)
        self.verifier = TokenVerifier(identity_keys(self.peers.channel("identity")), clock, revocations)
        self.feed = RevocationFeed(self.broker, revocations, clock)

    async def start(self) -> None:
        self.broker.start()
        await self.feed.start()

    async def stop(self) -> None:
        await self.feed.stop()
        await self.broker.close()
        await self.peers.close()


@pytest.fixture
async def process(company: Company) -> AsyncIterator[Callable[[str], Any]]:
    """`await process("leads")` starts one."""
    running: list[Process] = []

    async def start(user: str) -> Process:
        running.append(Process(company, user))
        await running[-1].start()
        await asyncio.wait_for(running[-1].feed.caught_up.wait(), 10)
        return running[-1]

    yield start
    for each in running:
        await each.stop()


async def refused(verifier: TokenVerifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except TokenRevoked:
        return True
    return False


async def sign_out(company: Company, token: str) -> None:
    await stubs.SessionServiceStub(company.bare).SignOut(
        pb.SignOutRequest(), metadata=(("authorization", f"Bearer {token}"),)
    )


async def test_a_session_that_ended_is_refused_in_every_process_within_two_seconds(
    company: Company, process: Callable[[str], Any]
) -> None:
    company.believe()
    processes = [await process(user) for user in ("leads", "quotes", "quotes")]
    tokens, other = await company.sign_in(), await company.sign_in()
    for each in processes:
        await each.verifier.verify(tokens.access_token)
    await sign_out(company, tokens.access_token)
    began = time.monotonic()
    for each in processes:
        await eventually(lambda each=each: refused(each.verifier, tokens.access_token), "the refusal", 5)
        await each.verifier.verify(other.access_token)
    assert time.monotonic() - began < 2


async def test_a_process_that_starts_later_knows_what_was_revoked(
    company: Company, process: Callable[[str], Any]
) -> None:
    company.believe()
    tokens = [await company.sign_in() for _ in range(3)]
    for each in tokens[:2]:
        await sign_out(company, each.access_token)
    await company.stack.settled()
    late = await process("forecast")
    assert [await refused(late.verifier, each.access_token) for each in tokens] == [True, True, False]


async def test_what_is_revoked_while_the_broker_is_away_is_known_when_it_is_back(
    company: Company, process: Callable[[str], Any]
) -> None:
    company.believe()
    tokens = await company.sign_in()
    listening = await process("leads")
    listening.feed.caught_up.clear()
    company.stack.nats.kill()
    await sign_out(company, tokens.access_token)
    assert not await refused(listening.verifier, tokens.access_token)
    await company.stack.nats.start()
    await eventually(lambda: refused(listening.verifier, tokens.access_token), "the refusal", 20)


async def test_a_deactivated_user_is_refused_and_comes_back_with_new_tokens_only(
    company: Company, process: Callable[[str], Any]
) -> None:
    listening = await process("leads")
    anna = await company.user("anna", email="anna@example.com")
    sessions = stubs.SessionServiceStub(company.stack.channel("identity", "administrator", name="ada"))
    await sessions.SetPassword(pb.SetPasswordRequest(id=anna.id, new_password=SECRET))
    old = await company.sign_in("anna@example.com")
    successor = str(company.stack.callers.user("ada"))
    await company.users.DeactivateUser(
        organisation_pb2.DeactivateUserRequest(id=anna.id, successor_id=successor)
    )
    await eventually(lambda: refused(listening.verifier, old.access_token), "the refusal", 5)


async def test_a_service_gets_a_token_of_its_own_once_for_each_tenant(company: Company) -> None:
    peers = Peers({"identity": company.stack.address("identity")})
    clock = company.stack.clock
    tokens = ServiceTokens(lambda: peers.channel("identity"), "leads", PASSWORD, clock)
    database = company.stack.services["identity"].database
    call = service_call("leads", company.stack.tenant, database.transaction(None), clock, "test", None)
    first, second = await asyncio.gather(tokens(call), tokens(call))
    assert first == second
    caller = await company.verifier().verify(first)
    assert caller.actor == "service:leads"
    clock.move(timedelta(minutes=4, seconds=30))
    assert await tokens(call) != first
    with pytest.raises(grpc.aio.AioRpcError):
        await ServiceTokens(lambda: peers.channel("identity"), "leads", "wrong", clock)(call)
    await peers.close()


async def test_a_token_of_another_issuer_is_refused_by_the_running_service(company: Company) -> None:
    company.believe()
    with pytest.raises(TokenInvalid):
        await company.verifier().verify(company.stack.callers.token(company.stack.callers.caller()))
    async with Refused("TOKEN_INVALID", grpc.StatusCode.UNAUTHENTICATED):
        await stubs.SessionServiceStub(company.bare).WhoAmI(
            pb.WhoAmIRequest(), metadata=(("authorization", "Bearer e30.e30."),)
        )
