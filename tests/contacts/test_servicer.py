"""The contacts service over gRPC, on a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.api.v1.channels_pb2 import Address, Email, Phone
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.contacts.v1 import contacts_pb2 as pb
from sfa.contacts.v1 import contacts_pb2_grpc as stubs

from chassis.ids import new_id
from tests.conftest import Join
from tests.shared_data import shared_data
from tests.stack import Stack


@pytest.fixture
async def service(shared: Join) -> Stack:
    return await shared("contacts")


def accounts(service: Stack, role: str | None = None, **claims: Any) -> stubs.AccountServiceAsyncStub:
    return stubs.AccountServiceStub(service.channel("contacts", role, **claims))


def contacts(service: Stack, role: str | None = None, **claims: Any) -> stubs.ContactServiceAsyncStub:
    return stubs.ContactServiceStub(service.channel("contacts", role, **claims))


async def account(service: Stack, role: str | None = None, name: str = "Acme", **fields: Any) -> pb.Account:
    request = pb.CreateAccountRequest(account=pb.Account(name=name, **fields))
    return await accounts(service, role).CreateAccount(request)


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, list[str]]:
    """The status, the reason and the fields that a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info, fields = ErrorInfo(), BadRequest()
    status = rpc_status.from_call(caught.value)
    assert status is not None
    status.details[0].Unpack(info)
    for detail in status.details[1:]:
        detail.Unpack(fields)
    return caught.value.code(), info.reason, [violation.field for violation in fields.field_violations]


def naughty_strings() -> list[str]:
    strings: list[str] = json.loads(shared_data("naughty_strings/blns.json").read_text())
    return strings


# Accounts


async def test_an_account_comes_back_as_it_was_made(service: Stack) -> None:
    made = await account(
        service,
        website="https://acme.example",
        industry="medical",
        employee_count=2822,
        annual_revenue=Money(currency_code="USD", units=1100, nanos=40_000_000),
        year_established=1996,
        addresses=[Address(kind=Address.MAIN, locality="Berlin", country_code="DE")],
        phones=[Phone(number="030 / 209 300", kind=Phone.WORK)],
        emails=[Email(address="Office@ACME.example")],
        external_ids=[ExternalId(system="erp", id="4711")],
    )
    found = await accounts(service).GetAccount(pb.GetAccountRequest(id=made.id))
    assert found == made
    assert (found.phones[0].number, found.phones[0].e164) == ("030 / 209 300", "+4930209300")
    assert found.emails[0].address == "Office@acme.example"
    assert found.owner_id == str(service.callers.user())


async def test_an_account_that_operations_make_belongs_to_nobody_and_is_read_by_everyone(
    service: Stack,
) -> None:
    made = await account(service, "operations")
    assert made.owner_id == ""
    assert await accounts(service, "rep").GetAccount(pb.GetAccountRequest(id=made.id)) == made
    listed = await accounts(service, "rep").ListAccounts(pb.ListAccountsRequest())
    assert [each.id for each in listed.accounts] == [made.id]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "account.name"),
        ({"website": "javascript:alert(1)"}, "account.website"),
        ({"phones": [Phone(number="+49 30 209300"), Phone(number="call me")]}, "account.phones[1].number"),
        ({"emails": [Email(address="nobody")]}, "account.emails[0].address"),
        ({"addresses": [Address(country_code="Germany")]}, "account.addresses[0].country_code"),
        ({"parent_account_id": str(new_id())}, "account.parent_account_id"),
    ],
)
async def test_a_refusal_names_the_field_that_is_wrong(
    service: Stack, fields: dict[str, Any], wrong: str
) -> None:
    _, _, names = await refusal(account(service, **fields))
    assert wrong in names


async def test_reps_see_their_own_accounts_only_and_operations_all(service: Stack) -> None:
    mine = await account(service)
    anne = accounts(service, "rep", name="anne")
    code, reason, _ = await refusal(anne.GetAccount(pb.GetAccountRequest(id=mine.id)))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert not (await anne.ListAccounts(pb.ListAccountsRequest())).accounts
    assert not (await anne.SearchAccounts(pb.SearchAccountsRequest(q="Acme"))).accounts
    assert await accounts(service, "operations").GetAccount(pb.GetAccountRequest(id=mine.id)) == mine


async def test_an_account_does_not_stand_below_itself(service: Stack) -> None:
    top = await account(service, name="Top")
    middle = await account(service, name="Middle", parent_account_id=top.id)
    bottom = await account(service, name="Bottom", parent_account_id=middle.id)
    for child in (top, middle, bottom):
        moved = pb.UpdateAccountRequest(id=top.id, account=pb.Account(parent_account_id=child.id))
        code, reason, _ = await refusal(accounts(service).UpdateAccount(moved))
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_HIERARCHY_CIRCULAR")


async def test_two_moves_at_the_same_moment_close_no_circle(service: Stack) -> None:
    one, two = await account(service, name="One"), await account(service, name="Two")
    moves = [
        pb.UpdateAccountRequest(id=child.id, account=pb.Account(parent_account_id=parent.id))
        for child, parent in ((one, two), (two, one))
    ]
    results = await asyncio.gather(*map(accounts(service).UpdateAccount, moves), return_exceptions=True)
    assert sum(isinstance(result, grpc.aio.AioRpcError) for result in results) == 1


async def test_an_account_with_children_is_not_deleted(service: Stack) -> None:
    top = await account(service, name="Top")
    child = await account(service, name="Child", parent_account_id=top.id)
    _, reason, _ = await refusal(accounts(service).DeleteAccount(pb.DeleteAccountRequest(id=top.id)))
    assert reason == "ACCOUNT_HAS_CHILDREN"
    await accounts(service).DeleteAccount(pb.DeleteAccountRequest(id=child.id))
    gone = await accounts(service).DeleteAccount(pb.DeleteAccountRequest(id=top.id))
    assert gone.HasField("delete_time")
    back = await accounts(service).UndeleteAccount(pb.UndeleteAccountRequest(id=top.id))
    assert not back.HasField("delete_time")


async def test_a_parent_is_taken_away_by_the_mask(service: Stack) -> None:
    top = await account(service, name="Top")
    child = await account(service, name="Child", parent_account_id=top.id)
    request = pb.UpdateAccountRequest(
        id=child.id, account=pb.Account(), update_mask=FieldMask(paths=["parent_account_id"])
    )
    assert (await accounts(service).UpdateAccount(request)).parent_account_id == ""


async def test_a_batch_names_parents_by_external_id_in_any_order(service: Stack) -> None:
    def row(name: str, parent: str = "") -> pb.BatchUpsertAccountsRequest.Row:
        made = pb.BatchUpsertAccountsRequest.Row(
            account=pb.Account(name=name, external_ids=[ExternalId(system="crm", id=name)])
        )
        if parent:
            made.parent_account.system, made.parent_account.id = "crm", parent
        return made

    rows = [row("leaf", "branch"), row("orphan", "nobody"), row("branch", "root"), row("root")]
    request = pb.BatchUpsertAccountsRequest(rows=rows)
    integration = accounts(service, "integration")
    results = (await integration.BatchUpsertAccounts(request)).results
    created, rejected = RowResult.CREATED, RowResult.REJECTED
    assert [result.outcome for result in results] == [created, rejected, created, created]
    assert (results[1].reason, results[1].field) == ("PARENT_ACCOUNT_NOT_FOUND", "account.parent_account_id")
    leaf = await integration.GetAccount(pb.GetAccountRequest(id=results[0].id))
    branch = await integration.GetAccount(pb.GetAccountRequest(id=leaf.parent_account_id))
    assert (leaf.name, branch.name, branch.parent_account_id) == ("leaf", "branch", results[3].id)
    again = (await integration.BatchUpsertAccounts(request)).results
    unchanged = RowResult.UNCHANGED
    assert [result.outcome for result in again] == [unchanged, rejected, unchanged, unchanged]
    circle = pb.BatchUpsertAccountsRequest(rows=[row("root", "leaf")])
    assert (await integration.BatchUpsertAccounts(circle)).results[0].reason == "ACCOUNT_HIERARCHY_CIRCULAR"


async def test_a_batch_that_only_validates_writes_nothing(service: Stack) -> None:
    rows = [pb.BatchUpsertAccountsRequest.Row(account=pb.Account(name="Acme"))]
    request = pb.BatchUpsertAccountsRequest(rows=rows, validate_only=True)
    assert (await accounts(service).BatchUpsertAccounts(request)).results[0].outcome == RowResult.CREATED
    assert not (await accounts(service).ListAccounts(pb.ListAccountsRequest())).accounts


async def test_accounts_are_filtered_by_their_fields(service: Stack) -> None:
    await account(service, name="Acme", industry="medical", employee_count=10)
    await account(
        service,
        name="Betasoloin",
        industry="software",
        emails=[Email(address="hi@beta.example")],
        employee_count=200,
    )
    for text, names in (
        ('industry = "medical"', ["Acme"]),
        ("employee_count > 100", ["Betasoloin"]),
        ('emails.address:"hi@beta.example"', ["Betasoloin"]),
        ("acme", ["Acme"]),
    ):
        listed = await accounts(service).ListAccounts(pb.ListAccountsRequest(filter=text))
        assert [each.name for each in listed.accounts] == names


async def test_an_account_is_found_by_a_part_of_its_name_and_by_a_misspelt_one(service: Stack) -> None:
    for name in ("Betasoloin", "Condax", "Bluth Company"):
        await account(service, name=name)
    for q, first in (("condax", "Condax"), ("Betasolin", "Betasoloin"), ("luth comp", "Bluth Company")):
        found = await accounts(service).SearchAccounts(pb.SearchAccountsRequest(q=q))
        assert found.accounts[0].name == first
    assert not (await accounts(service).SearchAccounts(pb.SearchAccountsRequest(q="zzzzz"))).accounts


async def test_the_history_of_an_account_says_what_changed_and_who_did_it(service: Stack) -> None:
    made = await account(service)
    request = pb.UpdateAccountRequest(id=made.id, account=pb.Account(industry="medical"), etag=made.etag)
    await accounts(service).UpdateAccount(request)
    versions = (
        await accounts(service).ListAccountVersions(pb.ListAccountVersionsRequest(id=made.id))
    ).versions
    assert [version.event for version in versions] == ["AccountUpdated", "AccountCreated"]
    assert list(versions[0].changed_fields) == ["industry"]
    assert versions[0].actor == str(service.callers.user())


# Contacts


async def test_a_contact_works_for_an_account_that_the_caller_may_read(service: Stack) -> None:
    acme = await account(service)
    ada = pb.Contact(given_name="Ada", family_name="Lovelace", account_id=acme.id)
    made = await contacts(service).CreateContact(pb.CreateContactRequest(contact=ada))
    assert made.account_id == acme.id
    stranger = contacts(service, "rep", name="anne")
    code, reason, fields = await refusal(stranger.CreateContact(pb.CreateContactRequest(contact=ada)))
    assert (code, reason, fields) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ACCOUNT_NOT_FOUND",
        ["contact.account_id"],
    )


async def test_a_person_is_found_by_both_names_in_any_order(service: Stack) -> None:
    ada = pb.Contact(given_name="Ada", family_name="Lovelace")
    made = await contacts(service).CreateContact(pb.CreateContactRequest(contact=ada))
    for q in ("Ada Lovelace", "Lovelace Ada", "lovelac", "ada"):
        found = await contacts(service).SearchContacts(pb.SearchContactsRequest(q=q))
        assert [each.id for each in found.contacts] == [made.id], q


async def test_a_batch_names_a_persons_account_by_external_id(service: Stack) -> None:
    acme = await account(service, external_ids=[ExternalId(system="crm", id="acme")])
    row = pb.BatchUpsertContactsRequest.Row(
        contact=pb.Contact(family_name="Lovelace"), account=ExternalId(system="crm", id="acme")
    )
    lost = pb.BatchUpsertContactsRequest.Row(
        contact=pb.Contact(family_name="Hopper"), account=ExternalId(system="crm", id="nobody")
    )
    request = pb.BatchUpsertContactsRequest(rows=[row, lost])
    made, rejected = (await contacts(service).BatchUpsertContacts(request)).results
    assert rejected.reason == "ACCOUNT_NOT_FOUND"
    assert (await contacts(service).GetContact(pb.GetContactRequest(id=made.id))).account_id == acme.id


# Any text at all


@pytest.mark.parametrize("field", ["name", "industry", "description", "website"])
async def test_a_text_with_u0000_is_refused_by_field(service: Stack, field: str) -> None:
    code, _, fields = await refusal(account(service, **{field: "https://a.example/\0"}))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert f"account.{field}" in fields
    code, _, fields = await refusal(accounts(service).SearchAccounts(pb.SearchAccountsRequest(q="a\0b")))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["q"])


async def test_no_naughty_string_is_a_phone_or_an_address(service: Stack) -> None:
    for text in naughty_strings():
        code, *_ = await refusal(account(service, phones=[Phone(number=text)], emails=[Email(address=text)]))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, text


def _key(index: int) -> ExternalId:
    return ExternalId(system="blns", id=str(index))
