"""The people, one by one."""

from __future__ import annotations

from uuid import UUID

from google.longrunning.operations_proto_pb2 import Operation
from sfa.api.v1.ownership_pb2 import OwnedCount
from sfa.identity.v1 import organisation_pb2 as pb

from chassis import due
from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from services.identity import wire
from services.identity.deactivation import KIND, KeeperAway, Ownerships
from services.identity.domain.deactivation import Deactivation, DeactivationRunning, State
from services.identity.domain.people import User, UserInactive, UserUnknown
from services.identity.servicer.importing import upsert_users
from services.identity.store import (
    DeactivationStore,
    ReportingLineStore,
    SessionStore,
    TenantStore,
    UserStore,
)

_ADMIN = "identity.admin"


class UserServicer:
    """Users, and what becomes of their work when they leave."""

    def __init__(self, ownerships: Ownerships) -> None:
        self.ownerships = ownerships

    async def CreateUser(self, request: pb.CreateUserRequest, call: Call) -> pb.User:
        user = User(
            id=uuid_of(request.user.id) or new_id(), **fields_to_change(request.user, None, wire.USER_FIELDS)
        )
        created = user.create(by_administrator=_ADMIN in call.caller.permissions)
        await UserStore(call).add(user, created)
        return wire.user_to_proto(user)

    async def GetUser(self, request: pb.GetUserRequest, call: Call) -> pb.User:
        return wire.user_to_proto(await UserStore(call).get(request.id, deleted=True))

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, call: Call) -> pb.BatchGetUsersResponse:
        users = await UserStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetUsersResponse(users=map(wire.user_to_proto, users))

    async def ListUsers(self, request: pb.ListUsersRequest, call: Call) -> pb.ListUsersResponse:
        page = await UserStore(call).page(request)
        return pb.ListUsersResponse(
            users=map(wire.user_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateUser(self, request: pb.UpdateUserRequest, call: Call) -> pb.User:
        store = UserStore(call)
        fields = fields_to_change(request.user, request.update_mask, wire.USER_FIELDS)
        administrators = await store.administrators() if "roles" in fields else {UUID(int=0)}
        user = await store.get(request.id, request.etag)
        event = user.change(
            fields,
            by_administrator=_ADMIN in call.caller.permissions,
            other_administrators=bool(administrators - {user.id}),
        )
        await store.save(user, event)
        return wire.user_to_proto(user)

    async def BatchUpsertUsers(
        self, request: pb.BatchUpsertUsersRequest, call: Call
    ) -> pb.BatchUpsertUsersResponse:
        return pb.BatchUpsertUsersResponse(results=await upsert_users(request, call))

    async def ListUserVersions(
        self, request: pb.ListUserVersionsRequest, call: Call
    ) -> pb.ListUserVersionsResponse:
        versions, token = await UserStore(call).versions(UUID(request.id), request)
        return pb.ListUserVersionsResponse(
            versions=map(wire.user_version_to_proto, versions), next_page_token=token
        )

    # Leaving

    async def PreviewDeactivation(
        self, request: pb.PreviewDeactivationRequest, call: Call
    ) -> pb.PreviewDeactivationResponse:
        user = await UserStore(call).get(request.id)
        today = (await TenantStore(call).own()).day_of(call.now)
        reports = await ReportingLineStore(call).reports_of(user.id, today)
        owned, away = await self.ownerships.count(user.id)
        if away:
            raise KeeperAway(away[0])
        answer = pb.PreviewDeactivationResponse(direct_reports=reports)
        for each in owned:
            count = OwnedCount(
                entity=each.entity, open=each.open, closed=each.closed, accepts_queue=each.accepts_queue
            )
            answer.parts.add(service=each.service, count=count)
        return answer

    async def DeactivateUser(self, request: pb.DeactivateUserRequest, call: Call) -> Operation:
        users, store = UserStore(call), DeactivationStore(call)
        user = await users.get(request.id, request.etag)
        asked = Deactivation(
            user_id=user.id, successor_id=uuid_of(request.successor_id), queue_id=uuid_of(request.queue_id)
        )
        if not user.active:
            return _operation(_the_same(asked, await store.last_of(user.id)), user)
        if await store.running_of(user.id) is not None:  # being undone: it was reactivated already
            raise DeactivationRunning
        await self._check_successor(users, asked)
        owned, away = await self.ownerships.count(user.id)
        if away and asked.successor_id is None:
            raise KeeperAway(away[0])
        started = asked.start(owned, away)
        others = await users.administrators() - {user.id}
        await users.save(user, user.deactivate(other_administrators=bool(others)))
        await self._end_sessions(call, user)
        await store.add(asked, started)
        if asked.is_running:
            await due.schedule(call, KIND, str(asked.id), call.clock.now())
        return _operation(asked, user)

    async def ReactivateUser(self, request: pb.ReactivateUserRequest, call: Call) -> pb.User:
        store = UserStore(call)
        user = await store.get(request.id, request.etag)
        if await DeactivationStore(call).running_of(user.id) is not None:
            raise DeactivationRunning
        await store.save(user, user.reactivate())
        return wire.user_to_proto(user)

    async def GetDeactivation(self, request: pb.GetDeactivationRequest, call: Call) -> pb.Deactivation:
        return wire.deactivation_to_proto(await DeactivationStore(call).get(request.id))

    async def ListDeactivations(
        self, request: pb.ListDeactivationsRequest, call: Call
    ) -> pb.ListDeactivationsResponse:
        page = await DeactivationStore(call).page(request)
        return pb.ListDeactivationsResponse(
            deactivations=map(wire.deactivation_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def ResumeDeactivation(self, request: pb.ResumeDeactivationRequest, call: Call) -> Operation:
        deactivation = await DeactivationStore(call).get(request.id)
        user = await UserStore(call).get(deactivation.user_id)
        if deactivation.is_running:
            await due.schedule(call, KIND, str(deactivation.id), call.clock.now())
        return _operation(deactivation, user)

    async def UndoDeactivation(self, request: pb.UndoDeactivationRequest, call: Call) -> Operation:
        store, users = DeactivationStore(call), UserStore(call)
        deactivation = await store.get(request.id)
        undone = deactivation.undo()
        user = await users.get(deactivation.user_id)
        if not user.active:
            await users.save(user, user.reactivate())
        await store.save(deactivation, undone)
        await due.schedule(call, KIND, str(deactivation.id), call.clock.now())
        return _operation(deactivation, user)

    async def _check_successor(self, users: UserStore, asked: Deactivation) -> None:
        if asked.successor_id is None:
            return
        successor = await users.find(asked.successor_id)
        if successor is None:
            raise UserUnknown("successor_id")
        if not successor.active:
            raise UserInactive("successor_id")

    async def _end_sessions(self, call: Call, user: User) -> None:
        store = SessionStore(call)
        for session in await store.open_of(user.id):
            store.stage(session, session.revoke("the user was deactivated", call.now))
        await store.flush()


def _the_same(asked: Deactivation, last: Deactivation | None) -> Deactivation:
    """The deactivation that did already what is asked for.

    Raises:
        DeactivationRunning: another one is on its way.
        UserInactive: the user was deactivated in another way.
    """
    if last is not None and last.state in (State.RUNNING, State.DONE):
        if (last.successor_id, last.queue_id) == (asked.successor_id, asked.queue_id):
            return last
        if last.is_running:
            raise DeactivationRunning
    raise UserInactive


def _operation(deactivation: Deactivation, user: User) -> Operation:
    """The deactivation as a long-running operation (AIP-151)."""
    operation = Operation(name=f"deactivations/{deactivation.id}", done=not deactivation.is_running)
    operation.metadata.Pack(wire.deactivation_to_proto(deactivation))
    if operation.done:
        operation.response.Pack(wire.user_to_proto(user))
    return operation
