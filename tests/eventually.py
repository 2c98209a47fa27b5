"""Waiting for something that happens elsewhere: for the thing itself, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(
    is_so: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str = "it", seconds: float = 15
) -> None:
    """Waits until it is so; fails where it is not within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = is_so()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {seconds} s") from None
