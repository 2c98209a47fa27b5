"""Approval rules, approvals, delegations, and the roles of those who may decide."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.quotes.v1 import events_pb2
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from chassis.columns import array, document, enumerated, listed, money_of
from chassis.fields import Field
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.approval_reasons import Figures, Reason, ReasonKind
from services.quotes.domain.approval_rules import (
    ApprovalRule,
    Approver,
    ApproverKind,
    Condition,
    DiscountBasis,
    Measure,
    Needs,
)
from services.quotes.domain.approvals import Approval, ApprovalState, Decision, Message, Seat, Step
from services.quotes.domain.delegations import ApprovalDelegation
from services.quotes.tables.base import metadata
from services.quotes.wire import approvals as wire

approval_rules = entity_table(
    "approval_rules",
    metadata,
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("is_active", Boolean, nullable=False),
    Column("level", Integer, nullable=False),
    Column("condition", JSONB),
    Column("approvers", JSONB),
    Column("needs", Text),
    Column("in_turn", Boolean),
    Column("minimum_role", Text),
    Column("remind_after_hours", Integer),
)

approvals = entity_table(
    "approvals",
    metadata,
    Column("quote_id", Uuid, nullable=False),
    Column("quote_version", BigInteger),
    Column("quote_number", Text, nullable=False),
    Column("quote_revision", Integer),
    Column("quote_name", Text),
    Column("opportunity_id", Uuid, nullable=False),
    Column("account_id", Uuid),
    Column("owner_id", Uuid, nullable=False),
    Column("submitter_id", Uuid),
    Column("submitter_roles", ARRAY(Text)),
    Column("state", Text, nullable=False),
    Column("currency", Text),
    Column("figures", JSONB),
    Column("steps", JSONB),
    Column("messages", JSONB),
    Column("comment", Text),
    timestamp_column("submitted_at"),
    timestamp_column("opened_at"),
    timestamp_column("reminded_at"),
    Column("reminders", Integer),
    timestamp_column("ended_at"),
    Column("end_reason", Text),
    Column("waiting_for", ARRAY(Text)),
    Column("audience", ARRAY(Text)),
)

approval_delegations = entity_table(
    "approval_delegations",
    metadata,
    Column("delegator_id", Uuid, nullable=False),
    Column("delegate_id", Uuid, nullable=False),
    Column("start_on", Date, nullable=False),
    Column("end_on", Date, nullable=False),
    Column("reason", Text),
)

approvers = Table(
    "approvers",
    metadata,
    Column("tenant_id", Uuid),
    Column("user_id", Uuid, primary_key=True),
    Column("version", BigInteger),
    Column("roles", ARRAY(Text)),
    Column("is_active", Boolean),
)
"""The users as identity knows them: whose roles a delegate stands in with, and who has left."""


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _condition(item: dict[str, Any]) -> Condition:
    return Condition(
        **{
            **item,
            "discount_above": _decimal(item["discount_above"]),
            "discount_basis": DiscountBasis(item["discount_basis"]),
            "margin_below": _decimal(item["margin_below"]),
            "measure": Measure(item["measure"]),
            "amounts_from": tuple(money for each in item["amounts_from"] if (money := money_of(each))),
            "product_families": tuple(item["product_families"]),
            "payment_terms": tuple(item["payment_terms"]),
            "submitter_roles": tuple(item["submitter_roles"]),
        }
    )


def _approver(item: dict[str, Any]) -> Approver:
    return Approver(ApproverKind(item["kind"]), _uuid(item["user_id"]), item["role"], item["levels_up"])


def _figures(item: dict[str, Any]) -> Figures:
    percents = ("manual_discount_percent", "total_discount_percent", "margin_percent")
    numbers = {name: _decimal(item[name]) for name in percents}
    return Figures(**{**item, **numbers, "total": Decimal(item["total"])})


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None


def _step(item: dict[str, Any]) -> Step:
    return Step(
        **{
            **item,
            "id": UUID(item["id"]),
            "rule_id": UUID(item["rule_id"]),
            "reasons": tuple(map(_reason, item["reasons"])),
            "seats": tuple(
                Seat(_uuid(seat["user_id"]), seat["role"], seat["because"]) for seat in item["seats"]
            ),
            "needs": Needs(item["needs"]),
            "decisions": tuple(map(_decision, item["decisions"])),
        }
    )


def _reason(item: dict[str, Any]) -> Reason:
    lines = tuple(map(UUID, item["line_ids"]))
    return Reason(ReasonKind(item["kind"]), item["text"], item["limit"], item["actual"], lines)


def _decision(item: dict[str, Any]) -> Decision:
    return Decision(
        item["seat"],
        item["is_approval"],
        UUID(item["user_id"]),
        datetime.fromisoformat(item["at"]),
        item["comment"],
        _uuid(item["on_behalf_of"]),
    )


def _message(item: dict[str, Any]) -> Message:
    return Message(
        _uuid(item["user_id"]), datetime.fromisoformat(item["at"]), item["text"], item["is_question"]
    )


APPROVAL_RULE = EntityType(
    name="approval_rule",
    cls=ApprovalRule,
    table=approval_rules,
    to_proto=wire.rule_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(approval_rules.c.name, sortable=True),
        "is_active": Field.of(approval_rules.c.is_active),
        "level": Field.of(approval_rules.c.level, sortable=True),
    },
    codecs={
        "condition": document(_condition),
        "approvers": listed(Approver, _approver),
        "needs": enumerated(Needs),
    },
)

APPROVAL = EntityType(
    name="approval",
    cls=Approval,
    table=approvals,
    to_proto=wire.approval_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: table.c.state == ApprovalState.PENDING.value,
    fields={
        "quote_id": Field.of(approvals.c.quote_id),
        "quote_number": Field.of(approvals.c.quote_number),
        "opportunity_id": Field.of(approvals.c.opportunity_id),
        "account_id": Field.of(approvals.c.account_id),
        "owner_id": Field.of(approvals.c.owner_id),
        "submitter_id": Field.of(approvals.c.submitter_id),
        "state": Field.of(approvals.c.state, names=ApprovalState),
        "submit_time": Field.of(approvals.c.submitted_at, nullable=False, sortable=True),
    },
    codecs={
        "state": enumerated(ApprovalState),
        "figures": document(_figures),
        "steps": listed(Step, _step),
        "messages": listed(Message, _message),
        "submitter_roles": array(),
        "waiting_for": array(),
        "audience": array(),
    },
)

APPROVAL_DELEGATION = EntityType(
    name="approval_delegation",
    cls=ApprovalDelegation,
    table=approval_delegations,
    to_proto=wire.delegation_to_proto,
    events=events_pb2,
    fields={
        "delegator_id": Field.of(approval_delegations.c.delegator_id),
        "delegate_id": Field.of(approval_delegations.c.delegate_id),
        "start_date": Field.of(approval_delegations.c.start_on, nullable=False, sortable=True),
        "end_date": Field.of(approval_delegations.c.end_on, nullable=False, sortable=True),
    },
)
