"""The engines' launchers: what an interrupted run leaves behind, and what keeps them from starting."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.engines.nats import Nats, User
from deploy.engines.postgres import Postgres
from deploy.troubles import DatabaseOfOtherVersion, EngineFailed, PortInUse
from tests.engines import SessionFolder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the database's own user can reach, which pytest's is not."""
    path = Path(tempfile.mkdtemp(prefix=f"sfa-tests-{os.getpid()}-"))
    path.chmod(0o755)
    yield path
    SessionFolder.remove(path)


def server(folder: Path, port: int | None = None, password: str = "p@ss:/word") -> Postgres:
    return Postgres(
        folder / "postgres", folder / "run", password, folder / "postgres.log", port=port, durable=False
    )


def broker(folder: Path, port: int = 0) -> Nats:
    return Nats(folder / "nats-own", folder / "nats.log", [User("u", "p", [">"], [">"])], port=port)


async def answer(postgres: Postgres) -> int:
    connection = await asyncpg.connect(postgres.url())
    try:
        return int(await connection.fetchval("SELECT 42"))
    finally:
        await connection.close()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


async def test_a_database_survives_kill_9(folder: Path) -> None:
    postgres = server(folder)
    await postgres.start()
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    await connection.execute("CHECKPOINT")
    postgres.kill()
    connection.terminate()
    await postgres.start()
    again = await asyncpg.connect(postgres.url())
    assert await again.fetchval("SELECT number FROM kept") == 7
    await again.close()
    await postgres.stop()


async def test_a_server_that_was_left_behind_is_replaced(folder: Path) -> None:
    interrupted = server(folder)
    await interrupted.start()
    old = interrupted.pid
    async with server(folder) as postgres:
        assert postgres.pid != old
        assert await answer(postgres) == 42
    assert await interrupted.ended() == 0


async def test_a_pid_file_that_names_a_stranger_is_passed_over(folder: Path) -> None:
    async with server(folder) as postgres:
        home = postgres.folder.resolve()
    (home / "postmaster.pid").write_text(f"{os.getpid()}\n{home}\n0\n5432\n{folder / 'run'}\n\n\n")
    async with server(folder) as postgres:
        assert await answer(postgres) == 42


async def test_the_wrong_password_is_refused(folder: Path) -> None:
    async with server(folder) as postgres:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.url(password="guessed"))


async def test_a_database_of_another_version_is_refused_in_a_sentence(folder: Path) -> None:
    async with server(folder) as postgres:
        version = postgres.folder / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(DatabaseOfOtherVersion, match="made by PostgreSQL 17 and this is PostgreSQL 18"):
        await server(folder).start()


async def test_a_taken_port_is_named_with_its_setting(folder: Path, taken_port: int) -> None:
    with pytest.raises(PortInUse, match=rf"Port {taken_port} .* PostgreSQL .* SFA_POSTGRES_PORT"):
        await server(folder, port=taken_port).start()
    with pytest.raises(PortInUse, match=rf"Port {taken_port} .* NATS .* SFA_NATS_PORT"):
        await broker(folder, port=taken_port).start()


async def test_what_the_server_says_is_passed_on(folder: Path) -> None:
    async with server(folder) as postgres:
        control = postgres.folder.resolve() / "global" / "pg_control"
    control.write_bytes(b"")
    with pytest.raises(EngineFailed, match=r"PostgreSQL did not start: .*pg_control"):
        await server(folder).start()


async def test_a_broker_that_was_left_behind_is_replaced(folder: Path) -> None:
    interrupted = broker(folder)
    await interrupted.start()
    async with broker(folder) as nats:
        assert nats.pid != interrupted.pid
        assert nats.port
    assert interrupted.pid is None
    assert await interrupted.ended() in (0, 1, -signal.SIGTERM)


async def test_root_runs_the_database_as_somebody_else(folder: Path) -> None:
    """As an ordinary user, it runs as that one."""
    async with server(folder) as postgres:
        assert postgres.pid is not None
        uid = psutil.Process(postgres.pid).uids().effective
    assert uid != 0
    assert os.geteuid() in (0, uid)


async def test_a_folder_that_is_closed_to_others_does_for_root_too(folder: Path) -> None:
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    postgres = Postgres(
        closed / "postgres", folder / "run", "secret", closed / "postgres.log", port=None, durable=False
    )
    async with postgres:
        assert await answer(postgres) == 42
        place = postgres.folder.resolve()
    if place.is_relative_to("/var/lib/sfa"):
        shutil.rmtree(place.parent)
