"""A relay in a process of its own, to be killed:
`python -m tests.chassis.relay_process <database> <nats> <service>`."""

import asyncio
import sys

from chassis.broker import Broker
from chassis.clock import SystemClock
from chassis.relay import Relay


async def main(database_url: str, nats_url: str, service: str) -> None:
    broker = Broker(nats_url, service)
    broker.start()
    await Relay(service, database_url, broker, SystemClock()).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
