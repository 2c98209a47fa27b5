"""Starts processes for parts of the system by forking one that has imported everything already.

A child then starts in milliseconds and shares the memory of what was imported. The nursery must fork
before anything in it has made a thread or a gRPC channel, so it is a process of its own that does
nothing else; it is told what to start over a socket, and says over it what ended. When whoever
tells it is gone, it ends its children and itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from deploy.topology import SERVICES

_PATIENCE: Final = 20.0


class Nursery:
    """The handle of the process that forks; to be made before this process makes a thread."""

    def __init__(self, run: Callable[[str], None]) -> None:
        """`run` is what a child does for its name; it ends with the child."""
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _Forker(theirs, run).forever()
        theirs.close()
        self.socket = ours
        self._buffer = b""

    def start(self, name: str) -> None:
        """Has a child of that name started."""
        self.socket.sendall(f"{name}\n".encode())

    def ended(self) -> list[tuple[str, int]] | None:
        """Which children have ended since, with their status, once the socket is readable; None where the
        nursery itself is gone."""
        data = self.socket.recv(65536)
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [(name.decode(), int(status)) for name, _, status in (line.partition(b" ") for line in lines)]

    def close(self) -> None:
        """Has all children drain and end, and waits for them. May be called again."""
        if self.socket.fileno() >= 0:
            self.socket.close()
            os.waitpid(self.pid, 0)


class _Forker:
    """What happens in the nursery's process."""

    def __init__(self, told: socket.socket, run: Callable[[str], None]) -> None:
        self._told = told
        self._run = run
        self._children: dict[int, str] = {}

    def forever(self) -> NoReturn:
        os.setsid()  # a Ctrl-C at the terminal is for whoever tells us what to do
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for name in SERVICES:
            importlib.import_module(f"services.{name}.service")
        importlib.import_module("deploy.serving")
        gc.collect()
        gc.freeze()  # the collector would copy pages that are shared
        with selectors.DefaultSelector() as selector:
            selector.register(self._told, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is woken:
                        woken.recv(4096)
                        self._reap()
                    else:
                        data = self._told.recv(65536)
                        if not data:
                            self._end()
                        for name in data.decode().split():
                            self._fork(name, (woken, wake))

    def _fork(self, name: str, inner: tuple[socket.socket, ...]) -> None:
        pid = os.fork()
        if pid:
            self._children[pid] = name
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self._told, *inner):
            each.close()
        status = 1
        try:
            self._run(name)
            status = 0
        except BaseException:  # noqa: BLE001  # nothing of it may run on in what is a copy of the nursery
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            name = self._children.pop(pid)
            with contextlib.suppress(OSError):  # nobody listens any more
                self._told.sendall(f"{name} {os.waitstatus_to_exitcode(status)}\n".encode())

    def _end(self) -> NoReturn:
        self._signal(signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: self._signal(signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        for pid in list(self._children):
            os.waitpid(pid, 0)
            del self._children[pid]
        os._exit(0)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):  # it was waited for a moment ago
                os.kill(pid, number)
