"""The relay publishes what a service wrote: every row of the outbox, in order for each entity.

One relay is active per database; the others wait for its advisory lock. It reads without a
transaction open, publishes, and deletes exactly what the broker acknowledged: a crash between the
two publishes again, under the same message id. It needs no cursor, so a commit that overtakes another
cannot make it miss one; how far *everything* is published is told apart, by marks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter as Tally
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

import asyncpg
import nats.errors
from nats.aio.msg import Msg
from prometheus_client import Counter, Gauge

from chassis import envelope
from chassis.broker import Broker, BrokerUnavailable, Publisher, stream_of
from chassis.clock import Clock
from chassis.database import LOST
from chassis.positions import Mark, Published, asking_subject, published_subject
from chassis.telemetry import log

LAG: Final = Gauge(
    "sfa_relay_lag_seconds", "Age of the oldest change that is not published yet.", ("service",)
)
DEPTH: Final = Gauge(
    "sfa_relay_depth", "Changes that are not published yet, counted up to 100,000.", ("service",)
)
PUBLISHED: Final = Counter("sfa_relay_published_total", "Events that the broker acknowledged.", ("service",))
FAILED: Final = Counter("sfa_relay_failed_total", "Publishes that failed and are tried again.", ("service",))

_BATCH: Final = 256
_PACE_SECONDS: Final = 0.008
"""How long after the end of one turn the next begins at the earliest: a change that comes alone goes out
at once, those that come fast share a turn."""
_POLL_SECONDS: Final = 1.0
_DELETE_SECONDS: Final = 0.05
_ACK_SECONDS: Final = 5.0
_LONGEST_PAUSE: Final = 5.0
_FAREWELL_SECONDS: Final = 3.0
# A change is stamped before its transaction has a number: what is stamped shortly before a snapshot
# may not be in it.
_STAMPING: Final = timedelta(milliseconds=200)
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"

_AWAY: Final = (*LOST, TimeoutError, asyncpg.PostgresError, nats.errors.Error, BrokerUnavailable)

_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('sfa relay'))"
_DEPTH: Final = "SELECT count(*) FROM (SELECT FROM outbox LIMIT 100000) AS waiting"
# Deletes what was acknowledged and reads what comes next, in one round trip, in the order written: who
# writes a version has read the one before, committed, so the versions of an entity come in order. The
# events of the tenant that the session is set to come along, looked up row by row by the primary key,
# whatever the planner believes of the tables (OFFSET 0).
_TURN: Final = """
WITH RECURSIVE gone AS (
    DELETE FROM outbox USING unnest($1::uuid[], $2::bigint[]) AS done (tenant_id, seq)
    WHERE outbox.tenant_id = done.tenant_id AND outbox.seq = done.seq
), {batch}
SELECT pg_snapshot_xmin(now)::text::bigint AS safe, pg_snapshot_xmax(now)::text::bigint AS next,
       b.tenant_id, b.seq, b.entity, b.entity_id, b.version, b.traceparent,
       b.position::text AS position, c.recorded_at, c.effective_at, c.actor, c.via, c.event_type, c.event
FROM pg_current_snapshot() AS now LEFT JOIN batch b ON true LEFT JOIN LATERAL (
    SELECT * FROM changes
    WHERE b.tenant_id = current_setting('app.tenant')::uuid
      AND changes.entity = b.entity AND changes.entity_id = b.entity_id AND changes.version = b.version
    OFFSET 0
) c ON true
"""
_FIRST: Final = _TURN.format(
    batch=f"""batch AS (
    SELECT * FROM outbox WHERE NOT seq = ANY($2) ORDER BY tenant_id, seq LIMIT {_BATCH}
)"""
)
# Where that does not take everything: of each tenant that waits an equal share.
_SHARED: Final = _TURN.format(
    batch=f"""waiting (tenant_id) AS (
    (SELECT tenant_id FROM outbox WHERE NOT seq = ANY($2) ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.tenant_id FROM outbox o WHERE o.tenant_id > w.tenant_id AND NOT o.seq = ANY($2)
            ORDER BY o.tenant_id LIMIT 1)
    FROM waiting w WHERE w.tenant_id IS NOT NULL
), share AS MATERIALIZED (
    SELECT greatest(1, {_BATCH} / greatest(1, count(tenant_id))) AS most FROM waiting
), batch AS (
    SELECT o.* FROM waiting w CROSS JOIN LATERAL (
        SELECT * FROM outbox
        WHERE outbox.tenant_id = w.tenant_id AND NOT outbox.seq = ANY($2)
        ORDER BY outbox.seq LIMIT (SELECT most FROM share)
    ) o WHERE w.tenant_id IS NOT NULL
)"""
)
_EVENTS: Final = """
SELECT b.seq, c.recorded_at, c.effective_at, c.actor, c.via, c.event_type, c.event
FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::bigint[]) AS b (seq, entity, entity_id, version)
CROSS JOIN LATERAL (
    SELECT * FROM changes
    WHERE changes.entity = b.entity AND changes.entity_id = b.entity_id AND changes.version = b.version OFFSET 0
) c
"""

Row = dict[str, Any]


class Relay:
    """Publishes one service's events: `start` it, and give it a `hint` after each commit."""

    def __init__(
        self, service: str, database_url: str, broker: Broker, clock: Clock, *, replicas: int = 1
    ) -> None:
        self.service = service
        self.clock = clock
        self.is_active = False
        """Whether this is the one that publishes."""
        self.is_asked = False
        """Whether somebody waits to hear how far it has published."""
        self.is_stopping = False
        self._url = database_url
        self._broker = broker
        self._replicas = replicas
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hint(self) -> None:
        """Says that something was committed. Costs nothing, and may be said too often."""
        self._hint.set()

    async def start(self) -> None:
        """Begins to publish, as soon as database, broker and lock can be had."""
        self._broker.on_connected(self.hint)
        await self._broker.listen(asking_subject("*", self.service), self._ask)
        self._task = asyncio.create_task(self._run(), name=f"{self.service}: relay")

    async def stop(self) -> None:
        """Publishes what is committed, if the broker is there, then stops."""
        self.is_stopping = True
        self.hint()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _FAREWELL_SECONDS)

    async def rest(self, seconds: float, since: float | None = None) -> None:
        """Waits for the next hint, for `seconds` at most; where it comes early after `since`, when the last
        turn ended, others may come with it."""
        if not self._hint.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hint.wait()
        if since is not None and not self.is_stopping and not self.is_asked:
            early = since + _PACE_SECONDS - asyncio.get_running_loop().time()
            if early > 0:
                await asyncio.sleep(early)
        self._hint.clear()

    async def _ask(self, _: Msg) -> None:
        self.is_asked = True
        self.hint()

    async def _run(self) -> None:
        for failures in count(1):
            try:
                await self._while_active()
            except _AWAY as error:
                log.warning(
                    "the relay pauses", service=self.service, error=str(error) or type(error).__name__
                )
            except Exception as error:  # noqa: BLE001  # whatever it is, publishing has to go on
                log.error("the relay failed", service=self.service, exc_info=error)
            if self.is_stopping:
                return
            await self.rest(_pause(min(failures, 3)))

    async def _while_active(self) -> None:
        connection = await _connect(self._url, self.service)
        try:
            while not await connection.fetchval(_LOCK):
                await asyncio.sleep(_POLL_SECONDS / 2)
                await self.rest(_POLL_SECONDS)
                if self.is_stopping:
                    return
            client = await self._broker.connected()
            await self._broker.keep_stream(self.service, self._replicas)
            stream = await client.jsm().stream_info(stream_of(self.service))
            incarnation = await connection.fetchval("SELECT number FROM incarnation")
            async with Publisher(client) as publisher:
                self.is_active = True
                log.debug("the relay is active", service=self.service)
                await _Session(
                    self, self._broker, connection, publisher, incarnation, stream.state.last_seq
                ).run()
        finally:
            self.is_active = False
            connection.terminate()


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one read found."""

    rows: list[Row]
    full: frozenset[UUID]
    """Tenants of which more may be waiting than was read."""
    unknown: bool
    """Whether there may be more of any tenant."""
    safe: int
    """Every transaction with a lower number has ended."""


class _Session:
    """The time in which a relay holds lock, database and broker."""

    def __init__(
        self,
        relay: Relay,
        broker: Broker,
        connection: Any,
        publisher: Publisher,
        incarnation: int,
        sequence: int,
    ) -> None:
        self.relay = relay
        self.service = relay.service
        self.broker = broker
        self.connection = connection
        self.publisher = publisher
        self.incarnation = incarnation
        self.sequence = sequence
        self.tenant = UUID(_NOBODY)
        self.sharing = False
        """Whether tenants take turns."""
        self.done: list[Row] = []
        """Acknowledged, and not deleted yet."""
        self.samples: list[tuple[datetime, int]] = []
        """When which transaction number was the next to be given out."""
        self.mark = Mark(0, None)
        self.behind: dict[UUID, Mark] = {}
        self.said_at = -_POLL_SECONDS
        self.lag, self.depth = LAG.labels(relay.service), DEPTH.labels(relay.service)
        self.published, self.failed = PUBLISHED.labels(relay.service), FAILED.labels(relay.service)

    async def run(self) -> None:
        """Turn after turn, until the relay is stopped and has nothing left to publish."""
        failures = 0
        while True:
            turn = await self._read()
            failed = await self._publish(turn.rows) if turn.rows else []
            self._advance(turn, failed)
            await self._measure(turn, failed)
            await self._say()
            if failed:
                failures += 1
                log.warning("events could not be published", service=self.service, number=len(failed))
                if self.relay.is_stopping:
                    return
                await self._until_connected()
                await asyncio.sleep(_pause(failures))
                continue
            failures = 0
            if self.relay.is_stopping and not turn.rows:
                return
            if not self.sharing and not self.relay.is_stopping:
                ended = asyncio.get_running_loop().time()
                await self.relay.rest(_DELETE_SECONDS if self.done else _POLL_SECONDS, ended)

    async def _read(self) -> _Turn:
        at = self.relay.clock.now()
        done, self.done = self.done, []
        gone = [row["tenant_id"] for row in done], [row["seq"] for row in done]
        records = await self.connection.fetch(_SHARED if self.sharing else _FIRST, *gone)
        safe, next_number = records[0]["safe"], records[0]["next"]
        if not self.samples or self.samples[-1][1] < next_number:
            self.samples.append((at, next_number))
        rows = [dict(record) for record in records if record["seq"] is not None]
        if any(row["event"] is None for row in rows):
            for tenant in {row["tenant_id"] for row in rows}:
                await self._complete(
                    tenant, [r for r in rows if r["event"] is None and r["tenant_id"] == tenant]
                )
        tally = Tally(row["tenant_id"] for row in rows)
        most = _BATCH // len(tally) if self.sharing and tally else _BATCH
        full = frozenset(tenant for tenant, number in tally.items() if number >= max(1, most))
        unknown = not self.sharing and len(rows) >= _BATCH
        self.sharing = unknown or bool(full)
        return _Turn(rows, full, unknown, safe)

    async def _complete(self, tenant: UUID, rows: list[Row]) -> None:
        """Reads the events of another tenant than the session was set to."""
        if not rows:
            return
        if tenant != self.tenant:
            await self.connection.execute(f"SET app.tenant = '{tenant}'")
            self.tenant = tenant
        columns = [[row[name] for row in rows] for name in ("seq", "entity", "entity_id", "version")]
        events = {record["seq"]: record for record in await self.connection.fetch(_EVENTS, *columns)}
        for row in rows:
            if row["seq"] in events:
                row.update(events[row["seq"]])
            else:
                log.error("an outbox row without its change", service=self.service, seq=row["seq"])

    async def _publish(self, rows: list[Row]) -> list[Row]:
        """Publishes in waves, in each of which an entity is at most once; ends at the first that fails.

        What was acknowledged is in `done` afterwards; the answer is what was not.
        """
        self.done = [row for row in rows if row["event"] is None]
        waves: list[list[Row]] = []
        places: Tally[tuple[UUID, str, UUID]] = Tally()
        for row in sorted((row for row in rows if row["event"] is not None), key=lambda row: row["version"]):
            key = row["tenant_id"], row["entity"], row["entity_id"]
            if places[key] == len(waves):
                waves.append([])
            waves[places[key]].append(row)
            places[key] += 1
        for number, wave in enumerate(waves):
            wave.sort(key=lambda row: row["seq"])
            failed = await self._publish_wave(wave)
            if failed:
                self.failed.inc(len(failed))
                return [*failed, *(row for later in waves[number + 1 :] for row in later)]
        return []

    async def _publish_wave(self, wave: list[Row]) -> list[Row]:
        sent: list[tuple[Row, asyncio.Future[int]]] = []
        with contextlib.suppress(nats.errors.Error, BrokerUnavailable, OSError):
            for row in wave:
                subject = envelope.subject(row["tenant_id"], row["event_type"])
                headers = envelope.headers(self.service, self.incarnation, row)
                sent.append((row, await self.publisher.publish(subject, row["event"], headers)))
        if sent:
            await asyncio.wait([future for _, future in sent], timeout=_ACK_SECONDS)
        failed = wave[len(sent) :]
        for row, future in sent:
            if not future.done():
                failed.append(row)
            elif error := future.exception():
                log.warning(
                    "the broker refused an event", service=self.service, error=str(error), id=row["entity_id"]
                )
                failed.append(row)
            else:
                self.sequence = max(self.sequence, future.result())
                self.done.append(row)
        self.publisher.forget()
        self.published.inc(len(wave) - len(failed))
        return failed

    def _advance(self, turn: _Turn, failed: list[Row]) -> None:
        """Moves the mark: of a tenant of which something waits it stays where it was."""
        if turn.unknown:
            return
        before, time = self.mark, self.mark.time
        while self.samples and self.samples[0][1] <= turn.safe:
            time = self.samples.pop(0)[0] - _STAMPING
        self.mark = Mark(max(turn.safe, before.position), time)
        waiting = turn.full | {row["tenant_id"] for row in failed}
        self.behind = {tenant: self.behind.get(tenant, before) for tenant in waiting}

    async def _say(self) -> None:
        """Tells who listens how far it has got: when asked, else once a second."""
        now = asyncio.get_running_loop().time()
        if not self.relay.is_asked and now - self.said_at < _POLL_SECONDS * 0.9:
            return
        self.relay.is_asked, self.said_at = False, now
        message = Published(self.incarnation, self.mark, self.sequence, self.behind)
        with contextlib.suppress(nats.errors.Error, BrokerUnavailable):
            await self.broker.client.publish(published_subject(self.service), message.encode())

    async def _measure(self, turn: _Turn, failed: list[Row]) -> None:
        oldest = min((row["recorded_at"] for row in failed if row["recorded_at"]), default=None)
        age = (self.relay.clock.now() - oldest).total_seconds() if oldest else 0.0
        self.lag.set(max(age, 0.0))
        depth = await self.connection.fetchval(_DEPTH) - len(self.done) if self.sharing or failed else 0
        self.depth.set(depth)

    async def _until_connected(self) -> None:
        """Waits for the broker. Nothing is held meanwhile but the lock: no transaction, no row."""
        while not self.broker.is_connected and not self.relay.is_stopping:
            await self.relay.rest(_POLL_SECONDS)


async def _connect(url: str, service: str) -> Any:
    """A session of its own: the lock belongs to it, and a pool would take it away."""
    return await asyncpg.connect(
        url,
        timeout=5,
        command_timeout=30,
        server_settings={
            "application_name": f"{service} relay",
            "search_path": "app",
            "timezone": "UTC",
            "statement_timeout": "20s",
            "idle_in_transaction_session_timeout": "15s",
            "jit": "off",
            "plan_cache_mode": "force_generic_plan",
            "synchronous_commit": "off",  # a deletion that is lost publishes again, which does no harm
            "app.tenant": _NOBODY,
        },
    )


def _pause(failures: int) -> float:
    """How long to wait after so many failures, in seconds, with jitter."""
    longest: float = min(_LONGEST_PAUSE, 0.05 * 2 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)
