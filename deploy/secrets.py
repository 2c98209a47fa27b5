"""Passwords and keys of one installation: made once, kept in the data folder, readable by its owner only."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path


class Secrets:
    """A small file of names and secrets. A secret that is asked for the first time is made."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}

    @property
    def exists(self) -> bool:
        """Whether there was a file when it was last looked at."""
        return bool(self._known)

    def password(self, name: str) -> str:
        """Letters and digits, 160 bits: nothing in it has to be quoted in a URL."""
        return self._get(name, lambda: secrets.token_hex(20))

    def key(self, name: str) -> str:
        """32 random bytes in base64."""
        return self._get(name, lambda: base64.b64encode(secrets.token_bytes(32)).decode())

    def word(self, name: str) -> str:
        """A password for people: four groups that can be typed."""
        alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
        return self._get(
            name, lambda: "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(4))
        )

    def _get(self, name: str, make: Callable[[], str]) -> str:
        if name not in self._known:
            self._known[name] = make()
            self._write()
        return self._known[name]

    def _write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._known, file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.file)
