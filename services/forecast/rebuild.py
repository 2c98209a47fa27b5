"""Filling the forecast again from the owners' history: an operation that reads some thousand events in
each of its steps, one source after the other."""

from __future__ import annotations

import time
from typing import Final

from sfa.forecast.v1 import rebuild_pb2 as pb

from chassis.call import Call
from chassis.client import Peers
from chassis.operations import Advanced, Finished, Running
from chassis.replay import history
from chassis.subscriptions import Received, Subscriptions
from services.forecast.store import HistoryStore

REBUILD: Final = "rebuild of the forecast"
_STEP_EVENTS: Final = 20_000
_PART_EVENTS: Final = 1_000
_STEP_SECONDS: Final = 4.0
"""How long one step reads, at most: its transaction must not be idle for long."""


class Rebuild:
    """Reads all sources, each from its first event to the last."""

    def __init__(self, subscriptions: Subscriptions, peers: Peers) -> None:
        self._subscriptions, self._peers = subscriptions, peers

    async def step(self, call: Call, running: Running) -> Advanced | Finished:
        """Reads what comes next, then keeps it: nothing is asked of others once something was written."""
        sources = self._subscriptions.sources
        number, cursor = running.checkpoint.get("source", 0), running.checkpoint.get("cursor", "")
        if not running.checkpoint and running.payload.get("from_nothing"):
            await HistoryStore(call).empty()
            return Advanced({"source": 0, "cursor": ""}, 0)
        if number == len(sources):
            await HistoryStore(call).renew()
            return Finished(pb.RebuildForecastResponse(events=running.done))
        events: list[Received] = []
        is_last, until = False, time.monotonic() + _STEP_SECONDS
        async for part in history(
            sources[number], call.caller.tenant, self._subscriptions, self._peers, cursor
        ):
            events.extend(part.events)
            cursor, is_last = part.cursor, part.is_last
            if is_last or len(events) >= _STEP_EVENTS or time.monotonic() > until:
                break
        for start in range(0, len(events), _PART_EVENTS):  # others have their turn between
            await self._subscriptions.handle(events[start : start + _PART_EVENTS], call)
        checkpoint = {"source": number + 1, "cursor": ""} if is_last else {"source": number, "cursor": cursor}
        return Advanced(checkpoint, running.done + len(events))
