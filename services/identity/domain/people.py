"""Users: what their roles allow, and how they come, change and go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.identity.domain.tenants import check_time_zone


class Role(Enum):
    """What a user may do, and whose records a user sees."""

    REP = "REP"
    MANAGER = "MANAGER"
    OPERATIONS = "OPERATIONS"
    ADMINISTRATOR = "ADMINISTRATOR"
    INTEGRATION = "INTEGRATION"


_EVERYBODY: Final = frozenset(
    f"{service}.{verb}"
    for service in ("contacts", "leads", "opportunities", "quotes", "forecast")
    for verb in ("read", "write")
) | {"identity.read", "operations.read", "events.read"}
_SETTING_UP: Final = frozenset(
    {
        "pipelines.write",
        "products.write",
        "documents.write",
        "costs.write",
        "promotions.read",
        "promotions.write",
        "approvals.write",
        "quotas.write",
        "competitors.write",
        "identity.write",
    }
)
_COSTS: Final = frozenset({"costs.read"})

PERMISSIONS: Final[Mapping[Role, frozenset[str]]] = {
    Role.REP: _EVERYBODY,
    Role.MANAGER: _EVERYBODY | _COSTS | {"competitors.write"},
    Role.OPERATIONS: _EVERYBODY | _COSTS | _SETTING_UP | {"forecast.audit", "history.write"},
    Role.ADMINISTRATOR: _EVERYBODY
    | _COSTS
    | _SETTING_UP
    | {"forecast.audit", "history.write", "identity.admin"},
    Role.INTEGRATION: _EVERYBODY
    | _COSTS
    | {"products.write", "costs.write", "quotas.write", "competitors.write", "history.write"},
}
"""What each role allows. A user with several roles may do what any of them allows."""

SERVICE_PERMISSIONS: Final = _EVERYBODY | {"history.write"}
"""What a service may do that acts on an event or goes on with what a user began."""
IDENTITY_PERMISSIONS: Final = SERVICE_PERMISSIONS | {"identity.admin"}
"""Identity also moves records from a user who leaves."""


def permissions_of(roles: Iterable[Role]) -> frozenset[str]:
    """What somebody with these roles may do."""
    return frozenset().union(*(PERMISSIONS[role] for role in roles))


def sight_of(roles: Iterable[Role]) -> str:
    """Whose records somebody with these roles sees, the widest of them: `own`, `subtree` or `all`."""
    roles = set(roles)
    if roles - {Role.REP, Role.MANAGER}:
        return "all"
    return "subtree" if Role.MANAGER in roles else "own"


class DisplayNameMissing(InvalidArgument):
    """A user without a name."""

    def __init__(self) -> None:
        super().__init__("A user needs a name.", field="user.display_name")


class EmailTaken(AlreadyExists):
    """Another user of the tenant has this address."""

    def __init__(self) -> None:
        super().__init__("Another user has this e-mail address already.", field="user.email")


class UserInactive(FailedPrecondition):
    """The user was deactivated."""

    def __init__(self, field: str | None = None) -> None:
        super().__init__("The user is not active.", field=field)


class UserActive(FailedPrecondition):
    """The user was to be made active, and is."""

    def __init__(self) -> None:
        super().__init__("The user is active.")


class LastAdministrator(FailedPrecondition):
    """Nobody would be left who can administer the tenant."""

    def __init__(self) -> None:
        super().__init__("This is the tenant's last active administrator: make somebody else one first.")


class AdministratorsOnly(PermissionDenied):
    """Only administrators make administrators, or change them."""

    def __init__(self) -> None:
        super().__init__(
            "Only an administrator may make somebody an administrator, or change one.", field="user.roles"
        )


class UserUnknown(NotFound):
    """A user is named who is not there."""

    def __init__(self, field: str) -> None:
        super().__init__("There is no such user.", field=field)


@dataclass(frozen=True, slots=True)
class UserCreated(Event):
    """A user was made."""


@dataclass(frozen=True, slots=True)
class UserUpdated(Event):
    """A user was changed."""


@dataclass(frozen=True, slots=True)
class UserDeactivated(Event):
    """A user may no longer sign in."""


@dataclass(frozen=True, slots=True)
class UserReactivated(Event):
    """An inactive user may sign in again."""


@dataclass(frozen=True, slots=True)
class PasswordSet(Event):
    """A user's password was set."""


@dataclass(slots=True, kw_only=True)
class User(Entity):
    """A person, or another system, that uses the system."""

    email: str = ""
    display_name: str = ""
    roles: tuple[Role, ...] = (Role.REP,)
    active: bool = True
    time_zone: str = ""
    language: str = ""
    password_set_at: datetime | None = None

    @property
    def is_administrator(self) -> bool:
        """Whether the user administers the tenant."""
        return Role.ADMINISTRATOR in self.roles

    def create(self, *, by_administrator: bool) -> UserCreated:
        """Checks that this can be a user.

        Raises:
            DisplayNameMissing, TimeZoneUnknown: it cannot.
            AdministratorsOnly: the caller is none.
        """
        self.roles = self.roles or (Role.REP,)
        self._check()
        if self.is_administrator and not by_administrator:
            raise AdministratorsOnly
        return UserCreated()

    def change(
        self, fields: Mapping[str, Any], *, by_administrator: bool, other_administrators: bool
    ) -> UserUpdated:
        """Takes new values on, by the names of the fields.

        An administrator is changed by administrators only: whoever could set the address of one could
        sign in as one.

        Raises:
            DisplayNameMissing, TimeZoneUnknown: the values do not make a user.
            AdministratorsOnly: the caller is none.
            LastAdministrator: nobody would be left.
        """
        was_administrator = self.is_administrator
        changed = any(getattr(self, name) != value for name, value in fields.items())
        for name, value in fields.items():
            setattr(self, name, value)
        self.roles = self.roles or (Role.REP,)
        self._check()
        if changed and (was_administrator or self.is_administrator) and not by_administrator:
            raise AdministratorsOnly
        if was_administrator and not self.is_administrator and not other_administrators:
            raise LastAdministrator
        return UserUpdated()

    def deactivate(self, *, other_administrators: bool) -> UserDeactivated:
        """May no longer sign in.

        Raises:
            UserInactive: it is so already.
            LastAdministrator: nobody would be left.
        """
        if not self.active:
            raise UserInactive
        if self.is_administrator and not other_administrators:
            raise LastAdministrator
        self.active = False
        return UserDeactivated()

    def reactivate(self) -> UserReactivated:
        """May sign in again.

        Raises:
            UserActive: nothing is to be done.
        """
        if self.active:
            raise UserActive
        self.active = True
        return UserReactivated()

    def set_password(self, at: datetime) -> PasswordSet:
        """Has a new password; it is kept elsewhere."""
        self.password_set_at = at
        return PasswordSet()

    def _check(self) -> None:
        if not self.display_name:
            raise DisplayNameMissing
        check_time_zone(self.time_zone, "user.time_zone")
