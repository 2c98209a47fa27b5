"""What this service does when something happens elsewhere: one function for each matter."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sfa.identity.v1 import events_pb2 as identity
from sfa.leads.v1 import events_pb2 as leads
from sfa.leads.v1.leads_pb2 import Lead
from sfa.opportunities.v1 import events_pb2 as opportunities
from sfa.opportunities.v1.opportunities_pb2 import Opportunity
from sfa.quotes.v1 import events_pb2 as quotes
from sfa.quotes.v1.quotes_pb2 import Quote

from chassis.call import Call
from chassis.convert import uuid_of
from chassis.history import resource_of
from chassis.reporting_lines import reporting_line_changed
from chassis.subscriptions import Received, Subscriptions
from services.contacts.store import MentionStore

subscriptions = Subscriptions()

# who reports to whom, and so who sees what
subscriptions.on(identity.ReportingLineChanged)(reporting_line_changed)


def _events_of(module: ModuleType, resource: type[Message]) -> list[type[Message]]:
    """All events of a kind of record: whatever happens to it, it may name others afterwards."""
    return [
        getattr(module, name)
        for name, event in module.DESCRIPTOR.message_types_by_name.items()
        if event.fields_by_number[1].message_type is resource.DESCRIPTOR
    ]


@subscriptions.on(*_events_of(opportunities, Opportunity))
async def opportunity_changed(events: Sequence[Received], call: Call) -> None:
    """Who sees a deal may read its account and its people."""
    await _keep(events, call, "opportunity", lambda deal: (deal.account_id, deal.contact_ids), _members)


@subscriptions.on(*_events_of(quotes, Quote))
async def quote_changed(events: Sequence[Received], call: Call) -> None:
    """Who sees a quote may read its account and the person that it is for."""
    await _keep(events, call, "quote", lambda quote: (quote.account_id, [quote.contact_id]))


@subscriptions.on(*_events_of(leads, Lead))
async def lead_changed(events: Sequence[Received], call: Call) -> None:
    """Who sees a lead may read what it becomes."""
    await _keep(events, call, "lead", lambda lead: (lead.conversion.account_id, [lead.conversion.contact_id]))


def _members(deal: Opportunity) -> list[UUID] | None:
    """Who is in a deal besides its owner: they see it, too."""
    if not deal.team and not deal.splits:
        return None
    users = [*(member.user_id for member in deal.team), *(split.user_id for split in deal.splits)]
    return [UUID(user) for user in dict.fromkeys(users)]


async def _keep(
    events: Sequence[Received], call: Call, kind: str, named: Any, members: Any = lambda _: None
) -> None:
    rows = []
    for event in events:
        record: Any = resource_of(event.message)
        account_id, contact_ids = named(record)
        rows.append(
            {
                "kind": kind,
                "id": event.entity_id,
                "version": event.version,
                "owner_id": uuid_of(record.owner_id),
                "account_id": uuid_of(account_id),
                "contact_ids": [UUID(id) for id in contact_ids if id],
                "deleted": record.HasField("delete_time"),
                "members": members(record),
            }
        )
    await MentionStore(call).keep(rows)
