"""Who may read an account or a person by way of a deal, quote or lead, and who may change it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sfa.api.v1 import ownership_pb2
from sfa.api.v1.ownership_pb2_grpc import OwnershipServiceStub
from sfa.contacts.v1 import contacts_pb2 as pb
from sfa.contacts.v1 import contacts_pb2_grpc as stubs
from sfa.opportunities.v1 import deals_pb2, opportunities_pb2, opportunities_pb2_grpc

from chassis.ids import new_id
from tests.conftest import Join
from tests.stack import Stack


@pytest.fixture
async def services(shared: Join) -> Stack:
    return await shared("contacts", "opportunities")


def accounts(stack: Stack, name: str) -> stubs.AccountServiceAsyncStub:
    return stubs.AccountServiceStub(stack.channel("contacts", "rep", name=name))


def contacts(stack: Stack, name: str) -> stubs.ContactServiceAsyncStub:
    return stubs.ContactServiceStub(stack.channel("contacts", "rep", name=name))


def deals(stack: Stack, name: str) -> opportunities_pb2_grpc.OpportunityServiceAsyncStub:
    return opportunities_pb2_grpc.OpportunityServiceStub(stack.channel("opportunities", "rep", name=name))


async def code_of(call: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def customer(stack: Stack) -> tuple[pb.Account, pb.Contact, pb.Contact]:
    """Anne's account with two people."""
    acme = await accounts(stack, "anne").CreateAccount(
        pb.CreateAccountRequest(account=pb.Account(name="Acme"))
    )
    people = [
        await contacts(stack, "anne").CreateContact(
            pb.CreateContactRequest(contact=pb.Contact(family_name=name, account_id=acme.id))
        )
        for name in ("Lovelace", "Hopper")
    ]
    return acme, people[0], people[1]


async def deal(stack: Stack, account: pb.Account, *people: pb.Contact) -> opportunities_pb2.Opportunity:
    """Bert's deal with the account and some of its people."""
    made = await deals(stack, "bert").CreateOpportunity(
        opportunities_pb2.CreateOpportunityRequest(
            opportunity=opportunities_pb2.Opportunity(
                name="Roof", account_id=account.id, contact_ids=[person.id for person in people]
            )
        )
    )
    await stack.settled()
    return made


async def test_who_sees_a_deal_reads_its_account_and_the_people_named_in_it(services: Stack) -> None:
    acme, named, other = await customer(services)
    bert, people = accounts(services, "bert"), contacts(services, "bert")
    assert await code_of(bert.GetAccount(pb.GetAccountRequest(id=acme.id))) == grpc.StatusCode.NOT_FOUND
    await deal(services, acme, named)
    assert await bert.GetAccount(pb.GetAccountRequest(id=acme.id)) == acme
    assert [each.id for each in (await bert.ListAccounts(pb.ListAccountsRequest())).accounts] == [acme.id]
    assert [each.id for each in (await bert.SearchAccounts(pb.SearchAccountsRequest(q="Acme"))).accounts] == [
        acme.id
    ]
    assert [each.id for each in (await people.ListContacts(pb.ListContactsRequest())).contacts] == [named.id]
    assert await code_of(people.GetContact(pb.GetContactRequest(id=other.id))) == grpc.StatusCode.NOT_FOUND
    stranger = accounts(services, "carl")
    assert await code_of(stranger.GetAccount(pb.GetAccountRequest(id=acme.id))) == grpc.StatusCode.NOT_FOUND


async def test_who_is_on_the_team_of_a_deal_reads_what_it_names_as_long_as_that_is_so(
    services: Stack,
) -> None:
    acme, ada, _ = await customer(services)
    bert = deals(services, "bert")
    made = await deal(services, acme, ada)
    read = pb.GetAccountRequest(id=acme.id)
    assert await code_of(accounts(services, "cora").GetAccount(read)) is grpc.StatusCode.NOT_FOUND
    member = deals_pb2.TeamMember(user_id=str(services.callers.user("cora")))
    change = opportunities_pb2.UpdateOpportunityRequest(
        id=made.id, opportunity=opportunities_pb2.Opportunity(team=[member])
    )
    await bert.UpdateOpportunity(change)
    await services.settled()
    assert (await accounts(services, "cora").GetAccount(read)).name == "Acme"
    assert (await contacts(services, "cora").GetContact(pb.GetContactRequest(id=ada.id))).id == ada.id
    change.opportunity.ClearField("team")
    change.update_mask.paths[:] = ["team"]
    await bert.UpdateOpportunity(change)
    await services.settled()
    assert await code_of(accounts(services, "cora").GetAccount(read)) is grpc.StatusCode.NOT_FOUND


async def test_reading_by_way_of_a_deal_is_not_enough_to_change(services: Stack) -> None:
    acme, named, _ = await customer(services)
    await deal(services, acme, named)
    change = pb.UpdateAccountRequest(id=acme.id, account=pb.Account(industry="medical"))
    assert (
        await code_of(accounts(services, "bert").UpdateAccount(change)) == grpc.StatusCode.PERMISSION_DENIED
    )
    delete = pb.DeleteContactRequest(id=named.id)
    assert (
        await code_of(contacts(services, "bert").DeleteContact(delete)) == grpc.StatusCode.PERMISSION_DENIED
    )
    row = pb.BatchUpsertAccountsRequest.Row(account=pb.Account(id=acme.id, industry="medical"))
    results = await accounts(services, "bert").BatchUpsertAccounts(pb.BatchUpsertAccountsRequest(rows=[row]))
    assert results.results[0].reason == "ONLY_READABLE"
    assert (await accounts(services, "anne").UpdateAccount(change)).industry == "medical"


async def test_what_a_deal_no_longer_names_is_no_longer_read(services: Stack) -> None:
    acme, named, other = await customer(services)
    roof = await deal(services, acme, named)
    people = contacts(services, "bert")
    await deals(services, "bert").UpdateOpportunity(
        opportunities_pb2.UpdateOpportunityRequest(
            id=roof.id, opportunity=opportunities_pb2.Opportunity(contact_ids=[other.id])
        )
    )
    await services.settled()
    assert [each.id for each in (await people.ListContacts(pb.ListContactsRequest())).contacts] == [other.id]
    await deals(services, "bert").UpdateOpportunity(
        opportunities_pb2.UpdateOpportunityRequest(
            id=roof.id,
            update_mask=FieldMask(paths=["account_id"]),
            opportunity=opportunities_pb2.Opportunity(),
        )
    )
    await services.settled()
    read = accounts(services, "bert").GetAccount(pb.GetAccountRequest(id=acme.id))
    assert await code_of(read) == grpc.StatusCode.NOT_FOUND


async def test_a_deleted_deal_shows_nothing_until_it_is_restored(services: Stack) -> None:
    acme, named, _ = await customer(services)
    roof = await deal(services, acme, named)
    bert = accounts(services, "bert")
    await deals(services, "bert").DeleteOpportunity(opportunities_pb2.DeleteOpportunityRequest(id=roof.id))
    await services.settled()
    assert await code_of(bert.GetAccount(pb.GetAccountRequest(id=acme.id))) == grpc.StatusCode.NOT_FOUND
    await deals(services, "bert").UndeleteOpportunity(
        opportunities_pb2.UndeleteOpportunityRequest(id=roof.id)
    )
    await services.settled()
    assert (await bert.GetAccount(pb.GetAccountRequest(id=acme.id))).id == acme.id


async def test_an_account_without_an_owner_is_read_by_all_and_changed_by_operations(services: Stack) -> None:
    operations = stubs.AccountServiceStub(services.channel("contacts", "operations"))
    acme = await operations.CreateAccount(pb.CreateAccountRequest(account=pb.Account(name="Acme")))
    bert = accounts(services, "bert")
    assert await bert.GetAccount(pb.GetAccountRequest(id=acme.id)) == acme
    change = pb.UpdateAccountRequest(id=acme.id, account=pb.Account(industry="medical"))
    assert await code_of(bert.UpdateAccount(change)) == grpc.StatusCode.PERMISSION_DENIED
    assert (await operations.UpdateAccount(change)).industry == "medical"


async def test_who_looks_after_the_owner_reads_and_changes_too(stack: Stack) -> None:
    """Identity is there to be heard; the reporting line stands in the database as its event puts it."""
    await stack.start("identity", "contacts")
    acme, *_ = await customer(stack)
    database = await stack.connect("contacts", as_owner=True)
    await database.execute(
        "INSERT INTO data.sight_members VALUES ($1, $2, $3, '-infinity', 'infinity')",
        stack.tenant, stack.callers.user("maria"), stack.callers.user("anne"),
    )  # fmt: skip
    await database.close()
    await stack.settled()
    maria = stubs.AccountServiceStub(stack.channel("contacts", "manager", name="maria"))
    assert await maria.GetAccount(pb.GetAccountRequest(id=acme.id)) == acme
    change = pb.UpdateAccountRequest(id=acme.id, account=pb.Account(industry="medical"))
    assert (await maria.UpdateAccount(change)).industry == "medical"
    give = pb.UpdateAccountRequest(id=acme.id, account=pb.Account(owner_id=str(stack.callers.user("carl"))))
    assert await code_of(maria.UpdateAccount(give)) == grpc.StatusCode.PERMISSION_DENIED
    own = pb.UpdateAccountRequest(id=acme.id, account=pb.Account(owner_id=str(stack.callers.user("maria"))))
    assert (await maria.UpdateAccount(own)).owner_id == str(stack.callers.user("maria"))


async def test_a_leavers_accounts_and_people_go_to_somebody_else(stack: Stack) -> None:
    await stack.start("contacts")
    acme, *people = await customer(stack)
    leaver, successor = str(stack.callers.user("anne")), str(stack.callers.user("bert"))
    ownership = OwnershipServiceStub(stack.channel("contacts", "administrator"))
    counted = (await ownership.CountOwned(ownership_pb2.CountOwnedRequest(owner_id=leaver))).counts
    assert {each.entity: each.open for each in counted} == {"account": 1, "contact": 2}
    for entity in ("account", "contact"):
        await ownership.TransferOwned(
            ownership_pb2.TransferOwnedRequest(
                operation_id=str(new_id()),
                entity=entity,
                from_owner_id=leaver,
                to_owner_id=successor,
                request_id=entity,
            )
        )
    bert = await accounts(stack, "bert").GetAccount(pb.GetAccountRequest(id=acme.id))
    assert bert.owner_id == successor
    listed = (await contacts(stack, "bert").ListContacts(pb.ListContactsRequest())).contacts
    assert {each.id for each in listed} == {each.id for each in people}
