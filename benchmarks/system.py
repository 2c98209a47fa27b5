"""The whole system, started from outside in a folder of its own, with one tenant and somebody signed in."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import grpc
from sfa.identity.v1 import organisation_pb2, organisation_pb2_grpc

from benchmarks.load import Client
from benchmarks.measure import Tree
from deploy.installation import Installation
from deploy.settings import Settings
from deploy.topology import address

ROOT = Path(__file__).resolve().parent.parent
_PASSWORD = secrets.token_urlsafe(18)
_EMAIL = "bench@example.com"
_PATIENCE = 120.0


@dataclass
class System:
    """What is measured."""

    installation: Installation
    process: asyncio.subprocess.Process
    start_seconds: float
    tenant: UUID
    user: str
    password: str
    client: Client

    @property
    def tree(self) -> Tree:
        """All of its processes."""
        return Tree((self.process.pid,))


@asynccontextmanager
async def system(processes: str | None = None) -> AsyncIterator[System]:
    """Starts it twice: once to make the databases, and once to see how long a start takes then."""
    folder = Path(tempfile.mkdtemp(prefix="sfa-bench-"))
    folder.chmod(0o755)
    port = _free_ports(3)
    environment = {
        **os.environ,
        "SFA_DATA": str(folder),
        "SFA_PORT": str(port),
        "SFA_DEMO": "false",
        "SFA_GATEWAY_RATE_PER_SECOND": "1000000",
        "SFA_GATEWAY_RATE_BURST": "1000000",
        **({"SFA_PROCESSES": processes} if processes else {}),
    }
    installation = Installation(Settings(data=folder, port=port))
    try:
        process = await _start(environment, port)
        await _stop(process)
        started = time.perf_counter()
        process = await _start(environment, port)
        seconds = time.perf_counter() - started
        try:
            tenant = await _provision(installation)
            client = Client(f"http://127.0.0.1:{port}")
            form = {"grant_type": "password", "username": _EMAIL, "password": _PASSWORD}
            answer = await client.send(
                "POST",
                "/v1/oauth/token",
                urlencode(form).encode(),
                Content_Type="application/x-www-form-urlencoded",
            )
            client.token = answer.json()["access_token"]
            me = await client.ask("GET", "/v1/me")
            user = me.get("user", me)["id"]
            yield System(installation, process, seconds, tenant, user, _PASSWORD, client)
            client.close()
        finally:
            await _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _start(environment: dict[str, str], port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "sfa"), "up", env=environment, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    client = Client(f"http://127.0.0.1:{port}")
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.returncode is None:
        try:
            if (await client.send("GET", "/readyz")).status == 200:
                client.close()
                return process
        except OSError:
            pass
        await asyncio.sleep(0.02)
    raise RuntimeError("the system did not start")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _provision(installation: Installation) -> UUID:
    async with grpc.aio.insecure_channel(address("identity", installation.settings)) as channel:
        request = organisation_pb2.ProvisionTenantRequest(
            bootstrap_secret=installation.bootstrap_secret.get_secret_value(),
            tenant=organisation_pb2.Tenant(name="Benchmark", reporting_currency="EUR"),
            administrator=organisation_pb2.User(email=_EMAIL, display_name="Bench"),
            password=_PASSWORD,
        )
        stub = organisation_pb2_grpc.TenantServiceStub(channel)
        return UUID((await stub.ProvisionTenant(request, wait_for_ready=True)).tenant.id)


def _free_ports(count: int) -> int:
    """The first of some ports in a row that are free."""
    for first in range(18080, 30000, 10):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")
