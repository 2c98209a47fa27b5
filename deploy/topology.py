"""The whole system on one page: which engines, which services, who needs whom, and where each one is.

`sfa up` and the journey tests start what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploy.settings import Settings


@dataclass(frozen=True, slots=True)
class Part:
    """A service, whom it asks over gRPC, and whose events it takes in.

    Who takes in another's events asks it for its history too, when a projection is new. Nobody needs
    another to start. Everybody asks identity for keys and hears of its reporting lines.
    """

    name: str
    asks: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    admits: tuple[str, ...] = ()
    """Whose events from outside it takes in: it keeps their stream."""

    @property
    def peers(self) -> tuple[str, ...]:
        """Whom it has to be able to reach."""
        return tuple(dict.fromkeys(("identity", *self.asks, *self.hears)))


SERVICES: Final = {
    part.name: part
    for part in (
        Part("identity", asks=("contacts", "leads", "opportunities", "quotes"), hears=()),
        Part("contacts", asks=(), hears=("identity", "leads", "opportunities", "quotes")),
        Part("leads", asks=("contacts", "opportunities"), hears=("identity",)),
        Part(
            "opportunities",
            asks=("contacts", "quotes"),
            hears=("identity", "contacts", "opportunities", "quotes"),
        ),
        Part(
            "quotes",
            asks=("contacts", "opportunities"),
            hears=("identity", "contacts", "opportunities"),
            admits=("erp",),
        ),
        Part(
            "forecast",
            asks=("opportunities",),
            hears=("contacts", "identity", "leads", "opportunities", "quotes"),
        ),
    )
}
GATEWAY: Final = Part("gateway", asks=tuple(SERVICES), hears=("identity",))

LOOPBACK: Final = "127.0.0.1"

# One machine: what the services open together stays below what PostgreSQL allows (there is a test).
CONNECTIONS: Final = 5  # of each service's pool
OWN_CONNECTIONS: Final = 2  # of each service beside its pool: the relay, and a migration
MAX_CONNECTIONS: Final = 60


def address(service: str, settings: Settings) -> str:
    """Where a service serves gRPC."""
    if settings.first_grpc_port is None:
        return f"unix:{settings.run / 'grpc' / service}.sock"
    return f"{LOOPBACK}:{settings.first_grpc_port + list(SERVICES).index(service)}"


def addresses(part: Part, settings: Settings) -> dict[str, str]:
    """Where a part finds whom it needs."""
    return {peer: address(peer, settings) for peer in part.peers if peer != part.name}


def metrics_port(service: str, settings: Settings) -> int:
    """Where a service's metrics are; 0 for nowhere. The gateway serves its own."""
    return settings.first_metrics_port + list(SERVICES).index(service) if settings.first_metrics_port else 0


def ports(settings: Settings) -> list[tuple[str, str, int, str]]:
    """What listens on TCP besides the engines: who, on which host and port, by which setting."""
    found = [("the gateway", settings.host, settings.port, "SFA_PORT")]
    for number, name in enumerate(SERVICES):
        if settings.first_grpc_port is not None:
            found.append((name, LOOPBACK, settings.first_grpc_port + number, "SFA_FIRST_GRPC_PORT"))
        if settings.first_metrics_port is not None:
            found.append(
                (
                    f"the metrics of {name}",
                    LOOPBACK,
                    settings.first_metrics_port + number,
                    "SFA_FIRST_METRICS_PORT",
                )
            )
    return found
