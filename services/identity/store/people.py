"""The tenant, its users, and how a leaver's records move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.store import EntityStore
from services.identity.domain.deactivation import Deactivation, Part
from services.identity.domain.people import Role, User
from services.identity.domain.tenants import Tenant
from services.identity.store.locking import lock
from services.identity.tables import (
    DEACTIVATION,
    TENANT,
    USER,
    credentials,
    deactivation_moves,
    deactivations,
    users,
)


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
