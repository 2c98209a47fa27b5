"""Every query of this service."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select

from chassis import sight
from chassis.store import EntityStore
from services.leads.domain import Lead, Queue, QueueNotFound
from services.leads.tables import LEAD, QUEUE, leads, queues

DEFAULT_HITS = 20


class LeadStore(EntityStore[Lead]):
    """The leads. Those without an owner are seen by the members of their queue, and by who sees these."""

    type = LEAD

    def visible(self) -> ColumnElement[bool] | None:
        owned = sight.condition(self.call, leads.c.owner_id)
        if owned is None:
            return None
        return sa.or_(owned, sa.and_(leads.c.owner_id.is_(None), leads.c.queue_id.in_(self._queues())))

    def _queues(self) -> Select[Any]:
        member = queues.c.member_ids.op("&&", is_comparison=True)(sight.seen(self.call))
        return sa.select(queues.c.id).where(member)

    async def search(self, text: str, limit: int) -> list[Lead]:
        """Those whose person's or company's name contains the text or is spelled much like it."""
        space: ColumnElement[str] = sa.literal_column("' '")
        name = leads.c.given_name + space + leads.c.family_name + space + leads.c.company_name
        q = sa.literal(text, sa.Text)
        matching = sa.or_(
            name.icontains(text, autoescape=True),
            q.op("<%", precedence=20, is_comparison=True)(name),
        )
        rows = await self.tx.fetch(
            self.select()
            .where(leads.c.deleted_at.is_(None), matching)
            .order_by(
                sa.func.strict_word_similarity(q, name).desc(), sa.func.similarity(name, q).desc(), leads.c.id
            )
            .limit(limit or DEFAULT_HITS)
        )
        return [self._load(row) for row in rows]

    async def wait_in(self, queue: UUID) -> bool:
        """Whether leads wait in a queue, whoever may see them."""
        waiting = sa.select(sa.literal(1)).where(
            leads.c.queue_id == queue, leads.c.owner_id.is_(None), leads.c.deleted_at.is_(None)
        )
        return await self.tx.fetchrow(waiting.limit(1)) is not None


class QueueStore(EntityStore[Queue]):
    """The queues."""

    type = QUEUE

    async def known(self, ids: set[UUID]) -> frozenset[UUID]:
        """Those of the queues that there are."""
        found = await self.get_many(list(ids))
        return frozenset(id for id, queue in found.items() if queue.deleted_at is None)

    async def check(self, id: UUID | None) -> None:
        """Raises QueueNotFound where a queue is named that is not there."""
        if id is not None and id not in await self.known({id}):
            raise QueueNotFound
