"""Operations: work that takes longer than a request should (AIP-151). It is begun in the request's
transaction and goes on as due work, one step and one transaction at a time, so that it survives every
crash where it stood; it says how far it has come, and can be cancelled between steps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import grpc
import orjson
import sqlalchemy as sa
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from sfa.api.v1 import operations_pb2 as pb

from chassis import due
from chassis.call import Call, Sight
from chassis.convert import set_timestamp
from chassis.database import LOST, Prepared
from chassis.errors import Kind, NotFound, Refusal
from chassis.ids import new_id
from chassis.paging import PageTokenInvalid
from chassis.status import refusal_of, status_of
from chassis.telemetry import log

ATTEMPTS: Final = 8
"""How often a step is tried, with longer and longer pauses, before the operation fails."""
_FIRST_PAUSE: Final = timedelta(seconds=1)
_LATER_KINDS: Final = frozenset(
    {Kind.UNAVAILABLE, Kind.ABORTED, Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED}
)
_DUE: Final = "operation "
_CANCELLED: Final = 1
_INTERNAL: Final = 13

_START: Final = Prepared(
    sa.text(
        "INSERT INTO operations (id, kind, state, payload, checkpoint, total, actor, created_at, updated_at)"
        " VALUES (:id, :kind, 'RUNNING', CAST(CAST(:payload AS text) AS jsonb), '{}', :total, :actor, :now, :now)"
    )
)
_COLUMNS: Final = (
    "id, kind, state, payload::text AS payload, checkpoint::text AS checkpoint, done, total, result_type, result,"
    " code, reason, error, actor, cancel_requested, created_at, updated_at, ended_at"
)
_SEEN: Final = "(CAST(:actor AS text) IS NULL OR actor = :actor)"
_READ: Final = Prepared(sa.text(f"SELECT {_COLUMNS} FROM operations WHERE id = :id AND {_SEEN}"))
_PAGE: Final = Prepared(
    sa.text(
        f"SELECT {_COLUMNS} FROM operations WHERE {_SEEN} AND (CAST(:before AS uuid) IS NULL OR id < :before)"
        " ORDER BY id DESC LIMIT :most"
    )
)
_CANCEL: Final = Prepared(
    sa.text("UPDATE operations SET cancel_requested = true WHERE id = :id AND state = 'RUNNING'")
)
_ADVANCE: Final = Prepared(
    sa.text(
        "UPDATE operations SET checkpoint = CAST(CAST(:checkpoint AS text) AS jsonb), done = :done, total = :total,"
        " updated_at = :now WHERE id = :id"
    )
)
_END: Final = Prepared(
    sa.text(
        "UPDATE operations SET state = :state, result_type = :result_type, result = :result, code = :code,"
        " reason = :reason, error = :error, done = :done, updated_at = :now, ended_at = :now WHERE id = :id"
    )
)


class OperationNotFound(NotFound):
    """There is no such operation, or somebody else began it."""

    def __init__(self, id: object) -> None:
        super().__init__(f"There is no operation {id} that you may see.", field="id")


@dataclass(frozen=True, slots=True)
class Running:
    """An operation, as its next step finds it."""

    id: UUID
    payload: Mapping[str, Any]
    """What it was begun with."""
    checkpoint: Mapping[str, Any]
    """What its last step left for the next; empty at first."""
    done: int
    total: int | None
    actor: str
    """Who began it."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """A step was made, and there are more."""

    checkpoint: Mapping[str, Any]
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The last step was made."""

    result: Message
    done: int | None = None


Step = Callable[[Call, Running], Awaitable[Advanced | Finished]]
"""Makes the next step, in one transaction. A refusal ends the operation, unless trying again helps."""


async def start(
    call: Call,
    kind: str,
    payload: Mapping[str, Any] | None = None,
    *,
    total: int | None = None,
    id: UUID | None = None,
) -> Operation:
    """Begins an operation once the call's transaction is committed; the payload is JSON. An id that follows
    from the request lets a repeated one find the operation again."""
    id = id or new_id()
    values = {"id": id, "kind": kind, "total": total, "actor": call.caller.actor, "now": call.now}
    await call.tx.execute(_START, {**values, "payload": orjson.dumps(payload or {}).decode()})
    await due.schedule(call, _due_kind(kind), str(id), call.now)
    return await _get(call, id, None)


async def get(call: Call, id: UUID) -> Operation:
    """An operation that the caller began, or may see.

    Raises:
        OperationNotFound: there is none.
    """
    return await _get(call, id, _actor_seen(call))


def due_handlers(steps: Mapping[str, Step]) -> dict[str, due.Handler]:
    """What a service puts into its due work, for each kind of operation that it knows."""
    return {_due_kind(kind): _stepping(kind, step) for kind, step in steps.items()}


def is_step(due_kind: str) -> bool:
    """Whether due work of a kind is a step of an operation."""
    return due_kind.startswith(_DUE)


class OperationServicer:
    """How operations are asked for; the same in every service."""

    SERVICE: Final[ServiceDescriptor] = pb.DESCRIPTOR.services_by_name["OperationService"]

    async def GetOperation(self, request: pb.GetOperationRequest, call: Call) -> Operation:  # noqa: N802  # as its RPC
        return await _get(call, UUID(request.id), _actor_seen(call))

    async def ListOperations(  # noqa: N802  # as its RPC
        self, request: pb.ListOperationsRequest, call: Call
    ) -> pb.ListOperationsResponse:
        size = request.page_size or 50
        values = {"actor": _actor_seen(call), "before": _before(request.page_token), "most": size + 1}
        rows = await call.tx.fetch(_PAGE, values)
        token = str(rows[size - 1]["id"]) if len(rows) > size else ""
        return pb.ListOperationsResponse(operations=map(_to_proto, rows[:size]), next_page_token=token)

    async def CancelOperation(self, request: pb.CancelOperationRequest, call: Call) -> Operation:  # noqa: N802  # as its RPC
        id = UUID(request.id)
        await _get(call, id, _actor_seen(call))
        await call.tx.execute(_CANCEL, {"id": id})
        return await _get(call, id, None)


def _stepping(kind: str, step: Step) -> due.Handler:
    async def go_on(call: Call, key: str, payload: Any) -> None:
        row = await call.tx.fetchrow(_READ, {"id": UUID(key), "actor": None})
        if row is None or row["ended_at"] is not None:
            return
        if row["cancel_requested"]:
            await _end(call, row, "CANCELLED", code=_CANCELLED, reason="CANCELLED", error="It was cancelled.")
            return
        running = Running(
            row["id"], orjson.loads(row["payload"]), orjson.loads(row["checkpoint"]), row["done"], row["total"],
            row["actor"],
        )  # fmt: skip
        connection = await call.tx.connection()
        await connection.execute("SAVEPOINT step")
        try:
            outcome = await step(call, running)
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001  # told to whoever began it, or tried again
            await connection.execute("ROLLBACK TO step")
            await _failed(call, kind, row, error, payload.get("failures", 0) + 1)
            return
        if isinstance(outcome, Finished):
            name, result = outcome.result.DESCRIPTOR.full_name, outcome.result.SerializeToString()
            await _end(call, row, "SUCCEEDED", done=outcome.done, result_type=name, result=result)
            return
        total = row["total"] if outcome.total is None else outcome.total
        values = {
            "checkpoint": orjson.dumps(outcome.checkpoint).decode(),
            "done": outcome.done,
            "total": total,
        }
        await call.tx.execute(_ADVANCE, {"id": row["id"], "now": call.clock.now(), **values})
        await due.schedule(call, _due_kind(kind), key, call.clock.now())

    return go_on


async def _failed(call: Call, kind: str, row: Any, error: Exception, failures: int) -> None:
    """Tries the step again where that may help, else ends the operation."""
    if isinstance(error, grpc.aio.AioRpcError):
        error = refusal_of(error) or error
    is_final = isinstance(error, Refusal) and error.kind not in _LATER_KINDS
    if not is_final and failures < ATTEMPTS:
        log.warning(
            "a step is tried again", operation=str(row["id"]), kind=kind, failures=failures, exc_info=error
        )
        later = call.clock.now() + _FIRST_PAUSE * 2 ** (failures - 1)
        await due.schedule(call, _due_kind(kind), str(row["id"]), later, {"failures": failures})
    elif isinstance(error, Refusal):
        await _end(
            call, row, "FAILED", code=status_of(error).code.value[0], reason=error.reason, error=str(error)
        )
    else:
        log.error("an operation failed", operation=str(row["id"]), kind=kind, exc_info=error)
        sentence = "Something went wrong on our side."
        await _end(call, row, "FAILED", code=_INTERNAL, reason="INTERNAL", error=sentence)


async def _end(
    call: Call,
    row: Any,
    state: str,
    *,
    done: int | None = None,
    result_type: str | None = None,
    result: bytes | None = None,
    code: int | None = None,
    reason: str | None = None,
    error: str | None = None,
) -> None:
    values = {"result_type": result_type, "result": result, "code": code, "reason": reason, "error": error}
    how_far = {"done": row["done"] if done is None else done, "now": call.clock.now()}
    await call.tx.execute(_END, {"id": row["id"], "state": state, **values, **how_far})


async def _get(call: Call, id: UUID, actor: str | None) -> Operation:
    row = await call.tx.fetchrow(_READ, {"id": id, "actor": actor})
    if row is None:
        raise OperationNotFound(id)
    return _to_proto(row)


def _to_proto(row: Any) -> Operation:
    state = "CANCELLING" if row["state"] == "RUNNING" and row["cancel_requested"] else row["state"]
    metadata = pb.OperationMetadata(
        kind=row["kind"],
        state=pb.OperationMetadata.State.Value(state),
        done=row["done"],
        total=row["total"],
        actor=row["actor"],
    )
    set_timestamp(metadata.create_time, row["created_at"])
    set_timestamp(metadata.update_time, row["updated_at"])
    operation = Operation(name=f"operations/{row['id']}", done=row["ended_at"] is not None)
    if operation.done:
        set_timestamp(metadata.end_time, row["ended_at"])
    operation.metadata.Pack(metadata)
    if row["code"] is not None:
        status = Status(code=row["code"], message=row["error"])
        status.details.add().Pack(ErrorInfo(reason=row["reason"], domain="sfa"))
        operation.error.CopyFrom(status)
    elif row["result_type"] is not None:
        operation.response.CopyFrom(
            AnyMessage(type_url=f"type.googleapis.com/{row['result_type']}", value=row["result"])
        )
    return operation


def _actor_seen(call: Call) -> str | None:
    """Whose operations the caller sees; None for everybody's."""
    return None if call.caller.sight is Sight.ALL else call.caller.actor


def _before(token: str) -> UUID | None:
    try:
        return UUID(token) if token else None
    except ValueError:
        raise PageTokenInvalid from None


def _due_kind(kind: str) -> str:
    return f"{_DUE}{kind}"
