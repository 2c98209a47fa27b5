"""The RPCs of tax."""

from decimal import Decimal

from sfa.quotes.v1 import taxes_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from services.quotes.domain.taxes import TaxExemption, TaxExemptionDeleted, TaxRate, TaxRateDeleted
from services.quotes.store import TaxExemptionStore, TaxRateStore, TaxSettingsStore
from services.quotes.wire import taxes as wire


class TaxServicer:
    """Rates, exemptions, and how tax is calculated."""

    async def CreateTaxRate(self, request: pb.CreateTaxRateRequest, call: Call) -> pb.TaxRate:
        rate = TaxRate(id=uuid_of(request.tax_rate.id) or new_id(), region="", percent=Decimal(0))
        created = rate.change(fields_to_change(request.tax_rate, None, wire.RATE_FIELDS))
        await TaxRateStore(call).add(rate, created)
        return wire.rate_to_proto(rate)

    async def GetTaxRate(self, request: pb.GetTaxRateRequest, call: Call) -> pb.TaxRate:
        return wire.rate_to_proto(await TaxRateStore(call).get(request.id, deleted=True))

    async def ListTaxRates(self, request: pb.ListTaxRatesRequest, call: Call) -> pb.ListTaxRatesResponse:
        page = await TaxRateStore(call).page(request)
        return pb.ListTaxRatesResponse(
            tax_rates=map(wire.rate_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateTaxRate(self, request: pb.UpdateTaxRateRequest, call: Call) -> pb.TaxRate:
        store = TaxRateStore(call)
        rate = await store.get(request.id, request.etag)
        fields = fields_to_change(request.tax_rate, request.update_mask, wire.RATE_FIELDS)
        await store.save(rate, rate.change(fields))
        return wire.rate_to_proto(rate)

    async def DeleteTaxRate(self, request: pb.DeleteTaxRateRequest, call: Call) -> pb.TaxRate:
        store = TaxRateStore(call)
        rate = await store.get(request.id, request.etag)
        rate.mark_deleted(call.now)
        await store.save(rate, TaxRateDeleted())
        return wire.rate_to_proto(rate)

    async def CreateTaxExemption(self, request: pb.CreateTaxExemptionRequest, call: Call) -> pb.TaxExemption:
        exemption = TaxExemption(id=uuid_of(request.tax_exemption.id) or new_id(), account_id=None)
        created = exemption.change(fields_to_change(request.tax_exemption, None, wire.EXEMPTION_FIELDS))
        await TaxExemptionStore(call).add(exemption, created)
        return wire.exemption_to_proto(exemption)

    async def GetTaxExemption(self, request: pb.GetTaxExemptionRequest, call: Call) -> pb.TaxExemption:
        return wire.exemption_to_proto(await TaxExemptionStore(call).get(request.id, deleted=True))

    async def ListTaxExemptions(
        self, request: pb.ListTaxExemptionsRequest, call: Call
    ) -> pb.ListTaxExemptionsResponse:
        page = await TaxExemptionStore(call).page(request)
        return pb.ListTaxExemptionsResponse(
            tax_exemptions=map(wire.exemption_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateTaxExemption(self, request: pb.UpdateTaxExemptionRequest, call: Call) -> pb.TaxExemption:
        store = TaxExemptionStore(call)
        exemption = await store.get(request.id, request.etag)
        fields = fields_to_change(request.tax_exemption, request.update_mask, wire.EXEMPTION_FIELDS)
        await store.save(exemption, exemption.change(fields))
        return wire.exemption_to_proto(exemption)

    async def DeleteTaxExemption(self, request: pb.DeleteTaxExemptionRequest, call: Call) -> pb.TaxExemption:
        store = TaxExemptionStore(call)
        exemption = await store.get(request.id, request.etag)
        exemption.mark_deleted(call.now)
        await store.save(exemption, TaxExemptionDeleted())
        return wire.exemption_to_proto(exemption)

    async def GetTaxSettings(self, request: pb.GetTaxSettingsRequest, call: Call) -> pb.TaxSettings:
        return wire.settings_to_proto(await TaxSettingsStore(call).current())

    async def UpdateTaxSettings(self, request: pb.UpdateTaxSettingsRequest, call: Call) -> pb.TaxSettings:
        store = TaxSettingsStore(call)
        settings = await store.current(request.etag)
        fields = fields_to_change(request.tax_settings, request.update_mask, wire.SETTINGS_FIELDS)
        await store.save(settings, settings.change(fields))
        return wire.settings_to_proto(settings)
