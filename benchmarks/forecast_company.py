"""A company with a million open opportunities, put into the forecast's database as its events would leave it.

2,000 reps stand below five levels of managers; the deals close over twelve months, in three currencies and
six stages; some were moved before, and a sixth as many are won or lost. Everything is drawn from one seed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
import numpy as np
import orjson
from numpy.typing import NDArray

REPS: Final = 2000
_LEVELS: Final = (1, 4, 16, 64, 256)
"""How many managers there are on each level; the reps are the sixth."""
_CATEGORIES: Final = ((2, 5), (2, 10), (2, 20), (3, 50), (3, 60), (4, 90))
_CURRENCIES: Final = ("EUR", "EUR", "USD", "GBP")
_CLOSED_SHARE: Final = 1 / 6
_CHUNK: Final = 20_000
_DAY_ZERO: Final = date(2000, 1, 1)
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_EMPTY: Final = (">i4", 3)  # no dimension, no nulls, the type of what is in it
_EMPTY_IDS: Final = np.array([0, 0, 2950], ">i4")
_EMPTY_NUMBERS: Final = np.array([0, 0, 20], ">i4")
_ARRAY: Final = [
    ("ndim", ">i4"),
    ("nulls", ">i4"),
    ("oid", ">i4"),
    ("size", ">i4"),
    ("lower", ">i4"),
    ("length", ">i4"),
]
_ONE_ID: Final = np.dtype([*_ARRAY, ("one", "V16")])
_ONE_NUMBER: Final = np.dtype([*_ARRAY, ("one", ">i8")])
_TYPES: Final[dict[str, Any]] = {
    "tenant_id": "V16", "id": "V16", "version": ">i8", "counted": ">i8", "kind": ">i2", "recorded_at": ">i8",
    "effective_at": ">i8", "state": ">i2", "deleted": "?", "name": "S4", "owner_id": "V16", "account_id": "V16",
    "pipeline_id": "V16", "stage_id": "V16", "amount": ">i8", "currency": "S3", "closes_on": ">i4", "category": ">i2",
    "product_ids": _EMPTY, "product_ends": _EMPTY,
}  # fmt: skip
_COLUMNS: Final = [*_TYPES]


class ForecastCompany:
    """Who is in it, and what they work on; `size` is how many opportunities are open."""

    def __init__(self, tenant: UUID, size: int, today: date, seed: int = 7) -> None:
        self.tenant, self.size, self.today = tenant, size, today
        self.random = np.random.default_rng(seed)
        self.levels = [
            [self.id(f"manager {level} {one}") for one in range(count)] for level, count in enumerate(_LEVELS)
        ]
        self.reps = [self.id(f"rep {one}") for one in range(REPS)]
        self.stages = [self.id(f"stage {one}") for one in range(len(_CATEGORIES) + 2)]
        self.products = [self.id(f"product {one}") for one in range(40)]
        self.begun = datetime(today.year - 1, today.month, 1, tzinfo=UTC)

    def id(self, name: str) -> UUID:
        return uuid5(self.tenant, name)

    @property
    def periods(self) -> str:
        """The twelve months in which deals close."""
        last = (self.today.year * 12 + self.today.month - 1) + 11
        return f"{self.today.year:04}-{self.today.month:02}..{last // 12:04}-{last % 12 + 1:02}"

    async def fill(self, owner: asyncpg.Connection[Any]) -> int:
        """Writes everything, and says how many versions that was."""
        await owner.execute("DELETE FROM data.deal_versions WHERE tenant_id = $1", self.tenant)
        await owner.copy_records_to_table(
            "reference_versions",
            schema_name="data",
            columns=[
                "tenant_id",
                "kind",
                "id",
                "version",
                "counted",
                "recorded_at",
                "effective_at",
                "content",
            ],
            records=[*self._references()],
        )
        await owner.executemany(
            "INSERT INTO data.sight_lines (tenant_id, id, version, user_id, manager_id, valid_from, valid_to)"
            " VALUES ($1, $2, 1, $3, $4, '0001-01-01Z', '9999-12-31Z') ON CONFLICT DO NOTHING",
            [(self.tenant, self.id(f"line {user}"), user, manager) for user, manager in self._lines()],
        )
        count = 0

        async def rows() -> AsyncIterator[bytes]:
            nonlocal count
            yield _HEADER
            for versions, raw in self._deals():
                count += versions
                yield raw
            yield _END

        await owner.copy_to_table(
            "deal_versions", schema_name="data", columns=_COLUMNS, source=rows(), format="binary"
        )
        await owner.execute(
            "UPDATE data.reference_versions SET recorded_at = $2 WHERE tenant_id = $1 AND kind = 'tenant'",
            self.tenant, self.begun,
        )  # fmt: skip
        await owner.execute("ANALYZE data.deal_versions")
        await owner.execute(
            "INSERT INTO data.progress (tenant_id, changes, reference_changes) VALUES ($1, 1, 1) ON CONFLICT"
            " (tenant_id) DO UPDATE SET epoch = gen_random_uuid(), changes = progress.changes + 1",
            self.tenant,
        )
        return count

    def _lines(self) -> Iterator[tuple[UUID, UUID]]:
        for above, below in zip(self.levels, [*self.levels[1:], self.reps], strict=True):
            for place, user in enumerate(below):
                yield user, above[place * len(above) // len(below)]

    def _references(self) -> Iterator[tuple[Any, ...]]:
        def reference(kind: str, id: UUID, **content: Any) -> tuple[Any, ...]:
            return (self.tenant, kind, id, 1, 1, self.begun, self.begun, orjson.dumps(content).decode())

        for place, user in enumerate(user for level in [*self.levels, self.reps] for user in level):
            yield reference("user", user, name=f"User {place:04}")
        for user, manager in self._lines():
            yield reference(
                "reporting_line", self.id(f"line {user}"), user_id=user, manager_id=manager,
                valid_from=-(2**55), valid_to=2**57,
            )  # fmt: skip
        for stage, (category, probability) in zip(self.stages, [*_CATEGORIES, (5, 100), (1, 0)], strict=True):
            yield reference(
                "stage", stage, pipeline_id=self.id("pipeline"), name=str(stage), category=category,
                probability=probability,
            )  # fmt: skip
        for product in self.products:
            yield reference("product", product, name=str(product))
        for currency, worth in (("USD", "0.9134"), ("GBP", "1.1523")):
            for week in range(80):
                yield reference(
                    "exchange_rate", self.id(f"{currency} {week}"), currency=currency, target="EUR",
                    valid_from=str(self.begun.date() + timedelta(weeks=week)), rate=f"{worth}{week:02}",
                    deleted=False,
                )  # fmt: skip

    def _deals(self) -> Iterator[tuple[int, bytes]]:
        total = int(self.size * (1 + _CLOSED_SHARE))
        for start in range(0, total, _CHUNK):
            yield self._chunk(start, min(_CHUNK, total - start))

    def _chunk(self, start: int, count: int) -> tuple[int, bytes]:
        """Some deals with all of their versions, as PostgreSQL's binary COPY has them."""
        random, opened = self.random, _CATEGORIES
        is_open = np.arange(start, start + count) < self.size
        changes = np.minimum(random.geometric(0.6, count), 4)
        last = changes + ~is_open
        deal = np.repeat(np.arange(count), last)
        version = np.arange(len(deal)) - np.repeat(np.cumsum(last) - last, last) + 1
        closes = (version == last[deal]) & ~is_open[deal]
        amount = random.lognormal(13.5, 1.2, count).astype(np.int64)
        gap = amount % 2_000_000 + 1
        recorded = random.integers(0, 330 * 86_400, count)[deal] + (version - 1) * gap[deal]
        lost = (amount % 3 == 0)[deal]
        stage = np.minimum(random.integers(0, len(opened), count)[deal] + version - 1, len(opened) - 1)
        stage = np.where(closes, len(opened) + lost, stage)
        first = (date(self.today.year, self.today.month, 1) - _DAY_ZERO).days
        begun = (self.begun.date() - _DAY_ZERO).days
        closes_on = np.where(closes, begun + recorded // 86_400, first + random.integers(0, 365, count)[deal])
        state = np.where(closes, np.where(lost, 3, 2), 1)
        product = random.integers(-1, len(self.products), count)[deal]
        value = (amount[deal] * 1.05 ** (version - 1)).astype(np.int64)
        facts = {
            "tenant_id": np.frombuffer(self.tenant.bytes, "V16").repeat(len(deal)),
            "id": np.frombuffer(random.bytes(16 * count), "V16")[deal],
            "version": version,
            "counted": 1,
            "kind": np.where(closes, state + 2, np.where(version == 1, 1, 2)),
            "recorded_at": (begun * 86_400 + recorded) * 1_000_000,
            "effective_at": (begun * 86_400 + recorded) * 1_000_000,
            "state": state,
            "deleted": False,
            "name": b"Deal",
            "owner_id": _raw(self.reps)[random.integers(0, REPS, count)[deal]],
            "account_id": _raw([self.id("account")] * len(deal)),
            "pipeline_id": _raw([self.id("pipeline")] * len(deal)),
            "stage_id": _raw(self.stages)[stage],
            "amount": value,
            "currency": np.array(_CURRENCIES, "S3")[random.integers(0, len(_CURRENCIES), count)[deal]],
            "closes_on": closes_on,
            "category": 0,
        }
        without, having = product < 0, product >= 0
        no_product = {"product_ids": _EMPTY_IDS, "product_ends": _EMPTY_NUMBERS}
        ids, ends = (np.zeros(len(deal), dtype) for dtype in (_ONE_ID, _ONE_NUMBER))
        for array, oid, length, one in ((ids, 2950, 16, _raw(self.products)[product]), (ends, 20, 8, value)):
            array["ndim"], array["oid"], array["size"], array["lower"] = 1, oid, 1, 1
            array["length"], array["one"] = length, one
        one_product = {"product_ids": ids, "product_ends": ends}
        return len(deal), _rows(facts | no_product, without) + _rows(facts | one_product, having)


def _raw(ids: Sequence[UUID]) -> NDArray[np.void]:
    return np.frombuffer(b"".join(id.bytes for id in ids), "V16")


def _rows(facts: dict[str, Any], chosen: NDArray[np.bool_]) -> bytes:
    """Rows of binary COPY: the number of values, then each with its length before it."""
    has_product = facts["product_ids"].dtype == _ONE_ID
    types = _TYPES | ({"product_ids": _ONE_ID, "product_ends": _ONE_NUMBER} if has_product else {})
    fields: list[Any] = [("values", ">i2")]
    for name in _COLUMNS:
        fields += [(f"length of {name}", ">i4"), (name, types[name])]
    rows = np.zeros(int(chosen.sum()), fields)
    rows["values"] = len(_COLUMNS)
    for name in _COLUMNS:
        fact = facts[name]
        rows[f"length of {name}"] = np.dtype(types[name]).itemsize
        is_column = isinstance(fact, np.ndarray) and len(fact) == len(chosen)
        rows[name] = fact[chosen] if is_column else fact
    return rows.tobytes()


async def history(owner: asyncpg.Connection[Any], company: ForecastCompany, events: int) -> None:
    """Puts deals with two versions each into the opportunities service's history: as many events."""
    from sfa.opportunities.v1 import events_pb2

    kinds = (events_pb2.OpportunityCreated(), events_pb2.OpportunityUpdated())
    records: list[tuple[Any, ...]] = []
    # one transaction after the other, as they would have been written, before those that there were
    last = await owner.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") - 10
    for number in range(events):
        event: Any = kinds[number % 2]
        deal, at = event.opportunity, company.begun + timedelta(seconds=number)
        deal.id = str(company.id(f"remembered {number // 2}"))
        deal.name, deal.state = f"Deal {number // 2}", 1
        deal.owner_id, deal.account_id = str(company.reps[number // 2 % REPS]), str(company.id("account"))
        deal.pipeline_id, deal.stage_id = str(company.id("pipeline")), str(company.stages[number % 6])
        deal.amount.currency_code, deal.amount.units = "EUR", 1000 + number
        deal.close_date.year, deal.close_date.month, deal.close_date.day = (
            company.today.year,
            12,
            1 + number % 28,
        )
        records.append(
            (
                company.tenant, "opportunity", UUID(deal.id), number % 2 + 1, at, at, "bench", "bench", 0, [], [],
                [], event.DESCRIPTOR.full_name, event.SerializeToString(), False, 3 + number * (last - 3) // events,
            )
        )  # fmt: skip
    await owner.copy_records_to_table(
        "changes",
        schema_name="data",
        columns=[
            "tenant_id", "entity", "entity_id", "version", "recorded_at", "effective_at", "actor", "method", "ordinal",
            "sight_before", "sight_after", "changed_fields", "event_type", "event", "deleted",
            "position",
        ],
        records=records,
    )  # fmt: skip
    await owner.execute("ANALYZE data.changes")
