"""Sending a forecast as it changes.

Whoever applies a batch of events tells the streams of the same process; another replica finds out by
looking at a counter in the database. A stream computes its forecast again and sends what differs, so
that changes which come faster than that are combined by themselves.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.subscriptions import Received
from services.forecast.rollup import RollUp
from services.forecast.store import ProjectionStore
from services.forecast.watermarks import Watermarks

_LOOK_SECONDS: Final = 0.25
_HEARTBEAT_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 60.0
"""A forecast changes by itself, too: deals become overdue, reporting lines begin and end."""


class Changes:
    """Wakes the streams of a tenant when its forecast has changed."""

    def __init__(self) -> None:
        self._bells: dict[UUID, set[asyncio.Event]] = {}

    async def announce(self, events: Sequence[Received], call: Call) -> None:
        """Counts the change, and wakes the streams when it has been committed."""
        await ProjectionStore(call).count()
        tenant = call.caller.tenant
        call.tx.after_commit(lambda: self._ring(tenant))

    @contextmanager
    def listening(self, tenant: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the tenant's forecast has changed."""
        bell = asyncio.Event()
        self._bells.setdefault(tenant, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[tenant].discard(bell)
            if not self._bells[tenant]:
                del self._bells[tenant]

    def _ring(self, tenant: UUID) -> None:
        for bell in self._bells.get(tenant, ()):
            bell.set()


class ForecastStream:
    """One caller's forecast, and what it was when it was last sent."""

    def __init__(self, request: pb.StreamForecastRequest, call: Call, watermarks: Watermarks) -> None:
        self.request, self.call, self.watermarks = request, call, watermarks
        self.sent: dict[str, pb.ForecastNode] = {}
        self.frame = pb.Forecast()
        self.count = -1

    async def messages(self, changes: Changes) -> AsyncIterator[pb.ForecastChange]:
        """The forecast, then each change, then a sign of life wherever nothing happens for a while."""
        loop = asyncio.get_running_loop()
        with changes.listening(self.call.caller.tenant) as bell:
            first, spoke, computed = True, loop.time(), 0.0
            while True:
                bell.clear()
                message = None
                self.call.now = self.call.clock.now()
                count = await ProjectionStore(self.call).changes()
                if count != self.count or loop.time() - computed > _AGAIN_SECONDS:
                    self.count, computed = count, loop.time()
                    message = await self._change(first)
                    first = False
                if message is None and loop.time() - spoke > _HEARTBEAT_SECONDS:
                    message = await self._message(pb.Forecast())
                await self.call.tx.commit()
                if message is not None:
                    spoke = loop.time()
                    yield message
                await _either(bell, _LOOK_SECONDS)

    async def _change(self, first: bool) -> pb.ForecastChange | None:
        """What differs from what was sent; None where nothing does."""
        forecast = (await RollUp(self.call).answer(self.request)).to_proto()
        nodes = {node.id: node for node in forecast.nodes}
        frame = pb.Forecast()
        frame.CopyFrom(forecast)
        frame.ClearField("nodes")
        before, self.sent = self.sent, nodes
        is_new_frame, self.frame = frame != self.frame, frame
        if first and self.request.cursor == self._cursor():
            return None
        if is_new_frame:  # another period, currency or day: the nodes are to be read anew
            return await self._message(forecast, reset=True)
        changed = [node for node in forecast.nodes if before.get(node.id) != node]
        gone = sorted(before.keys() - nodes.keys())
        if not changed and not gone:
            return None
        return await self._message(pb.Forecast(nodes=changed), gone=gone)

    async def _message(
        self, forecast: pb.Forecast, *, reset: bool = False, gone: Sequence[str] = ()
    ) -> pb.ForecastChange:
        forecast.watermarks.extend(await self.watermarks.of(self.call))
        return pb.ForecastChange(cursor=self._cursor(), reset=reset, forecast=forecast, removed_node_ids=gone)

    def _cursor(self) -> str:
        """How often the forecast had changed, for this request and this caller's sight."""
        bare = pb.StreamForecastRequest()
        bare.CopyFrom(self.request)
        bare.ClearField("cursor")
        caller = self.call.caller
        scope = bare.SerializeToString(deterministic=True) + f"{caller.user_id} {caller.sight}".encode()
        return f"{self.count}-{hashlib.blake2b(scope, digest_size=8).hexdigest()}"


async def _either(bell: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(bell.wait(), seconds)
