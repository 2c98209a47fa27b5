"""The queries about deals."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sfa.opportunities.v1.opportunities_pb2 import ListOpportunitiesRequest
from sqlalchemy import ColumnElement, Select
from sqlalchemy.dialects.postgresql import JSONB

from chassis import sight
from chassis.call import Call, Sight
from chassis.store import EntityStore, Page, PageRequest
from services.opportunities.domain import (
    DETAILS,
    PLAIN,
    Access,
    DealOnlyReadable,
    Opportunity,
    ReservedToOwner,
)
from services.opportunities.tables import OPPORTUNITY, SEEN_BY, opportunities

JOINED: Final = ListOpportunitiesRequest.JOINED


class OpportunityStore(EntityStore[Opportunity]):
    """The deals. A deal is also seen by its team and by whoever has a split of it; lists show these deals
    to those who ask for them, as one index cannot serve both."""

    type = OPPORTUNITY

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._below: set[UUID] = set()
        """Deals that the caller is in, and sees as their owner's manager, too."""
        self._joined_only = False

    def visible(self) -> ColumnElement[bool] | None:
        owned = self._owned()
        return None if owned is None else sa.or_(owned, self.joined())

    def listed(self) -> Select[Any]:
        owned = None if self._joined_only else self._owned()
        return self.type.rows.select if owned is None else self.type.rows.select.where(owned)

    async def page(self, request: PageRequest, *conditions: ColumnElement[bool]) -> Page[Opportunity]:
        """One page: of deals whose owners the caller looks after, or of those that the caller is in."""
        if getattr(request, "scope", None) != JOINED:
            return await super().page(request, *conditions)
        self._joined_only = True
        return await super().page(request, self.joined(), *conditions)

    def joined(self) -> ColumnElement[bool]:
        """That the caller is in the deal, whoever owns it."""
        user = sa.cast(sa.bindparam("sight_user", self.call.caller.user_id, sa.Uuid), sa.Text)
        # a literal, so that the statement is bound to nothing but the caller, and kept from call to call
        key: ColumnElement[str] = sa.literal_column(f"'{SEEN_BY}'")
        document = sa.func.jsonb_build_object(key, sa.func.jsonb_build_array(user), type_=JSONB)
        return opportunities.c.details.op("@>", is_comparison=True)(document)

    def changeable(self, entity: Opportunity) -> None:
        known = self._known[entity.id]
        fields = self.type.rows.fields
        before, owner = known[fields.index("details")], known[fields.index("owner_id")]
        caller = self.call.caller
        user = caller.user_id
        if (
            caller.sight is Sight.ALL
            or owner == user
            or user not in before.seen_by
            or entity.id in self._below
        ):
            return
        if not any(each.user_id == user and each.access is Access.EDIT for each in before.team):
            raise DealOnlyReadable
        after = entity.details
        reserved = (before.team, before.splits, owner, known[fields.index("deleted_at")])
        if reserved != (after.team, after.splits, entity.owner_id, entity.deleted_at):
            raise ReservedToOwner

    async def find(self, id: UUID) -> Opportunity | None:
        deal = await super().find(id)
        if deal is not None:
            await self._note_below([deal])
        return deal

    async def get_many(self, ids: Sequence[UUID]) -> dict[UUID, Opportunity]:
        found = await super().get_many(ids)
        await self._note_below(found.values())
        return found

    async def stages_in_use(self, pipeline: UUID) -> frozenset[UUID]:
        """The stages of a pipeline that deals stand in, whoever may see them."""
        rows = await self.tx.fetch(
            sa.select(opportunities.c.stage_id)
            .where(opportunities.c.pipeline_id == pipeline, opportunities.c.deleted_at.is_(None))
            .distinct()
        )
        return frozenset(row[0] for row in rows)

    def _owned(self) -> ColumnElement[bool] | None:
        return sight.condition(self.call, opportunities.c.owner_id)

    async def _note_below(self, deals: Iterable[Opportunity]) -> None:
        """Asks who reports to the caller, where that decides what a member of a team may do."""
        caller = self.call.caller
        if caller.sight is not Sight.SUBTREE:
            return
        joined = [
            deal
            for deal in deals
            if deal.owner_id != caller.user_id
            and deal.details is not PLAIN
            and caller.user_id in deal.details.seen_by
        ]
        if joined:
            within = (await sight.owners_within(self.call)).within or frozenset()
            self._below.update(deal.id for deal in joined if deal.owner_id in within)

    def _changed(self, entity: Opportunity, before: tuple[Any, ...] | None) -> list[str]:
        changed = super()._changed(entity, before)
        if "details" in changed and before is not None:
            old = before[self.type.rows.fields.index("details")]
            changed.remove("details")
            changed += sorted(name for name in DETAILS if getattr(old, name) != getattr(entity.details, name))
        return changed
