"""What every test can ask for: real engines, databases of its own, and a stack of running services."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import uvloop

from chassis.call import Caller
from deploy.engines.nats import Nats
from tests.callers import Callers
from tests.clock import MovableClock
from tests.engines import Databases, MakeFolder, SessionFolder, TestDatabase, broker

if TYPE_CHECKING:
    from tests.stack import Stack

_FOLDER = pytest.StashKey[Path]()
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """The controller, or the only process, makes the folder; workers are told of it."""
    # The default shows every local variable of a traceback, for which it stops the loop for seconds.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(), plain]
    )
    told = getattr(config, "workerinput", None)
    config.stash[_FOLDER] = Path(told["engines"]) if told else SessionFolder.make()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["engines"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and _FOLDER in config.stash:
        SessionFolder.remove(config.stash[_FOLDER])


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], Any]]:
    """Tests run on the event loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest) -> Path:
    """The folder of the session's engines."""
    return request.config.stash[_FOLDER]


@pytest.fixture(scope="session")
def make_folder(engines: Path) -> MakeFolder:
    """Makes a data folder for a system of a test's own. Root's database server, which is another user,
    cannot get into pytest's own folders, and would settle somewhere that nobody clears."""

    def make(name: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=engines))
        folder.chmod(0o755)
        return folder

    return make


@pytest.fixture(scope="session")
async def postgres(request: pytest.FixtureRequest, engines: Path) -> Databases:
    """The session's PostgreSQL: `clone(service)` gives a migrated database, `drop` takes it away."""
    told = getattr(request.config, "workerinput", {"workerid": "main"})
    databases = Databases(engines, told["workerid"])
    await databases.start()
    return databases


@pytest.fixture
async def database(postgres: Databases) -> AsyncIterator[Callable[[str], Awaitable[TestDatabase]]]:
    """`await database("leads")`: a fresh, migrated database, gone after the test. `"blank"` has no tables."""
    async with AsyncExitStack() as stack:

        async def make(service: str) -> TestDatabase:
            clone = await postgres.clone(service)
            stack.push_async_callback(postgres.drop, clone)
            return clone

        yield make


@pytest.fixture
async def nats(request: pytest.FixtureRequest, engines: Path) -> AsyncIterator[Nats]:
    """A nats-server of the test's own: `nats.url("leads")` signs in as that service."""
    told = getattr(request.config, "workerinput", {"workerid": "main"})
    async with broker(engines, f"{told['workerid']}-{next(_numbers)}") as server:
        yield server


@pytest.fixture(scope="session")
def lasting_clock() -> MovableClock:
    """The clock of services that outlive a test."""
    return MovableClock()


@pytest.fixture
def clock(lasting_clock: MovableClock) -> Iterator[MovableClock]:
    """The test's clock: it runs, and can be moved."""
    yield lasting_clock
    lasting_clock.reset()


@pytest.fixture
def callers(clock: MovableClock) -> Callers:
    """Makes callers of the test's tenant, and tokens for them."""
    return Callers(clock)


@pytest.fixture
def make_caller(request: pytest.FixtureRequest, callers: Callers) -> Callable[[], Caller]:
    """Makes the test's caller anew: of `@pytest.mark.caller(role="manager")`, a rep where there is none."""
    marker = request.node.get_closest_marker("caller")
    claims = dict(marker.kwargs) if marker else {}
    return lambda: callers.caller(**claims)


@pytest.fixture
def caller(make_caller: Callable[[], Caller]) -> Caller:
    """Who calls in this test."""
    return make_caller()


@pytest.fixture
async def stack(
    postgres: Databases, nats: Nats, callers: Callers, clock: MovableClock, make_caller: Callable[[], Caller]
) -> AsyncIterator[Stack]:
    """`await stack.start("leads", "contacts")`, then `stack.channel("leads")` for a generated stub."""
    from tests.stack import Stack  # what it needs is much, and pure tests do not

    running = Stack(postgres, nats, callers, clock, make_caller)
    try:
        yield running
    finally:
        await running.close()


Join = Callable[..., Awaitable["Stack"]]


@pytest.fixture(scope="session")
async def lasting_stacks(
    request: pytest.FixtureRequest, postgres: Databases, engines: Path, lasting_clock: MovableClock
) -> AsyncIterator[Join]:
    """The services that all tests of a worker share: each set of them is started once."""
    from tests.stack import Stack

    told = getattr(request.config, "workerinput", {"workerid": "main"})
    started: dict[frozenset[str], Stack] = {}
    async with AsyncExitStack() as resources:

        async def start(*services: str) -> Stack:
            if (chosen := frozenset(services)) not in started:
                server = await resources.enter_async_context(
                    broker(engines, f"{told['workerid']}-{next(_numbers)}")
                )
                callers = Callers(lasting_clock)
                running = Stack(postgres, server, callers, lasting_clock, callers.caller)
                resources.push_async_callback(running.close)
                await running.start(*services)
                await running.events()  # the connection of those who watch, which views share
                started[chosen] = running
            return started[chosen]

        yield start


@pytest.fixture
async def shared(
    lasting_stacks: Join, callers: Callers, make_caller: Callable[[], Caller]
) -> AsyncIterator[Join]:
    """`await shared("leads", "contacts")`: a stack that other tests use, too, each with a tenant of its own.

    For tests that neither stop a service nor look at what belongs to other tenants.
    """
    async with AsyncExitStack() as views:

        async def join(*services: str) -> Stack:
            view = (await lasting_stacks(*services)).joined(callers, make_caller)
            views.push_async_callback(view.leave)
            return view

        yield join
