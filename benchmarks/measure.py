"""What processes cost: CPU time and memory of a whole tree of them, engines included."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Tree:
    """Processes and all that descend from them."""

    roots: tuple[int, ...]

    def processes(self) -> list[psutil.Process]:
        """Those that are alive."""
        found: dict[int, psutil.Process] = {}
        for root in self.roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(root)
                for each in (process, *process.children(recursive=True)):
                    found[each.pid] = each
        return list(found.values())

    def cpu_seconds(self) -> float:
        """User and system time so far, with that of children that ended."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def pss_bytes(self) -> int:
        """Memory, shared pages divided among those who share them."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
        return total
