"""Passwords: hashed by Argon2 in threads, a few at a time, since each takes a tenth of a second of a
core and 64 megabytes. Whoever asks when too many wait is sent away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.errors import ResourceExhausted

T = TypeVar("T")
_AT_ONCE: Final = max(1, min(4, (os.cpu_count() or 2) // 2))
_WAITING: Final = 40


class TooManySignIns(ResourceExhausted):
    """More people sign in than this process can check."""

    def __init__(self) -> None:
        super().__init__(
            "Too many people are signing in at this moment; try again in a few seconds.", retry_after="5"
        )


class Passwords:
    """Hashes and checks passwords. A user who does not exist takes as long as one who does."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to be kept: salted, with its parameters.

        Raises:
            TooManySignIns: too many wait already.
        """
        return await self._in_turn(self._hasher.hash, password)

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed; False, as slowly, where none was.

        Raises:
            TooManySignIns: too many wait already.
        """
        if known is not None:
            return await self._in_turn(self._check, known, password)
        self._nobody = self._nobody or await self.hash(os.urandom(16).hex())
        await self._in_turn(self._check, self._nobody, password)
        return False

    def is_outdated(self, known: str) -> bool:
        """Whether the hash was made with weaker parameters than are used now."""
        return self._hasher.check_needs_rehash(known)

    def _check(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_turn(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= _WAITING:
            raise TooManySignIns
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1
