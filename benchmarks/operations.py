"""The operations that are measured, each beside its floor."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson

from benchmarks.floor import transact
from benchmarks.load import Client, Load, closed_loop, open_loop
from benchmarks.measure import Tree
from benchmarks.system import ROOT, System
from chassis.call import Call, Caller, Sight
from chassis.clock import SystemClock
from chassis.money import Money
from services.opportunities.domain import Opportunity, State, starting_pipeline
from services.opportunities.store import OpportunityStore
from services.opportunities.tables import OPPORTUNITY

_ROUNDS = 3


@dataclass(frozen=True)
class Result:
    """One row of the table; CPU in milliseconds per request."""

    name: str
    load: Load
    cpu: float
    floor: float | None = None
    target: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.cpu / self.floor if self.floor else None


class Floor:
    """What the same request would cost at the least, on the same engines at the same time."""

    def __init__(self, system: System, hop: Client, processes: Tree) -> None:
        self.system, self.hop, self.processes = system, hop, processes

    async def hop_ms(self, method: str, body: Any, count: int) -> float:
        """CPU of the empty hop, per request."""
        before = self.processes.cpu_seconds()
        await closed_loop(lambda _: self.hop.send(method, "/nothing", body), count)
        return (self.processes.cpu_seconds() - before) * 1000 / count

    async def transaction_ms(self, statement: str, arguments: list[list[Any]]) -> float:
        """CPU of the transaction, per request: of this process, which does nothing else, and the engines."""
        url = self.system.installation.database_url("opportunities")
        before = self.system.tree.cpu_seconds() + time.process_time()
        await transact(_plain(url), self.system.tenant, statement, arguments)
        spent = self.system.tree.cpu_seconds() + time.process_time() - before
        return spent * 1000 / len(arguments)


@asynccontextmanager
async def floor(system: System) -> AsyncIterator[Floor]:
    """Starts the empty hop."""
    folder = tempfile.mkdtemp(prefix="sfa-floor-")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"unix:{Path(folder) / 'floor.sock'}"
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.floor",
            kind,
            address,
            cwd=ROOT,
            env={**os.environ, "PORT": str(port)},
        )
        for kind in ("grpc", "http")
    ]
    hop = Client(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                if (await hop.send("GET", "/nothing")).status == 200:
                    break
            except OSError:
                await asyncio.sleep(0.05)
        await closed_loop(lambda _: hop.send("GET", "/nothing"), 500)
        yield Floor(system, hop, Tree(tuple(child.pid for child in children)))
        hop.close()
    finally:
        for child in children:
            child.terminate()
            await child.wait()


async def measured(
    system: System,
    name: str,
    request: Callable[[int], Awaitable[Any]],
    count: int,
    floor_ms: Callable[[], Awaitable[float]] | None = None,
    target: float | None = None,
) -> Result:
    """Rounds of the operation and of its floor in turn; the medians count."""
    spent, floors, loads = [], [], []
    await closed_loop(request, min(count, 200))
    await settled(system)
    for _ in range(_ROUNDS):
        if floor_ms is not None:
            floors.append(await floor_ms())
        before = system.tree.cpu_seconds()
        load = await closed_loop(request, count)
        await settled(system)
        spent.append((system.tree.cpu_seconds() - before) * 1000 / count)
        loads.append(load)
    cpu = sorted(spent)[_ROUNDS // 2]
    floor_cpu = sorted(floors)[_ROUNDS // 2] if floors else None
    middle = sorted(loads, key=lambda load: load.per_second)[_ROUNDS // 2]
    met = None if target is None or floor_cpu is None else cpu <= target * floor_cpu
    return Result(name, middle, cpu, floor_cpu, f"≤ {target} × floor" if target else "", met)


async def settled(system: System) -> None:
    """Waits until the forecast has applied everything that was written."""
    created = await system.client.send(
        "POST", "/v1/opportunities", {"name": "Last", "amount": {"currencyCode": "EUR", "units": "1"}}
    )
    token = created.headers[b"consistency-token"].decode()
    await system.client.ask("GET", "/v1/forecast?depth=0", Consistency_Token=token)


def _plain(url: Any) -> str:
    return str(url.get_secret_value() if hasattr(url, "get_secret_value") else url)


def _new_deal(number: int) -> dict[str, Any]:
    day = datetime.now(UTC) + timedelta(days=number % 300)
    return {
        "name": f"Deal {number}",
        "accountId": str(uuid4()),
        "amount": {"currencyCode": "EUR", "units": str(1000 + number)},
        "closeDate": {"year": day.year, "month": day.month, "day": day.day},
        "nextStep": "Call them back",
    }


def _insertions(system: System, count: int) -> tuple[str, list[list[Any]]]:
    """The very statement that the service writes a new deal with, and arguments for it."""
    caller = Caller(system.tenant, system.user, UUID(system.user), frozenset(), Sight.ALL, datetime.now(UTC))
    clock = SystemClock()
    pipeline = starting_pipeline(uuid4())
    rows = []
    for number in range(count):
        tx: Any = None
        call = Call(caller, tx, clock, clock.now(), "floor", request_id=str(uuid4()), request_hash=bytes(16))
        fields = {
            "name": f"Deal {number}",
            "owner_id": UUID(system.user),
            "account_id": uuid4(),
            "amount": Money(Decimal(1000 + number), "EUR"),
            "close_date": clock.now().date(),
        }
        deal, event = Opportunity.create(fields, pipeline, pipeline.first(State.OPEN), clock.now())
        store = OpportunityStore(call)
        store.stage(deal, event)
        rows += store.staged_arguments()
    return OPPORTUNITY.sql.insert, rows


async def create(system: System, least: Floor, count: int) -> Result:
    """POST /v1/opportunities."""

    async def floor_ms() -> float:
        hop = await least.hop_ms("POST", _new_deal(1), count)
        statement, rows = _insertions(system, count)
        return hop + await least.transaction_ms(statement, rows)

    return await measured(
        system,
        "create an opportunity",
        lambda number: system.client.ask("POST", "/v1/opportunities", _new_deal(number)),
        count,
        floor_ms,
        2.5,
    )


async def get(system: System, least: Floor, count: int) -> Result:
    """GET /v1/opportunities/{id}."""
    deal = (await system.client.ask("POST", "/v1/opportunities", _new_deal(0)))["id"]
    names = ", ".join(OPPORTUNITY.rows.names)
    statement = f"SELECT {names} FROM opportunities WHERE id = $1"

    async def floor_ms() -> float:
        hop = await least.hop_ms("GET", None, count)
        return hop + await least.transaction_ms(statement, [[UUID(deal)] for _ in range(count)])

    return await measured(
        system,
        "get one",
        lambda _: system.client.ask("GET", f"/v1/opportunities/{deal}"),
        count,
        floor_ms,
        2.0,
    )


async def list_50(system: System, least: Floor, count: int) -> Result:
    """GET /v1/opportunities?pageSize=50."""
    names = ", ".join(OPPORTUNITY.rows.names)
    statement = f"SELECT {names} FROM opportunities WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $1"

    async def floor_ms() -> float:
        hop = await least.hop_ms("GET", None, count)
        return hop + await least.transaction_ms(statement, [[51] for _ in range(count)])

    return await measured(
        system,
        "list 50",
        lambda _: system.client.ask("GET", "/v1/opportunities?pageSize=50"),
        count,
        floor_ms,
        2.5,
    )


async def move(system: System, count: int) -> Result:
    """POST /v1/opportunities/{id}:move, to and fro."""
    pipelines = await system.client.ask("GET", "/v1/pipelines")
    stages = [stage["id"] for stage in pipelines["pipelines"][0]["stages"][:2]]
    deals = [(await system.client.ask("POST", "/v1/opportunities", _new_deal(n)))["id"] for n in range(64)]
    turns = [0] * len(deals)

    async def request(number: int) -> Any:
        index = number % len(deals)
        turns[index] += 1
        stage = stages[turns[index] % 2]
        return await system.client.ask("POST", f"/v1/opportunities/{deals[index]}:move", {"stageId": stage})

    return await measured(system, "move a stage", request, count)


async def convert(system: System, count: int) -> Result:
    """POST /v1/leads/{id}:convert, until the lead is converted."""
    leads = []
    for number in range(count * _ROUNDS + min(count, 200)):
        lead = {"givenName": "Ada", "familyName": f"Number {number}", "companyName": f"Company {number}"}
        leads.append((await system.client.ask("POST", "/v1/leads", lead))["id"])
    waiting = iter(leads)

    async def request(_: int) -> None:
        lead = next(waiting)
        await system.client.ask("POST", f"/v1/leads/{lead}:qualify", {})
        answer = await system.client.ask("POST", f"/v1/leads/{lead}:convert", {})
        while answer["state"] != "CONVERTED":
            answer = await system.client.ask("GET", f"/v1/leads/{lead}")

    return await measured(system, "qualify and convert a lead", request, count)


async def bulk(system: System, batches: int) -> Result:
    """POST /v1/opportunities:batchUpsert, 500 rows each."""
    random_ = random.Random(7)
    bodies = [
        orjson.dumps(
            {
                "rows": [
                    {
                        "opportunity": {
                            **_new_deal(random_.randrange(10**6)),
                            "externalIds": [{"system": "bench", "id": str(uuid4())}],
                        }
                    }
                    for _ in range(500)
                ]
            }
        )
        for _ in range(batches)
    ]
    before = system.tree.cpu_seconds()
    load = await closed_loop(
        lambda number: system.client.ask("POST", "/v1/opportunities:batchUpsert", bodies[number]),
        batches,
        at_once=2,
    )
    await settled(system)
    rows = batches * 500
    cpu = (system.tree.cpu_seconds() - before) * 1000 / rows
    per_row = Load([latency / 500 for latency in load.latencies for _ in range(500)], load.seconds)
    return Result("bulk upsert, per row", per_row, cpu, None, "≥ 3000 rows/s", per_row.per_second >= 3000)


async def _reps(system: System, count: int) -> list[str]:
    """People whose deals they are: a company has more than one."""
    rows = [
        {"user": {"displayName": f"Rep {n}", "email": f"rep{n}@example.com", "roles": ["REP"]}}
        for n in range(count)
    ]
    answer = await system.client.ask("POST", "/v1/users:batchUpsert", {"rows": rows})
    return [result["id"] for result in answer["results"]]


async def freshness(system: System, per_second: float, seconds: float) -> Result:
    """From the answer to a change until the forecast's stream shows it. Each change adds one to the open
    amount: the amount shown tells how many of the changes are in it."""
    loop = asyncio.get_running_loop()
    owners = await _reps(system, 50)
    deals = []
    for number in range(500):
        deal = {**_new_deal(0), "ownerId": owners[number % len(owners)]}
        deals.append((await system.client.ask("POST", "/v1/opportunities", deal))["id"])
    await settled(system)
    made, amounts = 0, [1000] * len(deals)
    waiting: deque[tuple[int, float, asyncio.Future[float]]] = deque()
    port = system.installation.settings.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)  # an event is one line
    writer.write(
        f"GET /v1/forecast:stream?depth=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {system.client.token}\r\n\r\n".encode()
    )
    at_first: asyncio.Future[int] = loop.create_future()

    async def listen() -> None:
        async for line in reader:
            if not line.startswith(b"data:"):
                continue
            now = loop.time()
            for node in orjson.loads(line[5:]).get("forecast", {}).get("nodes", ()):
                shown = sum(map(_open, node["cells"]))
                if not at_first.done():
                    at_first.set_result(shown)
                while waiting and waiting[0][0] <= shown - at_first.result():
                    _, answered_at, seen = waiting.popleft()
                    seen.set_result(now - answered_at)

    listening = asyncio.ensure_future(listen())
    await at_first

    async def request(number: int) -> float:
        nonlocal made
        deal = number % len(deals)
        amounts[deal] += 1
        body = {"amount": {"currencyCode": "EUR", "units": str(amounts[deal])}}
        await system.client.ask("PATCH", f"/v1/opportunities/{deals[deal]}", body)
        made += 1  # so many have been answered, and have to be in what is shown
        seen: asyncio.Future[float] = loop.create_future()
        waiting.append((made, loop.time(), seen))
        return await seen

    before = system.tree.cpu_seconds()
    load = await asyncio.wait_for(open_loop(request, per_second, seconds), seconds + 60)
    cpu = (system.tree.cpu_seconds() - before) * 1000 / len(load.latencies)
    listening.cancel()
    writer.close()
    met = load.quantile(0.5) < 0.02 and load.quantile(0.99) < 0.1
    return Result(
        f"commit → forecast at {per_second:.0f}/s", load, cpu, None, "p50 < 20 ms, p99 < 100 ms", met
    )


def _open(cell: dict[str, Any]) -> int:
    """The amount of a cell, in whole units, that is open."""
    return int(cell["total"]["cumulative"]["pipeline"].get("amount", {}).get("units", 0))
