"""Settings of a service, read once at the edge from `SFA_…` variables, frozen, each with a default that
works on one machine."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What one service process has to know of its surroundings."""

    model_config = SettingsConfigDict(env_prefix="SFA_", frozen=True, extra="ignore")

    service: str
    """Its name: `leads`."""
    database_url: SecretStr
    """`postgresql://` URL of its database, as its own role."""
    database_connections: int = Field(5, ge=2, le=100)
    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str = ""
    nats_password: SecretStr = SecretStr("")
    nats_replicas: int = Field(1, ge=1, le=5)
    """Copies of each stream: 3 on a cluster."""
    listen: str = "127.0.0.1:0"
    """Where gRPC is served: `host:port` or `unix:/path`."""
    peers: dict[str, str] = {}
    """Where the other services are, by name, as gRPC addresses."""
    secret: SecretStr = SecretStr("")
    """What this service proves itself to identity with."""
    key_ring: SecretStr = SecretStr("")
    """The master keys of the key ring, each base64 of 32 bytes, separated by commas: the last one
    encrypts, the others still decrypt. Identity needs one."""
    bootstrap_secret: SecretStr = SecretStr("")
    """For identity: who knows it may make tenants. Empty: nobody may."""
    service_secrets: dict[str, SecretStr] = {}
    """For identity: the `secret` of each service, by name."""
    plain_http: bool = False
    """Whether what is outside (an identity provider's keys) may be read without TLS: for tests."""
    default_region: str = "US"
    """The region that a phone number without a country code is taken to be of."""
    otlp_endpoint: str | None = None
    log_level: str = "INFO"
    metrics_port: int = Field(0, ge=0, le=65535)
    """Where Prometheus finds metrics and the health pages; 0 for nowhere."""
