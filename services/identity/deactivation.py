"""Moves a leaver's open records, one step at a time: each is asked of the service that keeps them, under
a name by which it is never done twice, and recorded before the next one is made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

import grpc
from sfa.api.v1 import ownership_pb2, ownership_pb2_grpc

from chassis import due
from chassis.call import Call
from chassis.client import Peers
from chassis.entity import Event
from chassis.errors import Refusal, Unavailable
from services.identity.domain.deactivation import Deactivation, Owned, Part, State
from services.identity.store import DeactivationStore

KIND: Final = "deactivation"
KEEPERS: Final = ("contacts", "leads", "opportunities", "quotes")
"""The services whose records have owners."""
_BATCH: Final = 500
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class KeeperAway(Unavailable):
    """What a leaver keeps in a service cannot be said while it is away."""

    def __init__(self, service: str) -> None:
        super().__init__(f"The service {service} does not answer; name a successor, or try again shortly.")


class NothingMoved(Exception):
    """Records wait to be moved and none of them can be, as yet."""

    def __init__(self, remaining: int) -> None:
        super().__init__(f"{remaining} records cannot be moved at the moment; it is tried again.")


class Ownerships:
    """The ownership services of those who keep records."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def count(self, user: UUID) -> tuple[list[Owned], list[str]]:
        """What the user owns, and which services do not answer."""
        owned: list[Owned] = []
        away: list[str] = []
        for service in KEEPERS:
            try:
                owned += await self.count_in(service, user)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AWAY:
                    raise
                away.append(service)
        return owned, away

    async def count_in(self, service: str, user: UUID) -> list[Owned]:
        """What the user owns in one service."""
        request = ownership_pb2.CountOwnedRequest(owner_id=str(user))
        answer = await self._stub(service).CountOwned(request, timeout=5)
        return [
            Owned(service, count.entity, count.open, count.closed, count.accepts_queue)
            for count in answer.counts
        ]

    async def transfer(
        self, service: str, request: ownership_pb2.TransferOwnedRequest
    ) -> ownership_pb2.TransferOwnedResponse:
        """One step."""
        return await self._stub(service).TransferOwned(request, timeout=10)

    async def moved_by(self, service: str, entity: str, step: str) -> list[str]:
        """The ids of what a step moved."""
        request = ownership_pb2.FindTransferredRequest(entity=entity, step=step)
        answer = await self._stub(service).FindTransferred(request, timeout=5)
        return [moved.id for moved in answer.moved]

    def _stub(self, service: str) -> ownership_pb2_grpc.OwnershipServiceAsyncStub:
        channel = cast("grpc.aio.Channel", self._peers.channel(service))
        return ownership_pb2_grpc.OwnershipServiceStub(channel)


class DeactivationProcess:
    """Goes on with deactivations when they are due."""

    def __init__(self, ownerships: Ownerships) -> None:
        self._ownerships = ownerships

    async def step(self, call: Call, key: str, payload: Mapping[str, Any]) -> None:
        """Makes the next step and has the one after it made. One that fails is made again, later each
        time, up to a minute."""
        store = DeactivationStore(call)
        deactivation = await store.find(UUID(key))
        part = deactivation.next_part() if deactivation is not None and deactivation.is_running else None
        if deactivation is None or part is None:
            return
        failures, pause = 0, timedelta(0)
        try:
            event = await self._advance(store, deactivation, part)
        except (Refusal, grpc.aio.AioRpcError, NothingMoved) as error:
            failures = payload.get("failures", 0) + 1
            pause = timedelta(seconds=min(60, 0.25 * 2**failures))
            event = deactivation.failed(part, _sentence(error))
        await store.save(deactivation, event)
        if deactivation.is_running:
            await due.schedule(call, KIND, key, call.clock.now() + pause, {"failures": failures})

    async def _advance(self, store: DeactivationStore, deactivation: Deactivation, part: Part) -> Event:
        if not part.entity:
            return deactivation.counted(
                part, await self._ownerships.count_in(part.service, deactivation.user_id)
            )
        if deactivation.state is State.RUNNING:
            return await self._forth(store, deactivation, part)
        if part.unsure:
            return await self._find_out(store, deactivation, part)
        return await self._back(store, deactivation, part)

    async def _forth(self, store: DeactivationStore, deactivation: Deactivation, part: Part) -> Event:
        answer = await self._ownerships.transfer(part.service, _forth(deactivation, part))
        if answer.remaining and not answer.moved:
            raise NothingMoved(answer.remaining)
        await store.keep_moves(deactivation, part, [moved.id for moved in answer.moved])
        return deactivation.moved(part, len(answer.moved), answer.remaining)

    async def _find_out(self, store: DeactivationStore, deactivation: Deactivation, part: Part) -> Event:
        """What the last step moved, if its answer did not come back before it was to be undone."""
        ids = await self._ownerships.moved_by(part.service, part.entity, _name_of(deactivation, part))
        await store.keep_moves(deactivation, part, ids)
        return deactivation.found(part, len(ids))

    async def _back(self, store: DeactivationStore, deactivation: Deactivation, part: Part) -> Event:
        ids = await store.moves(deactivation, part, _BATCH)
        if not ids:
            return deactivation.moved_back(part, 0, 0)
        request = ownership_pb2.TransferOwnedRequest(
            operation_id=str(deactivation.id),
            entity=part.entity,
            to_owner_id=str(deactivation.user_id),
            ids=map(str, ids),
            request_id=_name_of(deactivation, part),
        )
        if part.to_queue:
            request.from_queue_id = str(deactivation.queue_id)
        else:
            request.from_owner_id = str(deactivation.successor_id)
        answer = await self._ownerships.transfer(part.service, request)
        # Those that did not go back were closed, or given to somebody else: they stay.
        await store.forget_moves(deactivation, part, ids)
        remaining = await store.count_moves(deactivation, part)
        return deactivation.moved_back(part, len(answer.moved), remaining)


def _forth(deactivation: Deactivation, part: Part) -> ownership_pb2.TransferOwnedRequest:
    request = ownership_pb2.TransferOwnedRequest(
        operation_id=str(deactivation.id),
        entity=part.entity,
        from_owner_id=str(deactivation.user_id),
        limit=_BATCH,
        request_id=_name_of(deactivation, part),
    )
    if part.to_queue:
        request.to_queue_id = str(deactivation.queue_id)
    else:
        request.to_owner_id = str(deactivation.successor_id)
    return request


def _name_of(deactivation: Deactivation, part: Part) -> str:
    """The name of the step that is made now: the same however often it is made."""
    return f"{deactivation.id}/{part.entity}/{part.step}"


def _sentence(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error)
