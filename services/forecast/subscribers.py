"""What the forecast does when something happens elsewhere: it keeps what it needs of it.

One function for each matter says what of a batch of events is kept. All of it is written under one
number, and the book and the streams of this process hear of it once it is committed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sfa.contacts.v1 import events_pb2 as contacts
from sfa.identity.v1 import events_pb2 as identity
from sfa.leads.v1 import events_pb2 as leads
from sfa.leads.v1 import leads_pb2
from sfa.opportunities.v1 import events_pb2 as opportunities
from sfa.quotes.v1 import events_pb2 as quotes

from chassis.call import Call
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions
from services.forecast import wire
from services.forecast.book import Books
from services.forecast.book.loading import reference_of
from services.forecast.store import HistoryStore
from services.forecast.streaming import Changes
from services.forecast.wire.heard import KINDS, Content, Kind

Row = Mapping[str, Any]
Facts = Iterator[tuple[str, UUID, Content]]
"""What an event says: of which kind, of which thing, and what of it."""


def opportunity_changed(event: Received) -> Row:
    """A version of a deal."""
    deal = wire.deal_of(event.message.opportunity, event.version)
    kind = KINDS.get(event.type, Kind.UPDATED)
    return wire.deal_row(deal, kind, event.recorded_at, event.effective_at)


def pipeline_changed(event: Received) -> Facts:
    """Deals in its stages count as the stages say from then on."""
    pipeline = event.message.pipeline
    yield "pipeline", event.entity_id, {"name": pipeline.name}
    for id, content in wire.stage_contents(pipeline).items():
        yield "stage", id, content


def lead_converting(event: Received) -> Facts:
    """A deal that a lead becomes counts when all of the conversion is there."""
    under_way = event.message.lead.state == leads_pb2.Lead.State.CONVERTING
    yield "lead", event.entity_id, {"converting": under_way}


def tenant_changed(event: Received) -> Facts:
    """Reporting currency, time zone and fiscal calendar."""
    yield "tenant", event.entity_id, wire.tenant_content(event.message.tenant)


def user_changed(event: Received) -> Facts:
    """What people are called."""
    yield "user", event.entity_id, {"name": event.message.user.display_name}


def line_changed(event: Received) -> Facts:
    """Who reports to whom, and when."""
    yield "reporting_line", event.entity_id, wire.line_content(event.message.reporting_line)


def territory_changed(event: Received) -> Facts:
    """The tree of territories."""
    yield "territory", event.entity_id, wire.territory_content(event.message.territory)


def assignment_changed(event: Received) -> Facts:
    """Who covers which territory, and when."""
    content = wire.assignment_content(event.message.territory_assignment)
    yield "territory_assignment", event.entity_id, content


def rate_recorded(event: Received) -> Facts:
    """What currencies are worth from a day on."""
    yield "exchange_rate", event.entity_id, wire.rate_content(event.message.exchange_rate)


def product_changed(event: Received) -> Facts:
    """What products are called, and in which family they are."""
    product = event.message.product
    yield "product", event.entity_id, {"name": product.name, "family": product.family}


def family_changed(event: Received) -> Facts:
    """Which product family lies in which."""
    family = event.message.product_family
    yield (
        "product_family",
        event.entity_id,
        {
            "name": family.name,
            "parent_id": family.parent_id or None,
            "deleted": family.HasField("delete_time"),
        },
    )


def account_changed(event: Received) -> Facts:
    """In which segment deals with an account are. Of accounts that never had one nothing is kept."""
    if event.message.account.segment or event.version > 1:
        yield "account", event.entity_id, {"segment": event.message.account.segment}


DEALS: Final[Sequence[Any]] = [
    getattr(opportunities, name)
    for name, event in opportunities.DESCRIPTOR.message_types_by_name.items()
    if "opportunity" in event.fields_by_name
]
"""Every event of deals: each carries the whole deal."""

HEARD: Final[Sequence[tuple[Callable[[Received], Facts], Sequence[Any]]]] = (
    (pipeline_changed, (opportunities.PipelineCreated, opportunities.PipelineUpdated)),
    (lead_converting, (leads.LeadConversionStarted, leads.LeadConversionDelayed, leads.LeadConverted)),
    (tenant_changed, (identity.TenantCreated, identity.TenantUpdated)),
    (
        user_changed,
        (identity.UserCreated, identity.UserUpdated, identity.UserDeactivated, identity.UserReactivated),
    ),
    (line_changed, (identity.ReportingLineChanged,)),
    (territory_changed, (identity.TerritoryCreated, identity.TerritoryUpdated, identity.TerritoryDeleted)),
    (assignment_changed, (identity.TerritoryAssignmentChanged,)),
    (rate_recorded, (identity.ExchangeRateRecorded,)),
    (product_changed, (quotes.ProductCreated, quotes.ProductUpdated)),
    (
        family_changed,
        (quotes.ProductFamilyCreated, quotes.ProductFamilyUpdated, quotes.ProductFamilyDeleted),
    ),
    (account_changed, (contacts.AccountCreated, contacts.AccountUpdated)),
)
"""Which function takes which other events."""


class Recorder:
    """Keeps what a batch of events says, and tells the book and the streams of this process."""

    def __init__(self, books: Books, changes: Changes) -> None:
        self._books, self._changes = books, changes
        self._deals = {type_.DESCRIPTOR.full_name for type_ in DEALS}
        self._facts = {type_.DESCRIPTOR.full_name: function for function, types in HEARD for type_ in types}

    async def heard(self, events: Sequence[Received], call: Call) -> None:
        """Takes a batch of events, in whatever order they are."""
        deals = [opportunity_changed(event) for event in events if event.type in self._deals]
        references = [
            {
                "kind": kind,
                "id": id,
                "version": event.version,
                "recorded_at": event.recorded_at,
                "effective_at": event.effective_at,
                "content": content,
            }
            for event in events
            if event.type in self._facts
            for kind, id, content in self._facts[event.type](event)
        ]
        deals.sort(key=_order)
        references.sort(key=_order)
        batch = await HistoryStore(call).keep(deals, references)
        tenant = call.caller.tenant

        def committed() -> None:
            self._books.applied(tenant, batch, deals, [reference_of(row) for row in references])
            self._changes.tell(tenant)

        call.tx.after_commit(committed)


def _order(row: Row) -> tuple[UUID, int]:
    return row["id"], row["version"]


def subscriptions(books: Books, changes: Changes) -> Subscriptions:
    """All that the forecast listens to."""
    result = Subscriptions()
    recorder = Recorder(books, changes)
    result.on(*DEALS, *(type_ for _, types in HEARD for type_ in types))(recorder.heard)
    result.on(identity.ReportingLineChanged)(reporting_line_changed)
    return result
