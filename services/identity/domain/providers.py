"""External OpenID providers: each is bound to one tenant, and believed in that tenant only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument


class ProviderIncomplete(InvalidArgument):
    """A provider cannot work as it is described."""


class IssuerTaken(AlreadyExists):
    """The issuer is bound to a tenant already: this one or another."""

    def __init__(self) -> None:
        super().__init__("This issuer is bound already; each issuer belongs to one tenant.",
                         field="identity_provider.issuer")  # fmt: skip


class IssuerFixed(FailedPrecondition):
    """Another issuer is another provider."""

    def __init__(self) -> None:
        super().__init__(
            "The issuer cannot be changed: bind another provider.", field="identity_provider.issuer"
        )


@dataclass(frozen=True, slots=True)
class IdentityProviderCreated(Event):
    """A provider was bound to the tenant."""


@dataclass(frozen=True, slots=True)
class IdentityProviderUpdated(Event):
    """A provider was changed."""


@dataclass(frozen=True, slots=True)
class IdentityProviderDeleted(Event):
    """A provider was removed."""


@dataclass(slots=True, kw_only=True)
class IdentityProvider(Entity):
    """Somebody else who knows the tenant's users."""

    name: str = ""
    issuer: str = ""
    audience: str = ""
    jwks_uri: str = ""
    external_id_system: str = ""

    def create(self, *, plain_http: bool = False) -> IdentityProviderCreated:
        """Checks that it can work; `plain_http` lets its keys be read without TLS.

        Raises:
            ProviderIncomplete: it cannot.
        """
        self._check(plain_http)
        return IdentityProviderCreated()

    def change(self, fields: Mapping[str, Any], *, plain_http: bool = False) -> IdentityProviderUpdated:
        """Takes new values on, by the names of the fields.

        Raises:
            ProviderIncomplete: it could not work that way.
            IssuerFixed: another issuer was given.
        """
        if fields.get("issuer", self.issuer) != self.issuer:
            raise IssuerFixed
        for name, value in fields.items():
            setattr(self, name, value)
        self._check(plain_http)
        return IdentityProviderUpdated()

    def delete(self, at: datetime) -> IdentityProviderDeleted:
        """Is no longer believed."""
        self.mark_deleted(at)
        return IdentityProviderDeleted()

    def _check(self, plain_http: bool) -> None:
        for name in ("name", "issuer", "audience", "jwks_uri"):
            if not getattr(self, name):
                raise ProviderIncomplete(
                    f"An identity provider needs its {name}.", field=f"identity_provider.{name}"
                )
        if not self.jwks_uri.startswith("https://") and not (
            plain_http and self.jwks_uri.startswith("http://")
        ):
            raise ProviderIncomplete("The keys must be read by HTTPS.", field="identity_provider.jwks_uri")
