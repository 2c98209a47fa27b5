"""Queries of what people say."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sfa.forecast.v1 import judgement_pb2 as pb

from chassis.schema import sight_members
from chassis.store import EntityStore
from services.forecast.domain.judgement import ForecastSubmission
from services.forecast.store.spoken import Instant, resources_at
from services.forecast.tables.judgement import FORECAST_SUBMISSION, forecast_submissions
from services.forecast.wire import judgement as wire


class SubmissionStore(EntityStore[ForecastSubmission]):
    """What people say, as far as the caller may know of it."""

    type = FORECAST_SUBMISSION

    async def counting(self, periods: Collection[str], instant: Instant) -> list[ForecastSubmission]:
        """What is in force for some periods at an instant."""
        columns = forecast_submissions.c
        wanted = columns.period_id == sa.any_(sa.literal(list(periods), sa.ARRAY(sa.Text)))
        rows = await self.tx.read(self.select().where(wanted))
        found = [self.type.rows.load(row) for row in rows]
        if not instant.is_now:
            ids = [submission.id for submission in found]
            past = await resources_at(self.tx, self.type.name, ids, instant)
            found = [
                wire.submission_of(message) for message in past if isinstance(message, pb.ForecastSubmission)
            ]
        at = instant.or_now(self.call.now)
        return [submission for submission in found if submission.counts_at(at)]

    async def below(self, author: UUID) -> frozenset[UUID]:
        """The people who report to somebody, directly or by way of others, at the moment of the call."""
        members = sight_members.c
        rows = await self.tx.read(
            sa.select(members.member_id).where(
                members.viewer_id == author,
                members.valid_from <= self.call.now,
                members.valid_to > self.call.now,
            )
        )
        return frozenset(row[0] for row in rows)
