"""Alerts: what an open deal needs somebody to look at, one of each kind for a deal."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID, uuid5

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument
from services.opportunities.domain.alert_settings import AlertKind

LONGEST_SNOOZE: Final = timedelta(days=366)


class AlertState(Enum):
    """Where an alert stands."""

    ACTIVE = "ACTIVE"
    SNOOZED = "SNOOZED"
    CLEARED = "CLEARED"


class AlertNotTrue(FailedPrecondition):
    """The alert is cleared: there is nothing to put aside."""

    def __init__(self) -> None:
        super().__init__("The alert is cleared: what it was about is true no more.")


class AlertNotSnoozed(FailedPrecondition):
    """There is no snooze to end."""

    def __init__(self) -> None:
        super().__init__("The alert is not snoozed.")


class SnoozeTimeInvalid(InvalidArgument):
    """A snooze that ends before it begins, or hardly ever."""

    def __init__(self) -> None:
        super().__init__(
            "An alert is put aside until a later instant, at most a year ahead.", field="until_time"
        )


class SnoozeReasonMissing(InvalidArgument):
    """An alert is put aside for a reason."""

    def __init__(self) -> None:
        super().__init__("Say why the alert is put aside.", field="reason")


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    """It became true."""


@dataclass(frozen=True, slots=True)
class AlertCleared(Event):
    """It is true no more."""


@dataclass(frozen=True, slots=True)
class AlertSnoozed(Event):
    """It was put aside."""


@dataclass(frozen=True, slots=True)
class AlertWoken(Event):
    """The snooze is over."""


@dataclass(frozen=True, slots=True)
class AlertUpdated(Event):
    """It belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """That something is the matter: since when, which limit was passed, and why in one sentence."""

    kind: AlertKind
    since: datetime
    limit: Decimal | None
    explanation: str


@dataclass(slots=True, kw_only=True)
class Alert(Entity):
    """Something about a deal that somebody should look at."""

    opportunity_id: UUID
    owner_id: UUID | None = None
    kind: AlertKind
    state: AlertState = AlertState.CLEARED
    since_at: datetime
    cleared_at: datetime | None = None
    passed_limit: Decimal | None = None
    explanation: str = ""
    snoozed_until: datetime | None = None
    snooze_reason: str = ""
    snoozed_by: UUID | None = None

    @classmethod
    def of(cls, deal: UUID, finding: Finding) -> "Alert":
        """The alert of a deal and a kind, as it is before it was ever raised."""
        return cls(
            id=uuid5(deal, finding.kind.value), opportunity_id=deal, kind=finding.kind, since_at=finding.since
        )

    def follow(self, finding: Finding | None, owner: UUID | None, at: datetime) -> Event | None:
        """Becomes what is found at an instant; None where that changes nothing.

        What is true and was found before stays as it was raised: its explanation is that of the day.
        """
        if finding is None:
            return self._clear(at)
        if self.state is AlertState.CLEARED:
            self.state, self.cleared_at, self.owner_id = AlertState.ACTIVE, None, owner
            self.since_at, self.passed_limit, self.explanation = (
                finding.since,
                finding.limit,
                finding.explanation,
            )
            return AlertRaised()
        moved = owner != self.owner_id
        self.owner_id = owner
        if self.state is AlertState.SNOOZED and self.snoozed_until is not None and self.snoozed_until <= at:
            self._end_snooze()
            self.state = AlertState.ACTIVE
            return AlertWoken()
        return AlertUpdated() if moved else None

    def snooze(self, until: datetime, reason: str, by: UUID | None, at: datetime) -> AlertSnoozed:
        """Is put aside until an instant.

        Raises:
            AlertNotTrue: it is cleared.
            SnoozeTimeInvalid: the instant has passed, or is too far ahead.
            SnoozeReasonMissing: nobody says why.
        """
        if self.state is AlertState.CLEARED:
            raise AlertNotTrue
        if not at < until <= at + LONGEST_SNOOZE:
            raise SnoozeTimeInvalid
        if not reason.strip():
            raise SnoozeReasonMissing
        self.state = AlertState.SNOOZED
        self.snoozed_until, self.snooze_reason, self.snoozed_by = until, reason, by
        return AlertSnoozed()

    def wake(self) -> AlertWoken:
        """Is looked at again.

        Raises:
            AlertNotSnoozed: it is not put aside.
        """
        if self.state is not AlertState.SNOOZED:
            raise AlertNotSnoozed
        self._end_snooze()
        self.state = AlertState.ACTIVE
        return AlertWoken()

    def _clear(self, at: datetime) -> AlertCleared | None:
        if self.state is AlertState.CLEARED:
            return None
        self.state, self.cleared_at = AlertState.CLEARED, at
        self._end_snooze()
        return AlertCleared()

    def _end_snooze(self) -> None:
        self.snoozed_until, self.snooze_reason, self.snoozed_by = None, "", None
