"""Signing in over gRPC, on a real database: what is given for which proof, and for how long."""

import asyncio
import base64
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from sfa.identity.v1 import auth_pb2 as pb
from sfa.identity.v1 import auth_pb2_grpc as stubs
from sfa.identity.v1 import organisation_pb2, organisation_pb2_grpc

from chassis.call import Sight
from chassis.tokens import TokenExpired
from tests.engines import PASSWORD
from tests.identity.conftest import ADDRESS, SECRET, Company, Refused


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def me(company: Company, token: str) -> pb.Me:
    return await stubs.SessionServiceStub(company.bare).WhoAmI(pb.WhoAmIRequest(), metadata=bearer(token))


async def test_a_password_gives_a_token_that_says_who_and_what(company: Company) -> None:
    tokens = await company.sign_in()
    caller = await company.verifier().verify(tokens.access_token)
    assert caller.tenant == company.stack.tenant
    assert caller.user_id == company.stack.callers.user("ada")
    assert (caller.roles, caller.sight, caller.session) == (
        ("rep", "administrator"),
        Sight.ALL,
        tokens.session_id,
    )
    assert "identity.admin" in caller.permissions
    assert set(tokens.scope.split()) == caller.permissions
    assert 300 <= tokens.expires_in <= 600


async def test_an_address_is_the_same_in_capital_letters(company: Company) -> None:
    await company.sign_in(ADDRESS.upper())


async def test_every_wrong_proof_is_refused_in_the_same_words(company: Company) -> None:
    for email, password in (
        (ADDRESS, "wrong"),
        ("nobody@example.com", SECRET),
        (ADDRESS, SECRET + " "),
        (ADDRESS, SECRET.upper()),
    ):
        async with Refused("SIGN_IN_REFUSED", grpc.StatusCode.UNAUTHENTICATED):
            await company.sign_in(email, password)


async def test_a_user_without_a_password_cannot_sign_in(company: Company) -> None:
    await company.user("anna", email="anna@example.com")
    async with Refused("SIGN_IN_REFUSED"):
        await company.sign_in("anna@example.com", "anything at all")


async def test_an_access_token_ends(company: Company) -> None:
    tokens = await company.sign_in()
    verifier = company.verifier()
    company.stack.clock.move(timedelta(seconds=tokens.expires_in + 1))
    with pytest.raises(TokenExpired):
        await verifier.verify(tokens.access_token)


async def test_guessing_is_held_back_longer_and_longer(company: Company) -> None:
    for _ in range(5):
        async with Refused("SIGN_IN_REFUSED"):
            await company.sign_in(password="wrong")
    async with Refused("TOO_MANY_ATTEMPTS", grpc.StatusCode.RESOURCE_EXHAUSTED) as refused:
        await company.sign_in()  # even with the right one
    assert refused.facts["retry_after"] == "1"
    company.stack.clock.move(timedelta(seconds=2))
    async with Refused("SIGN_IN_REFUSED"):
        await company.sign_in(password="wrong")
    async with Refused("TOO_MANY_ATTEMPTS"):
        await company.sign_in()
    company.stack.clock.move(timedelta(seconds=3))
    await company.sign_in()
    for _ in range(4):  # the success made it start anew
        async with Refused("SIGN_IN_REFUSED"):
            await company.sign_in(password="wrong")


async def test_many_guesses_at_the_same_moment_are_no_more_than_the_free_ones(company: Company) -> None:
    async def guess(number: int) -> str:
        try:
            await company.sign_in(password=f"wrong {number}", client_address=f"192.0.2.{number}")
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    codes = await asyncio.gather(*(guess(number) for number in range(20)))
    assert codes.count("UNAUTHENTICATED") == 5
    assert codes.count("RESOURCE_EXHAUSTED") == 15


async def test_one_address_cannot_try_one_account_after_another(company: Company) -> None:
    codes = []
    for number in range(31):
        try:
            await company.sign_in(f"user{number}@example.com", "wrong")
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
    assert codes[:30] == [grpc.StatusCode.UNAUTHENTICATED] * 30
    assert codes[30] is grpc.StatusCode.RESOURCE_EXHAUSTED
    await company.sign_in(client_address="192.0.2.2")


async def test_a_refresh_token_gives_new_tokens_of_the_same_session_once(company: Company) -> None:
    first = await company.sign_in()
    second = await company.refresh(first.refresh_token)
    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    third = await company.refresh(second.refresh_token)
    await company.verifier().verify(third.access_token)


async def test_a_refresh_token_used_twice_ends_the_session_for_both(company: Company) -> None:
    company.believe()
    first = await company.sign_in()
    second = await company.refresh(first.refresh_token)
    async with Refused("REFRESH_TOKEN_REFUSED", grpc.StatusCode.UNAUTHENTICATED):
        await company.refresh(first.refresh_token)
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await company.refresh(second.refresh_token)
    sessions = stubs.SessionServiceStub(company.stack.channel("identity", "administrator", name="ada"))
    listed = (await sessions.ListSessions(pb.ListSessionsRequest())).sessions
    assert [session.revoke_reason for session in listed] == ["a refresh token was used twice"]


async def test_of_two_uses_of_a_refresh_token_at_the_same_moment_one_is_the_second(company: Company) -> None:
    tokens = await company.sign_in()
    outcomes = await asyncio.gather(
        *(company.refresh(tokens.refresh_token) for _ in range(5)), return_exceptions=True
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1


async def test_a_refresh_token_ends_after_thirty_days(company: Company) -> None:
    tokens = await company.sign_in()
    company.stack.clock.move(timedelta(days=30, seconds=1))
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await company.refresh(tokens.refresh_token)


async def test_what_is_no_refresh_token_is_refused(company: Company) -> None:
    for token in ("x", "A" * 86, "A" * 300, "ü", "A" * 85 + "!"):
        async with Refused("REFRESH_TOKEN_REFUSED"):
            await company.refresh(token)


async def test_a_refresh_token_with_another_tenants_name_on_it_is_refused(company: Company) -> None:
    tokens = await company.sign_in()
    other = uuid4()
    await company.provision(str(other), "eve@example.com")
    raw = bytearray(base64.urlsafe_b64decode(tokens.refresh_token + "=="))
    raw[:16] = other.bytes
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await company.refresh(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="))


async def test_a_revoked_refresh_token_ends_its_session_and_a_wrong_one_nothing(company: Company) -> None:
    tokens = await company.sign_in()
    await company.tokens.RevokeToken(pb.RevokeTokenRequest(token="nonsense"))
    await company.tokens.RevokeToken(pb.RevokeTokenRequest(token=tokens.refresh_token[:-2] + "AA"))
    fresh = await company.refresh(tokens.refresh_token)
    await company.tokens.RevokeToken(pb.RevokeTokenRequest(token=fresh.refresh_token))
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await company.refresh(fresh.refresh_token)


async def test_new_roles_come_with_the_next_token(company: Company) -> None:
    anna = await company.user("anna", email="anna@example.com")
    await set_password(company, anna.id, "another good password")
    tokens = await company.sign_in("anna@example.com", "another good password")
    assert (await company.verifier().verify(tokens.access_token)).sight is Sight.OWN
    await company.users.UpdateUser(
        organisation_pb2.UpdateUserRequest(
            id=anna.id, user=organisation_pb2.User(roles=[organisation_pb2.MANAGER])
        )
    )
    tokens = await company.refresh(tokens.refresh_token)
    assert (await company.verifier().verify(tokens.access_token)).sight is Sight.SUBTREE


async def set_password(company: Company, user: str, new: str, token: str = "", current: str = "") -> None:
    channel = company.bare if token else company.stack.channel("identity", "administrator", name="ada")
    await stubs.SessionServiceStub(channel).SetPassword(
        pb.SetPasswordRequest(id=user, current_password=current, new_password=new),
        metadata=bearer(token) if token else (),
    )


async def test_setting_ones_own_password_needs_the_present_one_and_ends_the_other_sessions(
    company: Company,
) -> None:
    company.believe()
    here, elsewhere = await company.sign_in(), await company.sign_in()
    ada = str(company.stack.callers.user("ada"))
    async with Refused("PASSWORD_WRONG", grpc.StatusCode.PERMISSION_DENIED):
        await set_password(company, ada, "quite another one", here.access_token, "guessed")
    await set_password(company, ada, "quite another one", here.access_token, SECRET)
    async with Refused("SIGN_IN_REFUSED"):
        await company.sign_in()
    await company.sign_in(password="quite another one")
    await company.refresh(here.refresh_token)
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await company.refresh(elsewhere.refresh_token)


async def test_nobody_but_an_administrator_sets_anothers_password(company: Company) -> None:
    sessions = stubs.SessionServiceStub(company.stack.channel("identity", "operations"))
    async with Refused("ADMINISTRATORS_ONLY", grpc.StatusCode.PERMISSION_DENIED):
        await sessions.SetPassword(
            pb.SetPasswordRequest(
                id=str(company.stack.callers.user("ada")), new_password="let me in, I am operations"
            )
        )


async def test_a_password_that_everybody_would_guess_is_refused(company: Company) -> None:
    for password in ("aaaaaaaaaaaaaa", "ababababababab", ADDRESS):
        async with Refused("PASSWORD_TOO_SIMPLE", grpc.StatusCode.INVALID_ARGUMENT):
            await set_password(company, str(company.stack.callers.user("ada")), password)


async def test_signing_out_ends_the_session(company: Company) -> None:
    company.believe()
    tokens = await company.sign_in()
    found = await me(company, tokens.access_token)
    assert (found.user.display_name, found.tenant.name, found.session_id) == (
        "Ada",
        "Acme",
        tokens.session_id,
    )
    await stubs.SessionServiceStub(company.bare).SignOut(
        pb.SignOutRequest(), metadata=bearer(tokens.access_token)
    )
    async with Refused("REFRESH_TOKEN_REFUSED"):
        await company.refresh(tokens.refresh_token)


async def test_everybody_sees_their_own_sessions_and_administrators_all(company: Company) -> None:
    anna = await company.user("anna", email="anna@example.com")
    await set_password(company, anna.id, "another good password")
    await company.sign_in()
    tokens = await company.sign_in("anna@example.com", "another good password")
    own = stubs.SessionServiceStub(company.stack.channel("identity", name="anna"))
    all_ = stubs.SessionServiceStub(company.stack.channel("identity", "administrator", name="ada"))
    assert len((await own.ListSessions(pb.ListSessionsRequest())).sessions) == 1
    listed = (await all_.ListSessions(pb.ListSessionsRequest())).sessions
    assert len(listed) == 2
    adas = next(session for session in listed if session.user_id != anna.id)
    async with Refused("SESSION_NOT_YOURS", grpc.StatusCode.NOT_FOUND):
        await own.RevokeSession(pb.RevokeSessionRequest(id=adas.id))
    async with Refused("PERMISSION_MISSING"):
        await own.GetSession(pb.GetSessionRequest(id=adas.id))
    assert await all_.GetSession(pb.GetSessionRequest(id=adas.id)) == adas
    ended = await own.RevokeSession(pb.RevokeSessionRequest(id=tokens.session_id))
    assert ended.HasField("revoke_time")
    again = await own.RevokeSession(pb.RevokeSessionRequest(id=tokens.session_id))
    assert again.etag == ended.etag


async def test_the_same_address_in_two_tenants_signs_in_to_the_one_whose_password_it_is(
    company: Company,
) -> None:
    other = uuid4()
    await company.provision(str(other), ADDRESS, name="Umbrella")
    async with Refused("TENANT_AMBIGUOUS", grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await company.sign_in()
    assert set(refused.facts["tenants"].split()) == {str(other), str(company.stack.tenant)}
    tokens = await company.sign_in(tenant_id=str(other))
    assert (await company.verifier().verify(tokens.access_token)).tenant == other


async def test_a_changed_address_signs_in_and_the_old_one_no_more(company: Company) -> None:
    await company.users.UpdateUser(
        organisation_pb2.UpdateUserRequest(
            id=str(company.stack.callers.user("ada")), user=organisation_pb2.User(email="ada@example.org")
        )
    )
    async with Refused("SIGN_IN_REFUSED"):
        await company.sign_in()
    await company.sign_in("ada@example.org")


async def test_a_services_secret_gives_it_a_token_for_one_tenant(company: Company) -> None:
    request = pb.IssueServiceTokenRequest(
        service="leads", secret=PASSWORD, tenant_id=str(company.stack.tenant)
    )
    answer = await company.tokens.IssueServiceToken(request)
    caller = await company.verifier().verify(answer.access_token)
    assert (caller.actor, caller.user_id, caller.sight) == ("service:leads", None, Sight.ALL)
    assert caller.tenant == company.stack.tenant
    assert "identity.admin" not in caller.permissions
    for service, secret in (("leads", "wrong"), ("nobody", PASSWORD)):
        async with Refused("SIGN_IN_REFUSED", grpc.StatusCode.UNAUTHENTICATED):
            await company.tokens.IssueServiceToken(
                pb.IssueServiceTokenRequest(
                    service=service, secret=secret, tenant_id=str(company.stack.tenant)
                )
            )


async def test_keys_outlive_a_restart_and_are_rotated_by_time(company: Company) -> None:
    async def kids() -> list[str]:
        return [key.kid for key in (await company.tokens.GetJwks(pb.GetJwksRequest())).keys]

    tokens = await company.sign_in()
    before = await kids()
    await company.stack.stop("identity")
    await company.start()
    assert await kids() == before
    await company.verifier().verify(tokens.access_token)
    company.stack.clock.move(timedelta(days=31))
    await company.stack.stop("identity")
    await company.start()
    rotated = await kids()
    assert rotated[1:] == before
    await company.verifier().verify((await company.sign_in()).access_token)
    company.stack.clock.move(timedelta(minutes=20))
    assert await kids() == rotated[:1]


async def test_private_keys_are_not_readable_in_the_database(company: Company) -> None:
    await company.sign_in()
    connection = await company.stack.connect("identity", as_owner=True)
    try:
        rows = await connection.fetch("SELECT public, sealed FROM data.signing_keys")
        assert [len(row["public"]) for row in rows] == [32]
        assert all(len(row["sealed"]) > 100 for row in rows)
        users = await connection.fetch("SELECT password_hash FROM data.credentials")
        assert all(row["password_hash"].startswith("$argon2id$") for row in users)
    finally:
        await connection.close()


async def test_the_wrong_bootstrap_secret_makes_no_tenant(company: Company) -> None:
    async with Refused("BOOTSTRAP_SECRET_WRONG", grpc.StatusCode.UNAUTHENTICATED):
        await organisation_pb2_grpc.TenantServiceStub(company.bare).ProvisionTenant(
            organisation_pb2.ProvisionTenantRequest(
                bootstrap_secret="guess",
                tenant=organisation_pb2.Tenant(name="Evil", reporting_currency="EUR"),
                administrator=organisation_pb2.User(display_name="Eve", email="eve@example.com"),
                password="a long enough password",
            )
        )


async def test_a_tenant_is_made_once(company: Company) -> None:
    async with Refused("ID_TAKEN", grpc.StatusCode.ALREADY_EXISTS):
        await company.provision()
