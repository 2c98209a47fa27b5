"""Streams over HTTP: what a client sees of them, and how they end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis.errors import NotFound, Unauthenticated, Unavailable
from tests.callers import Callers
from tests.gateway.conftest import Answering, Start

STREAM = "/v1/forecast:stream"


def changes(
    *cursors: str, then: Exception | None = None
) -> Callable[[Any], AsyncIterator[pb.ForecastChange]]:
    """Sends a change for each cursor; then refuses, or says nothing for ever."""

    async def stream(_: Any) -> AsyncIterator[pb.ForecastChange]:
        for cursor in cursors:
            yield pb.ForecastChange(cursor=cursor, reset=cursor == "1")
        if then is not None:
            raise then
        await asyncio.Event().wait()

    return stream


async def events(answer: httpx.Response, count: int) -> list[dict[str, str]]:
    """The next events (and comments) of a stream."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        if line:
            event[name] = value.strip()
        else:
            found.append(event)
            event = {}
            if len(found) == count:
                break
    return found


async def test_changes_are_events_with_their_cursor(client: httpx.AsyncClient, answering: Answering) -> None:
    answering.on("StreamForecast", changes("1", "2"))
    async with client.stream(
        "GET", STREAM, params={"groupBy": "TEAM", "periods": ["2017-Q1", "2017-Q2"]}
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        retry, first, second = await events(answer, 3)
    assert retry == {"retry": "3000"}
    assert (first["id"], first["event"]) == ("1", "forecastChange")
    assert json.loads(first["data"])["reset"] is True
    assert second["id"] == "2"
    assert list(answering.last.request.periods) == ["2017-Q1", "2017-Q2"]


async def test_a_client_that_comes_back_goes_on_where_it_was(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.on("StreamForecast", changes("8"))
    async with client.stream("GET", STREAM + "?cursor=3", headers={"Last-Event-ID": "7"}) as answer:
        await events(answer, 2)
    assert answering.last.request.cursor == "7"
    async with client.stream("GET", STREAM + "?cursor=3") as answer:
        await events(answer, 2)
    assert answering.last.request.cursor == "3"


async def test_a_refusal_before_the_first_event_is_a_problem(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.on("StreamForecast", changes(then=NotFound("No such node.")))
    answer = await client.get(STREAM)
    assert (answer.status_code, answer.json()["reason"]) == (404, "NOT_FOUND")
    assert (await client.get(STREAM, headers={"Accept": "application/json"})).status_code == 406
    assert (await client.get(STREAM + "?depth=x")).status_code == 422
    assert (await client.head(STREAM)).status_code == 405


async def test_a_failure_in_between_is_an_event(client: httpx.AsyncClient, answering: Answering) -> None:
    answering.on("StreamForecast", changes("1", then=Unavailable("Away.")))
    async with client.stream("GET", STREAM) as answer:
        *_, last = await events(answer, 3)
    assert last["event"] == "problem"
    assert json.loads(last["data"])["status"] == 503


async def test_silence_is_broken_by_comments(start: Start, answering: Answering) -> None:
    client = await start(heartbeat_seconds=0.05)
    answering.on("StreamForecast", changes())
    async with client.stream("GET", STREAM) as answer:
        assert await events(answer, 3) == [{"retry": "3000"}, {"": "still here"}, {"": "still here"}]


async def test_a_stream_ends_with_its_token(start: Start, answering: Answering, callers: Callers) -> None:
    client = await start()
    answering.on("StreamForecast", changes("1"))
    caller = callers.caller(expires_at=callers.clock.now() + timedelta(seconds=2))
    token = {"Authorization": f"Bearer {callers.token(caller)}"}
    async with asyncio.timeout(5), client.stream("GET", STREAM, headers=token) as answer:
        assert len(await events(answer, 99)) == 2
    answering.on("StreamForecast", changes("1", then=Unauthenticated("The token has expired.")))
    async with client.stream("GET", STREAM) as answer:
        assert len(await events(answer, 99)) == 2


async def test_a_stream_ends_when_its_token_is_revoked(
    start: Start, answering: Answering, callers: Callers
) -> None:
    client = await start()
    answering.on("StreamForecast", changes("1"))
    caller = callers.caller()
    async with asyncio.timeout(5), client.stream("GET", STREAM) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        client.verifier.revocations.revoke_session(caller.tenant, caller.session, callers.clock.now())  # type: ignore[attr-defined]
        assert [line async for line in lines]


async def test_a_client_that_leaves_ends_the_call(client: httpx.AsyncClient, answering: Answering) -> None:
    left = asyncio.Event()

    async def stream(_: Any) -> AsyncIterator[pb.ForecastChange]:
        try:
            yield pb.ForecastChange(cursor="1")
            await asyncio.Event().wait()
        finally:
            left.set()

    answering.on("StreamForecast", stream)
    async with client.stream("GET", STREAM) as answer:
        await events(answer, 2)
    async with asyncio.timeout(5):
        await left.wait()


async def test_a_gateway_that_stops_ends_streams_and_answers_what_was_asked(
    start: Start, answering: Answering
) -> None:
    client = await start(drain_seconds=5)
    asked, begun, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: Any) -> Any:
        asked.set()
        await go.wait()
        return opportunities_pb2.Opportunity(id="x", etag="1")

    async def stream(_: Any) -> AsyncIterator[pb.ForecastChange]:
        yield pb.ForecastChange(cursor="1")
        begun.set()
        await asyncio.Event().wait()

    answering.on("GetOpportunity", slow)
    answering.on("StreamForecast", stream)
    async with client.stream("GET", STREAM) as answer:
        await begun.wait()
        waiting = asyncio.ensure_future(client.get("/v1/opportunities/x"))
        await asked.wait()
        stopping = asyncio.ensure_future(client.gateway.stop())  # type: ignore[attr-defined]
        assert len(await events(answer, 99)) == 2
    go.set()
    last = await waiting
    assert (last.status_code, last.headers["connection"]) == (200, "close")
    async with asyncio.timeout(5):
        await stopping
