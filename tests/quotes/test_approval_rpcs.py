"""Approvals over gRPC, on real databases: a quote's way through the matrix to its customer."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sfa.identity.v1.organisation_pb2 import ADMINISTRATOR, MANAGER, OPERATIONS, REP
from sfa.quotes.v1 import approvals_pb2 as pb
from sfa.quotes.v1 import costs_pb2, events_pb2, pricing_pb2, quotes_pb2
from sfa.quotes.v1.approvals_pb2_grpc import (
    ApprovalDelegationServiceStub,
    ApprovalRuleServiceStub,
    ApprovalServiceStub,
)
from sfa.quotes.v1.costs_pb2_grpc import ProductCostServiceStub
from sfa.quotes.v1.pricing_pb2_grpc import PricingServiceStub

from chassis.ids import new_id
from tests.eventually import eventually
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.approvals_pb2_grpc import (
        ApprovalDelegationServiceAsyncStub,
        ApprovalRuleServiceAsyncStub,
        ApprovalServiceAsyncStub,
    )

Code = grpc.StatusCode
Quote = quotes_pb2.Quote


class Desk:
    """What approvals are to one caller."""

    def __init__(self, stack: Stack, role: str | None = None, **claims: Any) -> None:
        self.stack = stack
        channel = stack.channel("quotes", role, **claims)
        self.rules: ApprovalRuleServiceAsyncStub = ApprovalRuleServiceStub(channel)
        self.approvals: ApprovalServiceAsyncStub = ApprovalServiceStub(channel)
        self.delegations: ApprovalDelegationServiceAsyncStub = ApprovalDelegationServiceStub(channel)

    async def rule(self, name: str = "Discounts", **fields: Any) -> pb.ApprovalRule:
        """A rule that asks above ten percent, of the owner's manager unless said otherwise."""
        fields.setdefault("condition", pb.ApprovalCondition(discount_above_percent="10"))
        fields.setdefault("approvers", [pb.Approver(owners_manager=1)])
        asked = pb.ApprovalRule(name=name, **fields)
        return await self.rules.CreateApprovalRule(pb.CreateApprovalRuleRequest(approval_rule=asked))

    async def waiting(self) -> list[pb.Approval]:
        """What waits for the caller."""
        answer = await self.approvals.ListWaitingApprovals(pb.ListWaitingApprovalsRequest())
        return list(answer.approvals)

    async def approve(self, approval: pb.Approval, **fields: str) -> pb.Approval:
        """The one call."""
        return await self.approvals.ApproveApproval(pb.ApproveApprovalRequest(id=approval.id, **fields))

    async def of(self, quote: Quote) -> list[pb.Approval]:
        """The approvals of a quote that the caller may see, newest first."""
        found = await self.approvals.ListApprovals(
            pb.ListApprovalsRequest(filter=f'quote_id = "{quote.id}"', order_by="submit_time desc")
        )
        return list(found.approvals)


@pytest.fixture
async def boss(running: Stack) -> Desk:
    """The manager of the test's rep, by the reporting line."""
    await reports_to(running, "rep", "manager")
    return Desk(running, "manager")


@pytest.fixture
def setup(running: Stack) -> Desk:
    """Sales operations, who set the rules."""
    return Desk(running, "operations")


async def reports_to(stack: Stack, user: str, manager: str) -> None:
    """What identity's events make of a reporting line here."""
    database = await stack.connect("quotes", as_owner=True)
    try:
        ends = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
        people = stack.callers.user(user), stack.callers.user(manager)
        await database.execute(
            "INSERT INTO data.sight_lines (tenant_id, id, version, user_id, manager_id, valid_from, valid_to)"
            " VALUES ($1, $2, 1, $3, $4, $5, $6)",
            stack.tenant, new_id(), *people, *ends,
        )  # fmt: skip
        await database.execute(
            "INSERT INTO data.sight_members (tenant_id, viewer_id, member_id, valid_from, valid_to)"
            " VALUES ($1, $3, $2, $4, $5)",
            stack.tenant, *people, *ends,
        )  # fmt: skip
    finally:
        await database.close()


async def knows(stack: Stack, name: str, *roles: str, is_active: bool = True) -> None:
    """What identity's events make of a user here."""
    database = await stack.connect("quotes", as_owner=True)
    try:
        await database.execute(
            "INSERT INTO data.approvers (tenant_id, user_id, version, roles, is_active) VALUES ($1, $2, 1, $3, $4)",
            stack.tenant, stack.callers.user(name), list(roles), is_active,
        )  # fmt: skip
    finally:
        await database.close()


async def draft(shop: Shop, office: Shop, discount: str = "15", code: str = "C-1", **fields: Any) -> Quote:
    """A draft of one line of a hundred euros, with a discount."""
    chair = await office.product(code)
    deal = await shop.deal()
    return await shop.quote(deal.id, line(chair, "10", discount_percent=discount, **fields))


async def submit(shop: Shop, quote: Quote, **fields: str) -> Quote:
    return await shop.quotes.SubmitQuote(quotes_pb2.SubmitQuoteRequest(id=quote.id, **fields))


async def send(shop: Shop, quote: Quote) -> Quote:
    return await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))


async def read(shop: Shop, quote: Quote) -> Quote:
    return await shop.quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=quote.id))


async def test_a_quote_that_no_rule_asks_about_needs_nobody(
    shop: Shop, office: Shop, setup: Desk, boss: Desk
) -> None:
    await setup.rule()
    quote = await draft(shop, office, "10")
    assert (await submit(shop, quote)).state == Quote.APPROVED
    assert not await boss.waiting()
    (trail,) = await setup.of(quote)
    assert (trail.state, trail.end_reason) == (pb.Approval.APPROVED, "No rule asks for approval.")
    assert (await send(shop, quote)).state == Quote.SENT
    again = await draft(shop, office, "10", "C-2")
    assert (await send(shop, again)).state == Quote.SENT


async def test_a_discount_waits_for_the_owners_manager_who_approves_with_one_call(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    rule = await setup.rule()
    quote = await draft(shop, office)
    code, reason, _ = await refusal(send(shop, quote))
    assert (code, reason) == (Code.FAILED_PRECONDITION, "APPROVAL_REQUIRED")
    submitted = await submit(shop, quote, comment="They buy a lot.")
    assert submitted.state == Quote.IN_APPROVAL
    assert (await refusal(send(shop, quote)))[1] == "QUOTE_AWAITS_APPROVAL"
    (waiting,) = await boss.waiting()
    assert (waiting.quote_id, waiting.comment, waiting.submitter_id) == (
        quote.id, "They buy a lot.", str(running.callers.user()),
    )  # fmt: skip
    assert (waiting.figures.manual_discount_percent, waiting.quote_etag) == ("15", submitted.etag)
    (step,) = waiting.steps
    (why,) = step.reasons
    assert (step.rule_id, step.rule_name, why.text) == (
        rule.id, "Discounts", "The discount by hand is 15 %, above 10 %.",
    )  # fmt: skip
    assert step.waiting_for[0].because == "the owner's manager"
    approved = await boss.approve(waiting, comment="Fine.")
    assert approved.state == pb.Approval.APPROVED
    (decision,) = approved.steps[0].decisions
    assert (decision.approved, decision.user_id, decision.comment) == (
        True, str(running.callers.user("manager")), "Fine.",
    )  # fmt: skip
    assert not await boss.waiting()
    assert (await read(shop, quote)).state == Quote.APPROVED
    assert (await send(shop, quote)).state == Quote.SENT
    (trail,) = await boss.of(quote)
    assert trail.state == pb.Approval.APPROVED
    versions = await setup.approvals.ListApprovalVersions(pb.ListApprovalVersionsRequest(id=waiting.id))
    assert [each.event for each in versions.versions] == ["ApprovalGranted", "ApprovalRequested"]
    assert versions.versions[0].actor == str(running.callers.user("manager"))


async def test_only_who_is_waited_for_may_decide_and_never_the_rep(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await setup.rule()
    quote = await draft(shop, office)
    await submit(shop, quote)
    (waiting,) = await boss.waiting()
    own = Desk(running)
    assert (await refusal(own.approve(waiting)))[:2] == (Code.PERMISSION_DENIED, "OWN_QUOTE")
    assert not await own.waiting()
    assert (await refusal(setup.approve(waiting)))[:2] == (Code.PERMISSION_DENIED, "NOT_AN_APPROVER")
    other = Desk(running, "rep", name="somebody else")
    assert (await refusal(other.approve(waiting)))[0] is Code.NOT_FOUND
    assert [each.id for each in await own.of(quote)] == [waiting.id]
    assert not await other.of(quote)


async def test_what_changed_is_submitted_anew_and_the_former_approval_is_withdrawn(
    shop: Shop, office: Shop, setup: Desk, boss: Desk
) -> None:
    await setup.rule()
    quote = await draft(shop, office)
    await submit(shop, quote)
    (waiting,) = await boss.waiting()
    request = quotes_pb2.UpdateQuoteRequest(
        id=quote.id, quote=Quote(terms="Cash"), update_mask=FieldMask(paths=["terms"])
    )
    assert (await refusal(shop.quotes.UpdateQuote(request)))[1] == "QUOTE_NOT_DRAFT"
    recalled = await shop.quotes.RecallQuote(quotes_pb2.RecallQuoteRequest(id=quote.id))
    assert recalled.state == Quote.DRAFT
    assert (await refusal(boss.approve(waiting)))[1] == "APPROVAL_ENDED"
    await shop.quotes.UpdateQuote(request)
    await submit(shop, quote)
    (again,) = await boss.waiting()
    await boss.approve(again)
    await shop.quotes.RecallQuote(quotes_pb2.RecallQuoteRequest(id=quote.id))
    assert (await refusal(send(shop, quote)))[1] == "APPROVAL_REQUIRED"
    assert [each.state for each in await boss.of(quote)] == [pb.Approval.WITHDRAWN] * 2
    await submit(shop, quote)
    await shop.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=quote.id))
    assert not await boss.waiting()


async def test_a_rejection_makes_a_draft_of_it_again(
    shop: Shop, office: Shop, setup: Desk, boss: Desk
) -> None:
    await setup.rule()
    quote = await draft(shop, office)
    await submit(shop, quote)
    (waiting,) = await boss.waiting()
    asked = await boss.approvals.AskAboutApproval(pb.AskAboutApprovalRequest(id=waiting.id, text="Why?"))
    assert asked.messages[0].question
    answers = Desk(boss.stack)
    answered = await answers.approvals.AnswerAboutApproval(
        pb.AnswerAboutApprovalRequest(id=waiting.id, text="They ask for it.")
    )
    assert [each.text for each in answered.messages] == ["Why?", "They ask for it."]
    request = pb.RejectApprovalRequest(id=waiting.id, comment="Too low.", request_id="once")
    rejected = await boss.approvals.RejectApproval(request)
    assert (rejected.state, rejected.end_reason) == (pb.Approval.REJECTED, "Too low.")
    assert await boss.approvals.RejectApproval(request) == rejected
    assert (await read(shop, quote)).state == Quote.DRAFT


async def test_levels_follow_each_other_and_an_approver_out_of_sight_reads_the_quote(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await setup.rule("Manager")
    await setup.rule(
        "Deal desk",
        level=2,
        condition=pb.ApprovalCondition(discount_above_percent="10"),
        approvers=[pb.Approver(user_id=str(running.callers.user("desk")))],
    )
    desk = Desk(running, "rep", name="desk")
    quote = await draft(shop, office)
    await submit(shop, quote)
    assert not await desk.waiting()
    (waiting,) = await boss.waiting()
    assert (await boss.approve(waiting)).state == pb.Approval.PENDING
    (theirs,) = await desk.waiting()
    whole = await desk.approvals.GetApproval(pb.GetApprovalRequest(id=theirs.id))
    assert whole.quote.lines[0].discount_percent == "15"
    assert (await refusal(read(Shop(running, name="desk"), quote)))[0] is Code.NOT_FOUND
    assert (await desk.approve(theirs)).state == pb.Approval.APPROVED
    assert [each.id for each in await desk.of(quote)] == [theirs.id]


async def test_a_delegate_decides_on_the_days_that_were_said(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await knows(running, "manager", "manager")
    await setup.rule(approvers=[pb.Approver(role=MANAGER)])
    quote = await draft(shop, office)
    await submit(shop, quote)
    stand_in = Desk(running, "rep", name="stand-in")
    assert not await stand_in.waiting()
    today = running.clock.now().date()

    def delegation(start: date, end: date, delegator_id: str = "") -> pb.CreateApprovalDelegationRequest:
        return pb.CreateApprovalDelegationRequest(
            approval_delegation=pb.ApprovalDelegation(
                delegate_id=str(running.callers.user("stand-in")),
                start_date=day(start),
                end_date=day(end),
                delegator_id=delegator_id,
            )
        )

    later = await boss.delegations.CreateApprovalDelegation(
        delegation(today + timedelta(days=2), today + timedelta(days=3))
    )
    assert not await stand_in.waiting()
    foreign = delegation(today, today, delegator_id=str(running.callers.user("manager")))
    assert (await refusal(stand_in.delegations.CreateApprovalDelegation(foreign)))[
        1
    ] == "DELEGATION_OF_ANOTHER"
    await setup.delegations.CreateApprovalDelegation(foreign)
    (waiting,) = await stand_in.waiting()
    decided = await stand_in.approve(waiting)
    (decision,) = decided.steps[0].decisions
    assert (decision.user_id, decision.on_behalf_of_id) == (
        str(running.callers.user("stand-in")), str(running.callers.user("manager")),
    )  # fmt: skip
    gone = await boss.delegations.DeleteApprovalDelegation(pb.DeleteApprovalDelegationRequest(id=later.id))
    assert gone.HasField("delete_time")


async def test_nobody_below_the_stated_role_passes_a_margin_floor(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await setup.rule("Floor", minimum_role=OPERATIONS)
    quote = await draft(shop, office)
    await submit(shop, quote)
    (waiting,) = await boss.waiting()
    assert (await refusal(boss.approve(waiting)))[:2] == (Code.PERMISSION_DENIED, "ROLE_TOO_LOW")
    seat = pb.Approver(user_id=str(running.callers.user("manager")))
    reassign = pb.ReassignApprovalRequest(
        id=waiting.id, step_id=waiting.steps[0].id, to_user_id=str(running.callers.user("operations"))
    )
    getattr(reassign, "from").CopyFrom(seat)
    moved = await setup.approvals.ReassignApproval(reassign)
    assert not await boss.waiting()
    assert (await setup.approve(moved)).state == pb.Approval.APPROVED
    assert (await send(shop, quote)).state == Quote.SENT


async def test_a_margin_is_seen_by_who_decides_and_by_nobody_whom_costs_are_kept_from(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await setup.rule("Margin", condition=pb.ApprovalCondition(margin_below_percent="20"))
    quote = await draft(shop, office, "15")
    assert not (
        await Desk(running).approvals.PreviewApproval(pb.PreviewApprovalRequest(id=quote.id))
    ).required
    row = costs_pb2.BatchUpsertProductCostsRequest.Row(
        product_cost=costs_pb2.ProductCost(product_id=quote.lines[0].product_id, unit_cost=euros(7))
    )
    await ProductCostServiceStub(running.channel("quotes", "operations")).BatchUpsertProductCosts(
        costs_pb2.BatchUpsertProductCostsRequest(rows=[row])
    )
    refused = await refusal(send(shop, quote))
    assert refused[1] == "APPROVAL_REQUIRED"
    await submit(shop, quote)
    (waiting,) = await boss.waiting()
    (why,) = waiting.steps[0].reasons
    assert (waiting.figures.margin_percent, why.actual) == ("17.64", "17.64")
    assert why.text == "The margin is 17.64 %, below 20 %."
    (own,) = await Desk(running).of(quote)
    (why,) = own.steps[0].reasons
    assert (own.figures.margin_percent, why.actual, why.text) == ("", "", "The margin is below 20 %.")
    await running.settled()
    stored = await (await running.events()).get_last_msg(
        "QUOTES", f"events.{running.tenant}.sfa.quotes.v1.ApprovalRequested"
    )
    assert events_pb2.ApprovalRequested.FromString(stored.data or b"").approval.figures.margin_percent == ""


async def test_below_the_floors_operations_are_asked_though_no_rule_says_so(
    shop: Shop, office: Shop, setup: Desk, running: Stack
) -> None:
    quote = await draft(shop, office, "0")
    row = costs_pb2.BatchUpsertProductCostsRequest.Row(
        product_cost=costs_pb2.ProductCost(product_id=quote.lines[0].product_id, unit_cost=euros(9))
    )
    await ProductCostServiceStub(running.channel("quotes", "operations")).BatchUpsertProductCosts(
        costs_pb2.BatchUpsertProductCostsRequest(rows=[row])
    )
    await PricingServiceStub(running.channel("quotes", "operations")).UpdatePricingSettings(
        pricing_pb2.UpdatePricingSettingsRequest(
            pricing_settings=pricing_pb2.PricingSettings(line_margin_floor="20"),
            update_mask=FieldMask(paths=["line_margin_floor"]),
        )
    )
    assert (await refusal(send(shop, quote)))[1] == "APPROVAL_REQUIRED"
    await submit(shop, quote)
    (waiting,) = await setup.waiting()
    assert (waiting.steps[0].rule_name, waiting.steps[0].reasons[0].kind) == (
        "Margin floor", pb.ApprovalReason.FLOOR,
    )  # fmt: skip
    await setup.approve(waiting)
    assert (await send(shop, quote)).state == Quote.SENT


async def test_where_there_is_no_manager_an_administrator_is_asked(
    shop: Shop, office: Shop, setup: Desk, running: Stack
) -> None:
    await knows(running, "leaver", "manager", is_active=False)
    leaver = pb.Approver(user_id=str(running.callers.user("leaver")))
    await setup.rule(approvers=[pb.Approver(owners_manager=1), leaver])
    await submit(shop, await draft(shop, office))
    top = Desk(running, "administrator")
    (waiting,) = await top.waiting()
    (step,) = waiting.steps
    assert [seat.role for seat in step.seats] == [ADMINISTRATOR]
    assert (await top.approve(waiting)).state == pb.Approval.APPROVED


async def test_a_manager_may_give_what_a_rep_may_not(
    office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await setup.rule(
        condition=pb.ApprovalCondition(discount_above_percent="10", submitter_roles=[REP]),
        approvers=[pb.Approver(role=OPERATIONS)],
    )
    manager = Shop(running, "manager")
    quote = await draft(manager, office)
    assert (await send(manager, quote)).state == Quote.SENT


async def test_reminders_come_while_it_waits_and_no_longer(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    await setup.rule(remind_after_hours=4)
    await submit(shop, await draft(shop, office))
    (waiting,) = await boss.waiting()
    assert not waiting.HasField("remind_time")
    running.clock.move(timedelta(hours=4, minutes=1))

    async def reminded() -> bool:
        return (await boss.waiting())[0].HasField("remind_time")

    await eventually(reminded, "the reminder")
    await boss.approve(waiting)
    running.clock.move(timedelta(hours=9))
    versions = await boss.approvals.ListApprovalVersions(pb.ListApprovalVersionsRequest(id=waiting.id))
    events = [each.event for each in versions.versions]
    assert events == ["ApprovalGranted", "ApprovalReminded", "ApprovalRequested"]


async def test_a_preview_says_who_would_be_asked_and_why(
    shop: Shop, office: Shop, setup: Desk, boss: Desk, running: Stack
) -> None:
    rule = await setup.rule()
    quote = await draft(shop, office)
    preview = await Desk(running).approvals.PreviewApproval(pb.PreviewApprovalRequest(id=quote.id))
    assert preview.required
    assert [step.rule_id for step in preview.steps] == [rule.id]
    assert preview.steps[0].seats[0].user_id == str(running.callers.user("manager"))
    assert not await boss.waiting()
    off = pb.UpdateApprovalRuleRequest(
        id=rule.id, approval_rule=pb.ApprovalRule(is_active=False), update_mask=FieldMask(paths=["is_active"])
    )
    await setup.rules.UpdateApprovalRule(off)
    assert (await refusal(Desk(running).rules.UpdateApprovalRule(off)))[0] is Code.PERMISSION_DENIED
    assert not (
        await Desk(running).approvals.PreviewApproval(pb.PreviewApprovalRequest(id=quote.id))
    ).required


async def test_of_two_who_approve_at_once_both_are_heard_or_one_is_told(
    shop: Shop, office: Shop, setup: Desk, running: Stack
) -> None:
    people = [running.callers.user(name) for name in ("a", "b", "c")]
    await setup.rule(approvers=[pb.Approver(user_id=str(each)) for each in people])
    quote = await draft(shop, office)
    await submit(shop, quote)
    desks = [Desk(running, "manager", name=name) for name in ("a", "b", "c")]
    (waiting,) = await desks[0].waiting()
    await asyncio.gather(*(desk.approve(waiting) for desk in desks))
    (done,) = await desks[0].of(quote)
    assert done.state == pb.Approval.APPROVED
    assert {each.user_id for each in done.steps[0].decisions} == {str(each) for each in people}
    assert (await read(shop, quote)).state == Quote.APPROVED


def day(on: date) -> Date:
    return Date(year=on.year, month=on.month, day=on.day)
