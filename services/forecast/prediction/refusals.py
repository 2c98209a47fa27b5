"""When nothing is predicted: too little has happened yet to learn from."""

from __future__ import annotations

from chassis.errors import FailedPrecondition


class HistoryTooShort(FailedPrecondition):
    """Too little has been won and lost by then to predict anything."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"The history is too short for a prediction: {detail}")
