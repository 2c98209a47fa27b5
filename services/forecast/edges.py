"""Up to where an answer is final: as of which instant it is, and whether that is heard completely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.convert import datetime_of, set_timestamp
from chassis.errors import FailedPrecondition
from services.forecast.dimensions import Hierarchy
from services.forecast.watermarks import Watermarks


class ForecastNotFinal(FailedPrecondition):
    """What was asked for may still change."""

    def __init__(self) -> None:
        super().__init__(
            "The answer may still change: ask as of an instant that all sources have been heard up to,"
            " and not for the current organisation.",
            field="require_final",
        )


class Asked(Protocol):
    """What every request about an instant says."""

    @property
    def hierarchy(self) -> int: ...
    @property
    def as_of(self) -> Timestamp: ...
    @property
    def effective_as_of(self) -> Timestamp: ...
    @property
    def require_final(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Edge:
    """As of when an answer is, and whether it may still change."""

    as_of: datetime
    effective_as_of: datetime | None
    is_open: bool
    watermarks: Sequence[pb.SourceWatermark]

    @classmethod
    async def of(cls, call: Call, watermarks: Watermarks, asked: Asked) -> Edge:
        """Of a request; read before the figures, which may know more and never less.

        Raises:
            ForecastNotFinal: it may still change, and the caller wants none that may.
        """
        heard = await watermarks.of(call)
        as_of = _time(asked.as_of) or call.now
        is_heard = all(
            each.HasField("recorded_time") and datetime_of(each.recorded_time) >= as_of for each in heard
        )
        is_open = not is_heard or asked.hierarchy == Hierarchy.CURRENT
        if is_open and asked.require_final:
            raise ForecastNotFinal
        return cls(as_of, _time(asked.effective_as_of), is_open, heard)

    def mark(self, answer: Any) -> None:
        """Says so in an answer."""
        set_timestamp(answer.as_of, self.as_of)
        if self.effective_as_of is not None:
            set_timestamp(answer.effective_as_of, self.effective_as_of)
        answer.is_open = self.is_open
        answer.watermarks.extend(self.watermarks)


def _time(timestamp: Timestamp) -> datetime | None:
    return datetime_of(timestamp) if timestamp.seconds or timestamp.nanos else None
