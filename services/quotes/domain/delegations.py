"""Delegations: who decides in whose place, from one day to another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import InvalidArgument, PermissionDenied


@dataclass(frozen=True, slots=True)
class ApprovalDelegationCreated(Event):
    """Somebody was put in the place of an approver."""


@dataclass(frozen=True, slots=True)
class ApprovalDelegationDeleted(Event):
    """A delegation was taken back."""


class DelegationToOneself(InvalidArgument):
    """An approver decides in their own place anyway."""

    def __init__(self) -> None:
        super().__init__("Delegate to somebody else.", field="approval_delegation.delegate_id")


class DelegationEndsBeforeItBegins(InvalidArgument):
    """A delegation of no day."""

    def __init__(self) -> None:
        super().__init__("The last day lies before the first.", field="approval_delegation.end_date")


class DelegationOfAnother(PermissionDenied):
    """Only those who set up approvals delegate for others."""

    def __init__(self) -> None:
        super().__init__(
            "You can delegate your own approvals only.", field="approval_delegation.delegator_id"
        )


@dataclass(slots=True, kw_only=True)
class ApprovalDelegation(Entity):
    """From the first day to the last (UTC) the delegate may decide what waits for the delegator, who may
    still decide too. It is not handed on: what was delegated to somebody is not theirs to delegate."""

    delegator_id: UUID
    delegate_id: UUID
    start_on: date
    end_on: date
    reason: str = ""

    def create(self) -> ApprovalDelegationCreated:
        """Makes it.

        Raises:
            DelegationToOneself, DelegationEndsBeforeItBegins: it says nothing.
        """
        if self.delegator_id == self.delegate_id:
            raise DelegationToOneself
        if self.end_on < self.start_on:
            raise DelegationEndsBeforeItBegins
        return ApprovalDelegationCreated()

    def delete(self, at: datetime) -> ApprovalDelegationDeleted:
        """Takes it back: what was decided by it stands."""
        self.mark_deleted(at)
        return ApprovalDelegationDeleted()
