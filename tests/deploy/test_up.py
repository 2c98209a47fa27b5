"""`sfa up` from outside: it comes up, serves, survives what happens to its parts, and goes down again."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from deploy.topology import SERVICES
from tests.engines import MakeFolder
from tests.running import PATIENCE, Up, free_ports


@pytest.fixture
async def up(make_folder: MakeFolder) -> AsyncIterator[Up]:
    running = Up(make_folder("up"))
    yield running
    if hasattr(running, "process") and running.process.returncode is None:
        await running.stop(signal.SIGTERM)


async def test_it_comes_up_with_a_demo_company_and_goes_down_and_keeps_what_was_there(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = up.settings.port
    while abs(metrics - up.settings.port) < 10:
        metrics = free_ports(len(SERVICES))
    monkeypatch.setenv("SFA_FIRST_METRICS_PORT", str(metrics))
    await up.start()
    assert "Demo sign-ins" in up.said, up.said
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{metrics}") as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert "sfa_rpc_seconds_count" in (await client.get("/metrics")).text
    first = await up.sign_in()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{up.settings.port}") as client:
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/v1/opportunities")).status_code == 401
    assert await up.sfa("migrate", "all", "--json") == (
        0,
        json.dumps({"migrated": [], "current": [*SERVICES]}, indent=2) + "\n",
    )
    status, said = await up.sfa("doctor", "--json")
    assert status == 0, said
    assert {finding["what"] for finding in json.loads(said)} >= {*SERVICES, "gateway", "NATS"}
    status, said = await up.sfa(
        "events", "tail", "--service", "quotes", "--since", "all", "--no-follow", "--json"
    )
    assert status == 0, said
    told = [json.loads(line) for line in said.splitlines()]
    assert {"sfa.quotes.v1.QuoteAccepted", "sfa.quotes.v1.OrderPlaced"} <= {event["type"] for event in told}
    assert await up.sfa("events", "parked", "--json") == (0, "[]\n")
    engines = up.engines()
    assert await up.stop() == 0, up.said
    assert "Everything has stopped." in up.said
    assert not [each for each in engines if each.is_running()]

    await up.start("--processes", "one")
    assert (await up.sign_in())["user"] == first["user"]
    assert "Demo company" not in up.said.splitlines()
    assert await up.stop(signal.SIGTERM) == 0, up.said


async def test_what_is_killed_is_started_again(up: Up) -> None:
    await up.start("--no-demo")
    postgres, nats = up.engines()
    for victim in (postgres, nats, up.services()[0]):
        victim.kill()
    async with asyncio.timeout(PATIENCE):
        while up.said.count("has ended and is started again") < 3:
            assert up.process.stdout is not None
            up.said += (await up.process.stdout.readline()).decode()
    assert await up.stop() == 0, up.said


async def test_after_kill_9_it_comes_up_again(up: Up) -> None:
    await up.start("--no-demo")
    up.process.kill()
    await up.process.wait()
    await up.start("--no-demo")
    assert "Documentation" in up.said, up.said
    assert await up.stop() == 0, up.said


async def test_a_taken_port_is_one_sentence(up: Up) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", up.settings.port))
        taken.listen()
        await up.start()
        assert await up.stop() == 1
    assert up.said.strip().splitlines() == [
        f"Port {up.settings.port} on 127.0.0.1 is in use, and the gateway needs it: stop its user, or set SFA_PORT."
    ]


async def test_a_setting_that_makes_no_sense_is_one_sentence(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFA_PROCESSES", "three")
    await up.start()
    assert await up.stop() == 1
    assert up.said.startswith("SFA_PROCESSES is not usable:")
    assert len(up.said.strip().splitlines()) == 1


async def test_commands_say_that_nothing_runs(up: Up) -> None:
    for command in (["events", "tail"], ["events", "parked"]):
        status, said = await up.sfa(*command)
        assert status == 1
        assert said.startswith("Nothing is running on")
    status, said = await up.sfa("serve", "billing")
    assert status == 2
    assert "none of identity" in said
