"""The import of a real folder, as a user starts it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.system import ROOT, System


async def maven(system: System, folder: Path) -> float:
    """Seconds that `sfa import` takes for the whole folder, from the start of the command to its end."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as state:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "sfa"), "import", str(folder),
            "--mapping", str(ROOT / "docs/examples/maven_crm.yaml"),
            "--url", system.client.url,
            cwd=state, env={**os.environ, "SFA_TOKEN": system.client.token}, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        if await process.wait() != 0:
            raise RuntimeError("the import failed")
    return time.perf_counter() - started
