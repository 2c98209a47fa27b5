"""Whom a quote is for, as the contacts service knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
from sfa.contacts.v1 import contacts_pb2 as pb

if TYPE_CHECKING:
    from sfa.contacts.v1.contacts_pb2_grpc import AccountServiceAsyncStub, ContactServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Party:
    """A customer: a name, and an address line by line."""

    name: str = ""
    address: str = ""


class Parties:
    """The contacts service, as the caller of the current call may see it."""

    def __init__(self, accounts: AccountServiceAsyncStub, contacts: ContactServiceAsyncStub) -> None:
        self._accounts = accounts
        self._contacts = contacts

    async def of(self, account_id: UUID | None, contact_id: UUID | None) -> Party:
        """Who they are; empty where the caller may not see them. To be asked before the first write."""
        account: Any = None
        contact: Any = None
        try:
            if account_id is not None:
                account = await self._accounts.GetAccount(pb.GetAccountRequest(id=str(account_id)))
            if contact_id is not None:
                contact = await self._contacts.GetContact(pb.GetContactRequest(id=str(contact_id)))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
        person = " ".join(filter(None, (contact.given_name, contact.family_name))) if contact else ""
        address = _address([*(contact.addresses if contact else ()), *(account.addresses if account else ())])
        if account is None:
            return Party(person, address)
        return Party(account.name, "\n".join(filter(None, (person, address))))


def _address(addresses: Sequence[Any]) -> str:
    if not addresses:
        return ""
    first = addresses[0]
    town = " ".join(filter(None, (first.postal_code, first.locality)))
    return "\n".join(filter(None, (first.street, town, first.administrative_area, first.country_code)))
