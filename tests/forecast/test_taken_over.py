"""What the forecast of the former release kept is there after the migration, and counts as it did."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg

from chassis import migrations
from chassis.call import Call
from chassis.database import Database
from deploy.provisioning import owner_role, provision, service_role
from services.forecast.book import Books
from services.forecast.book.deals import deals_at
from services.forecast.domain.figures import Deal, Stage, State
from tests.callers import Callers
from tests.clock import MovableClock
from tests.engines import PASSWORD, Databases

_AT = datetime(2017, 8, 1, tzinfo=UTC)
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)


async def test_what_was_kept_before_counts_as_it_did(
    postgres: Databases, clock: MovableClock, callers: Callers
) -> None:
    name, server = f"before_{uuid4().hex[:8]}", postgres.server
    await provision(
        server.url(), "forecast", owner_password=PASSWORD, service_password=PASSWORD, database=name
    )
    admin, old = await asyncpg.connect(server.url()), await asyncpg.connect(server.url(name))
    url = postgres.server.url(name, owner_role("forecast"))
    try:
        await asyncio.to_thread(migrations.upgrade, "forecast", url, "0001")
        tenant, deal, stage, user, product = callers.tenant, uuid4(), uuid4(), uuid4(), uuid4()
        pipeline = uuid4()
        await _keep(old, tenant, deal, stage, user, product, pipeline)
        await asyncio.to_thread(migrations.upgrade, "forecast", url)
        database = await Database.connect(postgres.server.url(name, service_role("forecast")))
        call = Call(callers.caller("operations"), database.transaction(tenant), clock, clock.now(), "test")
        book = await Books(database).of(call)
        await call.tx.commit()
        (found,) = deals_at(book, book.view())
        assert found == Deal(
            deal, 7, "", user, None, stage, State.OPEN, Decimal("1234.56"), "EUR", None,
            products=((product, Decimal("1000.00")), (user, Decimal("234.56"))), pipeline_id=pipeline,
        )  # fmt: skip
        then = book.at()
        assert then.stages == {stage: Stage(stage, 4, 90, "Closing")}  # type: ignore[arg-type]
        assert then.settings.reporting_currency == "EUR"
        assert then.users == {user: "Ann"}
        (line,) = then.lines
        assert (line.user, line.other) == (user, product)
        assert line.valid_to > line.valid_from
        (assignment,) = then.assignments
        assert assignment.holds(int(_AT.timestamp() * 1e6))
        assert then.rates.factor("USD", "EUR", date(2017, 5, 1)) == Decimal("0.91")
        await database.close()
    finally:
        await old.close()
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


async def _keep(
    old: asyncpg.Connection[asyncpg.Record],
    tenant: UUID,
    deal: UUID,
    stage: UUID,
    user: UUID,
    product: UUID,
    pipeline: UUID,
) -> None:
    await old.execute(
        "INSERT INTO data.deals VALUES ($1, $2, 7, 'Deal', $3, NULL, $4, 1, 1234.56, 'EUR', 'infinity', NULL, $5,"
        " $6, false, $7, $7)",
        tenant, deal, user, stage, [product, user], [Decimal(1000), Decimal("1234.56")], _AT,
    )  # fmt: skip
    await old.execute(
        "INSERT INTO data.stages VALUES ($1, $2, 3, $3, 'Closing', 4, 90)", tenant, stage, pipeline
    )
    await old.execute("INSERT INTO data.users VALUES ($1, $2, 1, 'Ann')", tenant, user)
    await old.execute("INSERT INTO data.tenant_settings VALUES ($1, $1, 1, 'EUR', '', 1)", tenant)
    await old.execute(
        "INSERT INTO data.territories VALUES ($1, $2, 1, 'West', NULL, false)", tenant, pipeline
    )
    await old.execute(
        "INSERT INTO data.territory_assignments VALUES ($1, $2, 1, $3, $4, '-infinity', 'infinity')",
        tenant, stage, user, pipeline,
    )  # fmt: skip
    await old.execute(
        "INSERT INTO data.sight_lines VALUES ($1, $2, 1, $3, $4, '-infinity', $5)",
        tenant, stage, user, product, _FOREVER,
    )  # fmt: skip
    await old.execute(
        "INSERT INTO data.exchange_rates VALUES ($1, $2, 1, 'USD', 'EUR', '2017-01-01', 0.91, false)",
        tenant, stage,
    )  # fmt: skip
    await old.execute("INSERT INTO data.progress VALUES ($1, 5)", tenant)
