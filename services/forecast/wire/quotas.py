"""Quotas, to and from the protos."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sfa.forecast.v1 import quotas_pb2 as pb

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.forecast.domain.quotas import Quota, QuotaKind


def quota_to_proto(quota: Quota) -> pb.Quota:
    """The resource."""
    result = pb.Quota()
    convert.set_head(result, quota)
    assert quota.kind is not None
    assert quota.amount is not None
    result.kind = pb.Quota.Kind.Value(quota.kind.value)
    result.subject_id, result.period_id, result.note = str(quota.subject_id), quota.period_id, quota.note
    convert.set_money(result.amount, quota.amount)
    return result


def kind_of(kind: pb.Quota.Kind.ValueType) -> QuotaKind | None:
    """Whose it is; None where it is left out."""
    return QuotaKind(pb.Quota.Kind.Name(kind)) if kind else None


def amount_of(message: pb.Quota) -> Money | None:
    """What is to be won; None where it is left out."""
    return convert.money_of(message.amount, "quota.amount") if message.HasField("amount") else None


QUOTA_FIELDS: Mapping[str, Callable[[pb.Quota], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "kind": lambda message: kind_of(message.kind),
    "subject_id": lambda message: convert.uuid_of(message.subject_id),
    "period_id": lambda message: message.period_id,
    "amount": amount_of,
    "note": lambda message: message.note,
}
"""How each field that a client may set is read; the names are those of the update mask."""


def quota_of(message: pb.Quota) -> Quota:
    """A quota as its history has it."""
    return Quota(
        id=UUID(message.id),
        version=int(message.etag),
        kind=kind_of(message.kind),
        subject_id=UUID(message.subject_id),
        period_id=message.period_id,
        amount=amount_of(message),
        deleted_at=convert.datetime_of(message.delete_time) if message.HasField("delete_time") else None,
    )


def quota_version_to_proto(version: Version) -> pb.QuotaVersion:
    """One version."""
    assert isinstance(version.resource, pb.Quota)
    return pb.QuotaVersion(
        quota=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
