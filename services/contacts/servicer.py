"""One short method for each RPC: load, ask the domain, save, answer."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sfa.contacts.v1 import contacts_pb2 as pb

from chassis import batch, channels, sight
from chassis.call import Call, Sight
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.entity import Event, ExternalId
from services.contacts import wire
from services.contacts.domain import Account, Contact
from services.contacts.store import AccountStore, ContactStore


class AccountServicer:
    """The companies; `region` is the country of telephone numbers that name none."""

    def __init__(self, region: str) -> None:
        self.region = region

    async def CreateAccount(self, request: pb.CreateAccountRequest, call: Call) -> pb.Account:
        store = AccountStore(call)
        fields = _new_fields(call, request.account, wire.account_fields(self.region))
        await sight.check_owner(call, fields["owner_id"], "account.owner_id")
        effective_at = call.effective_at(request.effective_time)
        parent = fields.get("parent_account_id")
        hierarchy = await store.hierarchy([parent] if parent else [])
        account, created = Account.create(fields, hierarchy.line(parent), uuid_of(request.account.id))
        await store.add(account, created, effective_at)
        return wire.account_to_proto(account)

    async def GetAccount(self, request: pb.GetAccountRequest, call: Call) -> pb.Account:
        store = AccountStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Account)
            return resource
        return wire.account_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetAccounts(
        self, request: pb.BatchGetAccountsRequest, call: Call
    ) -> pb.BatchGetAccountsResponse:
        found = await AccountStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetAccountsResponse(accounts=map(wire.account_to_proto, found))

    async def ListAccounts(self, request: pb.ListAccountsRequest, call: Call) -> pb.ListAccountsResponse:
        page = await AccountStore(call).page(request)
        return pb.ListAccountsResponse(
            accounts=map(wire.account_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def SearchAccounts(
        self, request: pb.SearchAccountsRequest, call: Call
    ) -> pb.SearchAccountsResponse:
        found = await AccountStore(call).search(request.q, request.page_size)
        return pb.SearchAccountsResponse(accounts=map(wire.account_to_proto, found))

    async def UpdateAccount(self, request: pb.UpdateAccountRequest, call: Call) -> pb.Account:
        store = AccountStore(call)
        account = await store.get(request.id, request.etag)
        region = channels.region_of(account.addresses, self.region)
        fields = fields_to_change(request.account, request.update_mask, wire.account_fields(region))
        if "owner_id" in fields:
            await sight.check_owner(call, fields["owner_id"], "account.owner_id")
        parent = fields.get("parent_account_id")
        hierarchy = await store.hierarchy([parent] if parent else [])
        event = account.change(fields, hierarchy.line(parent))
        await store.save(account, event, call.effective_at(request.effective_time))
        return wire.account_to_proto(account)

    async def DeleteAccount(self, request: pb.DeleteAccountRequest, call: Call) -> pb.Account:
        store = AccountStore(call)
        account = await store.get(request.id, request.etag)
        event = account.delete(call.now, has_children=await store.has_children(account.id))
        await store.save(account, event)
        return wire.account_to_proto(account)

    async def UndeleteAccount(self, request: pb.UndeleteAccountRequest, call: Call) -> pb.Account:
        store = AccountStore(call)
        account = await store.get(request.id, deleted=True)
        parent = account.parent_account_id
        hierarchy = await store.hierarchy([parent] if parent else [])
        await store.save(account, account.undelete(call.now, hierarchy.line(parent)))
        return wire.account_to_proto(account)

    async def BatchUpsertAccounts(
        self, request: pb.BatchUpsertAccountsRequest, call: Call
    ) -> pb.BatchUpsertAccountsResponse:
        store = AccountStore(call)
        owners = await sight.owners_within(call)
        rows = batch.numbered(request.rows, "account")
        order = _parents_first(rows)
        keys = [key for row in rows if (key := _key(row.content, "parent_account"))]
        ids = [row.content.account.parent_account_id for row in rows]
        known = {key: account.id for key, account in (await store.by_external(keys)).items()}
        hierarchy = await store.hierarchy([*known.values(), *(UUID(id) for id in ids if id)])

        def put(row: batch.Row, account: Account | None) -> Iterator[tuple[Account, Event, datetime | None]]:
            asked, key = row.content.account, _key(row.content, "parent_account")
            event: Event
            if account is None:
                fields = _new_fields(call, asked, wire.account_fields(self.region))
            else:
                region = channels.region_of(account.addresses, self.region)
                fields = fields_to_change(asked, None, wire.account_fields(region))
            if "owner_id" in fields:
                owners.check(fields["owner_id"], "account.owner_id")
            if key:
                # an unknown one stands for no account, which the domain refuses
                fields["parent_account_id"] = known.get(key, _NO_ACCOUNT)
            line = hierarchy.line(fields.get("parent_account_id"))
            if account is None:
                account, event = Account.create(fields | {"external_ids": row.external_ids}, line, row.id)
            else:
                event = account.change(fields, line)
            yield account, event, call.effective_at(row.content.effective_time)
            hierarchy.enter(account)
            known.update(dict.fromkeys(account.external_ids, account.id))

        results = await batch.upsert(
            store, call, [rows[index] for index in order], put, validate_only=request.validate_only
        )
        return pb.BatchUpsertAccountsResponse(
            results=[
                result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])
            ]
        )

    async def ListAccountVersions(
        self, request: pb.ListAccountVersionsRequest, call: Call
    ) -> pb.ListAccountVersionsResponse:
        versions, token = await AccountStore(call).versions(UUID(request.id), request)
        return pb.ListAccountVersionsResponse(
            versions=map(wire.account_version_to_proto, versions), next_page_token=token
        )


class ContactServicer:
    """The people; `region` is the country of telephone numbers that name none."""

    def __init__(self, region: str) -> None:
        self.region = region

    async def CreateContact(self, request: pb.CreateContactRequest, call: Call) -> pb.Contact:
        fields = _new_fields(call, request.contact, wire.contact_fields(self.region))
        await sight.check_owner(call, fields["owner_id"], "contact.owner_id")
        effective_at = call.effective_at(request.effective_time)
        account_id = fields.get("account_id")
        account = (await AccountStore(call).known([account_id])).get(account_id)
        contact, created = Contact.create(fields, account, uuid_of(request.contact.id))
        await ContactStore(call).add(contact, created, effective_at)
        return wire.contact_to_proto(contact)

    async def GetContact(self, request: pb.GetContactRequest, call: Call) -> pb.Contact:
        store = ContactStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Contact)
            return resource
        return wire.contact_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetContacts(
        self, request: pb.BatchGetContactsRequest, call: Call
    ) -> pb.BatchGetContactsResponse:
        found = await ContactStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetContactsResponse(contacts=map(wire.contact_to_proto, found))

    async def ListContacts(self, request: pb.ListContactsRequest, call: Call) -> pb.ListContactsResponse:
        page = await ContactStore(call).page(request)
        return pb.ListContactsResponse(
            contacts=map(wire.contact_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def SearchContacts(
        self, request: pb.SearchContactsRequest, call: Call
    ) -> pb.SearchContactsResponse:
        found = await ContactStore(call).search(request.q, request.page_size)
        return pb.SearchContactsResponse(contacts=map(wire.contact_to_proto, found))

    async def UpdateContact(self, request: pb.UpdateContactRequest, call: Call) -> pb.Contact:
        store = ContactStore(call)
        contact = await store.get(request.id, request.etag)
        region = channels.region_of(contact.addresses, self.region)
        fields = fields_to_change(request.contact, request.update_mask, wire.contact_fields(region))
        if "owner_id" in fields:
            await sight.check_owner(call, fields["owner_id"], "contact.owner_id")
        account_id = fields.get("account_id")
        account = (await AccountStore(call).known([account_id])).get(account_id)
        await store.save(contact, contact.change(fields, account), call.effective_at(request.effective_time))
        return wire.contact_to_proto(contact)

    async def DeleteContact(self, request: pb.DeleteContactRequest, call: Call) -> pb.Contact:
        store = ContactStore(call)
        contact = await store.get(request.id, request.etag)
        await store.save(contact, contact.delete(call.now))
        return wire.contact_to_proto(contact)

    async def UndeleteContact(self, request: pb.UndeleteContactRequest, call: Call) -> pb.Contact:
        store = ContactStore(call)
        contact = await store.get(request.id, deleted=True)
        await store.save(contact, contact.undelete(call.now))
        return wire.contact_to_proto(contact)

    async def BatchUpsertContacts(
        self, request: pb.BatchUpsertContactsRequest, call: Call
    ) -> pb.BatchUpsertContactsResponse:
        owners = await sight.owners_within(call)
        rows = batch.numbered(request.rows, "contact")
        accounts = await AccountStore(call).known(
            [uuid_of(row.content.contact.account_id) for row in rows],
            [key for row in rows if (key := _key(row.content, "account"))],
        )

        def put(row: batch.Row, contact: Contact | None) -> Iterator[tuple[Contact, Event, datetime | None]]:
            asked, key = row.content.contact, _key(row.content, "account")
            event: Event
            if contact is None:
                fields = _new_fields(call, asked, wire.contact_fields(self.region))
            else:
                region = channels.region_of(contact.addresses, self.region)
                fields = fields_to_change(asked, None, wire.contact_fields(region))
            if "owner_id" in fields:
                owners.check(fields["owner_id"], "contact.owner_id")
            account = accounts.get(fields.get("account_id"))
            if key:
                account = accounts.by_key(key)
                fields["account_id"] = account.id if account else _NO_ACCOUNT
            if contact is None:
                contact, event = Contact.create(fields | {"external_ids": row.external_ids}, account, row.id)
            else:
                event = contact.change(fields, account)
            yield contact, event, call.effective_at(row.content.effective_time)

        results = await batch.upsert(ContactStore(call), call, rows, put, validate_only=request.validate_only)
        return pb.BatchUpsertContactsResponse(results=results)

    async def ListContactVersions(
        self, request: pb.ListContactVersionsRequest, call: Call
    ) -> pb.ListContactVersionsResponse:
        versions, token = await ContactStore(call).versions(UUID(request.id), request)
        return pb.ListContactVersionsResponse(
            versions=map(wire.contact_version_to_proto, versions), next_page_token=token
        )


_NO_ACCOUNT = UUID(int=0)


def _new_fields(call: Call, asked: Any, readers: wire.Readers) -> dict[str, Any]:
    """The fields of a new record. It is the caller's, but nobody's where the caller sees everything."""
    owner = None if call.caller.sight is Sight.ALL else call.caller.user_id
    return {"owner_id": owner, **fields_to_change(asked, None, {**readers, **wire.NEW_FIELDS})}


def _key(row: Any, field: str) -> ExternalId | None:
    return ExternalId(getattr(row, field).system, getattr(row, field).id) if row.HasField(field) else None


def _parents_first(rows: Sequence[batch.Row]) -> list[int]:
    """The order in which no row comes before the one that its parent stands in, as far as there is one."""
    by_name: dict[object, int] = {}
    for place, row in enumerate(rows):
        by_name.update(dict.fromkeys([name for name in (row.id, *row.external_ids) if name], place))
    order: dict[int, None] = {}
    for start in range(len(rows)):
        line: list[int] = []
        next_up: int | None = start
        while next_up is not None and next_up not in order and next_up not in line:
            line.append(next_up)
            content = rows[next_up].content
            parent = _key(content, "parent_account") or uuid_of(content.account.parent_account_id)
            next_up = by_name.get(parent)
        order.update(dict.fromkeys(reversed(line)))
    return list(order)
