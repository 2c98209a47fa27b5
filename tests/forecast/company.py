"""A company for the forecast's tests: deals at the real opportunities service, and what other services
would say of the organisation, published on the real broker as they publish it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.contacts.v1 import events_pb2 as contacts
from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.forecast.v1 import forecast_pb2_grpc
from sfa.identity.v1 import events_pb2 as identity
from sfa.identity.v1.organisation_pb2 import FiscalCalendar
from sfa.leads.v1 import events_pb2 as leads
from sfa.leads.v1 import leads_pb2
from sfa.opportunities.v1 import deals_pb2 as splits_pb
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb
from sfa.opportunities.v1 import opportunities_pb2_grpc
from sfa.quotes.v1 import events_pb2 as quotes

from chassis import envelope
from chassis.broker import Broker
from chassis.convert import date_to_proto, money_of, set_timestamp
from chassis.history import resource_of
from chassis.positions import Mark, Published, published_subject
from tests.engines import PASSWORD
from tests.stack import Stack

_SAYING: Final = ("contacts", "identity", "leads", "quotes")
_PATIENCE: Final = 20.0


class Company:
    """The test's tenant. Everybody in it is known by a name."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.brokers: dict[str, Broker] = {}
        self.said: Counter[str] = Counter()
        self.versions: Counter[UUID] = Counter()
        self.stages: dict[str, str] = {}

    async def start(self, currency: str = "EUR", **settings: Any) -> None:
        """Starts opportunities and forecast, and says what the tenant has set."""
        for service in _SAYING:
            broker = self.brokers[service] = Broker(
                self.stack.nats.url(service), service, user=service, password=PASSWORD
            )
            broker.start()
            await broker.connected()
            await broker.keep_stream(service)
        if "forecast" not in self.stack.services:
            await self.stack.start("opportunities", "forecast")
        await self.tenant(currency, **settings)
        pipelines = opportunities_pb2_grpc.PipelineServiceStub(
            self.stack.channel("opportunities", "operations")
        )
        answer = await pipelines.ListPipelines(deals_pb.ListPipelinesRequest())
        self.pipeline = answer.pipelines[0]
        self.stages = {stage.name: stage.id for stage in self.pipeline.stages}
        self.pipelines = pipelines

    async def close(self) -> None:
        """Leaves the broker."""
        for broker in self.brokers.values():
            await broker.close()

    def deals(
        self, role: str = "operations", **claims: Any
    ) -> opportunities_pb2_grpc.OpportunityServiceAsyncStub:
        """The opportunities service, as somebody calls it."""
        return opportunities_pb2_grpc.OpportunityServiceStub(
            self.stack.channel("opportunities", role, **claims)
        )

    def forecast(self, role: str = "operations", **claims: Any) -> forecast_pb2_grpc.ForecastServiceAsyncStub:
        """The forecast service, as somebody calls it."""
        return forecast_pb2_grpc.ForecastServiceStub(self.stack.channel("forecast", role, **claims))

    def id(self, name: str) -> str:
        """The id of a person, a territory or a product."""
        return str(self.stack.callers.user(name))

    # What others say

    async def tenant(
        self,
        currency: str = "EUR",
        time_zone: str = "",
        start_month: int = 0,
        calendar: FiscalCalendar | None = None,
    ) -> None:
        event = identity.TenantUpdated()
        event.tenant.id = str(self.stack.tenant)
        event.tenant.reporting_currency, event.tenant.time_zone = currency, time_zone
        event.tenant.fiscal_calendar.CopyFrom(calendar or FiscalCalendar(start_month=start_month))
        await self.say(event)

    async def user(self, name: str, manager: str = "") -> None:
        event = identity.UserCreated()
        event.user.id, event.user.display_name = self.id(name), name.title()
        await self.say(event)
        if manager:
            await self.reports(name, manager)

    async def reports(
        self, name: str, manager: str, until: datetime | None = None, since: datetime | None = None
    ) -> None:
        event = identity.ReportingLineChanged()
        line = event.reporting_line
        line.id = str(uuid5(self.stack.tenant, f"{name} reports to {manager}"))
        line.user_id, line.manager_id = self.id(name), self.id(manager)
        if until is not None:
            set_timestamp(line.end_time, until)
        if since is not None:
            set_timestamp(line.start_time, since)
        await self.say(event)

    async def territory(self, name: str, parent: str = "", *covered_by: str) -> None:
        event = identity.TerritoryCreated()
        event.territory.id, event.territory.name = self.id(name), name.title()
        event.territory.parent_id = self.id(parent) if parent else ""
        await self.say(event)
        for user in covered_by:
            covers = identity.TerritoryAssignmentChanged()
            covers.territory_assignment.id = str(uuid5(self.stack.tenant, f"{user} covers {name}"))
            covers.territory_assignment.user_id = self.id(user)
            covers.territory_assignment.territory_id = self.id(name)
            await self.say(covers)

    async def covers(self, user: str, **shares: str) -> None:
        """A user covers several territories, each with a share."""
        for territory, share in shares.items():
            covers = identity.TerritoryAssignmentChanged()
            covers.territory_assignment.id = str(uuid5(self.stack.tenant, f"{user} covers {territory}"))
            covers.territory_assignment.user_id = self.id(user)
            covers.territory_assignment.territory_id = self.id(territory)
            covers.territory_assignment.share = share
            await self.say(covers)

    async def account(self, name: str, segment: str) -> None:
        event = contacts.AccountCreated()
        event.account.id, event.account.name, event.account.segment = self.id(name), name, segment
        await self.say(event)

    async def family(self, name: str, parent: str = "") -> None:
        event = quotes.ProductFamilyCreated()
        event.product_family.id, event.product_family.name = self.id(name), name
        event.product_family.parent_id = self.id(parent) if parent else ""
        await self.say(event)

    async def rate(self, source: str, target: str, day: date, rate: str, at: datetime | None = None) -> None:
        """A rate that holds from a day on; recorded now, or `at`."""
        event = identity.ExchangeRateRecorded()
        event.exchange_rate.id = str(uuid5(self.stack.tenant, f"{source} {target} {day}"))
        event.exchange_rate.from_currency, event.exchange_rate.to_currency = source, target
        event.exchange_rate.date.CopyFrom(day_of(day))
        event.exchange_rate.rate = rate
        await self.say(event, at)

    async def product(self, name: str, family: str = "") -> None:
        event = quotes.ProductCreated()
        event.product.id, event.product.name, event.product.family = self.id(name), name, family
        await self.say(event)

    async def lead(self, id: UUID, state: leads_pb2.Lead.State.ValueType) -> None:
        converted = state == leads_pb2.Lead.CONVERTED
        event = leads.LeadConverted() if converted else leads.LeadConversionStarted()
        event.lead.id, event.lead.state = str(id), state
        await self.say(event)

    async def say(self, event: Message, at: datetime | None = None) -> None:
        """Publishes an event as the service does that it belongs to, and says that there is no more."""
        resource: Any = resource_of(event)
        name = event.DESCRIPTOR.full_name
        service, id = envelope.service_of(name), UUID(resource.id)
        self.versions[id] += 1
        now = at or datetime.now(UTC)
        facts = {
            "tenant_id": self.stack.tenant, "entity": resource.DESCRIPTOR.name.lower(), "entity_id": id,
            "version": self.versions[id], "event_type": name, "recorded_at": now, "effective_at": now,
            "actor": "test", "via": None, "traceparent": None, "position": self.said[service] + 1,
        }  # fmt: skip
        stream = self.brokers[service].client.jetstream()
        ack = await stream.publish(
            envelope.subject(self.stack.tenant, name),
            event.SerializeToString(),
            headers=envelope.headers(service, 1, facts),
        )
        self.said[service] = ack.seq
        await self.breathe(service)

    async def breathe(self, service: str) -> None:
        """A service's heartbeat: everything so far has been published."""
        last = self.said[service]
        published = Published(1, Mark(last + 1, datetime.now(UTC)), last, {})
        await self.brokers[service].client.publish(published_subject(service), published.encode())

    async def heard(self) -> None:
        """Waits until the forecast has heard every service up to now, also those that said nothing."""
        at = datetime.now(UTC)
        positions = self.stack.services["forecast"].eventing.freshness
        async with asyncio.timeout(_PATIENCE):
            for service in (*_SAYING, "opportunities"):
                while (
                    (mark := positions.applied(service, self.stack.tenant)) is None
                    or mark.time is None
                    or mark.time < at
                ):
                    if service in _SAYING:
                        await self.breathe(service)
                    await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Waits until the forecast has taken everything in, and knows it."""
        await self.stack.settled()
        positions = self.stack.services["forecast"].eventing.freshness
        async with asyncio.timeout(_PATIENCE):
            for service in _SAYING:
                while self.said[service] and (
                    (mark := positions.applied(service, self.stack.tenant)) is None
                    or mark.position <= self.said[service]
                ):
                    await self.breathe(service)
                    await asyncio.sleep(0.01)

    # Deals

    async def deal(
        self, owner: str = "", amount: str = "", *, role: str = "operations", **fields: Any
    ) -> Any:
        """Makes a deal: `stage` by name, `close` as a date, `lines` as (product, quantity, price)."""
        deal = deals_pb.Opportunity(name=fields.pop("name", "Deal"), owner_id=self.id(owner) if owner else "")
        currency = fields.pop("currency", "EUR")
        if amount:
            deal.amount.CopyFrom(money(amount, currency))
        if stage := fields.pop("stage", ""):
            deal.stage_id = self.stages[stage]
        if close := fields.pop("close", None):
            deal.close_date.CopyFrom(day_of(close))
        for product, quantity, price in fields.pop("lines", ()):
            deal.line_items.add(
                product_id=self.id(product), quantity=quantity, unit_price=money(price, currency)
            )
        deal.lead_id = str(fields.pop("lead_id", ""))
        if account := fields.pop("account", ""):
            deal.account_id = self.id(account)
        for user, kind, percent in fields.pop("splits", ()):
            split_type = splits_pb.Split.Type.Value(kind)
            deal.splits.add(user_id=self.id(user), type=split_type, percent=percent)
        assert not fields
        return await self.deals(role).CreateOpportunity(deals_pb.CreateOpportunityRequest(opportunity=deal))

    async def win(self, deal: Any, day: date, amount: str = "") -> Any:
        request = deals_pb.WinOpportunityRequest(id=deal.id, close_date=day_of(day))
        if amount:
            request.amount.CopyFrom(money(amount, deal.amount.currency_code or "EUR"))
        return await self.deals().WinOpportunity(request)

    async def lose(self, deal: Any, day: date) -> Any:
        request = deals_pb.LoseOpportunityRequest(id=deal.id, close_date=day_of(day), lost_reason="Price")
        return await self.deals().LoseOpportunity(request)

    # Reading

    async def ask(self, *periods: str, by: str = "TEAM", role: str = "operations", **fields: Any) -> Forecast:
        """A forecast; `name` says who of the role asks."""
        name = {"name": fields.pop("name")} if "name" in fields else {}
        request = pb.GetForecastRequest(periods=periods, group_by=pb.Forecast.GroupBy.Value(by), **fields)
        return Forecast(self, await self.forecast(role, **name).GetForecast(request))


class Forecast:
    """An answer, to be looked at by names."""

    def __init__(self, company: Company, answer: pb.Forecast) -> None:
        self.company, self.answer = company, answer
        self.nodes = {node.id: node for node in answer.nodes}
        self.names = {node.name: node for node in answer.nodes}

    def figures(self, node: str = "All", period: str = "") -> pb.Figures:
        """The figures of a node in a period, or in the first; none are zeros."""
        period = period or self.answer.periods[0].id
        cells = [cell.total for cell in self.names[node].cells if cell.period_id == period]
        return cells[0] if cells else pb.Figures()

    def tree(self) -> dict[str, str]:
        """What each node stands below."""
        return {node.name: self.nodes[node.parent_id].name for node in self.answer.nodes if node.parent_id}


def money(amount: str, currency: str = "EUR") -> Money:
    value = Decimal(amount)
    return Money(currency_code=currency, units=int(value), nanos=int((value - int(value)) * 10**9))


def day_of(day: date) -> Date:
    result = date_to_proto(day)
    assert result is not None
    return result


def value(amount: Money) -> Decimal:
    return money_of(amount, "amount").amount
