"""What roles allow, and how users come, change and go."""

import importlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sfa
from google.protobuf import descriptor_pool

from chassis.contract import PUBLIC, rpcs
from services.identity.domain.people import (
    IDENTITY_PERMISSIONS,
    PERMISSIONS,
    AdministratorsOnly,
    DisplayNameMissing,
    LastAdministrator,
    Role,
    User,
    UserActive,
    UserInactive,
    permissions_of,
    sight_of,
)
from services.identity.domain.tenants import TimeZoneUnknown

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def user(*roles: Role, **fields: object) -> User:
    return User(display_name="Anna Snelling", roles=roles or (Role.REP,), **fields)  # type: ignore[arg-type]


def test_everybody_reads_and_does_a_reps_work() -> None:
    for role in Role:
        assert {"opportunities.read", "opportunities.write", "identity.read", "forecast.read"} <= PERMISSIONS[
            role
        ]


def test_only_operations_administrators_and_integrations_say_when_something_was_true() -> None:
    assert {role for role in Role if "history.write" in PERMISSIONS[role]} == {
        Role.OPERATIONS,
        Role.ADMINISTRATOR,
        Role.INTEGRATION,
    }


def test_only_administrators_administer() -> None:
    assert [role for role in Role if "identity.admin" in PERMISSIONS[role]] == [Role.ADMINISTRATOR]


def test_several_roles_allow_what_any_of_them_allows_and_see_the_widest() -> None:
    assert "products.write" in permissions_of([Role.REP, Role.INTEGRATION])
    assert sight_of([Role.REP]) == "own"
    assert sight_of([Role.REP, Role.MANAGER]) == "subtree"
    assert sight_of([Role.MANAGER, Role.INTEGRATION]) == "all"
    assert sight_of([]) == "own"


def test_a_user_without_roles_is_a_rep() -> None:
    anna = User(display_name="Anna", roles=())
    anna.create(by_administrator=False)
    assert anna.roles == (Role.REP,)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "/etc/passwd", "\0", "x" * 300])
def test_a_user_lives_in_a_known_time_zone(zone: str) -> None:
    with pytest.raises(TimeZoneUnknown):
        user(time_zone=zone).create(by_administrator=False)


def test_a_user_needs_a_name() -> None:
    with pytest.raises(DisplayNameMissing):
        User().create(by_administrator=True)
    anna = user()
    with pytest.raises(DisplayNameMissing):
        anna.change({"display_name": ""}, by_administrator=True, other_administrators=True)


def test_only_an_administrator_makes_an_administrator() -> None:
    with pytest.raises(AdministratorsOnly):
        user(Role.ADMINISTRATOR).create(by_administrator=False)
    with pytest.raises(AdministratorsOnly):
        user().change({"roles": (Role.ADMINISTRATOR,)}, by_administrator=False, other_administrators=True)
    user(Role.ADMINISTRATOR).create(by_administrator=True)


def test_nobody_below_takes_an_administrators_address_over() -> None:
    with pytest.raises(AdministratorsOnly):
        user(Role.ADMINISTRATOR).change(
            {"email": "mine@example.com"}, by_administrator=False, other_administrators=True
        )


def test_an_import_that_leaves_an_administrator_as_is_may_be_anybodys() -> None:
    user(Role.ADMINISTRATOR).change(
        {"display_name": "Anna Snelling"}, by_administrator=False, other_administrators=True
    )


def test_the_last_administrator_stays_one() -> None:
    with pytest.raises(LastAdministrator):
        user(Role.ADMINISTRATOR).change({"roles": ()}, by_administrator=True, other_administrators=False)
    with pytest.raises(LastAdministrator):
        user(Role.ADMINISTRATOR).deactivate(other_administrators=False)
    user(Role.ADMINISTRATOR).change({"roles": ()}, by_administrator=True, other_administrators=True)


def test_a_user_is_deactivated_and_reactivated_once() -> None:
    anna = user()
    anna.deactivate(other_administrators=True)
    assert not anna.active
    with pytest.raises(UserInactive):
        anna.deactivate(other_administrators=True)
    anna.reactivate()
    with pytest.raises(UserActive):
        anna.reactivate()


def test_whatever_an_rpc_needs_somebody_may() -> None:
    folder = Path(sfa.__path__[0])
    for module in folder.rglob("*_pb2.py"):
        importlib.import_module(".".join(("sfa", *module.relative_to(folder).with_suffix("").parts)))
    pool = descriptor_pool.Default()
    needed = {
        rpc.permission
        for module in folder.rglob("*_pb2.py")
        for service in pool.FindFileByName(
            f"sfa/{module.relative_to(folder).as_posix().removesuffix('_pb2.py')}.proto"
        ).services_by_name.values()
        for rpc in rpcs(service)
    }
    given = {PUBLIC} | IDENTITY_PERMISSIONS | permissions_of(Role)
    assert needed <= given, needed - given
