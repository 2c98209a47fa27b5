"""The caller's own session, and those of others."""

from uuid import UUID

from sfa.identity.v1 import auth_pb2 as pb
from sfa.identity.v1 import organisation_pb2

from chassis.call import Call
from chassis.convert import timestamp
from services.identity import wire
from services.identity.domain.people import AdministratorsOnly
from services.identity.domain.signing_in import (
    ACCOUNT_PATIENCE,
    NoSession,
    PasswordWrong,
    SessionNotYours,
    check_password,
)
from services.identity.passwords import Passwords
from services.identity.store import AttemptStore, SessionStore, TenantStore, UserStore
from services.identity.tables import sessions

_ADMIN = "identity.admin"


class SessionServicer:
    """Sessions and passwords."""

    def __init__(self, passwords: Passwords, attempts: AttemptStore) -> None:
        self.passwords = passwords
        self.attempts = attempts

    async def WhoAmI(self, request: pb.WhoAmIRequest, call: Call) -> pb.Me:
        caller = call.caller
        tenant = await TenantStore(call).own()
        user = await UserStore(call).find(caller.user_id) if caller.user_id else None
        return pb.Me(
            user=wire.user_to_proto(user) if user is not None else None,
            tenant=wire.tenant_to_proto(tenant),
            permissions=sorted(caller.permissions),
            session_id=caller.session,
            expire_time=timestamp(caller.expires_at),
        )

    async def SignOut(self, request: pb.SignOutRequest, call: Call) -> pb.Session:
        if not call.caller.session:
            raise NoSession
        return await self._end(call, UUID(call.caller.session), "signed out")

    async def RevokeSession(self, request: pb.RevokeSessionRequest, call: Call) -> pb.Session:
        return await self._end(call, UUID(request.id), "revoked")

    async def GetSession(self, request: pb.GetSessionRequest, call: Call) -> pb.Session:
        return wire.session_to_proto(await SessionStore(call).get(request.id))

    async def ListSessions(self, request: pb.ListSessionsRequest, call: Call) -> pb.ListSessionsResponse:
        own = () if _ADMIN in call.caller.permissions else (sessions.c.user_id == call.caller.user_id,)
        page = await SessionStore(call).page(request, *own)
        return pb.ListSessionsResponse(
            sessions=map(wire.session_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def SetPassword(self, request: pb.SetPasswordRequest, call: Call) -> organisation_pb2.User:
        store, id = UserStore(call), UUID(request.id)
        own = id == call.caller.user_id
        if not own and _ADMIN not in call.caller.permissions:
            raise AdministratorsOnly
        user = await store.get(id)
        check_password(request.new_password, user.email)
        known = await store.password_hash(id)
        await call.tx.rollback()  # nothing is open in the database while hashes are computed
        if own and known is not None:
            account = f"account {user.email.lower()}"
            await self.attempts.begin([(account, ACCOUNT_PATIENCE)], call.now)
            if not await self.passwords.verify(known, request.current_password):
                raise PasswordWrong
            await self.attempts.take_back(account=account)
        new_hash = await self.passwords.hash(request.new_password)
        user = await store.get(id)
        await store.save(user, user.set_password(call.now))
        await store.keep_password(id, new_hash)
        await self._end_others(call, id)
        return wire.user_to_proto(user)

    async def _end(self, call: Call, id: UUID, reason: str) -> pb.Session:
        store = SessionStore(call)
        session = await store.find(id)
        if session is None or (
            session.user_id != call.caller.user_id and _ADMIN not in call.caller.permissions
        ):
            raise SessionNotYours
        await store.save(session, session.revoke(reason, call.now))
        return wire.session_to_proto(session)

    async def _end_others(self, call: Call, user: UUID) -> None:
        store = SessionStore(call)
        for session in await store.open_of(user):
            if str(session.id) != call.caller.session:
                store.stage(session, session.revoke("the password was changed", call.now))
        await store.flush()
