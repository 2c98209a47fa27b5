"""Exchange rates into the tenant's reporting currency, kept from identity's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from services.quotes.tables.currencies import exchange_rates, reporting_currencies


@dataclass(frozen=True, slots=True)
class FoundRate:
    """What one unit of a currency is worth in `currency`, from `day` on."""

    rate: Decimal
    currency: str
    day: date


class ExchangeRates:
    """What identity has said."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Takes rows over that are newer than what is there; of several of one id the newest."""
        newest: dict[Any, dict[str, Any]] = {}
        for row in sorted(rows, key=lambda row: int(row["version"])):
            newest[row["id"]] = row
        for row in newest.values():
            first = insert(table).values(**row)
            changing = {name: first.excluded[name] for name in row if name != "id"}
            newer = table.c.version < first.excluded.version
            await self.tx.execute(
                first.on_conflict_do_update(index_elements=["tenant_id", "id"], set_=changing, where=newer)
            )
        self.tx.wrote = self.tx.wrote or bool(newest)

    async def into_reporting_currency(self, currency: str, day: date) -> FoundRate | None:
        """The rate that holds on a day: the latest on or before it; None where none is known."""
        reporting = await self.tx.fetchval(sa.select(reporting_currencies.c.currency).limit(1))
        if not reporting:
            return None
        if reporting == currency:
            return FoundRate(Decimal(1), reporting, day)
        rates = exchange_rates.c
        row = await self.tx.fetchrow(
            sa.select(rates.rate, rates.valid_from)
            .where(
                rates.from_currency == currency,
                rates.to_currency == reporting,
                rates.valid_from <= day,
                sa.not_(rates.deleted),
            )
            .order_by(rates.valid_from.desc())
            .limit(1)
        )
        return FoundRate(row["rate"], reporting, row["valid_from"]) if row is not None else None
