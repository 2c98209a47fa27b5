"""A child process that writes to a log file, is stopped gently, and outlives no restart.

Children are started in a session of their own: a Ctrl-C at the terminal must reach the services
first, which drain while their engines still run.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from deploy.troubles import DiskFull, EngineFailed

_LOG_LIMIT: Final = 8_000_000
_POLL: Final = 0.01


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system user that a child runs as, where it is not the one who starts it."""

    uid: int
    gid: int

    def running(self, *command: str | Path) -> list[str]:
        """The command as this user runs it.

        `subprocess` would change the user itself, for which it has to fork; and the fork of a process that has
        gRPC in it may crash before it gets to execute anything.
        """
        become = _BECOME.format(uid=self.uid, gid=self.gid)
        return [sys.executable, "-I", "-S", "-c", become, *map(str, command)]


_BECOME: Final = (
    "import os, sys; os.setgroups([]); os.setgid({gid}); os.setuid({uid}); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


@dataclass(slots=True)
class Child:
    """One engine's process."""

    title: str
    log: Path
    popen: subprocess.Popen[bytes] | None = field(default=None)
    _said_from: int = 0

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts it in `folder`, appending what it says to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".old.log"))
        with self.log.open("ab") as log:
            self._said_from = log.tell()
            self.popen = subprocess.Popen(
                account.running(*command) if account else [str(part) for part in command],
                cwd=folder,
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def said(self) -> str:
        """What it has written to the log since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._said_from)
            return log.read().decode(errors="replace")

    async def until(self, is_ready: Callable[[], bool], *, seconds: float = 30) -> None:
        """Waits until it is ready.

        Raises:
            EngineFailed: it ended, or was not ready in time.
            DiskFull: it ended because of that.
        """
        try:
            async with asyncio.timeout(seconds):
                while not is_ready():
                    if not self.running:
                        raise self.failure()
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            failure = self.failure()
            await self.stop(signal.SIGKILL)
            raise failure from None

    def failure(self) -> Exception:
        """Why it did not start, from its own words."""
        said = self.said
        if "No space left on device" in said or "no space left on device" in said:
            return DiskFull(self.log.parent)
        return EngineFailed(self.title, _reason(said), self.log)

    async def ended(self) -> int:
        """Waits until it ends, and gives its status."""
        return await asyncio.to_thread(self.popen.wait) if self.popen else 0

    async def stop(self, *signals: signal.Signals, patience: float = 15) -> None:
        """Sends the signals one after the other, each when the one before was not heeded."""
        if self.popen is None:
            return
        for number in (*signals, signal.SIGKILL):
            if not self.running:
                break
            self.popen.send_signal(number)
            try:
                await asyncio.to_thread(self.popen.wait, patience)
            except subprocess.TimeoutExpired:
                continue
        self.popen.wait()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait()


def left_over(name: str, folder: Path) -> list[psutil.Process]:
    """Processes of that name which work in `folder`: what an interrupted run left behind."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == name and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end_left_over(name: str, folder: Path, number: signal.Signals) -> None:
    """Ends what an interrupted run left behind, so that its files can be opened again."""
    processes = left_over(name, folder)
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(processes, timeout=15)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def account_of(path: Path) -> Account:
    """Who owns a file."""
    status = path.stat()
    return Account(status.st_uid, status.st_gid)


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    for mark in ("FATAL:", "PANIC:", "[FTL]", "ERROR:", "error:"):
        for line in lines:
            if mark in line:
                return line.split(mark, 1)[1].strip().rstrip(".")
    return lines[-1].strip().rstrip(".") if lines else ""
