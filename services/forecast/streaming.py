"""Sending a forecast as it changes.

Whoever applies a batch of events tells the streams of the same process; another replica finds out by
looking at a counter in the database. A stream reads the figures of those again whose deals changed,
and sends what differs; changes that come faster than that are combined by themselves.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.convert import uuid_of
from chassis.subscriptions import Received
from services.forecast.domain.trees import Node
from services.forecast.rollup import Basis, RollUp
from services.forecast.store import ProjectionStore
from services.forecast.watermarks import Watermarks

_LOOK_SECONDS: Final = 0.25
_MOMENT_SECONDS: Final = 0.02
_HEARTBEAT_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 0.5
_FEW: Final = 100
"""Of how many owners the figures are read again, instead of all."""
_AGAIN_SECONDS: Final = 60.0
"""A forecast changes by itself, too: deals become overdue, reporting lines begin and end."""


class Listener:
    """What one stream has heard since it last looked."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()
        self._heard: dict[int, frozenset[UUID | None] | None] = {}

    def hear(self, count: int, owners: frozenset[UUID | None] | None) -> None:
        """The forecast has changed for the `count`th time, for these owners, or for who knows whom."""
        self._heard[count] = owners
        self._bell.set()

    async def wait(self, seconds: float) -> None:
        """Waits until something is heard, but not for ever."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), seconds)
        self._bell.clear()

    def take(self, seen: int) -> tuple[int, frozenset[UUID | None] | None]:
        """What follows the count `seen` without a gap: up to which count, and whose deals changed."""
        owners: frozenset[UUID | None] | None = frozenset()
        while seen + 1 in self._heard:
            seen += 1
            more = self._heard.pop(seen)
            owners = owners | more if owners is not None and more is not None else None
        self._heard = {count: more for count, more in self._heard.items() if count > seen}
        return seen, owners if owners is None or len(owners) <= _FEW else None


class Changes:
    """Tells the streams of a tenant that its forecast has changed, and for whom."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[Listener]] = {}

    async def announce(self, events: Sequence[Received], call: Call) -> None:
        """Counts the change, and tells the streams when it has been committed; to be called before it."""
        tenant, store = call.caller.tenant, ProjectionStore(call)
        owners: frozenset[UUID | None] | None = None
        if tenant in self._listeners and all(event.entity == "opportunity" for event in events):
            now = {uuid_of(event.message.opportunity.owner_id) for event in events}
            owners = frozenset(now | await store.owners_of({event.entity_id for event in events}))
        count = await store.count()
        call.tx.after_commit(lambda: self._tell(tenant, count, owners))

    @contextmanager
    def listening(self, tenant: UUID) -> Iterator[Listener]:
        """A listener to what changes for a tenant."""
        listener = Listener()
        self._listeners.setdefault(tenant, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[tenant].discard(listener)
            if not self._listeners[tenant]:
                del self._listeners[tenant]

    def _tell(self, tenant: UUID, count: int, owners: frozenset[UUID | None] | None) -> None:
        for listener in self._listeners.get(tenant, ()):
            listener.hear(count, owners)


class ForecastStream:
    """One caller's forecast, and what it was when it was last sent."""

    def __init__(self, request: pb.StreamForecastRequest, call: Call, watermarks: Watermarks) -> None:
        self.request, self.call, self.watermarks = request, call, watermarks
        self.basis: Basis | None = None
        self.sent: dict[str, Node] = {}
        self.count = -1
        self.missed: int | None = None
        """A count that is in the database and has not been heard of."""

    async def messages(self, changes: Changes) -> AsyncIterator[pb.ForecastChange]:
        """The forecast, then each change, then a sign of life wherever nothing happens for a while."""
        loop = asyncio.get_running_loop()
        spoke = whole = loop.time()
        with changes.listening(self.call.caller.tenant) as listener:
            while True:
                began, message = loop.time(), None
                self.call.now = self.call.clock.now()
                is_due = self.basis is None or began - whole > _AGAIN_SECONDS
                news = await self._news(listener, is_due)
                if news is not None:
                    self.count, owners = news
                    whole = began if owners is None else whole
                    message = await self._change(owners)
                if message is None and began - spoke > _HEARTBEAT_SECONDS:
                    message = await self._message(pb.Forecast())
                await self.call.tx.commit()
                if message is not None:
                    spoke = loop.time()
                    yield message
                # at most half of the time is spent on one stream; what comes meanwhile is combined
                await asyncio.sleep(min(loop.time() - began, _LONGEST_PAUSE_SECONDS))
                await listener.wait(_LOOK_SECONDS if self.missed is None else _MOMENT_SECONDS)

    async def _news(
        self, listener: Listener, is_due: bool
    ) -> tuple[int, frozenset[UUID | None] | None] | None:
        """Up to which count the forecast has changed, and for whom; None where it has not.

        What has just been committed here is heard in a moment; what another replica applied never is.
        """
        heard, owners = listener.take(self.count)
        if heard > self.count and not is_due:
            self.missed = None
            return heard, owners
        count = await ProjectionStore(self.call).changes()
        missed, self.missed = self.missed, count if count > self.count else None
        if is_due or (count > self.count and missed == count):
            self.missed = None
            return count, None
        return None

    async def _change(self, owners: frozenset[UUID | None] | None) -> pb.ForecastChange | None:
        """What differs from what was sent; None where nothing does. Without `owners`, all is read again."""
        roll_up, before = RollUp(self.call), self.basis
        basis = await roll_up.renewed(before, owners) if before is not None and owners is not None else None
        self.basis = basis = basis or await roll_up.basis_for(self.request)
        forecast = basis.rolled_up(self.request)
        sent, self.sent = self.sent, {node.id: node for node in forecast.nodes}
        if before is None and self.request.cursor == self._cursor():
            return None
        if before is None or (before.selection, before.lacking) != (basis.selection, basis.lacking):
            return await self._message(forecast.to_proto(), reset=True)
        changed = [node for node in forecast.nodes if sent.get(node.id) != node]
        gone = sorted(sent.keys() - self.sent.keys())
        if not changed and not gone:
            return None
        part = pb.Forecast(nodes=forecast.to_proto(changed).nodes)
        return await self._message(part, gone=gone)

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
