"""How far the forecast has heard each of its sources: a position, and a heartbeat beside it, because
silence is not freshness."""

from collections.abc import Callable, Collection
from typing import Final

import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.convert import set_timestamp
from chassis.database import Prepared
from chassis.positions import Positions

_LAST: Final = Prepared(
    sa.text(
        "SELECT source, position, recorded_at FROM positions WHERE tenant_id = current_setting('app.tenant')::uuid"
    )
)


class Watermarks:
    """What can be said of each source, for the tenant of a call."""

    def __init__(self, sources: Collection[str], positions: Callable[[], Positions]) -> None:
        self.sources = sorted(sources)
        self._positions = positions

    async def of(self, call: Call) -> list[pb.SourceWatermark]:
        """One watermark for each source.

        Where its relay has said that there is nothing more, up to when that is so; else the last event.
        """
        last = {row["source"]: row for row in await call.tx.read(_LAST)}
        positions, result = self._positions(), []
        for source in self.sources:
            watermark = pb.SourceWatermark(source=source)
            applied, event = positions.applied(source, call.caller.tenant), last.get(source)
            if applied is not None and applied.time is not None:
                watermark.position = str(applied.position)
                set_timestamp(watermark.recorded_time, applied.time)
            elif event is not None:
                watermark.position = str(event["position"])
                set_timestamp(watermark.recorded_time, event["recorded_at"])
            silence = positions.silence(source)
            if silence != float("inf"):
                watermark.heartbeat_age.CopyFrom(Duration(nanos=int(silence % 1 * 1e9), seconds=int(silence)))
            result.append(watermark)
        return result
