"""Every query of this service."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.database import Database, Transaction
from chassis.schema import changes
from chassis.store import EntityStore
from services.identity.domain.deactivation import Deactivation, Part
from services.identity.domain.people import Role, User
from services.identity.domain.providers import IdentityProvider
from services.identity.domain.rates import ExchangeRate
from services.identity.domain.reporting import D, ReportingLine, Territory, TerritoryAssignment
from services.identity.domain.signing_in import Attempts, Patience, RefreshToken, Session
from services.identity.domain.tenants import Tenant
from services.identity.keys import SigningKey
from services.identity.tables import (
    DEACTIVATION,
    EXCHANGE_RATE,
    IDENTITY_PROVIDER,
    REPORTING_LINE,
    SESSION,
    SIGNING_KEY,
    TENANT,
    TERRITORY,
    TERRITORY_ASSIGNMENT,
    USER,
    attempts,
    credentials,
    deactivation_moves,
    deactivations,
    exchange_rates,
    handles,
    refresh_tokens,
    reporting_lines,
    sessions,
    territories,
    territory_assignments,
    users,
)

_KEPT_ATTEMPTS: Final = timedelta(days=2)


class TenantStore(EntityStore[Tenant]):
    """The tenants: a call sees its own."""

    type = TENANT

    async def own(self, etag: str = "") -> Tenant:
        """The caller's."""
        return await self.get(self.call.caller.tenant, etag)


class UserStore(EntityStore[User]):
    """The users; everybody in the tenant may know of them."""

    type = USER

    async def by_email(self, email: str) -> User | None:
        """The user with this address, whatever the case of its letters."""
        row = await self.tx.fetchrow(self.select().where(sa.func.lower(users.c.email) == email.lower()))
        return self._load(row) if row is not None else None

    async def owners_of(self, emails: Iterable[str]) -> dict[str, UUID]:
        """Who has these addresses, by the address in lower case."""
        wanted = [email.lower() for email in emails if email]
        if not wanted:
            return {}
        key = sa.func.lower(users.c.email)
        statement = sa.select(key, users.c.id).where(key == sa.any_(sa.literal(wanted, sa.ARRAY(sa.Text))))
        return {row[0]: row[1] for row in await self.tx.fetch(statement)}

    async def administrators(self) -> set[UUID]:
        """The active users who administer the tenant; nobody else can change that meanwhile."""
        await lock(self.tx, "administrators")
        administers = users.c.roles.op("@>", is_comparison=True)(
            sa.literal([Role.ADMINISTRATOR.value], sa.ARRAY(sa.Text))
        )
        statement = sa.select(users.c.id).where(administers, users.c.active, users.c.deleted_at.is_(None))
        return {row[0] for row in await self.tx.fetch(statement)}

    async def keep_password(self, user: UUID, password_hash: str) -> None:
        """Sets the hash that the user's password is checked against."""
        statement = insert(credentials).values(user_id=user, password_hash=password_hash)
        await self.tx.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "user_id"],
                set_={"password_hash": statement.excluded.password_hash},
            )
        )

    async def password_hash(self, user: UUID) -> str | None:
        """The hash of the user's password; None where the user has none."""
        statement = sa.select(credentials.c.password_hash).where(credentials.c.user_id == user)
        found: str | None = await self.tx.fetchval(statement)
        return found


class ReportingLineStore(EntityStore[ReportingLine]):
    """Who reports to whom."""

    type = REPORTING_LINE

    async def all(self) -> list[ReportingLine]:
        """All of the tenant's, while nobody else changes any: whether they make a circle is a question
        about all of them."""
        await lock(self.tx, "reporting lines")
        rows = await self.tx.fetch(self.select().where(reporting_lines.c.deleted_at.is_(None)))
        return [self._load(row) for row in rows]

    async def reports_of(self, manager: UUID, day: date) -> int:
        """How many report to the manager on a day."""
        line = reporting_lines.c
        statement = sa.select(sa.func.count()).where(
            line.manager_id == manager,
            line.deleted_at.is_(None),
            sa.or_(line.start_date.is_(None), line.start_date <= day),
            sa.or_(line.end_date.is_(None), line.end_date > day),
        )
        return int(await self.tx.fetchval(statement))

    async def position(self) -> int:
        """The latest change of any of them: sight may not be older."""
        # As a number, so that the changes of this kind are read, not all changes from the newest back.
        position = sa.cast(sa.cast(changes.c.position, sa.Text), sa.BigInteger)
        statement = sa.select(sa.func.max(position)).where(changes.c.entity == REPORTING_LINE.name)
        return int(await self.tx.fetchval(statement) or 0)


class TerritoryStore(EntityStore[Territory]):
    """The territories."""

    type = TERRITORY

    async def parents(self) -> dict[UUID, UUID | None]:
        """What each territory is a part of, while nobody else changes any."""
        await lock(self.tx, "territories")
        statement = sa.select(territories.c.id, territories.c.parent_id).where(
            territories.c.deleted_at.is_(None)
        )
        return {row[0]: row[1] for row in await self.tx.fetch(statement)}


class TerritoryAssignmentStore(EntityStore[TerritoryAssignment]):
    """Who covers which territory."""

    type = TERRITORY_ASSIGNMENT

    async def all(self) -> list[TerritoryAssignment]:
        """All of the tenant's, while nobody else changes any."""
        await lock(self.tx, "territory assignments")
        rows = await self.tx.fetch(self.select().where(territory_assignments.c.deleted_at.is_(None)))
        return [self._load(row) for row in rows]

    async def covers(self, territory: UUID, from_day: date) -> bool:
        """Whether anybody covers the territory on a day, or will."""
        assigned = territory_assignments.c
        statement = sa.select(assigned.id).where(
            assigned.territory_id == territory,
            assigned.deleted_at.is_(None),
            sa.or_(assigned.end_date.is_(None), assigned.end_date > from_day),
        )
        return await self.tx.fetchrow(statement.limit(1)) is not None


class ExchangeRateStore(EntityStore[ExchangeRate]):
    """The rates."""

    type = EXCHANGE_RATE

    async def on_days(
        self, keys: Sequence[tuple[str, str, date]]
    ) -> dict[tuple[str, str, date], ExchangeRate]:
        """Those of these currencies and dates that there are."""
        await lock(self.tx, "exchange rates")
        rate = exchange_rates.c
        wanted = sa.func.unnest(
            sa.literal([key[0] for key in keys], sa.ARRAY(sa.Text)),
            sa.literal([key[1] for key in keys], sa.ARRAY(sa.Text)),
            sa.literal([key[2] for key in keys], sa.ARRAY(sa.Date)),
        ).table_valued("from_currency", "to_currency", "date")
        derived = wanted.render_derived("wanted")
        rows = await self.tx.fetch(
            self.select().where(
                rate.from_currency == derived.c.from_currency,
                rate.to_currency == derived.c.to_currency,
                rate.date == derived.c.date,
            )
        )
        found = [self._load(row) for row in rows]
        return {(each.from_currency, each.to_currency, each.date): each for each in found}

    async def latest(self, from_currency: str, to_currency: str, on: date) -> list[ExchangeRate]:
        """The latest on or before a day, if there is one."""
        rate = exchange_rates.c
        rows = await self.tx.fetch(
            self.select()
            .where(rate.from_currency == from_currency, rate.to_currency == to_currency, rate.date <= on)
            .order_by(rate.date.desc())
            .limit(1)
        )
        return [self._load(row) for row in rows]


class SessionStore(EntityStore[Session]):
    """The sessions, and their refresh tokens."""

    type = SESSION

    async def open_of(self, user: UUID) -> list[Session]:
        """Those of a user that go on."""
        rows = await self.tx.fetch(
            self.select().where(sessions.c.user_id == user, sessions.c.revoked_at.is_(None))
        )
        return [self._load(row) for row in rows]

    async def add_refresh_token(self, token: RefreshToken) -> None:
        """Keeps a new one."""
        await self.tx.execute(
            sa.insert(refresh_tokens).values(
                id=token.id, session_id=token.session_id, digest=token.digest, expires_at=token.expires_at
            )
        )

    async def refresh_token(self, id: UUID) -> RefreshToken | None:
        """The one with this id, locked: of two that use it at the same moment, one is the second."""
        columns = refresh_tokens.c
        row = await self.tx.fetchrow(
            sa.select(columns.id, columns.session_id, columns.digest, columns.expires_at, columns.used_at)
            .where(columns.id == id)
            .with_for_update()
        )
        return RefreshToken(*row) if row is not None else None

    async def use_refresh_token(self, token: RefreshToken, at: datetime) -> None:
        """Says that it was used, and forgets those of its session that have expired."""
        columns = refresh_tokens.c
        await self.tx.execute(sa.update(refresh_tokens).where(columns.id == token.id).values(used_at=at))
        await self.tx.execute(
            sa.delete(refresh_tokens).where(columns.session_id == token.session_id, columns.expires_at < at)
        )


class IdentityProviderStore(EntityStore[IdentityProvider]):
    """The external OpenID providers."""

    type = IDENTITY_PROVIDER


class SigningKeyStore(EntityStore[SigningKey]):
    """The signing keys of the deployment, under the nil tenant."""

    type = SIGNING_KEY

    async def all(self) -> list[SigningKey]:
        """All of them, the newest first."""
        rows = await self.tx.fetch(self.select().order_by(SIGNING_KEY.table.c.created_at.desc()))
        return [self._load(row) for row in rows]


class DeactivationStore(EntityStore[Deactivation]):
    """The deactivations, and what they moved."""

    type = DEACTIVATION

    async def running_of(self, user: UUID) -> Deactivation | None:
        """The one by which the user's records are being moved now."""
        row = await self.tx.fetchrow(
            self.select().where(
                deactivations.c.user_id == user,
                sa.or_(deactivations.c.state == "RUNNING", deactivations.c.state == "UNDOING"),
            )
        )
        return self._load(row) if row is not None else None

    async def last_of(self, user: UUID) -> Deactivation | None:
        """The newest one of a user."""
        statement = self.select().where(deactivations.c.user_id == user)
        row = await self.tx.fetchrow(statement.order_by(deactivations.c.created_at.desc()).limit(1))
        return self._load(row) if row is not None else None

    async def keep_moves(self, deactivation: Deactivation, part: Part, ids: Sequence[str]) -> None:
        """Remembers which records a step moved."""
        columns = ("deactivation_id", "service", "entity", "record_id")
        statement = insert(deactivation_moves).values({name: sa.bindparam(f"p_{name}") for name in columns})
        await self.tx.executemany(
            statement.on_conflict_do_nothing(),
            [
                {
                    "p_deactivation_id": deactivation.id,
                    "p_service": part.service,
                    "p_entity": part.entity,
                    "p_record_id": UUID(id),
                }
                for id in ids
            ],
        )

    async def moves(self, deactivation: Deactivation, part: Part, most: int) -> list[UUID]:
        """Some of the records that were moved and have not been moved back."""
        columns = deactivation_moves.c
        rows = await self.tx.fetch(
            sa.select(columns.record_id)
            .where(*_moves_of(deactivation, part))
            .order_by(columns.record_id)
            .limit(most)
        )
        return [row[0] for row in rows]

    async def count_moves(self, deactivation: Deactivation, part: Part) -> int:
        """How many records have not been moved back."""
        statement = sa.select(sa.func.count()).select_from(deactivation_moves)
        return int(await self.tx.fetchval(statement.where(*_moves_of(deactivation, part))))

    async def forget_moves(self, deactivation: Deactivation, part: Part, ids: Sequence[UUID]) -> None:
        """These went back, or stay where they are."""
        chosen = deactivation_moves.c.record_id == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
        await self.tx.execute(sa.delete(deactivation_moves).where(*_moves_of(deactivation, part), chosen))


def _moves_of(deactivation: Deactivation, part: Part) -> tuple[sa.ColumnElement[bool], ...]:
    columns = deactivation_moves.c
    return (
        columns.deactivation_id == deactivation.id,
        columns.service == part.service,
        columns.entity == part.entity,
    )


async def lock(tx: Transaction, what: str) -> None:
    """Lets one transaction of a tenant at a time change something that has to be right as a whole."""
    await tx.fetch(
        sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{tx.tenant} {what}", 0)))
    )


# What is looked up before a tenant is known


@dataclass(frozen=True, slots=True)
class Handle:
    """Where a handle leads."""

    tenant: UUID
    entity_id: UUID


async def handles_of(call: Call, kind: str, text: str, most: int = 4) -> list[Handle]:
    """Who has this e-mail address, or issuer, in whatever tenant."""
    digest = hashlib.sha256(text.lower().encode()).digest()
    rows = await call.tx.fetch(
        sa.select(handles.c.tenant_id, handles.c.entity_id)
        .where(handles.c.kind == kind, handles.c.digest == digest)
        .order_by(handles.c.tenant_id)
        .limit(most)
    )
    return [Handle(row[0], row[1]) for row in rows]


class AttemptStore:
    """Counts attempts of accounts and addresses, whatever becomes of the call: each count is committed
    by itself, and before the proof is looked at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, what: Sequence[tuple[str, Patience]], at: datetime) -> None:
        """Counts one attempt each.

        Raises:
            TooManyAttempts: it is too early for another one; nothing is counted then.
        """
        async with self._database.transaction(None) as tx:
            for key, patience in sorted(what, key=lambda item: _digest(item[0])):
                known = await self._locked(tx, key)
                await self._keep(tx, key, known.begin(at, patience))
            await tx.execute(sa.delete(attempts).where(attempts.c.last_at < at - _KEPT_ATTEMPTS))

    async def take_back(self, *, account: str | None = None, address: str | None = None) -> None:
        """The attempt succeeded: the account starts anew, the address has one less."""
        async with self._database.transaction(None) as tx:
            for key in sorted((key for key in (account, address) if key is not None), key=_digest):
                known = await self._locked(tx, key)
                await self._keep(tx, key, Attempts() if key == account else known.take_back())

    async def _locked(self, tx: Transaction, key: str) -> Attempts:
        statement = insert(attempts).values(digest=_digest(key), failures=0)
        row = await tx.fetchrow(
            statement.on_conflict_do_update(
                index_elements=["digest"], set_={"failures": attempts.c.failures}
            ).returning(attempts.c.failures, attempts.c.last_at, attempts.c.locked_until)
        )
        assert row is not None
        return Attempts(*row)

    async def _keep(self, tx: Transaction, key: str, now: Attempts) -> None:
        await tx.execute(
            sa.update(attempts)
            .where(attempts.c.digest == _digest(key))
            .values(failures=now.failures, last_at=now.last_at, locked_until=now.locked_until)
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def of_user(lines: Iterable[D], user: UUID) -> list[D]:
    """Those of one user."""
    return [line for line in lines if line.user_id == user]
