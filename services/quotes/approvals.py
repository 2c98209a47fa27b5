"""Approvals where quotes are submitted, recalled and sent: which rules ask, whom they ask, and whether what
was approved still allows what is offered.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from chassis import due
from chassis.call import Call
from chassis.errors import FailedPrecondition, FieldViolation
from chassis.ids import new_id
from services.quotes.domain.approval_reasons import Offer, Reason, figures_of, is_covered, why
from services.quotes.domain.approval_rules import ApprovalRule, Approver, ApproverKind, Condition, Needs
from services.quotes.domain.approvals import Approval, Seat, Step
from services.quotes.domain.quotes import Quote
from services.quotes.offers import offer_of
from services.quotes.store.approvals import (
    ApprovalRuleStore,
    ApprovalStore,
    beyond_sight,
    inactive,
    managers_of,
)
from services.quotes.store.base import ASIDE

_ASIDE: Final = ASIDE + 100
"""The place of an approval among the changes of a request that is about a quote."""
REMINDER: Final = "approval.reminds"
_FLOOR: Final = ApprovalRule(
    id=UUID("0190b0f0-0000-7000-8000-000000000001"),
    name="Margin floor",
    condition=Condition(below_floor=True),
    approvers=(
        Approver(ApproverKind.ROLE, role="operations"),
        Approver(ApproverKind.ROLE, role="administrator"),
    ),
    needs=Needs.ANY,
    minimum_role="operations",
)
"""What holds where floors are set and no rule says who may go below them."""
_LAST_RESORT: Final = "administrator"


class ApprovalRequired(FailedPrecondition):
    """A quote is to be sent that somebody must approve first."""

    def __init__(self, quote: Quote, asked: Sequence[tuple[ApprovalRule, tuple[Reason, ...]]]) -> None:
        because = "; ".join(_sentence(rule, reasons) for rule, reasons in asked)
        next_step = "Recall it and submit it again" if quote.approved_at is not None else "Submit it first"
        super().__init__(
            f"Quote {quote.number} needs approval: {because} {next_step}.",
            violations=tuple(FieldViolation("id", _sentence(rule, reasons)) for rule, reasons in asked),
        )


async def required(call: Call, quote: Quote) -> list[tuple[ApprovalRule, tuple[Reason, ...]]]:
    """The rules that ask about the quote as it stands and have not been satisfied, each with why.

    For an approved quote the roles are those of whoever submitted it, and what was approved covers what is
    no worse; for any other they are the caller's.
    """
    rules = await _rules(call)
    granted: Approval | None = None
    roles: Collection[str] = call.caller.roles
    if quote.approved_at is not None:
        granted = await ApprovalStore(beyond_sight(call)).standing_of(quote.id)
        roles = roles if granted is None else granted.submitter_roles
    asked = _asked(rules, await offer_of(call, quote), roles)
    if granted is None:
        return asked
    return [
        (rule, reasons)
        for rule, reasons in asked
        if not is_covered(reasons, granted.reasons_of(rule.id) or ())
    ]


async def must_be_approved(call: Call, quote: Quote) -> None:
    """To be asked before a quote is sent.

    Raises:
        ApprovalRequired: somebody must approve it first.
    """
    asked = await required(call, quote)
    if asked:
        raise ApprovalRequired(quote, asked)


async def request(call: Call, quote: Quote, comment: str = "") -> bool:
    """Asks for the approval of a quote that was just submitted; whether it is granted at once."""
    offer = await offer_of(call, quote)
    asked = _asked(await _rules(call), offer, call.caller.roles)
    submitter = call.caller.user_id
    approval = Approval(
        quote_id=quote.id,
        quote_version=quote.version + 1,
        quote_number=quote.number,
        quote_revision=quote.revision,
        quote_name=quote.name,
        opportunity_id=quote.opportunity_id,
        account_id=quote.account_id,
        owner_id=quote.owner_id,
        submitter_id=submitter,
        submitter_roles=tuple(call.caller.roles),
        currency=quote.currency,
        figures=figures_of(offer),
        steps=await steps(call, quote, asked),
        comment=comment,
        submitted_at=call.now,
        opened_at=call.now,
    )
    event = approval.request()
    store = ApprovalStore(call)
    store.stage(approval, event, ordinal=_ASIDE)
    await store.flush()
    await schedule_reminder(call, approval)
    return not approval.open_steps


async def withdraw(call: Call, quote: Quote, reason: str) -> None:
    """The quote is not what was submitted any more: it was recalled, changed, or withdrawn itself.

    What the approval of a quote that was sent has allowed, it has allowed, whatever comes of the quote.
    """
    if quote.sent_at is not None:
        return
    store = ApprovalStore(beyond_sight(call))
    approval = await store.standing_of(quote.id)
    if approval is None:
        return
    event = approval.withdraw(call.now, reason)
    if event is not None:
        store.stage(approval, event, ordinal=_ASIDE)
        await store.flush()


async def steps(
    call: Call, quote: Quote, asked: Sequence[tuple[ApprovalRule, tuple[Reason, ...]]]
) -> tuple[Step, ...]:
    """What the rules ask for, with the approvers found."""
    if not asked:
        return ()
    managers = await managers_of(call, quote.owner_id)
    named = {each.user_id for rule, _ in asked for each in rule.approvers if each.user_id is not None}
    gone = await inactive(call, named) if named else set()
    own = {quote.owner_id, call.caller.user_id}
    return tuple(
        Step(
            id=new_id(),
            rule_id=rule.id,
            rule_name=rule.name,
            rule_version=rule.version,
            level=rule.level,
            reasons=reasons,
            seats=_seats(rule, managers, gone, own),
            needs=rule.needs,
            in_turn=rule.in_turn,
            minimum_role=rule.minimum_role,
            remind_after_hours=rule.remind_after_hours,
        )
        for rule, reasons in asked
    )


async def schedule_reminder(call: Call, approval: Approval) -> None:
    """Has those who are waited for reminded when it is time."""
    at = approval.reminds_at()
    if at is not None:
        await due.schedule(call, REMINDER, str(approval.id), at)


async def remind(call: Call, key: str, payload: Any) -> None:
    """Reminds those whom the approval of this id waits for, unless it came to its next level meanwhile."""
    store = ApprovalStore(call)
    approval = await store.find(UUID(key))
    if approval is None or (at := approval.reminds_at()) is None:
        return
    if at <= call.now and (reminded := approval.remind(call.now)) is not None:
        await store.save(approval, reminded)
    await schedule_reminder(call, approval)


async def _rules(call: Call) -> list[ApprovalRule]:
    rules = await ApprovalRuleStore(call).active()
    return rules if any(rule.condition.below_floor for rule in rules) else [*rules, _FLOOR]


def _asked(
    rules: Sequence[ApprovalRule], offer: Offer, roles: Collection[str]
) -> list[tuple[ApprovalRule, tuple[Reason, ...]]]:
    found = ((rule, why(rule, offer, roles)) for rule in rules)
    return [(rule, reasons) for rule, reasons in found if reasons is not None]


def _seats(
    rule: ApprovalRule, managers: Sequence[UUID], gone: Collection[UUID], own: Collection[UUID | None]
) -> tuple[Seat, ...]:
    """Each approver's seat; where there is nobody to fill it, an administrator's."""
    seats = (_seat(approver, rule, managers, gone, own) for approver in rule.approvers)
    return tuple({seat.key: seat for seat in seats}.values())


def _seat(
    approver: Approver,
    rule: ApprovalRule,
    managers: Sequence[UUID],
    gone: Collection[UUID],
    own: Collection[UUID | None],
) -> Seat:
    if approver.kind is ApproverKind.ROLE:
        return Seat(role=approver.role, because=f"the role {approver.role}")
    if approver.kind is ApproverKind.USER:
        if approver.user_id in gone or approver.user_id in own:
            left = "who has left" if approver.user_id in gone else "whose own quote it is"
            return Seat(role=_LAST_RESORT, because=f"an administrator, in place of a user {left}")
        return Seat(user_id=approver.user_id, because=f"the user whom {rule.name} names")
    for number, manager in enumerate(managers, 1):
        if number >= approver.levels_up and manager not in own:
            title = "the owner's manager" if number == 1 else f"the owner's manager, {number} levels up"
            return Seat(user_id=manager, because=title)
    return Seat(role=_LAST_RESORT, because="an administrator, as the owner has no such manager")


def _sentence(rule: ApprovalRule, reasons: Sequence[Reason]) -> str:
    return f"{rule.name}: {' '.join(reason.without_cost.text for reason in reasons)}"
