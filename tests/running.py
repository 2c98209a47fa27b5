"""`sfa up` as a process of its own, for tests that look at the whole system from outside."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.demo.load import Demo
from deploy.installation import Installation
from deploy.settings import Settings

PATIENCE = 90


def free_ports(count: int = 3) -> int:
    """The first of some ports in a row that are free."""
    while True:
        first = random.randint(20_000, 32_000)  # below what the kernel gives to outgoing connections
        try:
            for port in range(first, first + count):
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
        async with asyncio.timeout(PATIENCE):
            assert self.process.stdout is not None
            while (line := (await self.process.stdout.readline()).decode()) and "Ctrl-C stops" not in line:
                self.said += line
        if not line:
            await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """As a Ctrl-C does; gives the status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
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

    async def sfa(self, *arguments: str) -> tuple[int, str]:
        """Status and output of another command on the same installation."""
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", *arguments,
            env={**os.environ, "SFA_DATA": str(self.settings.data), "SFA_PORT": str(self.settings.port)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            output, _ = await command.communicate()
        return command.returncode or 0, output.decode()

    def engines(self) -> list[psutil.Process]:
        """PostgreSQL and NATS."""
        children = psutil.Process(self.process.pid).children()
        return [each for name in ("postgres", "nats-server") for each in children if each.name() == name]

    def services(self) -> list[psutil.Process]:
        """The processes of the services and the gateway, where they have one each."""
        engines = self.engines()
        nursery = next(each for each in psutil.Process(self.process.pid).children() if each not in engines)
        return nursery.children()
