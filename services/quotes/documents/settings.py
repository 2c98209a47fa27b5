"""Settings of documents, links and e-mail, read once from `SFA_QUOTES_…` variables, frozen, each with a
default that works on one machine."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DocumentSettings(BaseSettings):
    """What making and giving out documents has to know."""

    model_config = SettingsConfigDict(env_prefix="SFA_QUOTES_", frozen=True, extra="ignore")

    public_url: str = "http://127.0.0.1:8080"
    """The address under which customers reach the gateway; links begin with it."""
    link_keys: SecretStr = SecretStr("")
    """The keys that links are signed with, separated by commas, at least 16 characters each: the last one
    signs, the others still hold. Empty: one that follows from the service's own secret."""
    documents_folder: Path | None = None
    """Where documents and logos are kept: a folder that every replica sees. None: in the database."""
    documents_at_once: int = Field(2, ge=1, le=64)
    """How many documents are set at the same time."""
    fonts_folder: str = ""
    """Further fonts, looked at before those that come along."""

    smtp_host: str = ""
    """The mail server; empty where there is none."""
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls` and `tls` send nothing where the server's certificate does not hold."""
    smtp_ca_file: str = ""
    """Whose certificates hold; the system's where it is empty."""
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    """The sender's address, such as `Sales <sales@example.com>`."""
    smtp_seconds: float = Field(20, gt=0, le=60)
    """How long the mail server may take for each step."""

    @property
    def can_send_email(self) -> bool:
        """Whether a mail server is set."""
        return bool(self.smtp_host and self.smtp_from)

    def signing_keys(self, service_secret: SecretStr) -> tuple[bytes, ...]:
        """The keys of links, the one that signs last; none where nothing is set."""
        if given := self.link_keys.get_secret_value():
            return tuple(key.strip().encode() for key in given.split(",") if len(key.strip()) >= 16)
        secret = service_secret.get_secret_value().encode()
        return (hmac.digest(secret, b"acceptance links", hashlib.sha256),) if secret else ()
