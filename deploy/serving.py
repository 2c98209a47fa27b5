"""Services, and the gateway, in this process: what `sfa serve` and `sfa up` run."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from chassis import telemetry
from chassis.broker import Broker
from chassis.client import Peers
from chassis.clock import SystemClock
from chassis.credentials import RevocationFeed, ServiceTokens, identity_keys
from chassis.service import Build, RunningService
from chassis.settings import ServiceSettings
from chassis.tokens import Revocations, TokenVerifier
from deploy.installation import Installation
from deploy.monitoring import monitored
from deploy.topology import GATEWAY, addresses
from deploy.troubles import PortInUse
from gateway.service import Gateway

_CLOCK: Final = SystemClock()
_DRAIN_SECONDS: Final = 12.0


@asynccontextmanager
async def serving(names: Sequence[str], installation: Installation) -> AsyncIterator[None]:
    """Serves the named parts within the block; at its end they drain, the gateway first.

    Raises:
        PortInUse: the gateway's port is taken.
    """
    services = [installation.service_settings(name) for name in names if name != GATEWAY.name]
    stacks = [AsyncExitStack() for _ in services]
    try:
        entering = [
            stack.enter_async_context(_service(each)) for stack, each in zip(stacks, services, strict=True)
        ]
        for outcome in await asyncio.gather(*entering, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        async with _gateway(installation) if GATEWAY.name in names else nullcontext():
            yield
    finally:
        await _drain([stack.aclose() for stack in stacks])


async def _drain(endings: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Lets all end at once; what does not end in time is named in the log and cancelled."""
    tasks = [asyncio.ensure_future(ending) for ending in endings]
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=_DRAIN_SECONDS)
    if late:
        waiting = "\n".join(
            _stack(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()
        )
        telemetry.log.error("a service does not drain and is cut off", tasks=waiting)
        for task in late:
            task.cancel()
    for task in done:
        task.result()


def _stack(task: asyncio.Task[Any]) -> str:
    with io.StringIO() as text:
        task.print_stack(file=text)
        return text.getvalue()


async def serve(names: Sequence[str], installation: Installation) -> None:
    """Serves the named parts until SIGTERM or SIGINT; then they drain."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with serving(names, installation):
        await told.wait()


def log_to(file: Path, level: str, *, whole_process: bool = False) -> None:
    """Sends logs to a file; with `whole_process` also what anything else writes to standard error."""
    file.parent.mkdir(parents=True, exist_ok=True)
    log = file.open("a", buffering=1)
    if whole_process:
        os.dup2(log.fileno(), sys.stderr.fileno())
    with contextlib.redirect_stderr(log):
        telemetry.configure_logs(level)


@asynccontextmanager
async def _service(settings: ServiceSettings) -> AsyncIterator[RunningService]:
    telemetry.configure_traces(settings.service, settings.otlp_endpoint)
    if settings.listen.startswith("unix:"):
        Path(settings.listen.removeprefix("unix:")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Identity asks itself for its keys, as everybody does.
    peers = Peers({**settings.peers, settings.service: settings.listen})
    peers.token_source = ServiceTokens(
        lambda: peers.channel("identity"), settings.service, settings.secret.get_secret_value(), _CLOCK
    )
    revocations = Revocations(_CLOCK)
    verifier = TokenVerifier(identity_keys(peers.channel("identity")), _CLOCK, revocations)
    build: Build = importlib.import_module(f"services.{settings.service}.service").build
    running = RunningService(build, settings, verifier, peers, _CLOCK)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(peers.close)
        stack.push_async_callback(running.stop)
        await running.start()
        feed = RevocationFeed(running.eventing.broker, revocations, _CLOCK)
        await feed.start()
        stack.push_async_callback(feed.stop)
        if settings.metrics_port:
            await stack.enter_async_context(
                monitored(settings.service, running.address, settings.metrics_port)
            )
        yield running


@asynccontextmanager
async def _gateway(installation: Installation) -> AsyncIterator[Gateway]:
    settings = installation.gateway_settings()
    telemetry.configure_traces(GATEWAY.name, settings.otlp_endpoint)
    url, user, password = installation.nats_credentials(GATEWAY.name)
    broker = Broker(url, GATEWAY.name, user=user, password=password)
    revocations = Revocations(_CLOCK)
    peers = Peers(addresses(GATEWAY, installation.settings))
    verifier = TokenVerifier(identity_keys(peers.channel("identity")), _CLOCK, revocations)
    feed = RevocationFeed(broker, revocations, _CLOCK)
    gateway = Gateway(settings, verifier=verifier)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(peers.close)
        broker.start()
        stack.push_async_callback(broker.close)
        await feed.start()
        stack.push_async_callback(feed.stop)
        try:
            await gateway.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse("the gateway", settings.host, settings.port, "SFA_PORT") from error
            raise
        stack.push_async_callback(gateway.stop)
        yield gateway
