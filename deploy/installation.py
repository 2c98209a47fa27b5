"""One installation on one machine: its engines, secrets and addresses, made of its settings."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import IO, Any, Final

import psutil
from pydantic import SecretStr
from sqlalchemy import make_url

from chassis.settings import ServiceSettings
from deploy.engines.nats import Nats, reader_user, sender_user, service_user
from deploy.engines.postgres import Postgres
from deploy.provisioning import database_of, owner_role, service_role
from deploy.secrets import Secrets
from deploy.settings import Settings
from deploy.topology import (
    CONNECTIONS,
    GATEWAY,
    MAX_CONNECTIONS,
    SERVICES,
    address,
    addresses,
    metrics_port,
)
from deploy.troubles import DataFolderInUse, DiskFull, FolderNotWritable, SecretsMissing
from gateway.settings import GatewaySettings

READERS: Final = ("gateway", "watcher")
_PATIENCE: Final = 20.0


class Installation:
    """What the settings mean: where everything is, and who signs in with what."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def secrets(self) -> Secrets:
        """Passwords and keys."""
        return Secrets(self.settings.folder / "secrets.json")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps others from starting on the same data folder, which is made where there is none.

        Raises:
            DataFolderInUse, FolderNotWritable, DiskFull, SecretsMissing: it cannot be used.
        """
        folder = self.settings.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("a+")
            self._make_run_folder()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull(folder) from error
            raise FolderNotWritable(folder, error.strerror or str(error)) from error
        with lock:
            if not _lock(lock):
                lock.seek(0)
                raise DataFolderInUse(folder, lock.read().strip())
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            if shutil.disk_usage(folder).free < self.settings.min_free_megabytes * 1_000_000:
                raise DiskFull(folder)
            if (folder / "postgres" / "PG_VERSION").exists() and not self.secrets.exists:
                raise SecretsMissing(self.secrets.file)
            self._make_secrets()
            yield

    def _make_secrets(self) -> None:
        """Makes all that are missing, while nobody else can: processes that follow only read them."""
        for name in SERVICES:
            self.service_settings(name)
            self.owner_password(name)
        for name in (*READERS, *self.settings.senders):
            self.nats_credentials(name)
        assert self.bootstrap_secret
        assert self.demo_password

    def _make_run_folder(self) -> None:
        run = self.settings.run
        # Root's database server is another user, who has to get through to its socket.
        run.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        if run.stat().st_uid != os.geteuid():
            raise FolderNotWritable(run, "it belongs to somebody else")

    @property
    def is_held(self) -> bool:
        """Whether the system is running on the data folder."""
        try:
            with (self.settings.folder / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    @cached_property
    def postgres(self) -> Postgres | None:
        """Our own PostgreSQL; None where a setting names another."""
        settings = self.settings
        if settings.postgres_url is not None:
            return None
        return Postgres(
            folder=settings.folder / "postgres",
            run=settings.run / "postgres",
            password=self.secrets.password("postgres"),
            log=settings.logs / "postgres.log",
            port=settings.database_port,
            max_connections=MAX_CONNECTIONS,
        )

    @cached_property
    def nats(self) -> Nats | None:
        """Our own nats-server; None where a setting names another."""
        settings = self.settings
        if settings.nats_url is not None:
            return None
        return Nats(
            folder=settings.folder / "nats",
            log=settings.logs / "nats.log",
            users=[
                *(
                    service_user(name, self.secrets.password(f"nats/{name}"), part.admits)
                    for name, part in SERVICES.items()
                ),
                *(reader_user(name, self.secrets.password(f"nats/{name}")) for name in READERS),
                *(
                    sender_user(name, self.secrets.password(f"nats/{name}"), str(each.tenant), each.types)
                    for name, each in settings.senders.items()
                    if name not in (*SERVICES, *READERS)
                ),
            ],
            port=settings.broker_port,
        )

    @property
    def admin_url(self) -> str:
        """Where an administrator reaches PostgreSQL."""
        if self.settings.postgres_url is not None:
            return self.settings.postgres_url.get_secret_value()
        assert self.postgres is not None
        return self.postgres.url()

    def database_url(self, service: str, *, owner: bool = False) -> str:
        """Where a service, or the owner of its tables, reaches its database."""
        url = make_url(self.admin_url).set(
            username=owner_role(service) if owner else service_role(service),
            password=self.owner_password(service) if owner else self.service_password(service),
            database=database_of(service),
        )
        return url.render_as_string(hide_password=False)

    def owner_password(self, service: str) -> str:
        return self.secrets.password(f"postgres/{service}/owner")

    def service_password(self, service: str) -> str:
        return self.secrets.password(f"postgres/{service}")

    def nats_credentials(self, user: str) -> tuple[str, str, str]:
        """URL, user and password. A broker of somebody else's says all in its URL."""
        if self.nats is None:
            return self.settings.nats_url or "", "", ""
        return self.nats.url(), user, self.secrets.password(f"nats/{user}")

    def service_settings(self, service: str) -> ServiceSettings:
        """What a service is told of its surroundings. `SFA_…` variables of its own come first."""
        settings = self.settings
        url, user, password = self.nats_credentials(service)
        told: dict[str, Any] = {
            "service": service,
            "database_url": self.database_url(service),
            "database_connections": CONNECTIONS,
            "nats_url": url,
            "nats_user": user,
            "nats_password": password,
            "nats_replicas": settings.nats_replicas,
            "listen": address(service, settings),
            "peers": addresses(SERVICES[service], settings),
            "secret": self.secrets.password(f"service/{service}"),
            "default_region": settings.default_region,
            "otlp_endpoint": settings.otlp_endpoint,
            "log_level": settings.log_level,
            "metrics_port": metrics_port(service, settings),
        }
        if service == "identity":
            told |= {
                "key_ring": self.secrets.key("key ring"),
                "bootstrap_secret": self.bootstrap_secret,
                "service_secrets": {name: self.secrets.password(f"service/{name}") for name in SERVICES},
            }
        known = {name: value for name, value in told.items() if f"SFA_{name.upper()}" not in os.environ}
        return ServiceSettings(**known)

    @property
    def bootstrap_secret(self) -> SecretStr:
        """Who knows it may make tenants."""
        return SecretStr(self.secrets.password("bootstrap"))

    @property
    def demo_password(self) -> str:
        """Everybody's password in the demo company."""
        return self.secrets.word("demo")

    def gateway_settings(self) -> GatewaySettings:
        """What the gateway is told of its surroundings."""
        settings = self.settings
        return GatewaySettings(
            host=settings.host,
            port=settings.port,
            peers=addresses(GATEWAY, settings),
            log_level=settings.log_level,
            otlp_endpoint=settings.otlp_endpoint,
        )

    @property
    def url(self) -> str:
        """Where the gateway is."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{self.settings.port}"


def _lock(file: IO[str]) -> bool:
    """Takes the lock; waits for processes whose starter was killed, as they end by themselves soon."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip()
            if time.monotonic() > until or (owner.isdigit() and psutil.pid_exists(int(owner))):
                return False
            time.sleep(0.1)
        else:
            return True
