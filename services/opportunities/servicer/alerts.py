"""Alerts about deals, and what raises them: one short method for each RPC."""

from uuid import UUID

from sfa.opportunities.v1 import alerts_pb2 as pb

from chassis.call import Call
from chassis.convert import datetime_of, decimal_text, fields_to_change, set_timestamp, uuid_of
from chassis.paging import PageTokenInvalid
from services.opportunities import watching
from services.opportunities.store import PipelineStore
from services.opportunities.store.alerts import AlertSettingsStore, AlertStore
from services.opportunities.store.stuck_limits import StuckLimitStore
from services.opportunities.wire.alerts import ALERT_SETTINGS_FIELDS, alert_settings_to_proto, alert_to_proto


class AlertServicer:
    """Alerts about deals."""

    async def ListAlerts(self, request: pb.ListAlertsRequest, call: Call) -> pb.ListAlertsResponse:
        page = await AlertStore(call).page(request)
        return pb.ListAlertsResponse(
            alerts=map(alert_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def GetAlert(self, request: pb.GetAlertRequest, call: Call) -> pb.Alert:
        return alert_to_proto(await AlertStore(call).get(request.id))

    async def SnoozeAlert(self, request: pb.SnoozeAlertRequest, call: Call) -> pb.Alert:
        store = AlertStore(call)
        alert = await store.get(request.id, request.etag)
        until = datetime_of(request.until_time)
        await store.save(alert, alert.snooze(until, request.reason, call.caller.user_id, call.now))
        await watching.look_by(call, alert.opportunity_id, until)
        return alert_to_proto(alert)

    async def WakeAlert(self, request: pb.WakeAlertRequest, call: Call) -> pb.Alert:
        store = AlertStore(call)
        alert = await store.get(request.id, request.etag)
        await store.save(alert, alert.wake())
        return alert_to_proto(alert)


class AlertSettingsServicer:
    """What raises alerts."""

    async def GetAlertSettings(self, request: pb.GetAlertSettingsRequest, call: Call) -> pb.AlertSettings:
        return alert_settings_to_proto(await AlertSettingsStore(call).current())

    async def UpdateAlertSettings(
        self, request: pb.UpdateAlertSettingsRequest, call: Call
    ) -> pb.AlertSettings:
        store = AlertSettingsStore(call)
        fields = fields_to_change(request.alert_settings, request.update_mask, ALERT_SETTINGS_FIELDS)
        settings = await store.current(request.etag)
        if await store.save(settings, settings.change(fields)):
            await watching.settings_changed(call, fields)
        return alert_settings_to_proto(settings)

    async def ListStuckLimits(
        self, request: pb.ListStuckLimitsRequest, call: Call
    ) -> pb.ListStuckLimitsResponse:
        size = request.page_size or 50
        found = await StuckLimitStore(call).page(
            uuid_of(request.pipeline_id), _after(request.page_token), size + 1
        )
        stages = {stage.id: stage for each in await PipelineStore(call).all() for stage in each.stages}
        response = pb.ListStuckLimitsResponse()
        for limit in found[:size]:
            stage = stages.get(limit.stage_id)
            message = response.stuck_limits.add(
                pipeline_id=str(limit.pipeline_id),
                stage_id=str(limit.stage_id),
                size=limit.size,
                days=decimal_text(limit.days),
                deals=limit.deals,
                is_overruled=stage is not None and stage.stuck_after_days > 0,
            )
            set_timestamp(message.learn_time, limit.learnt_at)
        if len(found) > size:
            response.next_page_token = f"{found[size - 1].stage_id}~{found[size - 1].size}"
        return response


def _after(token: str) -> tuple[UUID, str] | None:
    if not token:
        return None
    stage, _, size = token.partition("~")
    try:
        return UUID(stage), size
    except ValueError:
        raise PageTokenInvalid from None
