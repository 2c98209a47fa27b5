"""Work that falls due: rows that a transaction leaves behind, done when their time comes by whichever
replica is first. Reminders, deadlines, expiry, and the steps of long operations.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import sqlalchemy as sa
from prometheus_client import Counter, Gauge

from chassis.call import Call, current_call
from chassis.clock import Clock
from chassis.database import LOST, Database, DatabaseUnavailable, Prepared
from chassis.subscriptions import service_call
from chassis.telemetry import log

Handler = Callable[[Call, str, Any], Awaitable[None]]
"""`handler(call, key, payload)`, in a transaction of its own."""

DONE: Final = Counter("sfa_due_work_done_total", "Due work that was done.", ("service", "kind"))
FAILED: Final = Counter(
    "sfa_due_work_failed_total", "Due work that failed and is tried again.", ("service", "kind")
)
PARKED: Final = Counter("sfa_due_work_parked_total", "Due work that was given up.", ("service", "kind"))
LATE: Final = Gauge("sfa_due_work_late_seconds", "Age of the oldest work that is due.", ("service",))

ATTEMPTS: Final = 8
"""How often work is tried before it is parked: the last time about ten minutes after the first."""
_FIRST_PAUSE: Final = timedelta(seconds=5)
_POLL_SECONDS: Final = 1.0
_BATCH: Final = 50
_LONGEST_PAUSE: Final = 5.0
_FAREWELL_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 0.5
"""How long the rest waits for one piece of work."""

_SCHEDULE: Final = Prepared(
    sa.text(
        "INSERT INTO due_work AS d (kind, key, due_at, payload, actor)"
        " VALUES (:kind, :key, :due_at, CAST(CAST(:payload AS text) AS jsonb), :actor)"
        " ON CONFLICT (tenant_id, kind, key) DO UPDATE SET due_at = excluded.due_at, payload = excluded.payload,"
        " actor = excluded.actor, generation = d.generation + 1, attempts = 0, error = NULL, parked_at = NULL"
    )
)
_CANCEL: Final = Prepared(sa.text("DELETE FROM due_work WHERE kind = :kind AND key = :key RETURNING 1"))
_NEXT: Final = Prepared(
    sa.text(
        "SELECT tenant_id, kind, key, due_at FROM due_routing WHERE parked_at IS NULL AND kind = ANY(:kinds)"
        " ORDER BY due_at LIMIT :most"
    )
)
# Not FOR UPDATE SKIP LOCKED: locking a row gives the transaction a number, and with it every feed of
# the cluster would wait while a handler asks other services.
_LOCK: Final = Prepared(
    sa.text(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(current_setting('app.tenant') || :kind || :key, 1))"
    )
)
_TAKE: Final = Prepared(
    sa.text(
        "SELECT payload::text AS payload, actor, generation, attempts FROM due_work"
        " WHERE kind = :kind AND key = :key AND due_at <= :now AND parked_at IS NULL"
    )
)
_FINISH: Final = Prepared(
    sa.text("DELETE FROM due_work WHERE kind = :kind AND key = :key AND generation = :generation")
)
_FAIL: Final = Prepared(
    sa.text(
        "UPDATE due_work SET attempts = attempts + 1, error = :error, due_at = :due_at, parked_at = :parked_at"
        " WHERE kind = :kind AND key = :key AND generation = :generation"
    )
)


async def schedule(
    call: Call, kind: str, key: str, at: datetime, payload: Mapping[str, Any] | None = None
) -> None:
    """Has work done at an instant, once the call's transaction is committed.

    Scheduling the same kind and key again moves it and replaces the payload, which is JSON. A handler
    that schedules its own key is done again then.
    """
    call.tx.scheduled = True
    values = {"kind": kind, "key": key, "due_at": at, "payload": orjson.dumps(payload or {}).decode()}
    await call.tx.execute(_SCHEDULE, {**values, "actor": call.caller.via or call.caller.actor})


async def cancel(call: Call, kind: str, key: str) -> bool:
    """Takes work back, if it is not done yet; False where there is none."""
    call.tx.wrote = True
    return await call.tx.fetchval(_CANCEL, {"kind": kind, "key": key}) is not None


class Runner:
    """Does what is due in one service. Every replica runs one; each piece of work is done by one of them.

    Work is done one piece after the other. A piece that takes long, because it waits for something outside, goes
    on beside the others; until it is done only work of its own kind waits for it.

    Work may be done twice where a replica dies between its effect outside of the database and the
    commit; inside of the database it is done exactly once.
    """

    def __init__(
        self, service: str, database: Database, clock: Clock, handlers: Mapping[str, Handler]
    ) -> None:
        self.service = service
        self._database = database
        self._clock = clock
        self._handlers = dict(handlers)
        self._hint = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[Any] | None = None
        self._slow: dict[str, asyncio.Task[Any]] = {}
        """What takes long, by its kind."""

    def hint(self) -> None:
        """Says that work may be due: something was scheduled, or the clock was moved."""
        self._hint.set()

    def start(self) -> None:
        """Begins to do what is due."""
        if self._handlers:
            self._task = asyncio.create_task(self._run(), name=f"{self.service}: due work")

    async def stop(self) -> None:
        """Finishes what is at hand, then stops."""
        self._stopping = True
        self.hint()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await asyncio.wait({self._task})
                    await asyncio.gather(*self._slow.values(), return_exceptions=True)
            left = [self._task, *self._slow.values()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._hint.clear()
            try:
                pause = await self._do_what_is_due()
                failures = 0
            except (DatabaseUnavailable, *LOST, asyncpg.PostgresError) as error:
                failures += 1
                pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
                log.warning("due work waits", service=self.service, error=str(error) or type(error).__name__)
            except Exception as error:  # noqa: BLE001  # one broken piece of work must not end all others
                failures += 1
                pause = _POLL_SECONDS
                log.error("due work failed", service=self.service, exc_info=error)
            if pause and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hint.wait(), pause)

    async def _do_what_is_due(self) -> float:
        """Does what is due now; answers how long nothing will be, in seconds."""
        free = [kind for kind in self._handlers if kind not in self._slow]
        async with self._database.transaction(None) as tx:
            rows = await tx.fetch(_NEXT, {"kinds": free, "most": _BATCH})
        now = self._clock.now()
        LATE.labels(self.service).set(max(0.0, (now - rows[0]["due_at"]).total_seconds()) if rows else 0.0)
        taken = False
        for row in rows:
            if row["due_at"] > now or self._stopping:
                break
            if row["kind"] not in self._slow:
                taken |= await self._begin(row["tenant_id"], row["kind"], row["key"])
        if taken:
            return 0
        ahead = [(row["due_at"] - now).total_seconds() for row in rows if row["due_at"] > now]
        return min(_POLL_SECONDS, *ahead) if ahead else _POLL_SECONDS

    async def _begin(self, tenant: UUID, kind: str, key: str) -> bool:
        """Does one piece, or lets it go on where it takes long; False where another replica has it."""
        task = asyncio.create_task(self._do(tenant, kind, key), name=f"{self.service}: {kind}")
        try:
            done, _ = await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        if done:
            return await task
        self._slow[kind] = task
        task.add_done_callback(lambda task: self._ended(kind, task))
        return True

    def _ended(self, kind: str, task: asyncio.Task[Any]) -> None:
        del self._slow[kind]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("due work waits", service=self.service, error=str(error) or type(error).__name__)
        self.hint()

    async def _do(self, tenant: UUID, kind: str, key: str) -> bool:
        """Does one piece; False where another replica has it."""
        tx = self._database.transaction(tenant)
        which: dict[str, Any] = {"kind": kind, "key": key}
        taken = await tx.fetchval(_LOCK, which)
        row = await tx.fetchrow(_TAKE, {**which, "now": self._clock.now()}) if taken else None
        if row is None:
            await tx.rollback()
            return False
        call = service_call(self.service, tenant, tx, self._clock, f"due work {kind}", row["actor"])
        token = current_call.set(call)
        try:
            await self._handlers[kind](call, key, orjson.loads(row["payload"]))
            await tx.execute(_FINISH, {**which, "generation": row["generation"]})
            await tx.commit()
        except Exception as error:  # noqa: BLE001  # kept with the work, and tried again
            await tx.rollback()
            await self._fail(tenant, which, row, error)
        except BaseException:
            await tx.rollback()
            raise
        else:
            DONE.labels(self.service, kind).inc()
        finally:
            current_call.reset(token)
        return True

    async def _fail(self, tenant: UUID, which: dict[str, Any], row: Any, error: Exception) -> None:
        attempts, now = row["attempts"] + 1, self._clock.now()
        given_up = attempts >= ATTEMPTS
        FAILED.labels(self.service, which["kind"]).inc()
        if given_up:
            PARKED.labels(self.service, which["kind"]).inc()
        say = log.error if given_up else log.warning
        say(
            "due work is parked" if given_up else "due work is tried again",
            service=self.service, tenant=str(tenant), attempts=attempts, **which, exc_info=error,
        )  # fmt: skip
        sentence = f"{type(error).__name__}: {error}".replace("\0", "")[:2000]
        later = now + _FIRST_PAUSE * 2 ** (attempts - 1) * random.uniform(0.8, 1.2)
        values = {"generation": row["generation"], "error": sentence, "due_at": later}
        async with self._database.transaction(tenant) as tx:
            await tx.execute(_FAIL, {**which, **values, "parked_at": now if given_up else None})
