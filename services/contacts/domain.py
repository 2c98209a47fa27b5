"""Accounts, which may belong to one another, and the people who work there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.channels import Address, Email, Phone
from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from chassis.ids import new_id
from chassis.money import Money


class AccountNameMissing(InvalidArgument):
    """An account has no name."""

    def __init__(self) -> None:
        super().__init__("An account needs a name.", field="account.name")


class ContactNameMissing(InvalidArgument):
    """A contact has neither of the two names."""

    def __init__(self) -> None:
        super().__init__("A contact needs a given name or a family name.", field="contact.family_name")


class ParentAccountNotFound(FailedPrecondition):
    """The account that another is to belong to is not there, or the caller may not know of it."""

    def __init__(self) -> None:
        super().__init__(
            "There is no such parent account that you may see.", field="account.parent_account_id"
        )


class AccountHierarchyCircular(FailedPrecondition):
    """An account would belong to itself, directly or by way of others."""

    def __init__(self) -> None:
        super().__init__(
            "An account cannot belong to itself or to an account below it.", field="account.parent_account_id"
        )


class AccountHasChildren(FailedPrecondition):
    """An account that others belong to was to be deleted."""

    def __init__(self) -> None:
        super().__init__("Other accounts belong to this one: move or delete them first.")


class AccountNotFound(FailedPrecondition):
    """The account that a contact is to work for is not there, or the caller may not know of it."""

    def __init__(self) -> None:
        super().__init__("There is no such account that you may see.", field="contact.account_id")


class OnlyReadable(PermissionDenied):
    """The caller sees a record by way of another one, and that is not enough to change it."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"You may read this {kind}, but only its owner, those above the owner and sales operations change it."
        )


@dataclass(frozen=True, slots=True)
class AccountCreated(Event):
    """An account was made."""


@dataclass(frozen=True, slots=True)
class AccountUpdated(Event):
    """An account was changed."""


@dataclass(frozen=True, slots=True)
class AccountDeleted(Event):
    """An account was deleted."""


@dataclass(frozen=True, slots=True)
class AccountUndeleted(Event):
    """A deleted account was restored."""


@dataclass(frozen=True, slots=True)
class ContactCreated(Event):
    """A contact was made."""


@dataclass(frozen=True, slots=True)
class ContactUpdated(Event):
    """A contact was changed."""


@dataclass(frozen=True, slots=True)
class ContactDeleted(Event):
    """A contact was deleted."""


@dataclass(frozen=True, slots=True)
class ContactUndeleted(Event):
    """A deleted contact was restored."""


@dataclass(slots=True, kw_only=True)
class Account(Entity):
    """A company that is sold to, or may be."""

    name: str = ""
    parent_account_id: UUID | None = None
    owner_id: UUID | None = None
    website: str = ""
    industry: str = ""
    segment: str = ""
    employee_count: int = 0
    annual_revenue: Money | None = None
    year_established: int = 0
    addresses: tuple[Address, ...] = ()
    phones: tuple[Phone, ...] = ()
    emails: tuple[Email, ...] = ()
    description: str = ""
    lead_id: UUID | None = None

    @classmethod
    def create(
        cls, fields: Mapping[str, Any], line: Sequence[UUID] = (), id: UUID | None = None
    ) -> tuple["Account", AccountCreated]:
        """A new account; `line` holds the parent that `fields` name, the parent's parent and so on.

        Raises:
            AccountNameMissing: it has no name.
            ParentAccountNotFound, AccountHierarchyCircular: it cannot belong to this parent.
        """
        account = cls(id=id or new_id())
        account.change(fields, line)
        return account, AccountCreated()

    def change(self, fields: Mapping[str, Any], line: Sequence[UUID] = ()) -> AccountUpdated:
        """Takes new values on; `line` is needed where the parent is another one.

        Raises:
            AccountNameMissing: it would have no name.
            ParentAccountNotFound, AccountHierarchyCircular: it cannot belong to this parent.
        """
        moves = fields.get("parent_account_id", self.parent_account_id) != self.parent_account_id
        for name, value in fields.items():
            setattr(self, name, value)
        if not self.name:
            raise AccountNameMissing
        if moves:
            self._stand_below(line)
        return AccountUpdated()

    def delete(self, at: datetime, *, has_children: bool) -> AccountDeleted:
        """Deletes it; AccountHasChildren while others belong to it."""
        if has_children:
            raise AccountHasChildren
        self.mark_deleted(at)
        return AccountDeleted()

    def undelete(self, at: datetime, line: Sequence[UUID] = ()) -> AccountUndeleted:
        """Restores it, under the parent that it had if that is still there."""
        self.restore(at)
        if self.parent_account_id not in line:
            self.parent_account_id = None
        self._stand_below(line)
        return AccountUndeleted()

    def _stand_below(self, line: Sequence[UUID]) -> None:
        if self.parent_account_id is None:
            return
        if self.parent_account_id == self.id or self.id in line:
            raise AccountHierarchyCircular
        if self.parent_account_id not in line:
            raise ParentAccountNotFound


@dataclass(slots=True, kw_only=True)
class Contact(Entity):
    """A person, usually one who works for an account."""

    given_name: str = ""
    family_name: str = ""
    account_id: UUID | None = None
    owner_id: UUID | None = None
    title: str = ""
    department: str = ""
    addresses: tuple[Address, ...] = ()
    phones: tuple[Phone, ...] = ()
    emails: tuple[Email, ...] = ()
    description: str = ""
    lead_id: UUID | None = None

    @classmethod
    def create(
        cls, fields: Mapping[str, Any], account: Account | None = None, id: UUID | None = None
    ) -> tuple["Contact", ContactCreated]:
        """A new contact; `account` is the one that `fields` name, None where it is not known.

        Raises:
            ContactNameMissing: there is no name.
            AccountNotFound: an account is named that is not known.
        """
        contact = cls(id=id or new_id())
        contact.change(fields, account)
        return contact, ContactCreated()

    def change(self, fields: Mapping[str, Any], account: Account | None = None) -> ContactUpdated:
        """Takes new values on; `account` is needed where it is another one.

        Raises:
            ContactNameMissing: there would be no name.
            AccountNotFound: an account is named that is not known.
        """
        moves = fields.get("account_id", self.account_id) != self.account_id
        for name, value in fields.items():
            setattr(self, name, value)
        if not (self.given_name or self.family_name):
            raise ContactNameMissing
        if moves and self.account_id is not None and account is None:
            raise AccountNotFound
        return ContactUpdated()

    def delete(self, at: datetime) -> ContactDeleted:
        """Deletes the person."""
        self.mark_deleted(at)
        return ContactDeleted()

    def undelete(self, at: datetime) -> ContactUndeleted:
        """Restores the person."""
        self.restore(at)
        return ContactUndeleted()


class Hierarchy:
    """Which account belongs to which: as much of it as a request touches, kept while the request changes it."""

    def __init__(self, parents: Mapping[UUID, UUID | None]) -> None:
        self._parents = dict(parents)

    def enter(self, account: Account) -> None:
        """Takes up where an account stands now."""
        self._parents[account.id] = account.parent_account_id

    def line(self, id: UUID | None) -> tuple[UUID, ...]:
        """An account, the one it belongs to, and so on to the top; nothing where it is not known."""
        line: list[UUID] = []
        while id is not None and id in self._parents and id not in line:
            line.append(id)
            id = self._parents[id]
        return tuple(line)
