"""The RPCs of approval rules, approvals and delegations."""

from uuid import UUID

from sfa.quotes.v1 import approvals_pb2 as pb

from chassis.call import Call
from chassis.convert import date_of, external_ids_of, fields_to_change, uuid_of
from chassis.errors import PermissionDenied
from chassis.ids import new_id
from services.quotes.approvals import required, schedule_reminder, steps
from services.quotes.domain.approval_reasons import figures_of
from services.quotes.domain.approval_rules import ApprovalRule, ApprovalRuleDeleted
from services.quotes.domain.approvals import (
    Approval,
    ApprovalAdvanced,
    ApprovalGranted,
    Person,
    Seat,
    StepState,
)
from services.quotes.domain.delegations import ApprovalDelegation, DelegationOfAnother
from services.quotes.domain.quotes import QuoteState
from services.quotes.offers import offer_of
from services.quotes.store import ASIDE, QuoteStore
from services.quotes.store.approvals import (
    ApprovalDelegationStore,
    ApprovalRuleStore,
    ApprovalStore,
    beyond_sight,
    person_of,
)
from services.quotes.wire import approvals as wire
from services.quotes.wire.quotes import quote_to_proto

_SETS_UP = "approvals.write"
_KNOWS_COSTS = "costs.read"


class PeopleDecide(PermissionDenied):
    """A service has no word in approvals."""

    def __init__(self) -> None:
        super().__init__("Only users decide on approvals.")


class ApprovalRuleServicer:
    """The matrix."""

    async def CreateApprovalRule(self, request: pb.CreateApprovalRuleRequest, call: Call) -> pb.ApprovalRule:
        fields = fields_to_change(request.approval_rule, None, wire.RULE_FIELDS)
        rule = ApprovalRule(id=uuid_of(request.approval_rule.id) or new_id(), **fields)
        await ApprovalRuleStore(call).add(rule, rule.create())
        return wire.rule_to_proto(rule)

    async def GetApprovalRule(self, request: pb.GetApprovalRuleRequest, call: Call) -> pb.ApprovalRule:
        return wire.rule_to_proto(await ApprovalRuleStore(call).get(request.id, deleted=True))

    async def ListApprovalRules(
        self, request: pb.ListApprovalRulesRequest, call: Call
    ) -> pb.ListApprovalRulesResponse:
        page = await ApprovalRuleStore(call).page(request)
        return pb.ListApprovalRulesResponse(
            approval_rules=map(wire.rule_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateApprovalRule(self, request: pb.UpdateApprovalRuleRequest, call: Call) -> pb.ApprovalRule:
        store = ApprovalRuleStore(call)
        fields = fields_to_change(request.approval_rule, request.update_mask, wire.RULE_FIELDS)
        rule = await store.get(request.id, request.etag)
        await store.save(rule, rule.change(fields))
        return wire.rule_to_proto(rule)

    async def DeleteApprovalRule(self, request: pb.DeleteApprovalRuleRequest, call: Call) -> pb.ApprovalRule:
        store = ApprovalRuleStore(call)
        rule = await store.get(request.id, request.etag)
        rule.mark_deleted(call.now)
        await store.save(rule, ApprovalRuleDeleted())
        return wire.rule_to_proto(rule)


class ApprovalServicer:
    """The approvals. They are made where quotes are submitted."""

    async def PreviewApproval(
        self, request: pb.PreviewApprovalRequest, call: Call
    ) -> pb.PreviewApprovalResponse:
        quote = await QuoteStore(call).get(request.id)
        asked = await steps(call, quote, await required(call, quote))
        lowest = min((step.level for step in asked), default=0)
        knows = _KNOWS_COSTS in call.caller.permissions
        states = {True: StepState.OPEN.name, False: StepState.WAITING.name}
        return pb.PreviewApprovalResponse(
            required=bool(asked),
            figures=wire.figures_to_proto(
                figures_of(await offer_of(call, quote)), quote.currency, with_margins=knows
            ),
            steps=[
                wire.step_to_proto(step, states[step.level == lowest], with_margins=knows) for step in asked
            ],
        )

    async def GetApproval(self, request: pb.GetApprovalRequest, call: Call) -> pb.Approval:
        store = await _approvals(call)
        approval = await store.get(request.id)
        result = _for(store, approval)
        quote = await QuoteStore(beyond_sight(call)).find(approval.quote_id)
        if quote is not None:
            result.quote.CopyFrom(quote_to_proto(quote))
        return result

    async def ListApprovals(self, request: pb.ListApprovalsRequest, call: Call) -> pb.ListApprovalsResponse:
        store = await _approvals(call)
        page = await store.page(request)
        return pb.ListApprovalsResponse(
            approvals=[_for(store, each) for each in page.items], next_page_token=page.next_page_token
        )

    async def ListWaitingApprovals(
        self, request: pb.ListWaitingApprovalsRequest, call: Call
    ) -> pb.ListWaitingApprovalsResponse:
        store = await _approvals(call)
        page = await store.waiting(request)
        return pb.ListWaitingApprovalsResponse(
            approvals=[_for(store, each) for each in page.items], next_page_token=page.next_page_token
        )

    async def ApproveApproval(self, request: pb.ApproveApprovalRequest, call: Call) -> pb.Approval:
        person = await _person(call)
        store = ApprovalStore(call, person.keys)
        approval = await store.get(request.id, request.etag)
        event = approval.approve(person, call.now, request.comment)
        await _write(call, store, approval, event)
        if isinstance(event, ApprovalGranted):
            quotes = QuoteStore(beyond_sight(call))
            quote = await quotes.get(approval.quote_id)
            quotes.stage(quote, quote.approve(call.now), ordinal=ASIDE)
            await quotes.flush()
        return wire.approval_to_proto(approval)

    async def RejectApproval(self, request: pb.RejectApprovalRequest, call: Call) -> pb.Approval:
        person = await _person(call)
        store = ApprovalStore(call, person.keys)
        approval = await store.get(request.id, request.etag)
        await store.save(approval, approval.reject(person, call.now, request.comment))
        await store.flush()
        quotes = QuoteStore(beyond_sight(call))
        quote = await quotes.get(approval.quote_id)
        if quote.state is QuoteState.IN_APPROVAL:
            quotes.stage(quote, quote.recall(), ordinal=ASIDE)
            await quotes.flush()
        return wire.approval_to_proto(approval)

    async def AskAboutApproval(self, request: pb.AskAboutApprovalRequest, call: Call) -> pb.Approval:
        person = await _person(call)
        store = ApprovalStore(call, person.keys)
        approval = await store.get(request.id)
        await store.save(approval, approval.ask(person, call.now, request.text))
        return wire.approval_to_proto(approval)

    async def AnswerAboutApproval(self, request: pb.AnswerAboutApprovalRequest, call: Call) -> pb.Approval:
        store = await _approvals(call)
        approval = await store.get(request.id)
        await store.save(approval, approval.answer(call.caller.user_id, call.now, request.text))
        return wire.approval_to_proto(approval)

    async def ReassignApproval(self, request: pb.ReassignApprovalRequest, call: Call) -> pb.Approval:
        store = ApprovalStore(call)
        approval = await store.get(request.id, request.etag)
        former = wire.approver_of(0, getattr(request, "from"))
        seat = Seat(user_id=former.user_id, role=former.role)
        event = approval.reassign(UUID(request.step_id), seat, UUID(request.to_user_id), call.now)
        await store.save(approval, event)
        await schedule_reminder(call, approval)
        return wire.approval_to_proto(approval)

    async def ListApprovalVersions(
        self, request: pb.ListApprovalVersionsRequest, call: Call
    ) -> pb.ListApprovalVersionsResponse:
        versions, token = await (await _approvals(call)).versions(UUID(request.id), request)
        return pb.ListApprovalVersionsResponse(
            versions=map(wire.approval_version_to_proto, versions), next_page_token=token
        )


class ApprovalDelegationServicer:
    """Who decides in whose place."""

    async def CreateApprovalDelegation(
        self, request: pb.CreateApprovalDelegationRequest, call: Call
    ) -> pb.ApprovalDelegation:
        asked = request.approval_delegation
        delegator = uuid_of(asked.delegator_id) or call.caller.user_id
        if delegator is None:
            raise PeopleDecide
        if delegator != call.caller.user_id and _SETS_UP not in call.caller.permissions:
            raise DelegationOfAnother
        delegation = ApprovalDelegation(
            id=uuid_of(asked.id) or new_id(),
            external_ids=external_ids_of(asked.external_ids),
            delegator_id=delegator,
            delegate_id=UUID(asked.delegate_id),
            start_on=date_of(asked.start_date, "approval_delegation.start_date"),
            end_on=date_of(asked.end_date, "approval_delegation.end_date"),
            reason=asked.reason,
        )
        await ApprovalDelegationStore(call).add(delegation, delegation.create())
        return wire.delegation_to_proto(delegation)

    async def GetApprovalDelegation(
        self, request: pb.GetApprovalDelegationRequest, call: Call
    ) -> pb.ApprovalDelegation:
        return wire.delegation_to_proto(await ApprovalDelegationStore(call).get(request.id, deleted=True))

    async def ListApprovalDelegations(
        self, request: pb.ListApprovalDelegationsRequest, call: Call
    ) -> pb.ListApprovalDelegationsResponse:
        page = await ApprovalDelegationStore(call).page(request)
        return pb.ListApprovalDelegationsResponse(
            approval_delegations=map(wire.delegation_to_proto, page.items),
            next_page_token=page.next_page_token,
        )

    async def DeleteApprovalDelegation(
        self, request: pb.DeleteApprovalDelegationRequest, call: Call
    ) -> pb.ApprovalDelegation:
        store = ApprovalDelegationStore(call)
        delegation = await store.get(request.id, request.etag)
        if delegation.delegator_id != call.caller.user_id and _SETS_UP not in call.caller.permissions:
            raise DelegationOfAnother
        await store.save(delegation, delegation.delete(call.now))
        return wire.delegation_to_proto(delegation)


async def _person(call: Call) -> Person:
    person = await person_of(call)
    if person is None:
        raise PeopleDecide
    return person


async def _approvals(call: Call) -> ApprovalStore:
    person = await person_of(call)
    return ApprovalStore(call, person.keys if person is not None else ())


async def _write(
    call: Call, store: ApprovalStore, approval: Approval, event: ApprovalAdvanced | ApprovalGranted
) -> None:
    await store.save(approval, event)
    await store.flush()
    await schedule_reminder(call, approval)


def _for(store: ApprovalStore, approval: Approval) -> pb.Approval:
    """The resource with its margins, where the caller decides on it or may know what products cost."""
    caller = store.call.caller
    own = caller.user_id in (approval.owner_id, approval.submitter_id)
    decides = not own and not set(store.keys).isdisjoint(approval.audience)
    return wire.approval_to_proto(approval, with_margins=decides or _KNOWS_COSTS in caller.permissions)
