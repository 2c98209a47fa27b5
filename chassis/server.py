"""The gRPC server: what happens around every RPC, in one place.

For each call: who is it, may they, is the request well-formed, then the servicer's method in one
transaction, and whatever went wrong as a status with details. A text that no rule wrote never leaves
the service.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, get_type_hints
from uuid import UUID

import asyncpg
import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from chassis import idempotency, telemetry, validation
from chassis.call import Call, Caller, Sight, current_call
from chassis.clock import Clock
from chassis.contract import PUBLIC, Rpc, rpcs
from chassis.database import BUSY, LOST, Database, DatabaseBusy, DatabaseNotMigrated, DatabaseUnavailable
from chassis.errors import Aborted, PermissionDenied, Refusal, Unauthenticated
from chassis.status import refusal_of, status_of
from chassis.store import Conflict, EntityType

_ATTEMPTS = 4
_DEFAULT_DEADLINE = 20.0
_LOOK_SECONDS = 1.0
NOBODY = UUID(int=0)
_ACTOR = re.compile(r"[A-Za-z0-9:_-]{1,64}")


class TokenMissing(Unauthenticated):
    """The call came without a token."""

    def __init__(self) -> None:
        super().__init__("Sign in first: the call carries no bearer token.")


class StreamTokenExpired(Unauthenticated):
    """The token that a stream was opened with ran out, or was revoked."""

    def __init__(self) -> None:
        super().__init__("The token has ended; get a new one and go on from the last cursor.")


class PermissionMissing(PermissionDenied):
    """The caller's roles do not include what the RPC needs."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"This needs the permission {permission}, which your roles do not include.")


class TooManyConflicts(Aborted):
    """Others kept writing the same thing at the same moment."""

    def __init__(self) -> None:
        super().__init__("Others are changing the same record at this moment; try again.")


class Verifier(Protocol):
    """What the server asks of tokens."""

    async def verify(self, token: str) -> Caller:
        """The caller; raises Unauthenticated where the token does not hold."""
        ...


class Freshness(Protocol):
    """What the server asks of the events that the service has taken in."""

    async def wait_for(self, token: str, tenant: UUID, timeout: float) -> None:
        """Waits until the write that a consistency token names can be seen here."""
        ...

    async def sight_is_current(self, caller: Caller) -> bool:
        """Whether what is known of reporting lines is as new as the caller's token."""
        ...

    def token(self, tenant: UUID, position: int) -> str:
        """A consistency token for a write of this service."""
        ...


class RpcServer:
    """Serves the RPCs of one service.

    A servicer is a plain object with one method for each RPC of its proto service:
    `async def WinOpportunity(self, request, call)`; a server stream is an async generator.
    """

    def __init__(
        self,
        service: str,
        database: Database,
        verifier: Verifier,
        clock: Clock,
        entities: list[EntityType[Any]],
        freshness: Freshness | None = None,
    ) -> None:
        self.service = service
        self.database = database
        self.verifier = verifier
        self.clock = clock
        self.freshness = freshness
        self.entities = entities

    def handlers(self, servicers: Mapping[ServiceDescriptor, Any]) -> list[grpc.GenericRpcHandler]:
        """The gRPC handlers of all servicers.

        Raises:
            UndeclaredPermission: an RPC states no permission.
            TypeError: a servicer lacks a method, or takes another type than its RPC declares.
        """
        return [
            grpc.method_handlers_generic_handler(
                descriptor.full_name,
                {rpc.descriptor.name: self._handler(rpc, _method(servicer, rpc)) for rpc in rpcs(descriptor)},
            )
            for descriptor, servicer in servicers.items()
        ]

    def _handler(self, rpc: Rpc, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
        codec = {
            "request_deserializer": rpc.request_class.FromString,
            "response_serializer": rpc.response_class.SerializeToString,
        }
        if rpc.descriptor.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(rpc, method), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(rpc, method), **codec)

    def _unary(self, rpc: Rpc, method: Callable[[Any, Call], Awaitable[Message]]) -> Any:
        label = rpc.descriptor.name
        seconds = telemetry.RPCS.labels(self.service, label, "OK")

        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Message | None:
            started = time.perf_counter()
            parent = None
            try:
                metadata = _metadata(context)
                parent = metadata.get("traceparent")
                with telemetry.span(rpc.path, parent):
                    response, trailing = await self._answer(rpc, method, request, metadata, context)
                if trailing:
                    context.set_trailing_metadata(trailing)
                seconds.observe(time.perf_counter() - started)
                return response
            except Refusal as refusal:
                code = refusal.kind.name
                telemetry.RPCS.labels(self.service, label, code).observe(time.perf_counter() - started)
                await context.abort_with_status(status_of(refusal))
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as error:  # noqa: BLE001  # no text of it may reach the caller
                await self._unforeseen(error, rpc, parent, context)
            return None

        return handle

    async def _answer(
        self,
        rpc: Rpc,
        method: Callable[[Any, Call], Awaitable[Message]],
        request: Any,
        metadata: dict[str, str],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> tuple[Message, tuple[tuple[str, str], ...]]:
        caller = await self._caller(rpc, metadata)
        validation.check(request)
        remaining = context.time_remaining()
        deadline = asyncio.get_running_loop().time() + min(remaining or _DEFAULT_DEADLINE, 300)
        degraded = await self._await_freshness(caller, metadata)
        for _ in range(_ATTEMPTS):
            call = self._call(rpc, caller, request, metadata, deadline, degraded)
            try:
                return await self._once(rpc, method, request, call)
            except (Conflict, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                continue
        raise TooManyConflicts

    async def _once(
        self, rpc: Rpc, method: Callable[[Any, Call], Awaitable[Message]], request: Any, call: Call
    ) -> tuple[Message, tuple[tuple[str, str], ...]]:
        current_call.set(call)
        try:
            response = await method(request, call)
            if call.request_id and call.tx.position is None and not call.tx.is_deferring and not rpc.reads:
                await idempotency.refuse_another_body(call)
            await call.tx.commit()
        except Refusal as refusal:
            await call.tx.rollback()
            if not call.request_id or rpc.reads:
                raise
            again = self._call_again(call)
            async with again.tx:
                response = await idempotency.replayed(again, refusal, rpc, self.entities)
            return response, ()
        except grpc.aio.AioRpcError as error:
            await call.tx.rollback()
            passed_on = refusal_of(error)
            if passed_on is None:
                raise
            raise passed_on from error
        except (*LOST, *BUSY, asyncpg.UndefinedTableError) as error:
            await call.tx.rollback()
            raise self._database_away(error) from error
        except BaseException:
            await call.tx.rollback()
            raise
        return response, self._trailing(call)

    def _database_away(self, error: Exception) -> Refusal:
        if isinstance(error, asyncpg.UndefinedTableError):
            telemetry.log.warning("a table is missing: migrate", service=self.service, error=str(error))
            return DatabaseNotMigrated()
        return DatabaseBusy() if isinstance(error, BUSY) else DatabaseUnavailable()

    def _trailing(self, call: Call) -> tuple[tuple[str, str], ...]:
        trailing: tuple[tuple[str, str], ...] = ()
        if call.tx.position is not None and self.freshness is not None:
            trailing = (("sfa-consistency", self.freshness.token(call.caller.tenant, call.tx.position)),)
        if call.degraded:
            trailing = (*trailing, ("sfa-sight", "own-records-only"))
        return trailing

    def _streaming(self, rpc: Rpc, method: Callable[[Any, Call], AsyncIterator[Message]]) -> Any:
        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Message]:
            call = None
            parent = None
            try:
                metadata = _metadata(context)
                parent = metadata.get("traceparent")
                caller = await self._caller(rpc, metadata)
                validation.check(request)
                degraded = await self._await_freshness(caller, metadata)
                call = self._call(rpc, caller, request, metadata, None, degraded)
                current_call.set(call)
                ends = (caller.expires_at - self.clock.now()).total_seconds()
                async with asyncio.timeout(None if rpc.permission == PUBLIC else max(ends, 0)) as limit:
                    watching = asyncio.ensure_future(self._until_revoked(caller, limit))
                    try:
                        async for message in method(request, call):
                            yield message
                    finally:
                        watching.cancel()
                await call.tx.commit()
            except TimeoutError:
                await context.abort_with_status(status_of(StreamTokenExpired()))
            except Refusal as refusal:
                await context.abort_with_status(status_of(refusal))
            except (*LOST, *BUSY, asyncpg.UndefinedTableError) as error:
                await context.abort_with_status(status_of(self._database_away(error)))
            except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
                raise
            except Exception as error:  # noqa: BLE001  # no text of it may reach the caller
                await self._unforeseen(error, rpc, parent, context)
            finally:
                if call is not None:
                    await call.tx.rollback()

        return handle

    async def _until_revoked(self, caller: Caller, limit: asyncio.Timeout) -> None:
        """Ends a stream soon after its session was ended."""
        while caller.token:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.verifier.verify(caller.token)
            except Unauthenticated:
                limit.reschedule(0)
                return

    async def _caller(self, rpc: Rpc, metadata: dict[str, str]) -> Caller:
        authorization = metadata.get("authorization", "")
        if rpc.permission == PUBLIC and not authorization:
            return Caller(NOBODY, "nobody", None, frozenset(), Sight.OWN, self.clock.now())
        if authorization[:7].lower() != "bearer ":
            raise TokenMissing
        caller = await self.verifier.verify(authorization[7:])
        if rpc.permission != PUBLIC and rpc.permission not in caller.permissions:
            raise PermissionMissing(rpc.permission)
        via = metadata.get("sfa-via", "")
        if caller.actor.startswith("service:") and _ACTOR.fullmatch(via):
            return replace(caller, via=via)  # a service says by way of whom it acts; nobody else may
        return caller

    async def _await_freshness(self, caller: Caller, metadata: dict[str, str]) -> bool:
        if self.freshness is None or caller.tenant == NOBODY:
            return False
        if consistency := metadata.get("sfa-consistency"):
            await self.freshness.wait_for(consistency, caller.tenant, timeout=5)
        return caller.sight is Sight.SUBTREE and not await self.freshness.sight_is_current(caller)

    def _call(
        self,
        rpc: Rpc,
        caller: Caller,
        request: Any,
        metadata: dict[str, str],
        deadline: float | None,
        degraded: bool,
    ) -> Call:
        request_id = (getattr(request, "request_id", "") or None) if rpc.takes_request_id else None
        return Call(
            caller=caller,
            tx=self.database.transaction(caller.tenant),
            clock=self.clock,
            now=self.clock.now(),
            method=rpc.name,
            request_id=request_id,
            request_hash=_digest(request) if request_id else None,
            traceparent=metadata.get("traceparent"),
            deadline=deadline,
            degraded=degraded,
        )

    def _call_again(self, call: Call) -> Call:
        return Call(
            caller=call.caller, tx=self.database.transaction(call.caller.tenant), clock=self.clock, now=call.now,
            method=call.method, request_id=call.request_id, request_hash=call.request_hash,
            traceparent=call.traceparent, deadline=call.deadline, degraded=call.degraded,
        )  # fmt: skip

    async def _unforeseen(
        self, error: Exception, rpc: Rpc, parent: str | None, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        trace_id = telemetry.trace_id(parent) or telemetry.trace_id(telemetry.traceparent())
        telemetry.ERRORS.labels(self.service, rpc.descriptor.name).inc()
        telemetry.log.error(
            "unforeseen error", service=self.service, rpc=rpc.name, trace_id=trace_id, exc_info=error
        )
        await context.abort(grpc.StatusCode.INTERNAL, f"Something went wrong on our side (trace {trace_id}).")


def _metadata(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _digest(request: Any) -> bytes:
    """What tells one request from another: all of it but the key itself and the expected version."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    if "etag" in bare.DESCRIPTOR.fields_by_name:
        bare.ClearField("etag")
    return hashlib.blake2b(bare.SerializeToString(deterministic=True), digest_size=16).digest()


def _method(servicer: Any, rpc: Rpc) -> Any:
    method = getattr(servicer, rpc.descriptor.name, None)
    if method is None:
        raise TypeError(f"{type(servicer).__name__} has no method {rpc.descriptor.name}")
    hint = get_type_hints(method).get("request")
    if hint is not rpc.request_class:
        raise TypeError(
            f"{type(servicer).__name__}.{rpc.descriptor.name} takes {hint}, not {rpc.request_class}"
        )
    return method
