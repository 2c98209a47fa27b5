"""What people say, to and from the protos."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money as MoneyProto
from sfa.forecast.v1 import judgement_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.forecast.domain.figures import Category
from services.forecast.domain.judgement import ForecastSubmission, Judged, Level, SubmissionState


def submission_to_proto(submission: ForecastSubmission) -> pb.ForecastSubmission:
    """The resource."""
    result = pb.ForecastSubmission()
    convert.set_head(result, submission)
    result.user_id, result.author_id = str(submission.user_id), str(submission.author_id)
    result.period_id, result.note = submission.period_id, submission.note
    result.category = opportunities_pb2.ForecastCategory.ValueType(submission.category)
    result.state = pb.ForecastSubmission.State.Value(submission.state.value)
    convert.set_timestamp(result.expire_time, submission.expires_at)
    assert submission.amount is not None
    amount, currency = submission.amount.amount, submission.amount.currency
    convert.set_money(result.amount, submission.amount)
    if submission.system_amount is not None:
        convert.set_money(result.system_amount, Money(submission.system_amount, currency))
    if submission.replaced_amount is not None:
        convert.set_money(result.replaced_amount, Money(submission.replaced_amount, currency))
        convert.set_money(result.adjustment, Money(amount - submission.replaced_amount, currency))
    if submission.replaced_author_id is not None:
        result.replaced_author_id = str(submission.replaced_author_id)
    return result


def submission_of(message: pb.ForecastSubmission) -> ForecastSubmission:
    """A submission as its history has it."""
    return ForecastSubmission(
        id=UUID(message.id),
        version=int(message.etag),
        updated_at=convert.datetime_of(message.update_time),
        effective_at=convert.datetime_of(message.effective_time),
        user_id=UUID(message.user_id),
        author_id=UUID(message.author_id),
        period_id=message.period_id,
        category=Category(message.category),
        amount=amount_of(message),
        note=message.note,
        expires_at=expires_at_of(message),
        state=SubmissionState(pb.ForecastSubmission.State.Name(message.state)),
    )


def amount_of(message: pb.ForecastSubmission) -> Money | None:
    """What is said; None where it is left out."""
    if not message.HasField("amount"):
        return None
    return convert.money_of(message.amount, "forecast_submission.amount")


def expires_at_of(message: pb.ForecastSubmission) -> datetime | None:
    """When it stops to count; None where it does not."""
    return convert.datetime_of(message.expire_time) if message.HasField("expire_time") else None


def submission_version_to_proto(version: Version) -> pb.ForecastSubmissionVersion:
    """One version."""
    assert isinstance(version.resource, pb.ForecastSubmission)
    return pb.ForecastSubmissionVersion(
        forecast_submission=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def set_judged(cell: pb.JudgementCell, judged: Judged, currency: str, *, is_over: bool) -> None:
    """Everything that is said of one node, in one period and category."""

    def put(target: MoneyProto, amount: Decimal) -> None:
        convert.set_money(target, Money(amount, currency))

    put(cell.system_amount, judged.system)
    put(cell.rolled_up_amount, judged.rolled_up)
    put(cell.judged_amount, judged.judged)
    put(cell.outcome, judged.outcome)
    cell.is_over = is_over
    if is_over:
        put(cell.system_error, judged.system - judged.outcome)
    for level in judged.levels:
        said = _said_to_proto(level)
        if level.said.amount is not None and level.adjustment is not None:
            put(said.amount, level.said.amount)
            put(said.adjustment, level.adjustment)
            if is_over:
                put(said.error, level.said.amount - judged.outcome)
        cell.levels.append(said)


def _said_to_proto(level: Level) -> pb.JudgementLevel:
    said = level.said
    result = pb.JudgementLevel(
        author_id=said.author_id,
        levels_above=level.levels_above,
        submission_id=str(said.id),
        note=said.note,
    )
    _set(result.submit_time, said.submitted_at)
    _set(result.expire_time, said.expires_at)
    return result


def _set(target: Timestamp, at: datetime | None) -> None:
    if at is not None:
        convert.set_timestamp(target, at)
