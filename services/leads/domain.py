"""Leads, from capture to conversion, and the queues that they wait in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.channels import Address, Email, Phone
from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from chassis.ids import new_id
from chassis.money import Money


class LeadState(Enum):
    """How far a lead has come."""

    NEW = "NEW"
    WORKING = "WORKING"
    QUALIFIED = "QUALIFIED"
    DISQUALIFIED = "DISQUALIFIED"
    CONVERTING = "CONVERTING"
    CONVERTED = "CONVERTED"


OPEN = frozenset({LeadState.NEW, LeadState.WORKING, LeadState.QUALIFIED})
"""The states in which a lead may still become something."""


class LeadUnnamed(InvalidArgument):
    """Nothing says whom the lead is about."""

    def __init__(self) -> None:
        super().__init__(
            "A lead needs the name of a person or company, an e-mail address, a telephone number or an external id.",
            field="lead.company_name",
        )


class DisqualifyReasonMissing(InvalidArgument):
    """A lead was to be disqualified without saying why."""

    def __init__(self) -> None:
        super().__init__("A disqualified lead needs a reason.", field="disqualify_reason")


class AssigneeMissing(InvalidArgument):
    """A lead was to be assigned to nobody, or to two at once."""

    def __init__(self) -> None:
        super().__init__("Name either the user or the queue that the lead is assigned to.", field="owner_id")


class LeadAlreadyConverted(FailedPrecondition):
    """The lead became something else, or is about to."""

    def __init__(self) -> None:
        super().__init__("The lead is converted, or on its way there: work on what it became.")


class LeadAlreadyWorked(FailedPrecondition):
    """Work on the lead has begun before."""

    def __init__(self) -> None:
        super().__init__("Somebody works on the lead already.")


class LeadAlreadyQualified(FailedPrecondition):
    """The lead was found worth a deal before."""

    def __init__(self) -> None:
        super().__init__("The lead is qualified already.")


class LeadAlreadyDisqualified(FailedPrecondition):
    """The lead was given up before."""

    def __init__(self) -> None:
        super().__init__("The lead is disqualified: requalify it first.")


class LeadNotDisqualified(FailedPrecondition):
    """A lead that was not given up was to be opened again."""

    def __init__(self) -> None:
        super().__init__("The lead is not disqualified.")


class ConversionNotImportable(InvalidArgument):
    """A row says that a lead is converted; only a conversion does that."""

    def __init__(self) -> None:
        super().__init__("A row cannot convert a lead: call convert.", field="lead.state")


class LeadNotConverting(FailedPrecondition):
    """A conversion was to be finished that is not under way."""

    def __init__(self) -> None:
        super().__init__("The lead is not being converted.")


class QueueNotFound(FailedPrecondition):
    """The queue is not there."""

    def __init__(self) -> None:
        super().__init__("There is no such queue.", field="queue_id")


class QueueNameMissing(InvalidArgument):
    """A queue has no name."""

    def __init__(self) -> None:
        super().__init__("A queue needs a name.", field="queue.name")


class QueueNameTaken(AlreadyExists):
    """Another queue has the name."""

    def __init__(self) -> None:
        super().__init__("Another queue has this name.", field="queue.name")


class QueueNotEmpty(FailedPrecondition):
    """A queue in which leads wait was to be deleted."""

    def __init__(self) -> None:
        super().__init__("Leads wait in this queue: assign them first.")


@dataclass(frozen=True, slots=True)
class LeadCreated(Event):
    """A lead was captured."""


@dataclass(frozen=True, slots=True)
class LeadUpdated(Event):
    """A lead was changed."""


@dataclass(frozen=True, slots=True)
class LeadAssigned(Event):
    """A lead was given to a user or a queue."""

    from_owner_id: UUID | None
    from_queue_id: UUID | None


@dataclass(frozen=True, slots=True)
class LeadWorkStarted(Event):
    """Somebody began to work on a lead."""


@dataclass(frozen=True, slots=True)
class LeadQualified(Event):
    """A lead was found worth a deal."""

    from_state: LeadState


@dataclass(frozen=True, slots=True)
class LeadDisqualified(Event):
    """A lead was given up."""

    from_state: LeadState


@dataclass(frozen=True, slots=True)
class LeadRequalified(Event):
    """A disqualified lead was opened again."""


@dataclass(frozen=True, slots=True)
class LeadConversionStarted(Event):
    """A lead's conversion was decided."""


@dataclass(frozen=True, slots=True)
class LeadConversionDelayed(Event):
    """An attempt at a conversion did not get through."""


@dataclass(frozen=True, slots=True)
class LeadConverted(Event):
    """A lead became what its plan says."""


@dataclass(frozen=True, slots=True)
class LeadDeleted(Event):
    """A lead was deleted."""


@dataclass(frozen=True, slots=True)
class LeadUndeleted(Event):
    """A deleted lead was restored."""


@dataclass(frozen=True, slots=True)
class QueueCreated(Event):
    """A queue was made."""


@dataclass(frozen=True, slots=True)
class QueueUpdated(Event):
    """A queue was changed."""


@dataclass(frozen=True, slots=True)
class QueueDeleted(Event):
    """A queue was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a lead becomes. The ids are fixed before the first step, so that every step can be repeated."""

    account_id: UUID
    creates_account: bool
    contact_id: UUID | None = None
    creates_contact: bool = False
    opportunity_id: UUID | None = None
    opportunity_name: str = ""
    stage_id: UUID | None = None
    amount: Money | None = None
    close_date: date | None = None
    owner_id: UUID | None = None
    user_id: UUID | None = None
    problem: str = ""


@dataclass(slots=True, kw_only=True)
class Lead(Entity):
    """Somebody who may become a customer."""

    given_name: str = ""
    family_name: str = ""
    title: str = ""
    company_name: str = ""
    website: str = ""
    industry: str = ""
    employee_count: int = 0
    annual_revenue: Money | None = None
    addresses: tuple[Address, ...] = ()
    phones: tuple[Phone, ...] = ()
    emails: tuple[Email, ...] = ()
    description: str = ""
    source: str = ""
    owner_id: UUID | None = None
    queue_id: UUID | None = None
    state: LeadState = LeadState.NEW
    disqualify_reason: str = ""
    estimated_amount: Money | None = None
    estimated_close_date: date | None = None
    conversion: Conversion | None = None
    converted_at: datetime | None = None

    @property
    def person_name(self) -> str:
        """Given and family name, as far as they are known."""
        return " ".join(filter(None, (self.given_name, self.family_name)))

    @property
    def label(self) -> str:
        """What the account is called that the lead becomes: the company, else the person, else a way there."""
        ways = [email.address for email in self.emails] + [phone.number for phone in self.phones]
        ways += [external_id.id for external_id in self.external_ids]
        return self.company_name or self.person_name or ways[0]

    @classmethod
    def create(cls, fields: Mapping[str, Any], id: UUID | None = None) -> tuple["Lead", LeadCreated]:
        """A new lead.

        Raises:
            LeadUnnamed: nothing says whom it is about.
        """
        lead = cls(id=id or new_id())
        lead.change(fields)
        return lead, LeadCreated()

    def change(self, fields: Mapping[str, Any]) -> LeadUpdated:
        """Takes new values on.

        Raises:
            LeadAlreadyConverted: it is converted, or on its way there, and the values are other ones.
            LeadUnnamed: nothing would say whom it is about.
        """
        if any(getattr(self, name) != value for name, value in fields.items()):
            self._refuse_converted()
        for name, value in fields.items():
            setattr(self, name, value)
        if not (self.company_name or self.person_name or self.emails or self.phones or self.external_ids):
            raise LeadUnnamed
        return LeadUpdated()

    def assign(self, *, owner_id: UUID | None = None, queue_id: UUID | None = None) -> LeadAssigned:
        """Gives it to a user, or puts it into a queue. It remembers the queue that a user takes it from.

        Raises:
            AssigneeMissing: neither is named, or both.
            LeadAlreadyConverted: it is converted, or on its way there.
        """
        if (owner_id is None) == (queue_id is None):
            raise AssigneeMissing
        self._refuse_converted()
        event = LeadAssigned(self.owner_id, self.queue_id)
        self.owner_id = owner_id
        self.queue_id = queue_id or self.queue_id
        return event

    def work(self) -> LeadWorkStarted:
        """Somebody works on it now."""
        self._refuse_closed()
        if self.state is not LeadState.NEW:
            raise LeadAlreadyWorked
        self.state = LeadState.WORKING
        return LeadWorkStarted()

    def qualify(self) -> LeadQualified:
        """It is worth a deal."""
        self._refuse_closed()
        if self.state is LeadState.QUALIFIED:
            raise LeadAlreadyQualified
        event = LeadQualified(self.state)
        self.state = LeadState.QUALIFIED
        return event

    def disqualify(self, reason: str) -> LeadDisqualified:
        """Nothing will come of it, and why."""
        self._refuse_closed()
        if not reason:
            raise DisqualifyReasonMissing
        event = LeadDisqualified(self.state)
        self.state = LeadState.DISQUALIFIED
        self.disqualify_reason = reason
        return event

    def requalify(self) -> LeadRequalified:
        """Something may come of it after all."""
        self._refuse_converted()
        if self.state is not LeadState.DISQUALIFIED:
            raise LeadNotDisqualified
        self.state = LeadState.WORKING
        self.disqualify_reason = ""
        return LeadRequalified()

    def bring_to(self, state: LeadState, reason: str = "") -> Event | None:
        """Takes the verbs that lead to `state`, as an import says it; the last one's event, or None.

        A lead goes back to NEW or WORKING only from DISQUALIFIED; where it has come further, it stays.
        """
        if state in (LeadState.CONVERTING, LeadState.CONVERTED):
            raise ConversionNotImportable
        has_become_something = self.state in (LeadState.CONVERTING, LeadState.CONVERTED)
        if state is self.state or (has_become_something and state is not LeadState.DISQUALIFIED):
            return None
        if state is LeadState.DISQUALIFIED:
            return self.disqualify(reason or self.disqualify_reason)
        event: Event | None = self.requalify() if self.state is LeadState.DISQUALIFIED else None
        if state is LeadState.QUALIFIED:
            return self.qualify()
        if state is LeadState.WORKING and self.state is LeadState.NEW:
            return self.work()
        return event

    def convert(self, plan: Conversion) -> LeadConversionStarted:
        """Decides that it becomes what `plan` says. There is no way back from here. A lead that waits in a
        queue is taken from it by whoever is to own what it becomes.

        Raises:
            LeadAlreadyConverted, LeadAlreadyDisqualified: it is not open.
        """
        self._refuse_closed()
        self.state = LeadState.CONVERTING
        self.conversion = plan
        self.owner_id = self.owner_id or plan.owner_id
        return LeadConversionStarted()

    def delay_conversion(self, problem: str) -> LeadConversionDelayed:
        """Notes what held the conversion up. It stays on its way."""
        plan = self._plan()
        self.conversion = replace(plan, problem=problem)
        return LeadConversionDelayed()

    def finish_conversion(self, at: datetime) -> LeadConverted:
        """Everything that the plan says is there."""
        plan = self._plan()
        self.state = LeadState.CONVERTED
        self.conversion = replace(plan, problem="")
        self.converted_at = at
        return LeadConverted()

    def delete(self, at: datetime) -> LeadDeleted:
        """Deletes it; LeadAlreadyConverted while it is on its way to becoming something."""
        if self.state is LeadState.CONVERTING:
            raise LeadAlreadyConverted
        self.mark_deleted(at)
        return LeadDeleted()

    def undelete(self, at: datetime) -> LeadUndeleted:
        """Restores it."""
        self.restore(at)
        return LeadUndeleted()

    def _plan(self) -> Conversion:
        if self.state is not LeadState.CONVERTING or self.conversion is None:
            raise LeadNotConverting
        return self.conversion

    def _refuse_converted(self) -> None:
        if self.state in (LeadState.CONVERTING, LeadState.CONVERTED):
            raise LeadAlreadyConverted

    def _refuse_closed(self) -> None:
        self._refuse_converted()
        if self.state is LeadState.DISQUALIFIED:
            raise LeadAlreadyDisqualified


@dataclass(slots=True, kw_only=True)
class Queue(Entity):
    """Where leads without an owner wait for one of several users."""

    name: str = ""
    member_ids: tuple[UUID, ...] = ()

    @classmethod
    def create(cls, fields: Mapping[str, Any], id: UUID | None = None) -> tuple["Queue", QueueCreated]:
        """A new queue; QueueNameMissing where it has no name."""
        queue = cls(id=id or new_id())
        queue.change(fields)
        return queue, QueueCreated()

    def change(self, fields: Mapping[str, Any]) -> QueueUpdated:
        """Takes new values on; QueueNameMissing where it would have no name."""
        for name, value in fields.items():
            setattr(self, name, value)
        if not self.name:
            raise QueueNameMissing
        return QueueUpdated()

    def delete(self, at: datetime, *, has_leads: bool) -> QueueDeleted:
        """Deletes it; QueueNotEmpty while leads wait in it."""
        if has_leads:
            raise QueueNotEmpty
        self.mark_deleted(at)
        return QueueDeleted()
