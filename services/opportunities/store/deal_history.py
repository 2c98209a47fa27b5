"""The queries about a deal's own past, read from its changes. Their cost grows with that one deal's versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import sqlalchemy as sa
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.call import Call
from chassis.convert import date_of
from chassis.history import decoded, resource_of
from chassis.paging import PageTokenInvalid
from chassis.schema import changes
from services.opportunities.domain.deal_history import DealVersion, Step
from services.opportunities.domain.pipelines import State

_STATES: Final = {pb.Opportunity.State.Value(state.name): state for state in State}
_ENTITY: Final = "opportunity"


class DealHistory:
    """The past of deals; whether the caller may see a deal is asked before."""

    def __init__(
        self, call: Call, as_of: datetime | None = None, effective_as_of: datetime | None = None
    ) -> None:
        self.tx = call.tx
        self._as_of = as_of
        self._effective = effective_as_of

    async def steps(self, deal: UUID, fields: Sequence[str], size: int, token: str) -> tuple[list[Step], str]:
        """A page of versions, newest first, each with the one before it, and the token of the next page.

        With a business time they stand in its order, else in that of recording. `fields` are columns of
        which one must have changed; in business time, where it is not recorded, this is not looked at.
        """
        this, before = changes.alias("this"), changes.alias("before")
        known = [this.c.entity == _ENTITY, this.c.entity_id == deal]
        former = [before.c.entity == _ENTITY, before.c.entity_id == deal]
        if self._as_of is not None:
            known.append(this.c.recorded_at <= self._as_of)
            former.append(before.c.recorded_at <= self._as_of)
        if self._effective is not None:
            known.append(this.c.effective_at <= self._effective)
            place = sa.tuple_(this.c.effective_at, this.c.version)
            former.append(sa.tuple_(before.c.effective_at, before.c.version) < place)
            order = [this.c.effective_at.desc(), this.c.version.desc()]
            last = [before.c.effective_at.desc(), before.c.version.desc()]
        else:
            former.append(before.c.version == this.c.version - 1)
            order, last = [this.c.version.desc()], []
            if fields:
                changed = this.c.changed_fields.op("&&", is_comparison=True)(
                    sa.literal(list(fields), sa.ARRAY(sa.Text))
                )
                known.append(sa.or_(this.c.version == 1, changed))
        if token:
            known.append(self._after(this, token))
        previous = (
            sa.select(before.c.event_type, before.c.event).where(*former).order_by(*last).limit(1)
        ).lateral("previous")
        rows = await self.tx.read(
            sa.select(
                this.c.version,
                this.c.event_type,
                this.c.event,
                this.c.recorded_at,
                this.c.effective_at,
                this.c.actor,
                this.c.via,
                previous.c.event_type.label("former_type"),
                previous.c.event.label("former"),
            )
            .select_from(this.outerjoin(previous, sa.true()))
            .where(*known)
            .order_by(*order)
            .limit(size + 1)
        )
        page = [_step(row) for row in rows[:size]]
        return page, self._token(page[-1]) if len(rows) > size else ""

    async def ways(self, deal: UUID, *fields: str) -> list[DealVersion]:
        """The versions that changed one of some columns, and the first."""
        statement = sa.select(
            changes.c.version,
            changes.c.event_type,
            changes.c.event,
            changes.c.recorded_at,
            changes.c.effective_at,
            changes.c.actor,
            changes.c.via,
        ).where(changes.c.entity == _ENTITY, changes.c.entity_id == deal)
        changed = changes.c.changed_fields.op("&&", is_comparison=True)(
            sa.literal([*fields, "deleted_at"], sa.ARRAY(sa.Text))
        )
        statement = statement.where(sa.or_(changes.c.version == 1, changed))
        if self._as_of is not None:
            statement = statement.where(changes.c.recorded_at <= self._as_of)
        if self._effective is not None:
            statement = statement.where(changes.c.effective_at <= self._effective)
        return [_way(row) for row in await self.tx.read(statement)]

    def _after(self, this: Any, token: str) -> sa.ColumnElement[bool]:
        effective, _, number = token.rpartition("~")
        try:
            version = int(number)
            if not number.isascii() or not 0 < version < 2**62:
                raise ValueError
            if self._effective is None:
                if effective:
                    raise ValueError
                return cast("sa.ColumnElement[bool]", this.c.version < version)
            at = datetime.fromisoformat(effective)
            if at.tzinfo is None:
                raise ValueError
        except ValueError:
            raise PageTokenInvalid from None
        place = sa.tuple_(sa.literal(at, sa.DateTime(timezone=True)), sa.literal(version, sa.BigInteger))
        return sa.tuple_(this.c.effective_at, this.c.version) < place

    def _token(self, last: Step) -> str:
        if self._effective is None:
            return str(last.version)
        return f"{last.effective_at.isoformat()}~{last.version}"


def _step(row: Any) -> Step:
    before = None
    if row["former"] is not None:
        before = cast("pb.Opportunity", resource_of(decoded(row["former_type"], row["former"])))
    after = cast("pb.Opportunity", resource_of(decoded(row["event_type"], row["event"])))
    return Step(
        row["version"], row["event_type"], row["recorded_at"], row["effective_at"], row["actor"], row["via"] or "",
        before, after,
    )  # fmt: skip


def _way(row: Any) -> DealVersion:
    deal = cast("pb.Opportunity", resource_of(decoded(row["event_type"], row["event"])))
    return DealVersion(
        version=row["version"],
        stage_id=UUID(deal.stage_id),
        state=_STATES[deal.state],
        close_date=date_of(deal.close_date, "close_date") if deal.HasField("close_date") else None,
        recorded_at=row["recorded_at"],
        effective_at=row["effective_at"],
        event=row["event_type"].rpartition(".")[2],
        actor=row["actor"],
        via=row["via"] or "",
        is_deleted=deal.HasField("delete_time"),
    )
