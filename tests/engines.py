"""The engines that tests run on: one PostgreSQL for the whole session, shared by all workers, with a
migrated template of each service's database; and a nats-server for whoever asks, as it starts in
20 milliseconds.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import psutil

from chassis import migrations
from deploy.engines.nats import Nats, reader_user, sender_user, service_user
from deploy.engines.postgres import Postgres
from deploy.engines.process import end_left_over
from deploy.provisioning import database_of, owner_role, provision, service_role
from deploy.topology import SERVICES

PASSWORD: Final = "not-a-secret"
BLANK: Final = "blank"
"""A service that has no code: its database is empty but for the two schemas."""
_PREFIX: Final = "sfa-tests-"
_MAX_CONNECTIONS: Final = 300
_left_running: Final[list[Postgres]] = []  # the worker that started it is not the one that ends it


MakeFolder = Callable[[str], Path]
"""What the fixture `make_folder` gives."""


class SessionFolder:
    """Where the engines of one test session live; the process that made it ends them and removes it."""

    @staticmethod
    def make() -> Path:
        """Makes one, and removes those of sessions that were interrupted."""
        for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if not psutil.pid_exists(int(old.name.removeprefix(_PREFIX).partition("-")[0])):
                SessionFolder.remove(old)
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        folder.chmod(0o755)
        return folder

    @staticmethod
    def remove(folder: Path) -> None:
        """Ends the engines that work in it, and removes it."""
        for database in (folder / "postgres", *folder.glob("*/postgres")):
            end_left_over("postgres", database.resolve(), signal.SIGQUIT)
        for broker in (*folder.glob("nats-*"), *folder.glob("*/nats")):
            end_left_over("nats-server", broker.resolve(), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """A database of a test's own: how its service, its owner and an administrator reach it."""

    __test__ = False  # not a test class, whatever its name

    name: str
    service: str
    url: str
    owner_url: str
    admin_url: str


class Databases:
    """The session's PostgreSQL, as one worker sees it."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.folder = folder
        self.server = Postgres(
            folder / "postgres",
            folder / "run",
            PASSWORD,
            folder / "logs" / "postgres.log",
            durable=False,
            max_connections=_MAX_CONNECTIONS,
        )
        self._worker = worker
        self._migrating = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Starts the server, unless another worker did."""
        with self._alone("postgres"):
            started = self.folder / "postgres.started"
            if not started.exists():
                await self.server.start()
                _left_running.append(self.server)
                started.touch()

    async def clone(self, service: str) -> TestDatabase:
        """A fresh database of a service, migrated."""
        await self._template(service)
        name = f"t_{self._worker}_{next(self._numbers)}_{service}"
        owner, role = owner_role(service), service_role(service)
        await self._as_admin(
            f'CREATE DATABASE "{name}" OWNER {owner} TEMPLATE "{database_of(service)}"',
            f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; GRANT CONNECT ON DATABASE "{name}" TO {role}',
        )
        return TestDatabase(
            name=name,
            service=service,
            url=self.server.url(name, role),
            owner_url=self.server.url(name, owner),
            admin_url=self.server.url(name),
        )

    async def drop(self, database: TestDatabase) -> None:
        """Ends the sessions on a database and removes it."""
        await self._as_admin(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')

    async def _template(self, service: str) -> None:
        """Provisions and migrates the service's own database, once in a session; nobody connects to it."""
        done = self.folder / f"{service}.template"
        if done.exists():
            return
        # Alembic works one service at a time in a process; files keep the other workers out.
        async with self._migrating:
            if done.exists():
                return
            with self._alone(service):
                await self._make_template(service, done)

    async def _make_template(self, service: str, done: Path) -> None:
        if not done.exists():
            await provision(self.server.url(), service, owner_password=PASSWORD, service_password=PASSWORD)
            if service in SERVICES:
                url = self.server.url(database_of(service), owner_role(service))
                await asyncio.to_thread(migrations.upgrade, service, url)
            done.touch()

    async def _as_admin(self, *statements: str) -> None:
        admin = await asyncpg.connect(self.server.url())
        try:
            for statement in statements:
                await admin.execute(statement)
        finally:
            await admin.close()

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        with (self.folder / f"{what}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def broker(folder: Path, name: str) -> Nats:
    """A nats-server of a test's own, with a user for each service; to be started."""
    return Nats(
        folder=folder / f"nats-{name}",
        log=folder / "logs" / f"nats-{name}.log",
        users=[
            *(service_user(name, PASSWORD, part.admits) for name, part in SERVICES.items()),
            service_user(BLANK, PASSWORD),
            sender_user("erp", PASSWORD, "*", ["sfa.erp.v1.*"]),
            *(reader_user(reader, PASSWORD) for reader in ("gateway", "watcher")),
        ],
        durable=False,
    )
