"""Alerts between the protos and the domain."""

from collections.abc import Callable, Mapping
from typing import Any

from sfa.opportunities.v1 import alerts_pb2 as pb

from chassis import convert
from services.opportunities.domain.alert_settings import AlertKind, AlertSettings
from services.opportunities.domain.alerts import Alert, AlertState

_KINDS = {kind: pb.Alert.Kind.Value(kind.name) for kind in AlertKind}
_STATES = {state: pb.Alert.State.Value(state.name) for state in AlertState}


def alert_to_proto(alert: Alert) -> pb.Alert:
    """The resource."""
    result = pb.Alert()
    convert.set_head(result, alert)
    result.opportunity_id = str(alert.opportunity_id)
    if alert.owner_id is not None:
        result.owner_id = str(alert.owner_id)
    result.kind = _KINDS[alert.kind]
    result.state = _STATES[alert.state]
    convert.set_timestamp(result.since_time, alert.since_at)
    if alert.cleared_at is not None:
        convert.set_timestamp(result.clear_time, alert.cleared_at)
    if alert.passed_limit is not None:
        result.limit = convert.decimal_text(alert.passed_limit)
    result.explanation = alert.explanation
    if alert.snoozed_until is not None:
        convert.set_timestamp(result.snooze_time, alert.snoozed_until)
    result.snooze_reason = alert.snooze_reason
    if alert.snoozed_by is not None:
        result.snoozed_by_id = str(alert.snoozed_by)
    return result


def alert_settings_to_proto(settings: AlertSettings) -> pb.AlertSettings:
    """The resource; one that was never changed has no version."""
    result = pb.AlertSettings(
        disabled_kinds=[_KINDS[AlertKind(kind)] for kind in settings.disabled_kinds],
        stuck_percent=settings.stuck_percent,
        stuck_minimum_deals=settings.stuck_minimum_deals,
        next_step_days=settings.next_step_days,
        touch_days=settings.touch_days,
        amount_percent=settings.amount_percent,
        amount_days=settings.amount_days,
        single_threaded_days=settings.single_threaded_days,
    )
    if settings.version:
        result.etag = str(settings.version)
    if settings.updated_at is not None:
        convert.set_timestamp(result.update_time, settings.updated_at)
    return result


def _disabled(message: pb.AlertSettings) -> tuple[str, ...]:
    return tuple(sorted({pb.Alert.Kind.Name(kind) for kind in message.disabled_kinds}))


ALERT_SETTINGS_FIELDS: Mapping[str, Callable[[pb.AlertSettings], Any]] = {
    "disabled_kinds": _disabled,
    "stuck_percent": lambda message: message.stuck_percent,
    "stuck_minimum_deals": lambda message: message.stuck_minimum_deals,
    "next_step_days": lambda message: message.next_step_days,
    "touch_days": lambda message: message.touch_days,
    "amount_percent": lambda message: message.amount_percent,
    "amount_days": lambda message: message.amount_days,
    "single_threaded_days": lambda message: message.single_threaded_days,
}
