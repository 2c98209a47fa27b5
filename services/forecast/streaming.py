"""Sending a forecast as it changes.

Whoever applies a batch of events wakes the streams of the same process; another replica finds out by
looking at a counter in the database. A stream sends what differs from what it sent; changes that come
faster than that are combined by themselves. One that broke off goes on with what was missed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from services.forecast.book import Books
from services.forecast.resuming import Cursor, Frame, Overtaken, Resumption, fingerprint
from services.forecast.rollup import RolledUp, RollUp
from services.forecast.watermarks import Watermarks

_LOOK_SECONDS: Final = 0.25
_HEARTBEAT_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = 60.0
"""A forecast changes by itself, too: deals become overdue, reporting lines begin and end."""
_ATTEMPTS: Final = 10
"""How often what was missed is asked for while more and more comes."""


class Changes:
    """Wakes the streams of a tenant when its forecast has changed."""

    def __init__(self) -> None:
        self._bells: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def listening(self, tenant: UUID) -> Iterator[asyncio.Event]:
        """A bell that rings when something changes for a tenant."""
        bell = asyncio.Event()
        self._bells.setdefault(tenant, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[tenant].discard(bell)
            if not self._bells[tenant]:
                del self._bells[tenant]

    def tell(self, tenant: UUID) -> None:
        """Something has changed."""
        for bell in self._bells.get(tenant, ()):
            bell.set()


class ForecastStream:
    """One caller's forecast, and what it was when it was last sent."""

    def __init__(
        self, request: pb.StreamForecastRequest, call: Call, books: Books, watermarks: Watermarks
    ) -> None:
        self.request, self.call, self.books, self.watermarks = request, call, books, watermarks
        self.before: RolledUp | None = None
        self.sent: dict[str, object] = {}
        """What each node was when it was sent."""
        self.count = -1
        self.frame = Frame()

    async def messages(self, changes: Changes) -> AsyncIterator[pb.ForecastChange]:
        """The forecast, then each change, then a sign of life wherever nothing happens for a while."""
        loop = asyncio.get_running_loop()
        spoke = whole = loop.time()
        with changes.listening(self.call.caller.tenant) as bell:
            while True:
                began, message = loop.time(), None
                bell.clear()
                self.call.now = self.call.clock.now()
                book = await self.books.of(self.call)
                if book.seen != self.count or began - whole > _AGAIN_SECONDS:
                    whole = began
                    message = await self._change()
                if message is None and began - spoke > _HEARTBEAT_SECONDS:
                    message = await self._message(pb.Forecast())
                await self.call.tx.commit()
                if message is not None:
                    spoke = loop.time()
                    yield message
                # at most half of the time is spent on one stream; what comes meanwhile is combined
                await asyncio.sleep(min(loop.time() - began, _LONGEST_PAUSE_SECONDS))
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), _LOOK_SECONDS)

    async def _change(self) -> pb.ForecastChange | None:
        """What differs from what was sent; None where nothing does."""
        roll_up, before, sent = await RollUp.of(self.call, self.books), self.before, self.sent
        if before is None:
            return await self._first(roll_up)
        forecast = self._take(roll_up)
        if _common(before) != _common(forecast):
            return await self._message(forecast.to_proto(), reset=True)
        changed = [number for number, (id, node) in enumerate(self.sent.items()) if sent.get(id) != node]
        return await self._part(forecast, changed, sorted(sent.keys() - self.sent.keys()))

    async def _first(self, roll_up: RollUp) -> pb.ForecastChange | None:
        """What was missed since the caller's cursor; None where that is nothing. Where nobody can say, the
        whole forecast."""
        forecast, resumption = self._take(roll_up), self._resumption()
        for _ in range(_ATTEMPTS if resumption is not None else 0):
            try:
                missed = await resumption.missed(forecast) if resumption is not None else None
            except Overtaken:
                forecast = self._take(roll_up)
                continue
            if missed is None:
                break
            return await self._part(forecast, missed.numbers, missed.gone)
        return await self._message(forecast.to_proto(), reset=True)

    def _take(self, roll_up: RollUp) -> RolledUp:
        """The forecast as the book has it at this moment."""
        self.count = roll_up.book.seen
        self.before = forecast = roll_up.answer(self.request)
        self.sent = _nodes(forecast)
        self.frame = Frame.of(forecast, _common(forecast), self.frame)
        return forecast

    def _resumption(self) -> Resumption | None:
        """What came since the caller's cursor, if it belongs to what is asked for now."""
        cursor = Cursor.read(self.request.cursor)
        if cursor is None or cursor != Cursor(cursor.count, self._scope(), self.frame.mark):
            return None
        return Resumption(cursor.count, self.call)

    async def _part(
        self, forecast: RolledUp, changed: Sequence[int], gone: Sequence[str]
    ) -> pb.ForecastChange | None:
        """Some of the nodes, and the ids of those that are gone; None where there are none."""
        if not changed and not gone:
            return None
        return await self._message(pb.Forecast(nodes=forecast.to_proto(changed).nodes), gone=gone)

    async def _message(
        self, forecast: pb.Forecast, *, reset: bool = False, gone: Sequence[str] = ()
    ) -> pb.ForecastChange:
        forecast.watermarks.extend(await self.watermarks.of(self.call))
        return pb.ForecastChange(cursor=self._cursor(), reset=reset, forecast=forecast, removed_node_ids=gone)

    def _cursor(self) -> str:
        return str(Cursor(self.count, self._scope(), self.frame.mark))

    def _scope(self) -> str:
        """What was asked for, and by whom."""
        bare = pb.StreamForecastRequest()
        bare.CopyFrom(self.request)
        bare.ClearField("cursor")
        caller = self.call.caller
        return fingerprint(
            bare.SerializeToString(deterministic=True), f"{caller.user_id} {caller.sight}".encode()
        )


def _common(forecast: RolledUp) -> object:
    """What all nodes of a forecast have in common."""
    question = forecast.question
    return question.periods, question.currency, question.today, forecast.lacking


def _nodes(forecast: RolledUp) -> dict[str, object]:
    """What each node that is shown is: where it stands, what it is called, what it has."""
    tree = forecast.axis.tree
    nodes: dict[str, object] = {}
    for number, place in enumerate(forecast.shown.tolist()):
        node, above = tree.nodes[place], int(tree.above[place])
        parent = tree.nodes[above].id if above >= 0 else ""
        figures = (forecast.totals[number].tolist(), forecast.own[number].tolist())
        nodes[node.id] = (node.name, parent, node.subject, tree.has_children(place), figures)
    return nodes
