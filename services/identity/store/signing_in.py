"""Sessions, providers and keys, and what is looked up before a tenant is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.database import Database, Transaction
from chassis.store import EntityStore
from services.identity.domain.providers import IdentityProvider
from services.identity.domain.signing_in import Attempts, Patience, RefreshToken, Session
from services.identity.keys import SigningKey
from services.identity.tables import (
    IDENTITY_PROVIDER,
    SESSION,
    SIGNING_KEY,
    attempts,
    handles,
    refresh_tokens,
    sessions,
)

_KEPT_ATTEMPTS: Final = timedelta(days=2)


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
