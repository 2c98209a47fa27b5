"""`sfa forecast rebuild`: begins a rebuild, and says how far it has come until it is done."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final
from uuid import uuid4

from rich.console import Console

from deploy.importing.client import Api, Problem, SignIn

_LOOK_SECONDS: Final = 0.5
_FAILED: Final = 500


async def run(url: str, sign_in: SignIn, *, from_nothing: bool) -> None:
    """Follows it to its end.

    Raises:
        Problem: it was refused, or failed.
        ServerRefused: the server cannot be reached.
    """
    console, began = Console(stderr=True, highlight=False), time.monotonic()
    async with Api(url, sign_in) as api:
        operation = await api.post("/v1/forecast:rebuild", {"fromNothing": from_nothing}, key=str(uuid4()))
        id = operation["name"].rpartition("/")[2]
        with console.status("Reading the history of all services …") as status:
            while not operation.get("done"):
                await asyncio.sleep(_LOOK_SECONDS)
                operation = await api.get(f"/v1/forecast/rebuilds/{id}")
                status.update(f"{_done(operation):,} events read …")
    if "error" in operation:
        raise Problem(_FAILED, {"detail": operation["error"].get("message", "The rebuild failed.")})
    seconds, events = time.monotonic() - began, int(operation["response"].get("events", 0))
    console.print(f"{events:,} events in {seconds:.1f} s.")


def _done(operation: dict[str, Any]) -> int:
    return int(operation.get("metadata", {}).get("done", 0))
