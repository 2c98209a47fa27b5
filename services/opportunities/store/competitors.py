"""The queries about competitors, battle cards, and what is known of customers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sfa.opportunities.v1.opportunities_pb2 import Opportunity
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.store import EntityStore
from services.opportunities.domain.competition import DealCompetitor
from services.opportunities.domain.competitors import BattleCard, Competitor, Customer, check_named
from services.opportunities.tables.competitors import BATTLE_CARD, COMPETITOR, battle_cards, customers

_MOST_CARDS = 2000
_NAMING = frozenset({"competitors", "lost_to_competitor_id"})


class CompetitorStore(EntityStore[Competitor]):
    """The competitors."""

    type = COMPETITOR


class BattleCardStore(EntityStore[BattleCard]):
    """The battle cards."""

    type = BATTLE_CARD

    async def against(self, competitors: Sequence[UUID]) -> list[BattleCard]:
        """The cards against some competitors."""
        if not competitors:
            return []
        rows = await self.tx.read(
            self.select()
            .where(
                battle_cards.c.competitor_id == sa.any_(sa.literal(list(competitors), sa.ARRAY(sa.Uuid))),
                battle_cards.c.deleted_at.is_(None),
            )
            .limit(_MOST_CARDS)
        )
        return [self._load(row) for row in rows]


class CustomerStore:
    """What is known of the accounts of deals."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def get(self, account: UUID | None) -> Customer:
        """What is known of an account; nothing where it is not known."""
        if account is None:
            return Customer()
        rows = await self.tx.read(
            sa.select(customers.c.segment, customers.c.industry).where(customers.c.id == account)
        )
        return Customer(*rows[0]) if rows else Customer()

    async def keep(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes accounts up, the highest version of each."""
        newest = {row["id"]: row for row in sorted(rows, key=lambda row: row["version"])}
        statement = insert(customers)
        columns = ("version", "segment", "industry")
        upsert = statement.on_conflict_do_update(
            index_elements=["tenant_id", "id"],
            set_={name: statement.excluded[name] for name in columns},
            where=customers.c.version < statement.excluded.version,
        )
        await self.tx.executemany(
            upsert.values({name: sa.bindparam(f"p_{name}") for name in ("id", *columns)}),
            [{f"p_{name}": value for name, value in row.items()} for row in newest.values()],
        )


class NamedCompetitors:
    """The competitors that some changes of deals name, looked up once; nothing is asked where none does."""

    def __init__(self, known: Mapping[UUID, Competitor]) -> None:
        self._known = known

    @classmethod
    async def of(cls, call: Call, fields: Mapping[str, Any]) -> "NamedCompetitors":
        """Those that the fields of a change name."""
        if _NAMING.isdisjoint(fields):
            return cls({})
        ids = {each.competitor_id for each in fields.get("competitors") or ()}
        if (winner := fields.get("lost_to_competitor_id")) is not None:
            ids.add(winner)
        return cls(await CompetitorStore(call).get_many(list(ids)))

    @classmethod
    async def in_messages(cls, call: Call, deals: Iterable[Opportunity]) -> "NamedCompetitors":
        """Those that deals name which are asked for."""
        ids: set[str] = set()
        for deal in deals:
            if deal.competitors or deal.lost_to_competitor_id:
                ids.update(each.competitor_id for each in deal.competitors)
                ids.add(deal.lost_to_competitor_id)
        return cls(await CompetitorStore(call).get_many([UUID(id) for id in ids if id]))

    def check(
        self, fields: Mapping[str, Any], before: Iterable[DealCompetitor] = (), within: str = "opportunity."
    ) -> None:
        """Raises CompetitorUnknown or CompetitorProductUnknown where a change names what is not there;
        `within` is where its fields stand in the request."""
        if not _NAMING.isdisjoint(fields):
            check_named(fields, self._known, before, within)
