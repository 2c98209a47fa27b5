"""Queries of customers and their credit."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

import orjson
import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.entity import ExternalId
from chassis.store import EntityStore
from services.quotes.domain.credit import CreditSettings, CustomerCredit
from services.quotes.domain.orders import Customer, OrderState
from services.quotes.tables.credit import CREDIT_SETTINGS, CUSTOMER_CREDIT
from services.quotes.tables.orders import customer_of as loaded
from services.quotes.tables.orders import orders

_KEEP: Final = Prepared(
    sa.text(
        "INSERT INTO customers AS known (id, version, name, external_ids, addresses)"
        " VALUES (:id, :version, :name, CAST(CAST(:external_ids AS text) AS jsonb),"
        " CAST(CAST(:addresses AS text) AS jsonb))"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET version = excluded.version, name = excluded.name,"
        " external_ids = excluded.external_ids, addresses = excluded.addresses"
        " WHERE known.version < excluded.version"
    )
)
_CUSTOMER: Final = Prepared(
    sa.text(
        "SELECT name, external_ids::text AS external_ids, addresses::text AS addresses FROM customers"
        " WHERE id = :id"
    )
)
_BY_EXTERNAL: Final = Prepared(
    sa.text(
        "SELECT id FROM customers WHERE external_ids @> CAST(CAST(:key AS text) AS jsonb) ORDER BY id LIMIT 1"
    )
)


class CustomerCreditStore(EntityStore[CustomerCredit]):
    """Customers' credit, by the account's id."""

    type = CUSTOMER_CREDIT


class CreditSettingsStore(EntityStore[CreditSettings]):
    """The tenant's one resource of settings."""

    type = CREDIT_SETTINGS

    async def current(self, etag: str = "") -> CreditSettings:
        """The settings that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id = uuid5(self.call.caller.tenant, "credit settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or CreditSettings(id=id)


async def unbooked(call: Call, account_id: UUID) -> dict[str, Decimal]:
    """What a customer has ordered and the ERP has not booked, by currency, whoever sold it."""
    rows = await call.tx.fetch(
        sa.select(orders.c.currency, sa.func.sum(orders.c.payable_total))
        .where(orders.c.account_id == account_id, orders.c.state == OrderState.PLACED.value)
        .group_by(orders.c.currency)
    )
    return {row[0]: row[1] for row in rows}


async def keep_customer(call: Call, id: UUID, version: int, customer: Customer) -> None:
    """Takes up what the contacts service says of an account; the highest version counts."""
    call.tx.wrote = True
    values = {
        "id": id,
        "version": version,
        "name": customer.name,
        "external_ids": orjson.dumps(customer.external_ids).decode(),
        "addresses": orjson.dumps(customer.addresses).decode(),
    }
    await call.tx.execute(_KEEP, values)


async def customer_of(call: Call, account_id: UUID | None) -> Customer:
    """Who the account is; nobody in particular where it has not been heard of."""
    row = await call.tx.fetchrow(_CUSTOMER, {"id": account_id}) if account_id is not None else None
    if row is None:
        return Customer()
    item = {name: orjson.loads(row[name]) for name in ("external_ids", "addresses")}
    return loaded({**item, "name": row["name"]})


async def account_named(call: Call, key: ExternalId) -> UUID | None:
    """The account with an external id; None for none that has been heard of."""
    found = await call.tx.fetchval(_BY_EXTERNAL, {"key": orjson.dumps([key]).decode()})
    return UUID(str(found)) if found is not None else None
