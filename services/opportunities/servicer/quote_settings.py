"""What a quote does to its deal: one short method for each RPC."""

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change
from services.opportunities import wire
from services.opportunities.domain import StageNotOpen, State
from services.opportunities.store import Entrant, Pipelines, QuoteSettingsStore


class QuoteSettingsServicer:
    """What a quote does to its deal."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines

    async def GetQuoteSettings(self, request: pb.GetQuoteSettingsRequest, call: Call) -> pb.QuoteSettings:
        return wire.quote_settings_to_proto(await QuoteSettingsStore(call).current())

    async def UpdateQuoteSettings(
        self, request: pb.UpdateQuoteSettingsRequest, call: Call
    ) -> pb.QuoteSettings:
        store = QuoteSettingsStore(call)
        fields = fields_to_change(request.quote_settings, request.update_mask, wire.QUOTE_SETTINGS_FIELDS)
        settings = await store.current(request.etag)
        event = settings.change(fields)
        if (stage_id := settings.acceptance_stage_id) is not None:
            book = await self.pipelines.book(call, stage_id)
            _, stage = book.entry(Entrant(stage_id), field="quote_settings.acceptance_stage_id")
            if stage.kind is not State.OPEN:
                raise StageNotOpen
        await store.save(settings, event)
        return wire.quote_settings_to_proto(settings)
