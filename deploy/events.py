"""`sfa events`: events as they pass, and those that a service could not apply."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

import nats.errors
import orjson
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table

from chassis import parked
from chassis.broker import stream_of
from chassis.clock import SystemClock
from chassis.database import Database
from chassis.envelope import service_of
from chassis.parked import ParkedEvent
from deploy.installation import Installation
from deploy.running import refuse_stopped
from deploy.topology import SERVICES
from deploy.troubles import EngineUnreachable, Trouble

_QUIET_SECONDS: Final = 0.5

Show = Callable[[Msg], None]


class InstantUnreadable(Trouble):
    def __init__(self, text: str) -> None:
        super().__init__(f"{text} is not an instant: write all, or one such as 2026-11-22T12:00:00Z.")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are wanted; empty means any."""

    type: str = ""
    tenant: str = ""
    service: str = ""
    since: str = ""

    @property
    def subject(self) -> str:
        """As the broker matches it."""
        ending = self.type or (f"sfa.{self.service}.>" if self.service else ">")
        return f"events.{self.tenant or '*'}.{ending}"

    @property
    def sources(self) -> list[str]:
        """The services that may publish such."""
        source = self.service or (service_of(self.type) if self.type else "")
        return [source] if source else list(SERVICES)

    @property
    def start(self) -> ConsumerConfig:
        """Where reading begins.

        Raises:
            InstantUnreadable: `since` says none.
        """
        if not self.since:
            return ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
        if self.since == "all":
            return ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        try:
            at = datetime.fromisoformat(self.since).astimezone()
        except ValueError:
            raise InstantUnreadable(self.since) from None
        return ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=at)


async def tail(installation: Installation, selection: Selection, follow: bool, show: Show) -> None:
    """Shows events as they pass, until it is interrupted; without `follow`, up to the newest.

    Raises:
        Trouble: the system does not run, or the broker cannot be reached.
    """
    refuse_stopped(installation)
    start = selection.start
    url, user, password = installation.nats_credentials("watcher")
    client = Client()
    try:
        await client.connect(
            url, inbox_prefix=f"_INBOX_{user}" if user else "_INBOX", allow_reconnect=False, connect_timeout=3,
            error_cb=_overheard, user=user or None, password=password or None,
        )  # fmt: skip
    except (OSError, nats.errors.Error) as error:
        raise EngineUnreachable("NATS", url, str(error)) from error
    try:
        streams = client.jetstream()
        await asyncio.gather(
            *(_read(streams, source, selection.subject, start, follow, show) for source in selection.sources)
        )
    finally:
        await client.close()


async def _read(
    streams: JetStreamContext, source: str, subject: str, start: ConsumerConfig, follow: bool, show: Show
) -> None:
    try:
        reading = await streams.subscribe(
            subject, stream=stream_of(source), ordered_consumer=True, config=start, manual_ack=True
        )
    except NotFoundError:  # it has published nothing yet
        return
    while True:
        try:
            message = await reading.next_msg(timeout=None if follow else _QUIET_SECONDS)
        except nats.errors.TimeoutError:
            return
        show(message)


async def _overheard(error: Exception) -> None:
    """What matters is raised where it happens."""


def show(console: Console, *, as_json: bool) -> Show:
    """Prints events: a line for each as JSON, or two for people."""

    def show_one(message: Msg) -> None:
        headers = message.headers or {}
        content = _content(headers.get("ce-type", ""), message.data)
        if as_json:
            attributes = {
                name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")
            }
            console.out(orjson.dumps({**attributes, "data": content}).decode(), highlight=False)
            return
        kind = headers.get("ce-type", "?").rpartition(".")[2]
        console.print(
            f"[dim]{headers.get('ce-time', '')}[/] [bold]{kind}[/] {headers.get('ce-entity', '')} "
            f"{headers.get('ce-subject', '')} v{headers.get('ce-version', '')} by {headers.get('ce-actor', '')}",
            highlight=False,
        )
        console.print(f"  {orjson.dumps(content).decode()}", style="dim", highlight=False, markup=False)

    return show_one


@cache
def _pool() -> DescriptorPool:
    for service in SERVICES:
        module = f"sfa.{service}.v1.events_pb2"
        if find_spec(module) is not None:  # a projection has none
            importlib.import_module(module)
    return Default()


def _content(kind: str, data: bytes) -> Any:
    try:
        message_class = GetMessageClass(_pool().FindMessageTypeByName(kind))
    except KeyError:
        return {"bytes": len(data)}
    return MessageToDict(message_class.FromString(data))


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked event, and the service that could not apply it."""

    service: str
    event: ParkedEvent

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"service": self.service, "key": self.event.key, **asdict(self.event)}


async def parked_events(installation: Installation, services: Sequence[str]) -> list[Parked]:
    """What each service has parked.

    Raises:
        NotRunning: the system does not run.
    """
    refuse_stopped(installation)
    found = []
    for service in services:
        database = await Database.connect(
            installation.database_url(service), connections=2, name="sfa events"
        )
        try:
            found += [Parked(service, event) for event in await parked.list_parked(database)]
        finally:
            await database.close()
    return found


async def retry_parked(installation: Installation, events: Sequence[Parked]) -> None:
    """Has the services try them again, at once."""
    for each in events:
        database = await Database.connect(
            installation.database_url(each.service), connections=2, name="sfa events"
        )
        try:
            await parked.retry(database, SystemClock(), each.service, each.event)
        finally:
            await database.close()


def render_parked(events: Sequence[Parked], *, retried: bool) -> Table | str:
    """As a table."""
    if not events:
        return "Nothing is parked."
    table = Table(
        "Service", "Key", "Subject", "Attempts", "Parked at", "Why", title="Tried again" if retried else None
    )
    for each in events:
        event = each.event
        table.add_row(
            each.service, event.key, event.subject, str(event.attempts), f"{event.parked_at:%Y-%m-%d %H:%M:%S}",
            event.error,
        )  # fmt: skip
    return table
