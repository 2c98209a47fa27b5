"""What a running service does besides answering: it publishes what it wrote, takes in what the others
published, and does what falls due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chassis import parked
from chassis.broker import Broker
from chassis.clock import Clock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.due import Runner
from chassis.positions import Positions
from chassis.relay import Relay
from chassis.server import Verifier
from chassis.settings import ServiceSettings
from chassis.subscriptions import Subscriptions


class Eventing:
    """The relay, the consumers and the runner of one service, on one connection to the broker."""

    def __init__(
        self,
        service: str,
        settings: ServiceSettings,
        database: Database,
        clock: Clock,
        verifier: Verifier,
        subscriptions: Subscriptions,
        due: Mapping[str, Callable[..., Awaitable[None]]],
    ) -> None:
        self.verifier = verifier
        self.database = database
        self.broker = Broker(
            settings.nats_url,
            service,
            user=settings.nats_user,
            password=settings.nats_password.get_secret_value(),
        )
        self.relay = Relay(
            service,
            settings.database_url.get_secret_value(),
            self.broker,
            clock,
            replicas=settings.nats_replicas,
        )
        self.consumers = [
            Consumer(service, source, database, self.broker, subscriptions, clock, settings.nats_replicas)
            for source in subscriptions.sources
        ]
        handlers: dict[str, Any] = {**due, parked.RETRY: parked.retrying(subscriptions)}
        self.runner = Runner(service, database, clock, handlers)
        self.freshness = Positions(service, self.broker, subscriptions.sources)
        """How far the others' events have been taken in."""

    async def start(self) -> None:
        """Starts everything; database and broker may come later."""
        self.database.hints.append(self.relay.hint)
        self.database.due_hints.append(self.runner.hint)
        self.broker.start()
        await self.freshness.start()
        await self.relay.start()
        for consumer in self.consumers:
            consumer.start()
        self.runner.start()

    async def stop(self) -> None:
        """Finishes what is at hand and publishes what was written, then stops."""
        await asyncio.gather(self.runner.stop(), *(consumer.stop() for consumer in self.consumers))
        await self.relay.stop()
        await self.freshness.stop()
        await self.broker.close()
