"""A lead becomes an account, a contact and an opportunity: once, whatever is away or comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1.channels_pb2 import Email, Phone
from sfa.contacts.v1 import contacts_pb2, contacts_pb2_grpc
from sfa.leads.v1 import leads_pb2 as pb
from sfa.leads.v1 import leads_pb2_grpc as stubs
from sfa.opportunities.v1 import opportunities_pb2, opportunities_pb2_grpc

from chassis.ids import new_id
from tests.stack import Stack

SERVICE = pb.DESCRIPTOR.services_by_name["LeadService"]


@pytest.fixture
async def services(stack: Stack) -> Stack:
    await stack.start("leads", "contacts", "opportunities")
    pipelines = opportunities_pb2_grpc.PipelineServiceStub(stack.channel("opportunities"))
    await pipelines.ListPipelines(opportunities_pb2.ListPipelinesRequest())  # the tenant has its first one
    return stack


def leads(stack: Stack, role: str | None = None, **claims: Any) -> stubs.LeadServiceAsyncStub:
    return stubs.LeadServiceStub(stack.channel("leads", role, **claims))


def accounts(
    stack: Stack, role: str | None = None, **claims: Any
) -> contacts_pb2_grpc.AccountServiceAsyncStub:
    return contacts_pb2_grpc.AccountServiceStub(stack.channel("contacts", role, **claims))


def people(stack: Stack, role: str | None = None, **claims: Any) -> contacts_pb2_grpc.ContactServiceAsyncStub:
    return contacts_pb2_grpc.ContactServiceStub(stack.channel("contacts", role, **claims))


def deals(stack: Stack, role: str | None = None) -> opportunities_pb2_grpc.OpportunityServiceAsyncStub:
    return opportunities_pb2_grpc.OpportunityServiceStub(stack.channel("opportunities", role))


async def lead(stack: Stack, role: str | None = None, **fields: Any) -> pb.Lead:
    made = {
        "given_name": "Ada",
        "family_name": "Lovelace",
        "title": "Countess",
        "company_name": "Acme",
        "website": "https://acme.example/",
        "emails": [Email(address="ada@acme.example")],
        "phones": [Phone(number="+49 30 209300")],
        "estimated_amount": Money(currency_code="EUR", units=1000),
        "estimated_close_date": Date(year=2027, month=3, day=1),
        "description": "Wants a roof.",
    }
    return await leads(stack, role).CreateLead(pb.CreateLeadRequest(lead=pb.Lead(**(made | fields))))


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info, fields, status = ErrorInfo(), BadRequest(), rpc_status.from_call(caught.value)
    assert status is not None, caught.value.details()
    status.details[0].Unpack(info)
    for detail in status.details[1:]:
        detail.Unpack(fields)
    return caught.value.code(), info.reason, [violation.field for violation in fields.field_violations]


async def made(stack: Stack) -> tuple[int, int, int]:
    """How many accounts, contacts and opportunities there are."""
    return (
        len((await accounts(stack, "operations").ListAccounts(contacts_pb2.ListAccountsRequest())).accounts),
        len((await people(stack, "operations").ListContacts(contacts_pb2.ListContactsRequest())).contacts),
        len(
            (
                await deals(stack, "operations").ListOpportunities(
                    opportunities_pb2.ListOpportunitiesRequest()
                )
            ).opportunities
        ),
    )


async def test_a_lead_becomes_an_account_a_contact_and_an_opportunity(services: Stack) -> None:
    acme = await lead(services)
    done = await leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id))
    assert done.state == pb.Lead.CONVERTED
    assert done.HasField("convert_time")
    account = await accounts(services).GetAccount(
        contacts_pb2.GetAccountRequest(id=done.converted_account_id)
    )
    person = await people(services).GetContact(contacts_pb2.GetContactRequest(id=done.converted_contact_id))
    deal = await deals(services).GetOpportunity(
        opportunities_pb2.GetOpportunityRequest(id=done.converted_opportunity_id)
    )
    own = str(services.callers.user())
    assert (account.name, account.website, account.owner_id, account.lead_id) == (
        "Acme", "https://acme.example/", own, acme.id,
    )  # fmt: skip
    assert (person.family_name, person.account_id, person.owner_id) == ("Lovelace", account.id, own)
    assert person.emails[0].address == "ada@acme.example"
    assert (deal.name, deal.account_id, list(deal.contact_ids)) == ("Acme", account.id, [person.id])
    assert (deal.amount.units, deal.close_date.year, deal.lead_id) == (1000, 2027, acme.id)
    assert (deal.owner_id, deal.description) == (own, "Wants a roof.")


async def test_history_says_that_the_service_did_it_by_way_of_the_user(services: Stack) -> None:
    acme = await lead(services)
    done = await leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id))
    versions = (await leads(services).ListLeadVersions(pb.ListLeadVersionsRequest(id=acme.id))).versions
    own = str(services.callers.user())
    assert [(version.event, version.actor, version.via) for version in versions] == [
        ("LeadConverted", "service:leads", own),
        ("LeadConversionStarted", own, ""),
        ("LeadCreated", own, ""),
    ]
    request = contacts_pb2.ListAccountVersionsRequest(id=done.converted_account_id)
    (version,) = (await accounts(services).ListAccountVersions(request)).versions
    assert (version.actor, version.via) == ("service:leads", own)


async def test_the_same_request_again_makes_nothing_more(services: Stack) -> None:
    acme = await lead(services)
    request = pb.ConvertLeadRequest(id=acme.id, request_id="once")
    first, again = await asyncio.gather(*(leads(services).ConvertLead(request) for _ in range(2)))
    assert first.conversion.opportunity_id == again.conversion.opportunity_id
    third = await leads(services).ConvertLead(request)
    assert third.conversion.account_id == first.conversion.account_id
    assert await made(services) == (1, 1, 1)


async def test_a_converted_lead_is_not_converted_again(services: Stack) -> None:
    acme = await lead(services)
    await leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id))
    again = leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id, allow_duplicates=True))
    assert (await refusal(again))[1] == "LEAD_ALREADY_CONVERTED"
    assert await made(services) == (1, 1, 1)


async def test_a_preview_says_what_would_be_made_and_makes_nothing(services: Stack) -> None:
    acme = await lead(services)
    preview = await leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id, validate_only=True))
    assert preview.conversion.opportunity_name == "Acme"
    assert preview.conversion.creates_account
    assert (await leads(services).GetLead(pb.GetLeadRequest(id=acme.id))) == acme
    assert await made(services) == (0, 0, 0)


@pytest.mark.parametrize(
    ("asked", "reason", "field"),
    [
        ({"stage_id": str(new_id())}, "STAGE_NOT_FOUND", "stage_id"),
        ({"account_id": str(new_id())}, "CHOSEN_RECORD_NOT_FOUND", "account_id"),
        ({"contact_id": str(new_id())}, "CHOSEN_RECORD_NOT_FOUND", "contact_id"),
        ({"owner_id": str(new_id())}, "OWNER_OUT_OF_SIGHT", "owner_id"),
        ({"amount": Money(currency_code="euro", units=1)}, "BAD_VALUE", "amount.currency_code"),
    ],
)
async def test_what_is_wrong_is_found_before_anything_is_written(
    services: Stack, asked: dict[str, Any], reason: str, field: str
) -> None:
    acme = await lead(services)
    _, why, fields = await refusal(leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id, **asked)))
    assert (why, fields) == (reason, [field])
    assert (await leads(services).GetLead(pb.GetLeadRequest(id=acme.id))) == acme
    assert await made(services) == (0, 0, 0)


async def test_a_permission_that_is_missing_is_found_before_anything_is_written(services: Stack) -> None:
    acme = await lead(services)
    caller = services.callers.caller("rep")
    narrow = services.callers.caller("rep", permissions=caller.permissions - {"opportunities.write"})
    stub = stubs.LeadServiceStub(services.channel("leads", caller=narrow))
    code, reason, _ = await refusal(stub.ConvertLead(pb.ConvertLeadRequest(id=acme.id)))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "CONVERSION_NOT_ALLOWED")
    done = await stub.ConvertLead(pb.ConvertLeadRequest(id=acme.id, without_opportunity=True))
    assert done.state == pb.Lead.CONVERTED
    assert await made(services) == (1, 1, 0)


async def test_a_likely_duplicate_is_named_and_may_be_chosen_or_passed_over(services: Stack) -> None:
    first, second, third = await lead(services), await lead(services), await lead(services)
    done = await leads(services).ConvertLead(pb.ConvertLeadRequest(id=first.id))
    code, reason, _ = await refusal(leads(services).ConvertLead(pb.ConvertLeadRequest(id=second.id)))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "LIKELY_DUPLICATE")
    chosen = pb.ConvertLeadRequest(
        id=second.id, account_id=done.converted_account_id, contact_id=done.converted_contact_id
    )
    merged = await leads(services).ConvertLead(chosen)
    assert merged.converted_account_id == done.converted_account_id
    assert await made(services) == (1, 1, 2)
    await leads(services).ConvertLead(pb.ConvertLeadRequest(id=third.id, allow_duplicates=True))
    assert await made(services) == (2, 2, 3)


async def test_a_company_without_a_person_becomes_an_account_without_a_contact(services: Stack) -> None:
    acme = await lead(services, given_name="", family_name="")
    done = await leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id))
    assert done.converted_contact_id == ""
    account = await accounts(services).GetAccount(
        contacts_pb2.GetAccountRequest(id=done.converted_account_id)
    )
    assert account.emails[0].address == "ada@acme.example"
    assert await made(services) == (1, 0, 1)


async def test_a_service_that_is_away_is_noticed_before_anything_is_written(services: Stack) -> None:
    acme = await lead(services)
    await services.stop("opportunities")
    code, *_ = await refusal(leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id)))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert (await leads(services).GetLead(pb.GetLeadRequest(id=acme.id))).state == pb.Lead.NEW


async def test_a_conversion_that_is_held_up_says_so_and_gets_there_when_it_can(services: Stack) -> None:
    """The opportunities service goes away between the check and the step."""
    acme = await lead(services)
    running: Any = services.services["leads"].service.servicers[SERVICE].conversions
    check = running.check

    async def check_and_lose(*arguments: Any, **options: Any) -> None:
        await check(*arguments, **options)
        await services.stop("opportunities")

    running.check = check_and_lose
    held_up = await leads(services).ConvertLead(pb.ConvertLeadRequest(id=acme.id))
    assert held_up.state == pb.Lead.CONVERTING
    assert held_up.conversion.problem
    assert held_up.converted_account_id == ""
    code, reason, _ = await refusal(leads(services).WorkLead(pb.WorkLeadRequest(id=acme.id)))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LEAD_ALREADY_CONVERTED")
    await services.start("opportunities")
    services.clock.move(timedelta(seconds=15))
    async with asyncio.timeout(20):
        while (
            now := await leads(services).GetLead(pb.GetLeadRequest(id=acme.id))
        ).state != pb.Lead.CONVERTED:
            await asyncio.sleep(0.02)
    assert now.conversion.problem == ""
    assert now.converted_opportunity_id == held_up.conversion.opportunity_id
    assert await made(services) == (1, 1, 1)


async def test_who_sees_the_lead_reads_what_it_became(services: Stack) -> None:
    """Anne's account, converted from Bert's lead by operations: Bert reads it."""
    acme = await leads(services, "rep", name="bert").CreateLead(
        pb.CreateLeadRequest(lead=pb.Lead(company_name="Acme"))
    )
    owner = str(services.callers.user("anne"))
    done = await leads(services, "operations").ConvertLead(
        pb.ConvertLeadRequest(id=acme.id, owner_id=owner, without_opportunity=True)
    )
    await services.settled()
    request = contacts_pb2.GetAccountRequest(id=done.converted_account_id)
    assert (await accounts(services, "rep", name="bert").GetAccount(request)).owner_id == owner
    carl = accounts(services, "rep", name="carl")
    assert (await refusal(carl.GetAccount(request)))[0] == grpc.StatusCode.NOT_FOUND
