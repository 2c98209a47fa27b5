"""Settings of the gateway, read once at the edge from `SFA_GATEWAY_…` variables, frozen, each with a
default that works on one machine."""

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """What one gateway process has to know."""

    model_config = SettingsConfigDict(
        env_prefix="SFA_GATEWAY_", frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = "127.0.0.1"
    """The address to listen on: loopback unless told otherwise."""
    port: int = Field(8080, ge=0, le=65535)
    """0 takes a free one."""
    peers: dict[str, str] = Field(
        {}, validation_alias=AliasChoices("peers", "SFA_GATEWAY_PEERS", "SFA_PEERS")
    )
    """Where the services are, by name, as gRPC addresses (`127.0.0.1:7001`, `unix:/run/sfa/leads`)."""

    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    """A larger request body is refused with 413."""
    body_seconds: float = Field(20, gt=0)
    """How long a client may take to send a body, before 408."""
    call_seconds: float = Field(30, gt=0, le=300)
    """The deadline of a call to a service, before 504."""
    heartbeat_seconds: float = Field(15, gt=0)
    """How often an open event stream says that it is alive."""
    drain_seconds: float = Field(10, ge=0)
    """How long requests in flight may take when the gateway stops."""
    gzip_minimum_bytes: int = Field(2048, ge=0)
    """Answers below are sent as they are."""

    rate_per_second: float = Field(1000, gt=0)
    """Requests that one caller may make per second, on this replica, in the long run."""
    rate_burst: int = Field(2000, ge=1)
    """Requests that one caller may make at once, on this replica."""
    anonymous_rate_per_second: float = Field(20, gt=0)
    """The same for one network address that has not signed in (sign-ins above all)."""
    anonymous_rate_burst: int = Field(200, ge=1)

    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call; `*` for all. None by default."""
    trusted_proxies: str = ""
    """Whose `X-Forwarded-For` is believed: addresses and networks, separated by commas. Nobody's by
    default: who can set it can pass for any address, and sign-ins are counted by address."""
    documentation: bool = True
    """Whether `/docs` and `/openapi.json` are served."""
    public_url: str = ""
    """The address that clients use, for the OpenAPI document; empty for wherever it was read."""
    otlp_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("otlp_endpoint", "SFA_GATEWAY_OTLP_ENDPOINT", "SFA_OTLP_ENDPOINT")
    )
    log_level: str = Field(
        "INFO", validation_alias=AliasChoices("log_level", "SFA_GATEWAY_LOG_LEVEL", "SFA_LOG_LEVEL")
    )
