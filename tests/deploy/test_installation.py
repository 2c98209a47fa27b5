"""An installation: its secrets, its data folder, and one sentence for what keeps it from starting."""

import stat
from pathlib import Path

import asyncpg
import pytest

from deploy.installation import Installation
from deploy.settings import Settings
from deploy.topology import CONNECTIONS, MAX_CONNECTIONS, OWN_CONNECTIONS, SERVICES, address
from deploy.troubles import DataFolderInUse, DiskFull, FolderNotWritable, SecretsMissing
from tests.engines import Databases


def installation(folder: Path, **settings: object) -> Installation:
    return Installation(Settings(data=folder, **settings))  # type: ignore[arg-type]  # pydantic checks them


def test_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    first = installation(tmp_path).service_settings("identity")
    assert first == installation(tmp_path).service_settings("identity")
    file = tmp_path / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.database_url.get_secret_value() not in repr(first)


def test_every_service_has_other_secrets(tmp_path: Path) -> None:
    here = installation(tmp_path)
    settings = [here.service_settings(service) for service in SERVICES]
    assert len({each.secret.get_secret_value() for each in settings}) == len(SERVICES)
    assert len({each.nats_password.get_secret_value() for each in settings}) == len(SERVICES)
    assert [each.service for each in settings if each.key_ring.get_secret_value()] == ["identity"]


def test_a_variable_of_its_own_comes_before_what_the_folder_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFA_NATS_URL", "nats://elsewhere:4222")
    assert installation(tmp_path).service_settings("leads").nats_url == "nats://elsewhere:4222"


def test_a_folder_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    with installation(tmp_path).held():
        assert installation(tmp_path).is_held
        with pytest.raises(DataFolderInUse, match="is in use by process"), installation(tmp_path).held():
            pass
    assert not installation(tmp_path).is_held


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="is full"), installation(tmp_path, min_free_megabytes=10**12).held():
        pass


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritable, match="SFA_DATA"), installation(tmp_path / "file" / "data").held():
        pass


def test_a_database_without_its_secrets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    with pytest.raises(SecretsMissing, match="put it back"), installation(tmp_path).held():
        pass


def test_two_checkouts_differ_by_one_port(tmp_path: Path) -> None:
    ports = [
        {each.port, each.broker_port, each.database_port}
        for each in (Settings(data=tmp_path, port=9000), Settings(data=tmp_path, port=9010))
    ]
    assert not ports[0] & ports[1]


def test_a_long_path_leaves_room_for_sockets(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / ("deep/" * 30))
    assert all(len(address(service, settings)) < 100 for service in SERVICES)


def test_the_services_open_fewer_connections_than_the_server_has() -> None:
    reserved_for_administrators = 3
    assert 4 <= CONNECTIONS <= 6
    assert len(SERVICES) * (CONNECTIONS + OWN_CONNECTIONS) + reserved_for_administrators <= MAX_CONNECTIONS


async def test_a_service_may_do_what_migrations_grant_it_and_nothing_else(postgres: Databases) -> None:
    database = await postgres.clone("blank")
    service = await asyncpg.connect(database.url)
    try:
        for forbidden in (
            "CREATE TABLE app.x ()",
            "CREATE TABLE data.x ()",
            "CREATE TABLE public.x ()",
            "CREATE SCHEMA x",
            "CREATE TEMP TABLE x ()",
            "CREATE ROLE x",
            "SELECT * FROM pg_authid",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(forbidden)
    finally:
        await service.close()
        await postgres.drop(database)
