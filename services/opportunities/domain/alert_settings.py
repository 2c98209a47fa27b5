"""What raises alerts about deals: the tenant decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument


class AlertKind(Enum):
    """What is the matter with a deal."""

    STUCK = "STUCK"
    CLOSE_DATE_PAST = "CLOSE_DATE_PAST"
    NO_NEXT_STEP = "NO_NEXT_STEP"
    NO_TOUCH = "NO_TOUCH"
    AMOUNT_CHANGED = "AMOUNT_CHANGED"
    SINGLE_THREADED = "SINGLE_THREADED"


class AlertSettingInvalid(InvalidArgument):
    """A number that makes no sense there."""

    def __init__(self, name: str, least: int) -> None:
        super().__init__(f"{name} must be at least {least}.", field=f"alert_settings.{name}")


@dataclass(frozen=True, slots=True)
class AlertSettingsUpdated(Event):
    """The alert settings were changed."""


_LEAST = {
    "stuck_percent": 1,
    "stuck_minimum_deals": 1,
    "touch_days": 1,
    "amount_percent": 1,
    "amount_days": 1,
}


@dataclass(slots=True, kw_only=True)
class AlertSettings(Entity):
    """One per tenant; what nobody has set is as it stands here."""

    disabled_kinds: tuple[str, ...] = ()
    stuck_percent: int = 80
    stuck_minimum_deals: int = 20
    next_step_days: int = 1
    touch_days: int = 14
    amount_percent: int = 25
    amount_days: int = 14
    single_threaded_days: int = 7

    def change(self, fields: Mapping[str, Any]) -> AlertSettingsUpdated:
        """Takes new values on.

        Raises:
            AlertSettingInvalid: one of them is too small.
        """
        for name, value in fields.items():
            if name in _LEAST and value < _LEAST[name]:
                raise AlertSettingInvalid(name, _LEAST[name])
            setattr(self, name, value)
        return AlertSettingsUpdated()

    def raises(self, kind: AlertKind) -> bool:
        """Whether alerts of a kind are raised."""
        return kind.value not in self.disabled_kinds
