"""The way of a lead to an account, a contact and an opportunity, which three services keep.

Everything is checked before the first write. Then the plan, with the ids of what will be made, is
committed together with a piece of due work, and from there it only goes forward: each step may be
done any number of times and makes its record once, by its id and its request id. The opportunity
comes last, so that the forecast counts nothing that is half made.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import grpc
from sfa.api.v1.resource_pb2 import RowResult
from sfa.contacts.v1 import contacts_pb2, contacts_pb2_grpc
from sfa.opportunities.v1 import opportunities_pb2, opportunities_pb2_grpc

from chassis import due
from chassis.call import Call
from chassis.client import Peers
from chassis.errors import AlreadyExists, FailedPrecondition, PermissionDenied, Refusal, Unavailable
from chassis.status import refusal_of
from services.leads import wire
from services.leads.domain import Conversion, Lead, LeadState
from services.leads.store import LeadStore

R = TypeVar("R")

KIND: Final = "lead_conversion"
_STEP_SECONDS: Final = 4.0  # three of them stay within what the database lets a transaction wait
_PATIENCE_SECONDS: Final = 5.0
_PEEK_SECONDS: Final = 0.25
_LONGEST_PAUSE: Final = timedelta(seconds=5)


class ConversionNotAllowed(PermissionDenied):
    """The caller may not make what the lead is to become."""

    def __init__(self, permission: str) -> None:
        super().__init__(
            f"Converting this lead needs the permission {permission}, which your roles do not include."
        )


class ChosenRecordNotFound(FailedPrecondition):
    """The account or contact chosen is not there, or the caller may not know of it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what} that you may see.", field=f"{what}_id")


class LikelyDuplicate(AlreadyExists):
    """There is something already that looks like what the lead is to become."""

    def __init__(self, what: str, id: str) -> None:
        super().__init__(
            f"There is a {what} like this one already, {id}: choose it by {what}_id, or set allow_duplicates.",
            field=f"{what}_id",
            id=id,
        )


class ConversionRefused(FailedPrecondition):
    """Another service would refuse what the lead is to become."""

    def __init__(self, result: RowResult) -> None:
        super().__init__(result.error, field=_FIELDS.get(result.field, result.field))
        self._reason = result.reason

    @property
    def reason(self) -> str:
        """That of the other service."""
        return self._reason


class ServiceFailed(Unavailable):
    """Another service failed in a way that it does not explain."""

    def __init__(self) -> None:
        super().__init__("Another service failed to do its part; it is tried again.")


# What a field of the opportunity is called in the request to convert.
_FIELDS: Final = {
    "stage_id": "stage_id",
    "opportunity.stage_id": "stage_id",
    "opportunity.amount": "amount",
    "opportunity.close_date": "close_date",
    "opportunity.name": "opportunity_name",
    "opportunity.owner_id": "owner_id",
    "account.owner_id": "owner_id",
    "contact.owner_id": "owner_id",
}


class Conversions:
    """Conversions under way."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._waiting: dict[UUID, asyncio.Event] = {}

    @property
    def accounts(self) -> "contacts_pb2_grpc.AccountServiceAsyncStub":
        """The accounts, at the contacts service."""
        return contacts_pb2_grpc.AccountServiceStub(cast("grpc.aio.Channel", self._peers.channel("contacts")))

    @property
    def contacts(self) -> "contacts_pb2_grpc.ContactServiceAsyncStub":
        """The people, at the contacts service."""
        return contacts_pb2_grpc.ContactServiceStub(cast("grpc.aio.Channel", self._peers.channel("contacts")))

    @property
    def opportunities(self) -> "opportunities_pb2_grpc.OpportunityServiceAsyncStub":
        """The deals, at the opportunities service."""
        channel = cast("grpc.aio.Channel", self._peers.channel("opportunities"))
        return opportunities_pb2_grpc.OpportunityServiceStub(channel)

    # Before the first write, on behalf of the user

    async def check(self, call: Call, lead: Lead, plan: Conversion, *, allow_duplicates: bool) -> None:
        """Asks the others whether everything can be made as planned; nothing is written anywhere.

        Raises:
            ConversionNotAllowed: the caller's roles do not include making it.
            ChosenRecordNotFound: the account or contact chosen is not there for the caller.
            LikelyDuplicate: something like it is there already.
            ConversionRefused: one of the services would say no, as it says itself.
        """
        for permission, needed in (
            ("contacts.write", plan.creates_account or plan.creates_contact),
            ("opportunities.write", plan.opportunity_id is not None),
        ):
            if needed and permission not in call.caller.permissions:
                raise ConversionNotAllowed(permission)
        await asyncio.gather(
            self._check_account(lead, plan, allow_duplicates),
            self._check_contact(lead, plan, allow_duplicates),
            self._check_opportunity(lead, plan),
        )

    async def _check_account(self, lead: Lead, plan: Conversion, allow_duplicates: bool) -> None:
        if not plan.creates_account:
            await _chosen(
                "account", self.accounts.GetAccount(contacts_pb2.GetAccountRequest(id=str(plan.account_id)))
            )
            return
        account = wire.account_of(lead, plan)
        row = contacts_pb2.BatchUpsertAccountsRequest.Row(account=account)
        asked = self.accounts.BatchUpsertAccounts(
            contacts_pb2.BatchUpsertAccountsRequest(rows=[row], validate_only=True)
        )
        _raise_rejected((await asked).results[0])
        if not allow_duplicates:
            same = f"name = {_quoted(account.name)}"
            found = await self.accounts.ListAccounts(
                contacts_pb2.ListAccountsRequest(page_size=1, filter=same)
            )
            for account in found.accounts:
                raise LikelyDuplicate("account", account.id)

    async def _check_contact(self, lead: Lead, plan: Conversion, allow_duplicates: bool) -> None:
        if plan.contact_id is None:
            return
        if not plan.creates_contact:
            await _chosen(
                "contact", self.contacts.GetContact(contacts_pb2.GetContactRequest(id=str(plan.contact_id)))
            )
            return
        contact = wire.contact_of(lead, plan)
        contact.account_id = ""  # it may not be there yet, and is checked by itself
        row = contacts_pb2.BatchUpsertContactsRequest.Row(contact=contact)
        asked = self.contacts.BatchUpsertContacts(
            contacts_pb2.BatchUpsertContactsRequest(rows=[row], validate_only=True)
        )
        _raise_rejected((await asked).results[0])
        if lead.emails and not allow_duplicates:
            same = " OR ".join(f"emails.address:{_quoted(email.address)}" for email in lead.emails)
            found = await self.contacts.ListContacts(
                contacts_pb2.ListContactsRequest(page_size=1, filter=same)
            )
            for contact in found.contacts:
                raise LikelyDuplicate("contact", contact.id)

    async def _check_opportunity(self, lead: Lead, plan: Conversion) -> None:
        if plan.opportunity_id is None:
            return
        row = opportunities_pb2.BatchUpsertOpportunitiesRequest.Row(
            opportunity=wire.opportunity_of(lead, plan)
        )
        asked = self.opportunities.BatchUpsertOpportunities(
            opportunities_pb2.BatchUpsertOpportunitiesRequest(rows=[row], validate_only=True)
        )
        _raise_rejected((await asked).results[0])

    # Afterwards, on behalf of the service

    async def begin(self, call: Call, lead: Lead) -> None:
        """Has the lead go forward once the call's transaction is committed."""
        self._waiting.setdefault(lead.id, asyncio.Event())
        await due.schedule(call, KIND, str(lead.id), call.now, {"attempt": 1})

    async def go_forward(self, call: Call, key: str, payload: dict[str, Any]) -> None:
        """Takes all steps that the lead's plan says. What holds it up is noted, and it is tried again."""
        store = LeadStore(call)
        lead = await store.find(UUID(key))
        if lead is None or lead.conversion is None or lead.state is not LeadState.CONVERTING:
            return
        try:
            await self._make(lead, lead.conversion)
        except Refusal as refusal:
            await store.save(lead, lead.delay_conversion(str(refusal)))
            attempt = int(payload["attempt"])
            pause = min(timedelta(seconds=2 ** min(attempt - 1, 10)), _LONGEST_PAUSE)
            await due.schedule(call, KIND, key, call.now + pause, {"attempt": attempt + 1})
        else:
            await store.save(lead, lead.finish_conversion(call.now))
        call.tx.after_commit(lambda: self._tell(lead.id))

    async def _make(self, lead: Lead, plan: Conversion) -> None:
        if plan.creates_account:
            account = contacts_pb2.CreateAccountRequest(
                account=wire.account_of(lead, plan), request_id=f"{lead.id}:account"
            )
            await _made(lambda: self.accounts.CreateAccount(account, timeout=_STEP_SECONDS))
        if plan.creates_contact:
            contact = contacts_pb2.CreateContactRequest(
                contact=wire.contact_of(lead, plan), request_id=f"{lead.id}:contact"
            )
            await _made(lambda: self.contacts.CreateContact(contact, timeout=_STEP_SECONDS))
        if plan.opportunity_id is not None:
            opportunity = opportunities_pb2.CreateOpportunityRequest(
                opportunity=wire.opportunity_of(lead, plan), request_id=f"{lead.id}:opportunity"
            )
            await _made(lambda: self.opportunities.CreateOpportunity(opportunity, timeout=_STEP_SECONDS))

    async def settled(self, call: Call, id: UUID) -> Lead:
        """The lead once its conversion got through or was held up; as it is where that takes too long."""
        loop = asyncio.get_running_loop()
        ends = min(call.deadline or float("inf"), loop.time() + _PATIENCE_SECONDS)
        told = self._waiting.setdefault(id, asyncio.Event())
        try:
            while True:
                # another replica may do it, which is seen in the database only
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), min(_PEEK_SECONDS, max(0.0, ends - loop.time())))
                lead = await LeadStore(call).get(id, deleted=True)
                held_up = lead.conversion is not None and lead.conversion.problem
                if lead.state is not LeadState.CONVERTING or held_up or loop.time() >= ends:
                    return lead
                await call.tx.rollback()
        finally:
            self._waiting.pop(id, None)

    def _tell(self, id: UUID) -> None:
        if id in self._waiting:
            self._waiting[id].set()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*")
    return f'"{escaped}"'


def _raise_rejected(result: RowResult) -> None:
    if result.outcome == RowResult.REJECTED:
        raise ConversionRefused(result)


async def _chosen(what: str, asked: Awaitable[Any]) -> None:
    """Raises ChosenRecordNotFound where the caller cannot read what was chosen, or it is deleted."""
    try:
        if (await asked).HasField("delete_time"):
            raise ChosenRecordNotFound(what)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise ChosenRecordNotFound(what) from None
        raise


async def _made(step: Callable[[], Awaitable[object]]) -> None:
    """Takes a step. What was made before, even longer ago than requests are remembered, is made.

    Raises:
        Refusal: the step did not get through.
    """
    try:
        await step()
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error) or ServiceFailed()
        if refusal.reason != "ID_TAKEN":
            raise refusal from error
