"""The RPCs of customers' credit."""

from sfa.quotes.v1 import credit_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change
from services.quotes import credit
from services.quotes.domain.credit import CreditPolicy
from services.quotes.store import QuoteStore
from services.quotes.store.credit import CreditSettingsStore, CustomerCreditStore
from services.quotes.wire import credit as wire


class CreditServicer:
    """Customers' credit, and what it does."""

    async def GetCustomerCredit(self, request: pb.GetCustomerCreditRequest, call: Call) -> pb.CustomerCredit:
        return wire.credit_to_proto(await CustomerCreditStore(call).get(request.id))

    async def ListCustomerCredits(
        self, request: pb.ListCustomerCreditsRequest, call: Call
    ) -> pb.ListCustomerCreditsResponse:
        page = await CustomerCreditStore(call).page(request)
        return pb.ListCustomerCreditsResponse(
            customer_credits=map(wire.credit_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def CheckCredit(self, request: pb.CheckCreditRequest, call: Call) -> pb.CheckCreditResponse:
        found = await credit.found(call, await QuoteStore(call).get(request.id))
        blocks = [each.sentence for each in found if each.policy is CreditPolicy.BLOCK]
        return pb.CheckCreditResponse(
            allowed=not blocks,
            blocks=blocks,
            warnings=[each.sentence for each in found if each.policy is not CreditPolicy.BLOCK],
        )

    async def GetCreditSettings(self, request: pb.GetCreditSettingsRequest, call: Call) -> pb.CreditSettings:
        return wire.settings_to_proto(await CreditSettingsStore(call).current())

    async def UpdateCreditSettings(
        self, request: pb.UpdateCreditSettingsRequest, call: Call
    ) -> pb.CreditSettings:
        store = CreditSettingsStore(call)
        fields = fields_to_change(request.credit_settings, request.update_mask, wire.SETTINGS_FIELDS)
        settings = await store.current(request.etag)
        await store.save(settings, settings.change(fields))
        return wire.settings_to_proto(settings)
