"""A consumer that kills itself before it applies, or after it committed and before it acknowledges:
`python -m tests.chassis.consumer_process <database> <nats> before|after`."""

import asyncio
import os
import signal
import sys
from typing import Any, Final

from sfa.opportunities.v1 import events_pb2

from chassis import consumer
from chassis.broker import Broker
from chassis.clock import SystemClock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.subscriptions import Subscriptions
from tests.chassis.events import SERVICE
from tests.chassis.projection import keep

SOON: Final = 0.3
"""After how many seconds the broker gives up on a dead process; else a minute."""


def kill(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(database_url: str, nats_url: str, where: str) -> None:
    consumer._ACK_SECONDS = SOON  # type: ignore[misc, assignment]
    subscriptions = Subscriptions()

    @subscriptions.on(events_pb2.OpportunityWon)
    async def handle(events: Any, call: Any) -> None:
        if where == "before":
            kill()
        await keep(events, call)
        call.tx.after_commit(kill)

    database = await Database.connect(database_url)
    broker = Broker(nats_url, "forecast")
    broker.start()
    Consumer("forecast", SERVICE, database, broker, subscriptions, SystemClock()).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
