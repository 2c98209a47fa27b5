"""The harness itself: databases of their own, brokers of their own."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
import nats as client
import pytest
from nats.errors import TimeoutError as NatsTimeout

from chassis.tokens import TokenExpired, TokenVerifier
from deploy.engines.nats import Nats
from tests.callers import Callers
from tests.clock import MovableClock
from tests.engines import TestDatabase

Database = Callable[[str], Awaitable[TestDatabase]]


async def test_each_clone_is_its_own_database(database: Database) -> None:
    first, second = await database("blank"), await database("blank")
    owner = await asyncpg.connect(first.owner_url)
    await owner.execute("CREATE TABLE data.notes (text text)")
    await owner.close()
    other = await asyncpg.connect(second.owner_url)
    assert await other.fetchval("SELECT to_regclass('data.notes')") is None
    await other.close()


async def test_a_token_ends_with_the_clock(callers: Callers, clock: MovableClock) -> None:
    verifier = TokenVerifier(callers.keys, clock)
    token = callers.token(callers.caller("manager"))
    assert (await verifier.verify(token)).roles == ("manager",)
    clock.move(timedelta(minutes=6))
    with pytest.raises(TokenExpired):
        await verifier.verify(token)


async def test_a_service_publishes_its_own_events_and_no_others(nats: Nats) -> None:
    connection = await client.connect(nats.url("leads"), inbox_prefix=b"_INBOX_leads", error_cb=_overheard)
    try:
        stream = connection.jetstream()
        await stream.add_stream(name="LEADS", subjects=["events.*.sfa.leads.>"])
        await stream.publish("events.a.sfa.leads.v1.LeadQualified", b"")
        with pytest.raises(NatsTimeout):  # a forbidden publish is not answered
            await stream.publish("events.a.sfa.quotes.v1.QuoteAccepted", b"", timeout=0.2)
    finally:
        await connection.close()


async def _overheard(error: Exception) -> None:
    """nats-py would log what the broker complains of."""
