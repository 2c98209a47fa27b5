"""`sfa up` from outside: it comes up, serves, survives what happens to its parts, and goes down again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deploy.demo.load import Demo
from deploy.installation import Installation
from deploy.settings import Settings

_PATIENCE = 90


def free_ports() -> int:
    """The first of three ports in a row that are free."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


class Up:
    """A running `sfa up`, and what it has said."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder, port=free_ports())
        self.said = ""
        self.process: asyncio.subprocess.Process

    async def start(self, *options: str) -> None:
        """Starts it and waits until it says that it is up, or that it cannot be."""
        self.said = ""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", "up", *options,
            env={**os.environ, "SFA_DATA": str(self.settings.data), "SFA_PORT": str(self.settings.port)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(_PATIENCE):
            assert self.process.stdout is not None
            while (line := (await self.process.stdout.readline()).decode()) and "Ctrl-C stops" not in line:
                self.said += line
        if not line:
            await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """As a Ctrl-C does; gives the status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(_PATIENCE):
            rest, _ = await self.process.communicate()
        self.said += rest.decode()
        return self.process.returncode or 0

    async def sign_in(self) -> dict[str, Any]:
        """Who the first demo sign-in is, by the API."""
        demo = Demo(Installation(self.settings))
        assert demo.company is not None
        form = {
            "grant_type": "password",
            "username": demo.company.administrator.email,
            "password": demo.installation.demo_password,
        }
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.settings.port}", timeout=20) as client:
            token = (
                (await client.post("/v1/oauth/token", data=form)).raise_for_status().json()["access_token"]
            )
            answer = await client.get("/v1/me", headers={"authorization": f"Bearer {token}"})
        return dict(answer.raise_for_status().json())

    def engines(self) -> list[psutil.Process]:
        """The engines that it has started."""
        ours = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in ours if each.name() in ("postgres", "nats-server")]


@pytest.fixture
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    running = Up(tmp_path_factory.mktemp("up"))
    yield running
    if running.process.returncode is None:
        await running.stop(signal.SIGTERM)


async def test_it_comes_up_with_a_demo_company_and_goes_down_and_keeps_what_was_there(up: Up) -> None:
    await up.start()
    assert "Demo sign-ins" in up.said, up.said
    first = await up.sign_in()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{up.settings.port}") as client:
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/v1/opportunities")).status_code == 401
    engines = up.engines()
    assert await up.stop() == 0, up.said
    assert "Everything has stopped." in up.said
    assert not [each for each in engines if each.is_running()]

    await up.start("--processes", "each")
    assert (await up.sign_in())["user"] == first["user"]
    assert "Demo company" not in up.said.splitlines()
    assert await up.stop(signal.SIGTERM) == 0, up.said


async def test_what_is_killed_is_started_again(up: Up) -> None:
    await up.start("--no-demo")
    for name in ("nats-server", "postgres"):
        victim = next(each for each in up.engines() if each.name() == name)
        victim.kill()
    async with asyncio.timeout(_PATIENCE):
        for title in ("PostgreSQL", "NATS"):
            while f"{title} has ended and is started again" not in up.said:
                assert up.process.stdout is not None
                up.said += (await up.process.stdout.readline()).decode()
    assert await up.stop() == 0, up.said


async def test_after_kill_9_it_comes_up_again(up: Up) -> None:
    await up.start("--no-demo", "--processes", "each")
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
