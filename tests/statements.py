"""What is asked of a database, as the services' transactions ask it."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.database import Transaction, _bind

Statement = tuple[str, list[Any]]
_QUESTIONS = ("fetch", "fetchrow", "read")


def noted(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """Every statement that is read from, in order, as SQL with its arguments."""
    seen: list[Statement] = []

    def noting(ask: Any) -> Any:
        async def note(self: Transaction, statement: Any, params: Any = None) -> Any:
            seen.append(_bind(statement, params))
            return await ask(self, statement, params)

        return note

    for name in _QUESTIONS:
        monkeypatch.setattr(Transaction, name, noting(getattr(Transaction, name)))
    return seen
