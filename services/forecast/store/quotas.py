"""Queries of quotas."""

from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa
from sfa.forecast.v1 import quotas_pb2 as pb

from chassis.store import EntityStore
from services.forecast.domain.quotas import Quota, QuotaKind
from services.forecast.store.spoken import Instant, resources_at
from services.forecast.tables.quotas import QUOTA, quotas
from services.forecast.wire import quotas as wire

Key = tuple[QuotaKind, UUID, str]
"""Whose a quota is, and for which period: there is one at the most."""


class QuotaStore(EntityStore[Quota]):
    """The quotas, as far as the caller may know of them."""

    type = QUOTA

    def visible(self) -> sa.ColumnElement[bool] | None:
        """Those of people as the people are seen; those of territories and products by everybody."""
        visible = super().visible()
        return None if visible is None else sa.or_(quotas.c.owner_id.is_(None), visible)

    async def stated(
        self, kinds: Collection[QuotaKind], periods: Collection[str], instant: Instant
    ) -> list[Quota]:
        """The quotas of some kinds for some periods, as they were at an instant."""
        columns = quotas.c
        statement = self.select().where(
            columns.period_id == sa.any_(sa.literal(list(periods), sa.ARRAY(sa.Text))),
            columns.kind == sa.any_(sa.literal([kind.value for kind in kinds], sa.ARRAY(sa.Text))),
        )
        if instant.is_now:
            statement = statement.where(columns.deleted_at.is_(None))
        found = [self.type.rows.load(row) for row in await self.tx.read(statement)]
        if instant.is_now:
            return found
        past = await resources_at(self.tx, self.type.name, [quota.id for quota in found], instant)
        then = [wire.quota_of(message) for message in past if isinstance(message, pb.Quota)]
        return [quota for quota in then if quota.deleted_at is None]

    async def by_key(self, keys: Sequence[Key]) -> dict[Key, UUID]:
        """The ids of those quotas that there are already."""
        if not keys:
            return {}
        columns = quotas.c
        wanted = (
            sa.func.unnest(
                sa.literal([kind.value for kind, _, _ in keys], sa.ARRAY(sa.Text)),
                sa.literal([subject for _, subject, _ in keys], sa.ARRAY(sa.Uuid)),
                sa.literal([period for _, _, period in keys], sa.ARRAY(sa.Text)),
            )
            .table_valued("kind", "subject_id", "period_id")
            .render_derived("wanted")
        )
        statement = sa.select(columns.id, columns.kind, columns.subject_id, columns.period_id).where(
            columns.kind == wanted.c.kind,
            columns.subject_id == wanted.c.subject_id,
            columns.period_id == wanted.c.period_id,
            columns.deleted_at.is_(None),
        )
        return {(QuotaKind(row[1]), row[2], row[3]): row[0] for row in await self.tx.read(statement)}
