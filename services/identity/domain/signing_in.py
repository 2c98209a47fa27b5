"""Signing in: sessions, refresh tokens that are good for one use, and how guessing is held back."""

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)

ACCESS_LIFETIME: Final = timedelta(minutes=5)
REFRESH_LIFETIME: Final = timedelta(days=30)
_DIFFERENT_CHARACTERS: Final = 5


class SignInRefused(Unauthenticated):
    """The proof does not hold. Which part of it does not is nobody's business."""

    def __init__(self) -> None:
        super().__init__("The sign-in was refused: the credentials are not right.")


class RefreshTokenRefused(Unauthenticated):
    """The refresh token is unknown, used, expired or revoked."""

    def __init__(self) -> None:
        super().__init__("The refresh token is no longer good; sign in again.")


class TenantAmbiguous(FailedPrecondition):
    """The same address and password sign in to several tenants."""

    def __init__(self, tenants: list[UUID]) -> None:
        super().__init__(
            "These credentials are good for several tenants; say which one.",
            tenants=" ".join(map(str, tenants)),
        )


class TooManyAttempts(ResourceExhausted):
    """Somebody is guessing, or forgetful."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"There were too many failed attempts; try again in {seconds} seconds.", retry_after=str(seconds)
        )


class SessionNotYours(NotFound):
    """The session is somebody else's; whether there is one is not said."""

    def __init__(self) -> None:
        super().__init__("There is no such session.", field="id")


class NoSession(PermissionDenied):
    """The caller is a service; services have no sessions."""

    def __init__(self) -> None:
        super().__init__("You are not signed in as a person.")


class PasswordWrong(PermissionDenied):
    """Whoever sets their own password knows the present one."""

    def __init__(self) -> None:
        super().__init__("This is not your present password.", field="current_password")


class PasswordTooSimple(InvalidArgument):
    """Everybody would guess it."""

    def __init__(self, field: str) -> None:
        super().__init__(
            "Choose a password with at least five different characters that is not your address.",
            field=field,
        )


def check_password(password: str, email: str, field: str = "new_password") -> None:
    """Raises PasswordTooSimple where everybody would guess it. Its length is the contract's matter."""
    if len(set(password)) < _DIFFERENT_CHARACTERS or password.lower() == email.lower():
        raise PasswordTooSimple(field)


# Guessing


@dataclass(frozen=True, slots=True)
class Patience:
    """How many attempts are free, and how long the wait becomes."""

    free: int
    longest: timedelta


ACCOUNT_PATIENCE: Final = Patience(free=5, longest=timedelta(minutes=15))
ADDRESS_PATIENCE: Final = Patience(free=30, longest=timedelta(minutes=15))
_FORGOTTEN_AFTER: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts in a row that were not followed by a success, of one account or one address.

    An attempt counts when it begins, so that a thousand at the same moment count as a thousand; a
    success takes it back.
    """

    failures: int = 0
    last_at: datetime | None = None
    locked_until: datetime | None = None

    def begin(self, at: datetime, patience: Patience) -> "Attempts":
        """Counts one more attempt; from the last free one on, the wait doubles with each.

        Raises:
            TooManyAttempts: it is too early for another one.
        """
        if self.locked_until is not None and at < self.locked_until:
            raise TooManyAttempts(max(1, round((self.locked_until - at).total_seconds())))
        forgotten = self.last_at is not None and at - self.last_at > _FORGOTTEN_AFTER
        failures = 1 if forgotten else self.failures + 1
        over = failures - patience.free
        wait = timedelta(0) if over < 0 else min(timedelta(seconds=2 ** min(over, 20)), patience.longest)
        return Attempts(failures, at, at + wait if wait else None)

    def take_back(self) -> "Attempts":
        """Without the last attempt, which was a success."""
        return replace(self, failures=max(0, self.failures - 1), locked_until=None)


# Sessions


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A user signed in."""


@dataclass(frozen=True, slots=True)
class SessionRevoked(Event):
    """A session was ended."""


@dataclass(slots=True, kw_only=True)
class Session(Entity):
    """Everything from a sign-in to the sign-out."""

    user_id: UUID
    method: str
    client_address: str = ""
    user_agent: str = ""
    revoked_at: datetime | None = None
    revoke_reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its tokens are believed."""
        return self.revoked_at is None

    def revoke(self, reason: str, at: datetime) -> SessionRevoked:
        """Is ended; ending it again changes nothing."""
        if self.revoked_at is None:
            self.revoked_at, self.revoke_reason = at, reason
        return SessionRevoked()


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One refresh token of a session; only the digest of its secret is kept."""

    id: UUID
    session_id: UUID
    digest: bytes
    expires_at: datetime
    used_at: datetime | None = None

    def answers_to(self, secret: bytes) -> bool:
        """Whether this is the token with that secret."""
        return hmac.compare_digest(self.digest, digest_of(secret))

    def is_good(self, at: datetime) -> bool:
        """Whether it can be used."""
        return self.used_at is None and at < self.expires_at

    @property
    def was_stolen(self) -> bool:
        """Whether its use now means that two hold it: it was used before."""
        return self.used_at is not None


def digest_of(secret: bytes) -> bytes:
    """What is kept of a random secret; it needs no salt, nobody can guess 256 bits."""
    return hashlib.sha256(secret).digest()
