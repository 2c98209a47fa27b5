"""`sfa up`: engines, databases, services and gateway, in this order; at the end all of it down again."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol

import uvloop
from rich.console import Console

from deploy.engines.nats import Nats
from deploy.engines.postgres import Postgres
from deploy.engines.process import is_free
from deploy.installation import Installation
from deploy.nursery import Nursery
from deploy.settings import Processes
from deploy.topology import GATEWAY, SERVICES, address, ports
from deploy.troubles import PartEnded, PortInUse, Trouble

_PATIENCE: Final = 60.0
_AGAIN_SECONDS: Final = 1.0
_EVERYTHING: Final = (*SERVICES, GATEWAY.name)


class Progress:
    """Says what is being done, and how long it took."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Shows a step while it works; what it is told is a detail of it."""
        started = time.monotonic()
        with self.console.status(f"{what} …") as status:
            yield lambda detail: status.update(f"{what}: {detail} …")
        self.console.print(
            f"  [green]✓[/] {what} [dim]{time.monotonic() - started:.1f} s[/]", highlight=False
        )

    def warn(self, what: str) -> None:
        self.console.print(f"  [yellow]![/] {what}", highlight=False)


class Welcome(Protocol):
    """What is done once everything serves."""

    async def __call__(self, installation: Installation, progress: Progress) -> None: ...


def run(installation: Installation, console: Console, welcome: Welcome) -> None:
    """Runs everything until SIGINT or SIGTERM.

    `welcome` is awaited once everything serves: it loads the demo company and says where things are.

    Raises:
        Trouble: something has to be put right first.
    """
    settings = installation.settings
    with installation.held():
        for what, host, port, setting in ports(settings):
            if not is_free(host, port):
                raise PortInUse(what, host, port, setting)
        # Forked before anything here makes a thread.
        each = settings.processes is Processes.EACH
        nursery = Nursery(lambda name: _child(name, installation)) if each else None
        try:
            uvloop.run(_until_told(_system(installation, Progress(console), nursery, welcome), console))
        finally:
            if nursery is not None:
                nursery.close()


async def _until_told(system: Awaitable[None], console: Console) -> None:
    """Runs it until a signal comes; then lets it unwind."""
    task = asyncio.ensure_future(system)

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: console.print("Still stopping …"))
        console.print("\nStopping: what was asked is answered, what was written is published …")
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await task
        return
    console.print("Everything has stopped.")


async def _system(
    installation: Installation, progress: Progress, nursery: Nursery | None, welcome: Welcome
) -> None:
    loading = asyncio.create_task(asyncio.to_thread(_import_everything)) if nursery is None else None
    async with _engines(installation, progress):
        if loading is not None:
            await loading
        await _prepare(installation, progress)
        parts = (
            _in_here(installation, progress)
            if nursery is None
            else _in_children(installation, progress, nursery)
        )
        async with parts:
            await welcome(installation, progress)
            await asyncio.Event().wait()


@asynccontextmanager
async def _engines(installation: Installation, progress: Progress) -> AsyncIterator[None]:
    engines = [engine for engine in (installation.postgres, installation.nats) if engine is not None]
    with progress.step(" and ".join(engine.title for engine in engines) or "Engines elsewhere"):
        try:
            for outcome in await asyncio.gather(
                *(engine.start() for engine in engines), return_exceptions=True
            ):
                if isinstance(outcome, BaseException):
                    raise outcome
        except BaseException:
            await _stop(engines)
            raise
    keepers = [asyncio.create_task(_keep(engine, progress)) for engine in engines]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        await _stop(engines)


async def _stop(engines: list[Postgres | Nats]) -> None:
    await asyncio.gather(*(engine.stop() for engine in engines))


async def _keep(engine: Postgres | Nats, progress: Progress) -> None:
    """Starts an engine again whenever it ends."""
    while True:
        await engine.ended()
        progress.warn(f"{engine.title} has ended and is started again.")
        try:
            await engine.start()
        except Trouble as trouble:
            progress.warn(str(trouble))
            await asyncio.sleep(_AGAIN_SECONDS)


async def _prepare(installation: Installation, progress: Progress) -> None:
    from deploy.demo.load import Demo
    from deploy.migrating import are_there, prepare

    with progress.step("Databases") as detail:
        if installation.settings.demo and not await are_there(installation):
            Demo(installation).begin()
        await prepare(installation, list(SERVICES), detail)


@asynccontextmanager
async def _in_here(installation: Installation, progress: Progress) -> AsyncIterator[None]:
    """All services and the gateway in this process."""
    from deploy.serving import log_to, serving

    log_to(installation.settings.logs / "sfa.log", installation.settings.log_level)
    async with contextlib.AsyncExitStack() as stack:
        with progress.step("Services and gateway"):
            await stack.enter_async_context(serving(_EVERYTHING, installation))
        yield


@asynccontextmanager
async def _in_children(
    installation: Installation, progress: Progress, nursery: Nursery
) -> AsyncIterator[None]:
    """A process for each service, and one for the gateway."""
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    serving = False

    def look() -> None:
        ended = nursery.ended()
        if ended is None:
            loop.remove_reader(nursery.socket)
        for name, _ in ended or ():
            if serving:
                progress.warn(f"{name} has ended and is started again.")
                loop.call_later(_AGAIN_SECONDS, nursery.start, name)
            elif not failed.done():
                failed.set_exception(PartEnded(name, installation.settings.logs / f"{name}.log"))

    loop.add_reader(nursery.socket, look)
    try:
        with progress.step("Services and gateway, a process each") as detail:
            for name in _EVERYTHING:
                nursery.start(name)
            ready = asyncio.ensure_future(_all_ready(installation, detail))
            await asyncio.wait((ready, failed), return_when=asyncio.FIRST_COMPLETED)
            await (failed if failed.done() else ready)
        serving = True
        yield
    finally:
        loop.remove_reader(nursery.socket)
        await asyncio.to_thread(nursery.close)


async def _all_ready(installation: Installation, detail: Callable[[str], None]) -> None:
    from deploy.probing import until_listening, until_serving

    settings = installation.settings
    async with asyncio.timeout(_PATIENCE):
        for name in SERVICES:
            detail(name)
            await until_serving(address(name, settings))
        detail(GATEWAY.name)
        await until_listening(settings.host, settings.port)


def _child(name: str, installation: Installation) -> None:
    """What a process of the nursery does."""
    from deploy.serving import log_to, serve

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = installation.settings
    log_to(settings.logs / f"{name}.log", settings.log_level, whole_process=True)
    uvloop.run(serve([name], installation))


def _import_everything() -> None:
    for name in SERVICES:
        importlib.import_module(f"services.{name}.service")
    importlib.import_module("deploy.serving")
    importlib.import_module("deploy.migrating")
