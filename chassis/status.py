"""The one mapping between refusals and gRPC statuses, in both directions."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyProto
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from chassis.errors import FieldViolation, Kind, Refusal

DOMAIN = "sfa"
_CODES = {kind: getattr(grpc.StatusCode, kind.name) for kind in Kind}
_KINDS = {code: kind for kind, code in _CODES.items()}


class RemoteRefusal(Refusal):
    """A refusal by another service, passed on as it came."""

    def __init__(
        self,
        kind: Kind,
        sentence: str,
        reason: str,
        violations: tuple[FieldViolation, ...],
        facts: dict[str, str],
    ) -> None:
        super().__init__(sentence, violations=violations, **facts)
        self.kind = kind  # type: ignore[misc]  # an instance of this class has the kind it came with
        self._reason = reason

    @property
    def reason(self) -> str:
        return self._reason


def status_of(refusal: Refusal) -> Any:
    """The gRPC status of a refusal, with ErrorInfo and, for wrong fields, BadRequest."""
    code: grpc.StatusCode = _CODES[refusal.kind]
    status = Status(code=code.value[0], message=str(refusal))
    info = AnyProto()
    info.Pack(ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.facts))
    status.details.append(info)
    if refusal.violations:
        bad = BadRequest()
        for violation in refusal.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        fields = AnyProto()
        fields.Pack(bad)
        status.details.append(fields)
    return rpc_status.to_status(status)


def refusal_of(error: grpc.RpcError) -> Refusal | None:
    """The refusal that a failed call carries; None where the failure is none (INTERNAL, UNKNOWN, …)."""
    code = error.code()
    kind = _KINDS.get(code)
    if kind is None:
        return None
    reason, facts = code.name, dict[str, str]()
    violations: tuple[FieldViolation, ...] = ()
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo()
            detail.Unpack(info)
            reason, facts = info.reason, dict(info.metadata)
        elif detail.Is(BadRequest.DESCRIPTOR):
            bad = BadRequest()
            detail.Unpack(bad)
            violations = tuple(FieldViolation(item.field, item.description) for item in bad.field_violations)
    sentence = error.details() or "" if status is not None else _plain(kind)
    return RemoteRefusal(kind, sentence, reason, violations, facts)


def _plain(kind: Kind) -> str:
    if kind is Kind.DEADLINE_EXCEEDED:
        return "A service did not answer in time; try again."
    return "A service is not available at the moment; try again shortly."
