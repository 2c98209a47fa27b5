"""A company of its own in a running system: what a journey begins with."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.identity.v1 import organisation_pb2_grpc as stubs

from deploy.installation import Installation
from deploy.topology import address
from tests.engines import MakeFolder
from tests.running import Up

PASSWORD = "correct horse battery staple"
ADMINISTRATOR = "ada@maventech.example"


@dataclass
class Company:
    """A tenant with one administrator, seen from outside."""

    up: Up
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.up.settings.port}"

    @asynccontextmanager
    async def sign_in(self, email: str = ADMINISTRATOR) -> AsyncIterator[httpx.AsyncClient]:
        """A client that is signed in."""
        form = {"grant_type": "password", "username": email, "password": PASSWORD}
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            answer = (await client.post("/v1/oauth/token", data=form)).raise_for_status()
            client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client

    async def sfa(self, *arguments: str | Path) -> asyncio.subprocess.Process:
        """The command line, signed in as the administrator."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", *map(str, arguments),
            env={**os.environ, "SFA_URL": self.url, "SFA_USER": ADMINISTRATOR, "SFA_PASSWORD": PASSWORD},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture
async def company(tmp_path: Path, make_folder: MakeFolder) -> AsyncIterator[Company]:
    """The whole system, with an empty company that calculates in US dollars."""
    up = Up(make_folder("up"))
    await up.start("--no-demo")
    assert up.process.returncode is None, up.said
    try:
        installation = Installation(up.settings)
        request = pb.ProvisionTenantRequest(
            bootstrap_secret=installation.bootstrap_secret.get_secret_value(),
            tenant=pb.Tenant(name="MavenTech", reporting_currency="USD"),
            administrator=pb.User(display_name="Ada", email=ADMINISTRATOR, roles=[pb.ADMINISTRATOR]),
            password=PASSWORD,
        )
        async with grpc.aio.insecure_channel(address("identity", up.settings)) as channel:
            await stubs.TenantServiceStub(channel).ProvisionTenant(request, timeout=20)
        yield Company(up, tmp_path)
    finally:
        await up.stop()


async def everything(client: httpx.AsyncClient, path: str, collection: str) -> list[dict[str, Any]]:
    """All resources of a list, by `Link: next`."""
    found: list[dict[str, Any]] = []
    url: str | None = f"{path}{'&' if '?' in path else '?'}pageSize=500"
    while url:
        answer = (await client.get(url)).raise_for_status()
        found += answer.json().get(collection) or []
        url = answer.links.get("next", {}).get("url")
    return found
