"""What can be set about an installation on one machine, read once from `SFA_…` variables.

Two checkouts run side by side with another `SFA_PORT`: the data folder lies in the checkout, and the
other ports follow the first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT: Final = Path(__file__).resolve().parent.parent
_LONGEST_SOCKET: Final = 60
"""What a folder of sockets may measure: a whole socket path has room for 104 to 108 bytes."""


class Processes(StrEnum):
    """How many processes the services share."""

    ONE = "one"
    EACH = "each"


class Sender(BaseModel):
    """A system outside, such as a tenant's ERP, that sends in events of its own types."""

    model_config = ConfigDict(frozen=True)

    tenant: UUID
    types: tuple[Annotated[str, Field(pattern=r"^sfa\.erp\.v1\.(\*|[A-Za-z]+)$")], ...] = ("sfa.erp.v1.*",)


class Settings(BaseSettings):
    """One installation."""

    model_config = SettingsConfigDict(
        env_prefix="SFA_", frozen=True, extra="ignore", ignored_types=(cached_property,)
    )

    data: Path = ROOT / ".data"
    """Where everything is kept: databases, streams, secrets, logs."""
    host: str = "127.0.0.1"
    """What the gateway listens on; the engines stay on loopback."""
    port: int = Field(8080, ge=1, le=65535)
    """The gateway's; NATS has the next one and PostgreSQL the one after it."""
    nats_port: int | None = Field(None, ge=1, le=65535)
    postgres_port: int | None = Field(None, ge=1, le=65535)
    first_grpc_port: int | None = Field(None, ge=1, le=65535)
    """The first service's on TCP, the others following; by default they use sockets in the data folder."""
    first_metrics_port: int | None = Field(None, ge=1, le=65535)
    """Where metrics and health pages begin; by default there are none."""
    processes: Processes = Processes.EACH
    postgres_url: SecretStr | None = None
    """An administrator's URL of a PostgreSQL 15 or later, instead of one of our own."""
    nats_url: str | None = None
    """A NATS with JetStream, instead of one of our own; with user and password."""
    nats_replicas: int = Field(1, ge=1, le=5)
    default_region: str = "US"
    otlp_endpoint: str | None = None
    log_level: str = "INFO"
    min_free_megabytes: int = Field(64, ge=0)
    """With less room on the disk than this it does not start."""
    senders: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9-]{2,40}$")], Sender] = Field(
        default_factory=dict
    )
    """Which systems outside may send events in, by the name that they sign in to the broker with."""
    demo: bool = True
    """Whether an empty database gets the demo company."""

    @property
    def broker_port(self) -> int:
        return self.nats_port or self.port + 1

    @property
    def database_port(self) -> int:
        return self.postgres_port or self.port + 2

    @cached_property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return self.data.expanduser().absolute()

    @cached_property
    def run(self) -> Path:
        """Where sockets lie: in the data folder, or, where its path is too long for a socket or where
        root keeps others out of it, in a folder of its own."""
        within = self.folder / "run"
        if len(os.fsencode(within)) <= _LONGEST_SOCKET and not (
            os.geteuid() == 0 and _is_closed(self.folder)
        ):
            return within
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"sfa-{os.geteuid()}-{name}"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"


def _is_closed(folder: Path) -> bool:
    """Whether a folder, or one above it, lets only its owner through."""
    return any(parent.exists() and not parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))
