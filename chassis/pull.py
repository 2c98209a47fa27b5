"""Messages of a durable consumer, as they come: one pull request always waits at the broker.

nats-py's `fetch(n)` either waits for the n-th message or asks twice for each; this takes what is there
the moment that it is there.
"""

from __future__ import annotations

import asyncio
from typing import Final

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from chassis.broker import BrokerUnavailable

_EXPIRES_SECONDS: Final = 20
_HEARTBEAT_SECONDS: Final = 5
_PATIENCE_SECONDS: Final = 11.0


class ConsumerGone(Exception):
    """The broker does not know the consumer: it has to be made again."""


class Pull:
    """The messages of one consumer on one connection."""

    def __init__(self, client: Client, stream: str, consumer: str, most: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._most = most
        self._inbox = client.new_inbox()
        self._arrived: list[Msg] = []
        self._hint = asyncio.Event()
        self._outstanding = 0
        self._gone = ""
        self._stopped = False
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Pull:
        self._subscription = await self._client.subscribe(self._inbox, cb=self._hear, pending_msgs_limit=-1)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None and self._client.is_connected:
            await self._subscription.unsubscribe()

    def ask_again(self) -> None:
        """Says that requests were lost, as they are with a connection."""
        self._outstanding = 0
        self._hint.set()

    def stop(self) -> None:
        """Has `batch` come back with nothing."""
        self._stopped = True
        self._hint.set()

    async def batch(self, pace: float = 0) -> list[Msg]:
        """What has arrived: at least one message, unless it was stopped. It is given out `pace` seconds
        after it was asked for at the earliest, so that messages which come fast share one.

        Raises:
            ConsumerGone: there is no such consumer.
            BrokerUnavailable: the connection is closed for good.
        """
        loop = asyncio.get_running_loop()
        earliest = loop.time() + pace
        while not self._arrived and not self._stopped:
            self._hint.clear()
            if self._gone:
                raise ConsumerGone(self._gone)
            if self._client.is_closed:
                raise BrokerUnavailable
            if self._outstanding <= 0 and self._client.is_connected:
                await self._ask()
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._hint.wait()
            except TimeoutError:
                self._outstanding = 0  # not even a heartbeat: the request is lost
        early = earliest - loop.time()
        if early > 0 and len(self._arrived) < self._most // 10:
            await asyncio.sleep(early)
        if self._stopped:
            return []
        arrived, self._arrived = self._arrived[: self._most], self._arrived[self._most :]
        return arrived

    async def _ask(self) -> None:
        self._outstanding = self._most
        request = {
            "batch": self._most,
            "expires": _EXPIRES_SECONDS * 1_000_000_000,
            "idle_heartbeat": _HEARTBEAT_SECONDS * 1_000_000_000,
        }
        await self._client.publish(self._subject, orjson.dumps(request), reply=self._inbox)

    async def _hear(self, message: Msg) -> None:
        if message.reply:  # where to acknowledge it: what has none is a status
            self._arrived.append(message)
            self._outstanding -= 1
        else:
            headers = message.headers or {}
            status, description = headers.get("Status", ""), headers.get("Description", "")
            if status != "100":  # a heartbeat only keeps the patience up
                self._outstanding = 0
            if status == "503" or "Consumer Deleted" in description:
                self._gone = f"{status} {description}".strip()
        self._hint.set()
