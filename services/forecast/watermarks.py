"""How far the forecast has heard each of its sources: a position, and a heartbeat beside it, because
silence is not freshness."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.convert import set_timestamp
from chassis.database import Prepared
from chassis.positions import Positions

_KEPT: Final = 20_000
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
        self._farthest: OrderedDict[tuple[UUID, str, int], pb.SourceWatermark] = OrderedDict()
        """The farthest one that was ever said: what has been applied once stays so, also while a relay does
        not say how far it is."""

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
            self._keep_farthest((call.caller.tenant, source, positions.incarnation(source)), watermark)
            silence = positions.silence(source)
            if silence != float("inf"):
                watermark.heartbeat_age.CopyFrom(Duration(nanos=int(silence % 1 * 1e9), seconds=int(silence)))
            result.append(watermark)
        return result

    def _keep_farthest(self, key: tuple[UUID, str, int], watermark: pb.SourceWatermark) -> None:
        known = self._farthest.get(key)
        if (
            known is not None
            and known.recorded_time.ToNanoseconds() > watermark.recorded_time.ToNanoseconds()
        ):
            watermark.CopyFrom(known)
        elif watermark.HasField("recorded_time"):
            self._farthest[key] = pb.SourceWatermark()
            self._farthest[key].CopyFrom(watermark)
            self._farthest.move_to_end(key)
            if len(self._farthest) > _KEPT:
                self._farthest.popitem(last=False)
