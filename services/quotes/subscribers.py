"""What this service does when something happens elsewhere: one function for each event."""

from collections.abc import Sequence

from sfa.identity.v1 import events_pb2 as identity

from chassis.call import Call
from chassis.subscriptions import Received, Subscriptions
from services.quotes.store import PriceBookStore

subscriptions = Subscriptions()


@subscriptions.on(identity.TenantCreated)
async def tenant_created(events: Sequence[Received], call: Call) -> None:
    """A new tenant starts with a standard price book."""
    await PriceBookStore(call).standard()
