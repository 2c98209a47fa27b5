"""The RPCs of what people say of the forecast."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sfa.forecast.v1 import judgement_pb2 as pb

from chassis import batch, due
from chassis.call import Call
from chassis.convert import datetime_of, external_ids_of, uuid_of
from chassis.entity import Event
from chassis.errors import Refusal
from chassis.store import Conflict, EntityNotFound, IdTaken
from services.forecast.book import Books, Settings
from services.forecast.domain.figures import Category
from services.forecast.domain.judgement import (
    JUDGED,
    AuthorNotCaller,
    CategoryNotJudged,
    FieldMissing,
    ForecastSubmission,
    PersonNotBelow,
    Replaced,
    open_for_judgement,
    submission_id,
)
from services.forecast.expiry import EXPIRY
from services.forecast.judgement import Judgements
from services.forecast.store.judgement import SubmissionStore
from services.forecast.wire import judgement as wire


class JudgementServicer:
    """What people say."""

    def __init__(self, books: Books, judgements: Judgements) -> None:
        self.books, self.judgements = books, judgements

    async def SubmitForecast(self, request: pb.SubmitForecastRequest, call: Call) -> pb.ForecastSubmission:
        effective_at = call.effective_at(request.effective_time)
        said, store = request.forecast_submission, SubmissionStore(call)
        settings = (await self.books.of(call)).at().settings
        named = _named(said, call, settings, effective_at or call.now)
        if not _imports(call):
            await _must_look_after(store, named)
        if effective_at is None:
            amount = wire.amount_of(said)
            replaced = await self.judgements.replaced(call, named, amount.currency if amount else "")
        else:
            replaced = Replaced()
        submission = await store.find(named.id)
        if submission is not None:
            submission = await store.get(named.id, request.etag)
        elif request.etag:
            raise EntityNotFound("forecast_submission", named.id)
        is_new = submission is None
        submission = submission or named
        submission.external_ids = external_ids_of(said.external_ids) or submission.external_ids
        event = submission.submit(
            wire.amount_of(said), said.note, wire.expires_at_of(said), replaced, effective_at or call.now
        )
        if is_new:
            await store.add(submission, event, effective_at)
            try:
                await store.flush()
            except IdTaken as error:  # the author was faster on another device: this one revises
                raise Conflict from error
        else:
            await store.save(submission, event, effective_at)
        await _expire_later(call, submission)
        return wire.submission_to_proto(submission)

    async def GetForecastSubmission(
        self, request: pb.GetForecastSubmissionRequest, call: Call
    ) -> pb.ForecastSubmission:
        store = SubmissionStore(call)
        if request.HasField("as_of"):
            resource = await store.as_of(request.id, datetime_of(request.as_of))
            assert isinstance(resource, pb.ForecastSubmission)
            return resource
        return wire.submission_to_proto(await store.get(request.id))

    async def ListForecastSubmissions(
        self, request: pb.ListForecastSubmissionsRequest, call: Call
    ) -> pb.ListForecastSubmissionsResponse:
        page = await SubmissionStore(call).page(request)
        return pb.ListForecastSubmissionsResponse(
            forecast_submissions=map(wire.submission_to_proto, page.items),
            next_page_token=page.next_page_token,
        )

    async def WithdrawForecastSubmission(
        self, request: pb.WithdrawForecastSubmissionRequest, call: Call
    ) -> pb.ForecastSubmission:
        store = SubmissionStore(call)
        submission = await store.get(request.id, request.etag)
        if submission.author_id != call.caller.user_id and not _imports(call):
            raise AuthorNotCaller("id")
        await store.save(submission, submission.withdraw())
        return wire.submission_to_proto(submission)

    async def BatchUpsertForecastSubmissions(
        self, request: pb.BatchUpsertForecastSubmissionsRequest, call: Call
    ) -> pb.BatchUpsertForecastSubmissionsResponse:
        store = SubmissionStore(call)
        settings = (await self.books.of(call)).at().settings
        imports = _imports(call)
        author = call.caller.user_id
        below = await store.below(author) if author is not None and not imports else frozenset()
        written: list[ForecastSubmission] = []

        def put(
            row: batch.Row, submission: ForecastSubmission | None
        ) -> Iterator[tuple[ForecastSubmission, Event, datetime | None]]:
            asked: pb.BatchUpsertForecastSubmissionsRequest.Row = row.content
            effective_at = call.effective_at(asked.effective_time)
            said = asked.forecast_submission
            named = _named(said, call, settings, effective_at or call.now)
            if not imports and named.user_id not in (author, *below):
                raise PersonNotBelow
            if submission is not None and submission.id != named.id:
                raise EntityNotFound("forecast_submission", row.id or said.id)
            submission = submission or named
            submission.external_ids = row.external_ids or submission.external_ids
            amount, expires_at = wire.amount_of(said), wire.expires_at_of(said)
            event = submission.submit(amount, said.note, expires_at, Replaced(), effective_at or call.now)
            written.append(submission)
            yield submission, event, effective_at

        rows = [_row(row, call, settings) for row in request.rows]
        results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        if not request.validate_only:
            for submission in written:
                await _expire_later(call, submission)
        return pb.BatchUpsertForecastSubmissionsResponse(results=results)

    async def ListForecastSubmissionVersions(
        self, request: pb.ListForecastSubmissionVersionsRequest, call: Call
    ) -> pb.ListForecastSubmissionVersionsResponse:
        versions, token = await SubmissionStore(call).versions(UUID(request.id), request)
        return pb.ListForecastSubmissionVersionsResponse(
            versions=map(wire.submission_version_to_proto, versions), next_page_token=token
        )

    async def GetForecastJudgement(
        self, request: pb.GetForecastJudgementRequest, call: Call
    ) -> pb.ForecastJudgement:
        return await self.judgements.answer(request, call)


def _imports(call: Call) -> bool:
    """Whether the caller may say what others said, and when."""
    return "history.write" in call.caller.permissions


def _named(said: pb.ForecastSubmission, call: Call, settings: Settings, at: datetime) -> ForecastSubmission:
    """Which submission is meant: whose, of whom, for which period and category; with nothing said yet.

    Raises:
        FieldMissing, CategoryNotJudged, PeriodUnknown, PeriodUndated, PeriodOver, AuthorNotCaller: none
            can be.
    """
    author = uuid_of(said.author_id) or call.caller.user_id
    if author is None:
        raise FieldMissing("who says it", "forecast_submission.author_id")
    if author != call.caller.user_id and not _imports(call):
        raise AuthorNotCaller
    if not said.period_id:
        raise FieldMissing("the period", "forecast_submission.period_id")
    if said.category not in map(int, JUDGED):
        raise CategoryNotJudged
    period = settings.calendar.named(said.period_id, "forecast_submission.period_id")
    open_for_judgement(period, settings.day_of(at))
    user, category = uuid_of(said.user_id) or author, Category(said.category)
    id = submission_id(call.caller.tenant, author, user, period.id, category)
    return ForecastSubmission(id=id, user_id=user, author_id=author, period_id=period.id, category=category)


def _row(row: pb.BatchUpsertForecastSubmissionsRequest.Row, call: Call, settings: Settings) -> batch.Row:
    """A row with the id of the submission that it means, where it means one."""
    said = row.forecast_submission
    external_ids = external_ids_of(said.external_ids)
    try:
        named = _named(said, call, settings, call.effective_at(row.effective_time) or call.now)
    except Refusal:  # it is said where its outcome is written down
        return batch.Row(None, (), row)
    return batch.Row(named.id, external_ids, row)


async def _must_look_after(store: SubmissionStore, submission: ForecastSubmission) -> None:
    """Raises PersonNotBelow where the author says something of a person who is not below."""
    author, user = submission.author_id, submission.user_id
    if user != author and user not in await store.below(author):
        raise PersonNotBelow


async def _expire_later(call: Call, submission: ForecastSubmission) -> None:
    if submission.expires_at is not None:
        await due.schedule(call, EXPIRY, str(submission.id), submission.expires_at)
