"""Every query of this service."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select
from sqlalchemy.dialects.postgresql import array, insert

from chassis import sight
from chassis.call import Call
from chassis.entity import Entity, ExternalId
from chassis.store import EntityStore
from services.contacts.domain import Account, Contact, Hierarchy, OnlyReadable
from services.contacts.tables import ACCOUNT, CONTACT, accounts, contacts, mentions

E = TypeVar("E", bound=Entity)

DEFAULT_HITS = 20


class MentionedStore(EntityStore[E]):
    """What is also read by way of a deal, quote or lead, and changed only by those who see its owner."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._owned: set[UUID] = set()

    def mentioned(self) -> Select[Any]:
        """The ids that deals, quotes and leads name, whoever may see these."""
        raise NotImplementedError

    def visible(self) -> ColumnElement[bool] | None:
        owner = self.type.table.c.owner_id
        owned = sight.condition(self.call, owner)
        if owned is None:
            return None
        owners = sa.any_(sight.seen(self.call))
        by_way = self.mentioned().where(~mentions.c.deleted, mentions.c.owner_id == owners)
        as_member = self.mentioned().where(~mentions.c.deleted, self._joined())
        id = self.type.table.c.id
        return sa.or_(owned, owner.is_(None), id.in_(by_way), id.in_(as_member))

    def _joined(self) -> ColumnElement[bool]:
        """That the caller is in the deal without owning it."""
        user = sa.bindparam("sight_user", self.call.caller.user_id, sa.Uuid)
        return mentions.c.members.op("@>", is_comparison=True)(sa.cast(array([user]), sa.ARRAY(sa.Uuid)))

    def select(self) -> Select[Any]:
        owned = sight.condition(self.call, self.type.table.c.owner_id)
        return super().select().add_columns((sa.true() if owned is None else owned).label("owned"))

    def changeable(self, entity: E) -> None:
        if entity.id not in self._owned:
            raise OnlyReadable(self.type.name)

    def stage(self, entity: E, *arguments: Any, **options: Any) -> bool:
        if entity.id not in self._known:
            self._owned.add(entity.id)  # new; whom it may belong to was checked
        return super().stage(entity, *arguments, **options)

    async def search(self, text: str, limit: int) -> list[E]:
        """Those whose name contains the text or is spelled much like it, the most similar first."""
        name = self.searched_name()
        q = sa.literal(text, sa.Text)
        matching = sa.or_(
            name.icontains(text, autoescape=True),
            q.op("<%", precedence=20, is_comparison=True)(name),
        )
        rows = await self.tx.fetch(
            self.select()
            .where(self.type.table.c.deleted_at.is_(None), matching)
            .order_by(
                (sa.func.lower(name) == sa.func.lower(q)).desc(),
                sa.func.strict_word_similarity(q, name).desc(),
                sa.func.similarity(name, q).desc(),
                self.type.table.c.id,
            )
            .limit(limit or DEFAULT_HITS)
        )
        return [self._load(row) for row in rows]

    def searched_name(self) -> ColumnElement[str]:
        """What a search looks through: the expression of the trigram index."""
        raise NotImplementedError

    def _load(self, row: asyncpg.Record) -> E:
        entity = super()._load(row)
        if row["owned"]:
            self._owned.add(entity.id)
        return entity


class AccountStore(MentionedStore[Account]):
    """The companies."""

    type = ACCOUNT

    def mentioned(self) -> Select[Any]:
        return sa.select(mentions.c.account_id).where(mentions.c.account_id.is_not(None))

    def searched_name(self) -> ColumnElement[str]:
        return accounts.c.name

    async def hierarchy(self, parents: Collection[UUID]) -> Hierarchy:
        """What stands above accounts that others are to belong to, as far as the caller may read these.

        Until the end of the transaction no other one moves an account: two moves at once could close a
        circle that neither of them sees.
        """
        if not parents:
            return Hierarchy({})
        await self.tx.fetch(_LOCK_HIERARCHY)
        known = [
            account.id
            for account in (await self.get_many(list(parents))).values()
            if account.deleted_at is None
        ]
        line = (
            sa.select(accounts.c.id, accounts.c.parent_account_id)
            .where(accounts.c.id == sa.any_(sa.literal(known, sa.ARRAY(sa.Uuid))))
            .cte("line", recursive=True)
        )
        above = accounts.alias("above")
        line = line.union(
            sa.select(above.c.id, above.c.parent_account_id).join(
                line, above.c.id == line.c.parent_account_id
            )
        )
        rows = await self.tx.fetch(sa.select(line.c.id, line.c.parent_account_id))
        return Hierarchy({row[0]: row[1] for row in rows})

    async def has_children(self, id: UUID) -> bool:
        """Whether others belong to the account, whoever may see them; none is added until the end."""
        await self.tx.fetch(_LOCK_HIERARCHY)
        children = accounts.c.parent_account_id == id
        found = sa.select(sa.literal(1)).where(children, accounts.c.deleted_at.is_(None)).limit(1)
        return await self.tx.fetchrow(found) is not None

    async def known(self, ids: Iterable[UUID | None], keys: Sequence[ExternalId] = ()) -> "KnownAccounts":
        """The accounts that the caller may read, of those named by id or external id."""
        by_key = await self.by_external(keys)
        by_id = await self.get_many([id for id in set(ids) if id])
        return KnownAccounts(by_id, by_key)


_LOCK_HIERARCHY = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended('account hierarchy ' || current_setting('app.tenant'), 0))"
)


class KnownAccounts:
    """Accounts that were found, by id and by external id. Deleted ones are not known."""

    def __init__(self, by_id: dict[UUID, Account], by_key: dict[ExternalId, Account]) -> None:
        self._by_key = {key: account for key, account in by_key.items() if account.deleted_at is None}
        found = [*by_id.values(), *self._by_key.values()]
        self._by_id = {account.id: account for account in found if account.deleted_at is None}

    def get(self, id: UUID | None) -> Account | None:
        """The account with an id."""
        return self._by_id.get(id) if id else None

    def by_key(self, key: ExternalId) -> Account | None:
        """The account with an external id."""
        return self._by_key.get(key)


class ContactStore(MentionedStore[Contact]):
    """The people."""

    type = CONTACT

    def mentioned(self) -> Select[Any]:
        return sa.select(sa.func.unnest(mentions.c.contact_ids))

    def searched_name(self) -> ColumnElement[str]:
        return contacts.c.given_name + sa.literal_column("' '") + contacts.c.family_name


class MentionStore:
    """What deals, quotes and leads name, as their events say it."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def keep(self, rows: Sequence[dict[str, Any]]) -> None:
        """Takes rows up; of each record the highest version stays."""
        newest: dict[tuple[str, UUID], dict[str, Any]] = {}
        for row in sorted(rows, key=lambda row: int(row["version"])):
            newest[row["kind"], row["id"]] = row
        # in one order everywhere, so that two writers cannot wait for each other
        ordered = [newest[key] for key in sorted(newest)]
        await self.tx.executemany(
            _KEEP_MENTION, [{f"p_{name}": value for name, value in row.items()} for row in ordered]
        )


def _keep_mention() -> Any:
    columns = ("kind", "id", "version", "owner_id", "account_id", "contact_ids", "deleted", "members")
    statement = insert(mentions).values({name: sa.bindparam(f"p_{name}") for name in columns})
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "id"],
        set_={name: statement.excluded[name] for name in columns[2:]},
        where=mentions.c.version < statement.excluded.version,
    )


_KEEP_MENTION = _keep_mention()
