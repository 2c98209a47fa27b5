"""A sales team for the tests of the pipeline: deals at the real service, and what identity would say of rates."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any, Final, cast
from uuid import UUID, uuid5

import grpc
from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.identity.v1 import events_pb2 as identity
from sfa.opportunities.v1 import alerts_pb2, alerts_pb2_grpc, history_pb2_grpc, metrics_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2_grpc as stubs

from chassis import envelope
from chassis.broker import Broker
from chassis.convert import set_timestamp
from chassis.history import resource_of
from tests.engines import PASSWORD
from tests.eventually import eventually
from tests.stack import Stack

OPEN, WON, LOST = pb.Opportunity.OPEN, pb.Opportunity.WON, pb.Opportunity.LOST
_KEPT: Final = {"exchange_rate": "exchange_rates", "tenant": "tenant_settings"}


def euros(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="EUR", units=units, nanos=nanos)


def day_of(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Sales:
    """The test's tenant."""

    def __init__(self, stack: Stack, broker: Broker) -> None:
        self.stack = stack
        self._broker = broker
        self._versions: Counter[UUID] = Counter()
        self.pipeline = ""
        self.stages: dict[str, str] = {}

    @classmethod
    async def of(cls, stack: Stack) -> Sales:
        """Joins the services, and says what the tenant has set."""
        broker = Broker(stack.nats.url("identity"), "identity", user="identity", password=PASSWORD)
        broker.start()
        await broker.connected()
        await broker.keep_stream("identity")
        result = cls(stack, broker)
        answer = await result.pipelines().ListPipelines(pb.ListPipelinesRequest())
        result.pipeline = answer.pipelines[0].id
        result.stages = {stage.name: stage.id for stage in answer.pipelines[0].stages}
        return result

    async def close(self) -> None:
        await self._broker.close()

    # Stubs

    def deals(self, role: str = "operations", **claims: Any) -> stubs.OpportunityServiceAsyncStub:
        return stubs.OpportunityServiceStub(self._channel(role, **claims))

    def pipelines(self, role: str = "operations") -> stubs.PipelineServiceAsyncStub:
        return stubs.PipelineServiceStub(self._channel(role))

    def history(
        self, role: str = "operations", **claims: Any
    ) -> history_pb2_grpc.OpportunityHistoryServiceAsyncStub:
        return history_pb2_grpc.OpportunityHistoryServiceStub(self._channel(role, **claims))

    def alerts(self, role: str = "operations", **claims: Any) -> alerts_pb2_grpc.AlertServiceAsyncStub:
        return alerts_pb2_grpc.AlertServiceStub(self._channel(role, **claims))

    def settings(self, role: str = "operations") -> alerts_pb2_grpc.AlertSettingsServiceAsyncStub:
        return alerts_pb2_grpc.AlertSettingsServiceStub(self._channel(role))

    def metrics(
        self, role: str = "operations", **claims: Any
    ) -> metrics_pb2_grpc.PipelineMetricsServiceAsyncStub:
        return metrics_pb2_grpc.PipelineMetricsServiceStub(self._channel(role, **claims))

    def _channel(self, role: str, **claims: Any) -> grpc.aio.Channel:
        return self.stack.channel("opportunities", role, **claims)

    # Deals

    async def deal(
        self, name: str = "Roof", at: str = "", stage: str = "", owner: str = "", **fields: Any
    ) -> pb.Opportunity:
        """Makes a deal; `at` backdates it."""
        asked = pb.Opportunity(name=name, **fields)
        if stage:
            asked.stage_id = self.stages[stage]
        if owner:
            asked.owner_id = str(self.stack.callers.user(owner))
        request = pb.CreateOpportunityRequest(opportunity=asked)
        _at(request, at)
        return await self.deals().CreateOpportunity(request)

    async def change(self, deal: pb.Opportunity, at: str = "", **fields: Any) -> pb.Opportunity:
        request = pb.UpdateOpportunityRequest(id=deal.id, opportunity=pb.Opportunity(**fields))
        request.update_mask.paths.extend(fields)
        _at(request, at)
        return await self.deals().UpdateOpportunity(request)

    async def move(self, deal: pb.Opportunity, stage: str, at: str = "") -> pb.Opportunity:
        request = pb.MoveOpportunityRequest(id=deal.id, stage_id=self.stages[stage])
        _at(request, at)
        return await self.deals().MoveOpportunity(request)

    async def win(self, deal: pb.Opportunity, at: str = "", **fields: Any) -> pb.Opportunity:
        request = pb.WinOpportunityRequest(id=deal.id, **fields)
        _at(request, at)
        return await self.deals().WinOpportunity(request)

    async def lose(self, deal: pb.Opportunity, reason: str, at: str = "") -> pb.Opportunity:
        request = pb.LoseOpportunityRequest(id=deal.id, lost_reason=reason)
        _at(request, at)
        return await self.deals().LoseOpportunity(request)

    async def active(self, deal: pb.Opportunity) -> dict[str, alerts_pb2.Alert]:
        """The active alerts about a deal, by kind, once everything has been taken in."""
        await self.stack.settled()
        return await self.active_now(deal)

    async def active_now(self, deal: pb.Opportunity) -> dict[str, alerts_pb2.Alert]:
        request = alerts_pb2.ListAlertsRequest(filter=f'opportunity_id = "{deal.id}" AND state = ACTIVE')
        answer = await self.alerts().ListAlerts(request)
        return {alerts_pb2.Alert.Kind.Name(alert.kind): alert for alert in answer.alerts}

    # What identity says

    async def tenant(self, currency: str = "EUR", time_zone: str = "") -> None:
        event = identity.TenantUpdated()
        event.tenant.id = str(self.stack.tenant)
        event.tenant.reporting_currency, event.tenant.time_zone = currency, time_zone
        await self.say(event)

    async def rate(self, source: str, target: str, day: str, rate: str) -> None:
        """Records a rate, or corrects it."""
        event = identity.ExchangeRateRecorded()
        event.exchange_rate.id = str(uuid5(self.stack.tenant, f"{source} {target} {day}"))
        event.exchange_rate.from_currency, event.exchange_rate.to_currency = source, target
        event.exchange_rate.date.CopyFrom(day_of(date.fromisoformat(day)))
        event.exchange_rate.rate = rate
        await self.say(event)

    async def say(self, event: Message) -> None:
        """Publishes an event as identity does, and waits until it is taken in."""
        resource: Any = resource_of(event)
        name, id = event.DESCRIPTOR.full_name, UUID(resource.id)
        self._versions[id] += 1
        now = self.stack.clock.now()
        facts = {
            "tenant_id": self.stack.tenant, "entity": resource.DESCRIPTOR.name.lower(), "entity_id": id,
            "version": self._versions[id], "event_type": name, "recorded_at": now, "effective_at": now,
            "actor": "test", "via": None, "traceparent": None, "position": self._versions[id],
        }  # fmt: skip
        await self._broker.client.jetstream().publish(
            envelope.subject(self.stack.tenant, name),
            event.SerializeToString(),
            headers=envelope.headers("identity", 1, facts),
        )
        table = _KEPT[event.DESCRIPTOR.fields_by_number[1].name]
        await eventually(lambda: self._has(table, id, self._versions[id]))

    async def _has(self, table: str, id: UUID, version: int) -> bool:
        database = await self.stack.connect("opportunities", as_owner=True)
        try:
            found = await database.fetchval(
                f"SELECT count(*) FROM data.{table} WHERE id = $1 AND version = $2", id, version
            )
        finally:
            await database.close()
        return cast("int", found) > 0


def _at(request: Any, text: str) -> None:
    if text:
        set_timestamp(request.effective_time, instant(text))
