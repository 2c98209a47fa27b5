"""Approvals: one for each time that a quote is submitted, with the steps that its rules ask for, who may
decide them, and who has. Its figures are frozen: what is decided on is what was submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, NotFound, PermissionDenied, ResourceExhausted
from chassis.money import Money
from services.quotes.domain.approval_reasons import Figures, Reason
from services.quotes.domain.approval_rules import Needs, rank_of

MOST_MESSAGES: Final = 100
MOST_REMINDERS: Final = 20


class ApprovalState(Enum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class StepState(Enum):
    """Where one step stands."""

    WAITING = "waiting"
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ApprovalRequested(Event):
    """A quote was submitted, and somebody must approve it."""


@dataclass(frozen=True, slots=True)
class ApprovalAdvanced(Event):
    """Somebody approved, and somebody else must still."""


@dataclass(frozen=True, slots=True)
class ApprovalGranted(Event):
    """All who were to approve have, or nobody had to."""


@dataclass(frozen=True, slots=True)
class ApprovalRejected(Event):
    """An approver rejected."""


@dataclass(frozen=True, slots=True)
class ApprovalWithdrawn(Event):
    """The quote was recalled, changed or ended."""


@dataclass(frozen=True, slots=True)
class ApprovalReminded(Event):
    """Those who are waited for are reminded."""


@dataclass(frozen=True, slots=True)
class ApprovalQuestionAsked(Event):
    """An approver wants to know something first."""


@dataclass(frozen=True, slots=True)
class ApprovalQuestionAnswered(Event):
    """A question was answered."""


@dataclass(frozen=True, slots=True)
class ApprovalReassigned(Event):
    """Another user was put in the place of an approver."""


class ApprovalEnded(FailedPrecondition):
    """The approval was decided or withdrawn before."""

    def __init__(self, approval: Approval) -> None:
        super().__init__(f"The approval of quote {approval.quote_number} is {approval.state.value} already.")


class NotAnApprover(PermissionDenied):
    """The caller is not waited for."""

    def __init__(self, approval: Approval) -> None:
        waiting = ", ".join(seat.title for step in approval.open_steps for seat in approval.open_seats(step))
        super().__init__(f"This waits for {waiting or 'nobody'}, not for you.")


class OwnQuote(PermissionDenied):
    """Four eyes: nobody approves what is their own."""

    def __init__(self) -> None:
        super().__init__("You submitted this quote or own it: somebody else must decide.")


class RoleTooLow(PermissionDenied):
    """A floor that the caller's role may not pass."""

    def __init__(self, step: Step) -> None:
        super().__init__(
            f"The rule {step.rule_name} can be passed by the role {step.minimum_role} or a higher one only."
        )


class StepNotOpen(NotFound):
    """There is no such step that waits for such an approver."""

    def __init__(self) -> None:
        super().__init__("No open step with this id waits for this approver.", field="step_id")


class TooManyMessages(ResourceExhausted):
    """A conversation that belongs elsewhere."""

    def __init__(self) -> None:
        super().__init__(f"An approval keeps {MOST_MESSAGES} messages at the most.")


@dataclass(frozen=True, slots=True)
class Seat:
    """A place that an approver fills: one user's, or anybody's with a role."""

    user_id: UUID | None = None
    role: str = ""
    because: str = ""

    @property
    def key(self) -> str:
        """What it is found by."""
        return f"user:{self.user_id}" if self.user_id else f"role:{self.role}"

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        if self.because:
            return self.because
        return f"user {self.user_id}" if self.user_id else f"the role {self.role}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Somebody's word on one seat of a step."""

    seat: int
    is_approval: bool
    user_id: UUID
    at: datetime
    comment: str = ""
    on_behalf_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one rule asks for."""

    id: UUID
    rule_id: UUID
    rule_name: str
    rule_version: int
    level: int
    reasons: tuple[Reason, ...]
    seats: tuple[Seat, ...]
    needs: Needs = Needs.ALL
    in_turn: bool = False
    minimum_role: str = ""
    remind_after_hours: int = 24
    decisions: tuple[Decision, ...] = ()

    @property
    def is_approved(self) -> bool:
        """Whether enough of its approvers have approved."""
        given = {decision.seat for decision in self.decisions if decision.is_approval}
        return bool(given) if self.needs is Needs.ANY else len(given) == len(self.seats)

    @property
    def is_rejected(self) -> bool:
        """Whether one of its approvers has rejected."""
        return any(not decision.is_approval for decision in self.decisions)

    def vacant(self) -> list[int]:
        """The seats that may be filled now, if it is the step's turn."""
        filled = {decision.seat for decision in self.decisions}
        if self.needs is Needs.ANY and filled:
            return []
        free = [index for index in range(len(self.seats)) if index not in filled]
        return free[:1] if self.in_turn and self.needs is Needs.ALL else free


@dataclass(frozen=True, slots=True)
class Message:
    """A question, or an answer to one."""

    user_id: UUID | None
    at: datetime
    text: str
    is_question: bool


@dataclass(frozen=True, slots=True)
class Person:
    """Who decides: with which roles, and in whose places besides their own."""

    user_id: UUID
    roles: frozenset[str]
    stands_in_for: Mapping[UUID, frozenset[str]]
    """The roles of each who has delegated to this person."""

    @property
    def keys(self) -> frozenset[str]:
        """The seats that are this person's, or those that somebody delegated."""
        own = {f"user:{self.user_id}", *(f"role:{role}" for role in self.roles)}
        for user, roles in self.stands_in_for.items():
            own |= {f"user:{user}", *(f"role:{role}" for role in roles)}
        return frozenset(own)


@dataclass(slots=True, kw_only=True)
class Approval(Entity):
    """One submission of a quote."""

    quote_id: UUID
    quote_version: int
    quote_number: str
    quote_revision: int
    quote_name: str = ""
    opportunity_id: UUID
    account_id: UUID | None = None
    owner_id: UUID
    submitter_id: UUID | None = None
    submitter_roles: tuple[str, ...] = ()
    state: ApprovalState = ApprovalState.PENDING
    currency: str
    figures: Figures
    steps: tuple[Step, ...] = ()
    messages: tuple[Message, ...] = ()
    comment: str = ""
    submitted_at: datetime
    opened_at: datetime
    reminded_at: datetime | None = None
    reminders: int = 0
    ended_at: datetime | None = None
    end_reason: str = ""
    waiting_for: tuple[str, ...] = ()
    """The seats that are waited for, by key."""
    audience: tuple[str, ...] = ()
    """Everybody whom it concerns, by key: they may see it, whoever owns the quote."""

    @property
    def total(self) -> Money:
        """What was submitted, before tax."""
        return Money(self.figures.total, self.currency)

    @property
    def open_steps(self) -> list[Step]:
        """The steps whose turn it is: those of the lowest level that is not approved yet."""
        if self.state is not ApprovalState.PENDING:
            return []
        left = [step for step in self.steps if not step.is_approved]
        lowest = min((step.level for step in left), default=0)
        return [step for step in left if step.level == lowest]

    def open_seats(self, step: Step) -> list[Seat]:
        """The seats of a step that wait."""
        return [step.seats[index] for index in step.vacant()]

    def state_of(self, step: Step) -> StepState:
        """Where one of its steps stands."""
        if step.is_rejected:
            return StepState.REJECTED
        if step.is_approved:
            return StepState.APPROVED
        if self.state is not ApprovalState.PENDING:
            return StepState.CLOSED
        return StepState.OPEN if step in self.open_steps else StepState.WAITING

    def request(self) -> ApprovalRequested | ApprovalGranted:
        """Begins: it waits for the first level, or is granted where no rule asks."""
        self.audience = tuple(dict.fromkeys(seat.key for step in self.steps for seat in step.seats))
        if not self.steps:
            self.state, self.ended_at = ApprovalState.APPROVED, self.submitted_at
            self.end_reason = "No rule asks for approval."
            return ApprovalGranted()
        self._look_who_is_waited_for()
        return ApprovalRequested()

    def approve(self, person: Person, at: datetime, comment: str) -> ApprovalAdvanced | ApprovalGranted:
        """The person's word on everything that waits for them, on later levels too where they come up.

        One person fills one seat of a step.

        Raises:
            ApprovalEnded, OwnQuote, NotAnApprover, RoleTooLow: the person has no word in it.
        """
        self._must_be_open_to(person)
        while (found := self._seat_for(person)) is not None:
            self._decide(*found, person.user_id, at, comment, is_approval=True)
        if not self.open_steps:
            self._end(ApprovalState.APPROVED, at, comment)
            return ApprovalGranted()
        self.opened_at = at
        self._look_who_is_waited_for()
        return ApprovalAdvanced()

    def reject(self, person: Person, at: datetime, comment: str) -> ApprovalRejected:
        """One rejection ends it.

        Raises:
            ApprovalEnded, OwnQuote, NotAnApprover, RoleTooLow: the person has no word in it.
        """
        self._must_be_open_to(person)
        found = self._seat_for(person)
        assert found is not None
        self._decide(*found, person.user_id, at, comment, is_approval=False)
        self._end(ApprovalState.REJECTED, at, comment)
        return ApprovalRejected()

    def ask(self, person: Person, at: datetime, text: str) -> ApprovalQuestionAsked:
        """A question to whoever submitted it; it goes on waiting.

        Raises:
            ApprovalEnded, OwnQuote, NotAnApprover, RoleTooLow: the person is not waited for.
            TooManyMessages: there were too many.
        """
        self._must_be_open_to(person)
        self._say(Message(person.user_id, at, text, is_question=True))
        return ApprovalQuestionAsked()

    def answer(self, user: UUID | None, at: datetime, text: str) -> ApprovalQuestionAnswered:
        """An answer, by anybody who may see it.

        Raises:
            ApprovalEnded, TooManyMessages.
        """
        self._must_be_pending()
        self._say(Message(user, at, text, is_question=False))
        return ApprovalQuestionAnswered()

    def withdraw(self, at: datetime, reason: str) -> ApprovalWithdrawn | None:
        """The quote is not what was submitted any more; None where it was decided against before."""
        if self.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
            return None
        self._end(ApprovalState.WITHDRAWN, at, reason)
        return ApprovalWithdrawn()

    def remind(self, at: datetime) -> ApprovalReminded | None:
        """Reminds those who are waited for; None where nobody is, or where it was done often enough."""
        if self.state is not ApprovalState.PENDING or self.reminders >= MOST_REMINDERS:
            return None
        self.reminded_at, self.reminders = at, self.reminders + 1
        return ApprovalReminded()

    def reassign(self, step_id: UUID, seat: Seat, to: UUID, at: datetime) -> ApprovalReassigned:
        """Puts a user in the place of an approver who is away.

        Raises:
            ApprovalEnded: nobody is waited for.
            StepNotOpen: the approver is not waited for there.
            OwnQuote: the user has submitted the quote or owns it.
        """
        self._must_be_pending()
        if to in (self.owner_id, self.submitter_id):
            raise OwnQuote
        for step in self.open_steps:
            vacant = [index for index in step.vacant() if step.seats[index].key == seat.key]
            if step.id == step_id and vacant:
                new = Seat(user_id=to, because=f"instead of {step.seats[vacant[0]].title}")
                seats = (*step.seats[: vacant[0]], new, *step.seats[vacant[0] + 1 :])
                self._replace(replace(step, seats=seats))
                self.opened_at = at
                self.audience = tuple(dict.fromkeys((*self.audience, new.key)))
                self._look_who_is_waited_for()
                return ApprovalReassigned()
        raise StepNotOpen

    def reminds_at(self) -> datetime | None:
        """When those who are waited for are to be reminded next; None for never."""
        hours = [step.remind_after_hours for step in self.open_steps if step.remind_after_hours]
        if not hours or self.reminders >= MOST_REMINDERS:
            return None
        return max(self.opened_at, self.reminded_at or self.opened_at) + timedelta(hours=min(hours))

    def reasons_of(self, rule_id: UUID) -> tuple[Reason, ...] | None:
        """What was approved for a rule; None where it did not ask."""
        return next((step.reasons for step in self.steps if step.rule_id == rule_id), None)

    def _seat_for(self, person: Person) -> tuple[Step, int, UUID | None] | None:
        """The first seat that the person may fill, and whose it is where it was delegated."""
        for step in self.open_steps:
            if any(decision.user_id == person.user_id for decision in step.decisions):
                continue
            if not _reaches(person, step):
                continue
            for index in step.vacant():
                whose = self._claim(step.seats[index], person)
                if whose is not None:
                    return step, index, None if whose == person.user_id else whose
        return None

    def _claim(self, seat: Seat, person: Person) -> UUID | None:
        """Who the person fills the seat as; None where it is not theirs to fill."""
        if seat.user_id == person.user_id or (seat.role and seat.role in person.roles):
            return person.user_id
        for user, roles in person.stands_in_for.items():
            own = user in (self.owner_id, self.submitter_id)
            if not own and (seat.user_id == user or (seat.role and seat.role in roles)):
                return user
        return None

    def _must_be_open_to(self, person: Person) -> None:
        self._must_be_pending()
        if person.user_id in (self.owner_id, self.submitter_id):
            raise OwnQuote
        if self._seat_for(person) is not None:
            return
        for step in self.open_steps:
            theirs = any(self._claim(seat, person) is not None for seat in self.open_seats(step))
            if theirs and step.minimum_role and not _reaches(person, step):
                raise RoleTooLow(step)
        raise NotAnApprover(self)

    def _must_be_pending(self) -> None:
        if self.state is not ApprovalState.PENDING:
            raise ApprovalEnded(self)

    def _decide(
        self,
        step: Step,
        seat: int,
        whose: UUID | None,
        user: UUID,
        at: datetime,
        comment: str,
        *,
        is_approval: bool,
    ) -> None:
        decision = Decision(seat, is_approval, user, at, comment, whose)
        self._replace(replace(step, decisions=(*step.decisions, decision)))
        self.audience = tuple(dict.fromkeys((*self.audience, f"user:{user}")))

    def _replace(self, new: Step) -> None:
        self.steps = tuple(new if step.id == new.id else step for step in self.steps)

    def _say(self, message: Message) -> None:
        if len(self.messages) >= MOST_MESSAGES:
            raise TooManyMessages
        self.messages = (*self.messages, message)

    def _look_who_is_waited_for(self) -> None:
        seats: Iterable[Seat] = (seat for step in self.open_steps for seat in self.open_seats(step))
        self.waiting_for = tuple(dict.fromkeys(seat.key for seat in seats))

    def _end(self, state: ApprovalState, at: datetime, reason: str) -> None:
        self.state, self.ended_at, self.end_reason = state, at, reason
        self.waiting_for = ()


def _reaches(person: Person, step: Step) -> bool:
    """Whether the person's own role lets them decide on the step; a system's never does."""
    return rank_of(person.roles) >= max(rank_of([step.minimum_role]), 1)
