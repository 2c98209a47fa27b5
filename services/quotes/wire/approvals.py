"""Approval rules, approvals and delegations, to and from the protos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.identity.v1 import organisation_pb2 as identity
from sfa.quotes.v1 import approvals_pb2 as pb

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.quotes.domain.approval_reasons import Figures, Reason
from services.quotes.domain.approval_rules import (
    ApprovalRule,
    Approver,
    ApproverKind,
    ApproverUnclear,
    Condition,
    DiscountBasis,
    Measure,
    Needs,
)
from services.quotes.domain.approvals import Approval, Seat, Step
from services.quotes.domain.delegations import ApprovalDelegation

_ROLE_NAMES: Mapping[identity.Role.ValueType, str] = {
    number: name.lower() for name, number in identity.Role.items() if number
}
_ROLES = {name: number for number, name in _ROLE_NAMES.items()}


def role_of(number: identity.Role.ValueType) -> str:
    """A role as tokens write it; empty for none."""
    return _ROLE_NAMES.get(number, "")


def rule_to_proto(rule: ApprovalRule) -> pb.ApprovalRule:
    """The resource."""
    result = pb.ApprovalRule()
    convert.set_head(result, rule)
    result.name = rule.name
    result.description = rule.description
    result.is_active = rule.is_active
    result.level = rule.level
    result.needs = pb.ApprovalRule.Needs.Value(rule.needs.name)
    result.in_turn = rule.in_turn
    if rule.minimum_role:
        result.minimum_role = _ROLES[rule.minimum_role]
    result.remind_after_hours = rule.remind_after_hours
    result.condition.CopyFrom(_condition_to_proto(rule.condition))
    for approver in rule.approvers:
        item = result.approvers.add()
        if approver.kind is ApproverKind.USER:
            item.user_id = str(approver.user_id)
        elif approver.kind is ApproverKind.ROLE:
            item.role = _ROLES[approver.role]
        else:
            item.owners_manager = approver.levels_up
    return result


def _condition_to_proto(condition: Condition) -> pb.ApprovalCondition:
    result = pb.ApprovalCondition(
        discount_basis=pb.ApprovalCondition.DiscountBasis.Value(condition.discount_basis.name),
        asks_where_cost_unknown=condition.asks_where_cost_unknown,
        measure=pb.ApprovalCondition.Measure.Value(condition.measure.name),
        product_families=condition.product_families,
        payment_terms=condition.payment_terms,
        submitter_roles=[_ROLES[role] for role in condition.submitter_roles],
        below_floor=condition.below_floor,
    )
    if condition.discount_above is not None:
        result.discount_above_percent = convert.decimal_text(condition.discount_above)
    if condition.margin_below is not None:
        result.margin_below_percent = convert.decimal_text(condition.margin_below)
    if condition.payment_days_above is not None:
        result.payment_days_above = condition.payment_days_above
    for amount in condition.amounts_from:
        convert.set_money(result.amounts_from.add(), amount)
    return result


def condition_of(message: pb.ApprovalCondition) -> Condition:
    """The condition as a client states it."""
    field = "approval_rule.condition"
    return Condition(
        discount_above=_percent(message.discount_above_percent),
        discount_basis=DiscountBasis.TOTAL
        if message.discount_basis == pb.ApprovalCondition.TOTAL
        else DiscountBasis.MANUAL,
        margin_below=_percent(message.margin_below_percent),
        asks_where_cost_unknown=message.asks_where_cost_unknown,
        measure=Measure.LINE if message.measure == pb.ApprovalCondition.LINE else Measure.DOCUMENT,
        amounts_from=tuple(
            convert.money_of(amount, f"{field}.amounts_from[{index}]")
            for index, amount in enumerate(message.amounts_from)
        ),
        product_families=tuple(message.product_families),
        payment_days_above=message.payment_days_above if message.HasField("payment_days_above") else None,
        payment_terms=tuple(message.payment_terms),
        submitter_roles=tuple(map(role_of, message.submitter_roles)),
        below_floor=message.below_floor,
    )


def _percent(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def approvers_of(message: pb.ApprovalRule) -> tuple[Approver, ...]:
    """The approvers as a client names them."""
    return tuple(approver_of(index, approver) for index, approver in enumerate(message.approvers))


def approver_of(index: int, message: pb.Approver) -> Approver:
    """One approver.

    Raises:
        ApproverUnclear: nobody is named.
    """
    which = message.WhichOneof("approver")
    if which == "user_id":
        return Approver(ApproverKind.USER, user_id=UUID(message.user_id))
    if which == "role":
        return Approver(ApproverKind.ROLE, role=role_of(message.role))
    if which == "owners_manager":
        return Approver(ApproverKind.OWNERS_MANAGER, levels_up=message.owners_manager)
    raise ApproverUnclear(index)


# How each field that a client may set is read; the names are those of the update mask.
RULE_FIELDS: Mapping[str, Callable[[pb.ApprovalRule], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "description": lambda message: message.description,
    "is_active": lambda message: message.is_active if message.HasField("is_active") else True,
    "level": lambda message: message.level or 1,
    "condition": lambda message: condition_of(message.condition),
    "approvers": approvers_of,
    "needs": lambda message: Needs.ANY if message.needs == pb.ApprovalRule.ANY else Needs.ALL,
    "in_turn": lambda message: message.in_turn,
    "minimum_role": lambda message: role_of(message.minimum_role),
    "remind_after_hours": lambda message: (
        message.remind_after_hours if message.HasField("remind_after_hours") else 24
    ),
}


def approval_to_proto(approval: Approval, *, with_margins: bool = False) -> pb.Approval:
    """The resource. Margins tell what products cost: they are for those alone who may know it, and for those
    who decide, and so in no event.
    """
    result = pb.Approval()
    convert.set_head(result, approval)
    for name in ("quote_number", "quote_revision", "quote_name", "comment", "end_reason"):
        setattr(result, name, getattr(approval, name))
    for name in ("quote_id", "opportunity_id", "account_id", "owner_id", "submitter_id"):
        if (id := getattr(approval, name)) is not None:
            setattr(result, name, str(id))
    result.quote_etag = str(approval.quote_version)
    result.state = pb.Approval.State.Value(approval.state.name)
    result.figures.CopyFrom(figures_to_proto(approval.figures, approval.currency, with_margins=with_margins))
    result.steps.extend(
        step_to_proto(
            step, approval.state_of(step).name, _waited_for(approval, step), with_margins=with_margins
        )
        for step in approval.steps
    )
    for message in approval.messages:
        item = result.messages.add(text=message.text, question=message.is_question)
        item.user_id = str(message.user_id or "")
        convert.set_timestamp(item.time, message.at)
    convert.set_timestamp(result.submit_time, approval.submitted_at)
    if approval.reminded_at is not None:
        convert.set_timestamp(result.remind_time, approval.reminded_at)
    if approval.ended_at is not None:
        convert.set_timestamp(result.end_time, approval.ended_at)
    return result


def _waited_for(approval: Approval, step: Step) -> list[Seat]:
    return approval.open_seats(step) if step in approval.open_steps else []


def step_to_proto(
    step: Step, state: str, waiting: Iterable[Seat] = (), *, with_margins: bool
) -> pb.ApprovalStep:
    """What one rule asks for."""
    result = pb.ApprovalStep(
        id=str(step.id),
        rule_id=str(step.rule_id),
        rule_name=step.rule_name,
        rule_etag=str(step.rule_version),
        level=step.level,
        reasons=[
            _reason_to_proto(reason if with_margins else reason.without_cost) for reason in step.reasons
        ],
        seats=map(_seat_to_proto, step.seats),
        needs=pb.ApprovalRule.Needs.Value(step.needs.name),
        in_turn=step.in_turn,
        state=pb.ApprovalStep.State.Value(state),
        waiting_for=map(_seat_to_proto, waiting),
    )
    if step.minimum_role:
        result.minimum_role = _ROLES[step.minimum_role]
    for decision in step.decisions:
        item = result.decisions.add(
            seat=_seat_to_proto(step.seats[decision.seat]),
            approved=decision.is_approval,
            user_id=str(decision.user_id),
            on_behalf_of_id=str(decision.on_behalf_of or ""),
            comment=decision.comment,
        )
        convert.set_timestamp(item.time, decision.at)
    return result


def _reason_to_proto(reason: Reason) -> pb.ApprovalReason:
    return pb.ApprovalReason(
        kind=pb.ApprovalReason.Kind.Value(reason.kind.name),
        text=reason.text,
        limit=reason.limit,
        actual=reason.actual,
        line_ids=map(str, reason.line_ids),
    )


def _seat_to_proto(seat: Seat) -> pb.ApprovalSeat:
    result = pb.ApprovalSeat(user_id=str(seat.user_id or ""), because=seat.because)
    if seat.role:
        result.role = _ROLES[seat.role]
    return result


def figures_to_proto(figures: Figures, currency: str, *, with_margins: bool) -> pb.ApprovalFigures:
    """The figures of a quote."""
    result = pb.ApprovalFigures(
        manual_discount_percent=convert.decimal_text(figures.manual_discount_percent),
        total_discount_percent=convert.decimal_text(figures.total_discount_percent),
        cost_complete=figures.is_cost_complete,
    )
    convert.set_money(result.total, Money(figures.total, currency))
    if figures.margin_percent is not None and with_margins:
        result.margin_percent = convert.decimal_text(figures.margin_percent)
    if figures.payment_days is not None:
        result.payment_days = figures.payment_days
    return result


def approval_version_to_proto(version: Version) -> pb.ApprovalVersion:
    """One version."""
    assert isinstance(version.resource, pb.Approval)
    return pb.ApprovalVersion(
        approval=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def delegation_to_proto(delegation: ApprovalDelegation) -> pb.ApprovalDelegation:
    """The resource."""
    result = pb.ApprovalDelegation()
    convert.set_head(result, delegation)
    result.delegator_id = str(delegation.delegator_id)
    result.delegate_id = str(delegation.delegate_id)
    convert.set_date(result.start_date, delegation.start_on)
    convert.set_date(result.end_date, delegation.end_on)
    result.reason = delegation.reason
    return result
