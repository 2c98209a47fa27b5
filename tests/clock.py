"""A clock that runs like the machine's, and that a test can move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class MovableClock:
    """What a test gives to services as the time."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def move(self, by: timedelta) -> None:
        """Lets time pass."""
        self._ahead += by

    def reset(self) -> None:
        """Makes it the machine's time again."""
        self._ahead = timedelta()

    def move_to(self, at: datetime) -> None:
        """Makes it that instant."""
        self._ahead = at - datetime.now(UTC)
