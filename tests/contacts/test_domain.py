"""Accounts and contacts: what their rules allow."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.entity import DeletedTooLongAgo, NotDeleted
from chassis.ids import new_id
from services.contacts.domain import (
    Account,
    AccountHasChildren,
    AccountHierarchyCircular,
    AccountNameMissing,
    AccountNotFound,
    Contact,
    ContactNameMissing,
    ParentAccountNotFound,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def account(name: str = "Acme", parent: UUID | None = None) -> Account:
    return Account.create({"name": name, "parent_account_id": parent}, [parent] if parent else [])[0]


def test_an_account_needs_a_name() -> None:
    with pytest.raises(AccountNameMissing) as refusal:
        account("")
    assert refusal.value.violations[0].field == "account.name"


def test_an_account_keeps_the_id_that_a_client_brings() -> None:
    id = new_id()
    assert Account.create({"name": "Acme"}, id=id)[0].id == id


def test_an_account_stands_below_a_parent_that_is_known() -> None:
    parent = account("Holding")
    assert account("Acme", parent.id).parent_account_id == parent.id


def test_an_account_does_not_stand_below_a_parent_that_is_not_known() -> None:
    with pytest.raises(ParentAccountNotFound):
        Account.create({"name": "Acme", "parent_account_id": new_id()}, [])


def test_an_account_is_not_its_own_parent() -> None:
    acme = account()
    with pytest.raises(AccountHierarchyCircular):
        acme.change({"parent_account_id": acme.id}, [acme.id])


def test_an_account_does_not_stand_below_its_own_descendants() -> None:
    top = account("Top")
    middle = account("Middle", top.id)
    bottom = account("Bottom", middle.id)
    with pytest.raises(AccountHierarchyCircular):
        top.change({"parent_account_id": bottom.id}, [bottom.id, middle.id, top.id])


def test_a_change_that_leaves_the_parent_alone_does_not_ask_for_it() -> None:
    acme = account("Acme", new_id())
    acme.change({"industry": "medical"})
    assert acme.industry == "medical"


def test_an_account_with_children_is_not_deleted() -> None:
    with pytest.raises(AccountHasChildren):
        account().delete(NOW, has_children=True)


def test_a_deleted_account_is_restored_for_thirty_days() -> None:
    acme = account()
    acme.delete(NOW, has_children=False)
    acme.undelete(NOW + timedelta(days=30))
    assert acme.deleted_at is None
    acme.delete(NOW, has_children=False)
    with pytest.raises(DeletedTooLongAgo):
        acme.undelete(NOW + timedelta(days=31))


def test_a_restored_account_stands_alone_where_its_parent_has_gone() -> None:
    acme = account("Acme", new_id())
    acme.delete(NOW, has_children=False)
    acme.undelete(NOW, line=[])
    assert acme.parent_account_id is None


def test_what_was_not_deleted_is_not_restored() -> None:
    with pytest.raises(NotDeleted):
        account().undelete(NOW)


def test_a_contact_needs_one_of_two_names() -> None:
    assert Contact.create({"family_name": "Lovelace"})[0].given_name == ""
    with pytest.raises(ContactNameMissing):
        Contact.create({"title": "Countess"})


def test_a_contact_works_for_an_account_that_is_known() -> None:
    acme = account()
    assert Contact.create({"given_name": "Ada", "account_id": acme.id}, acme)[0].account_id == acme.id
    with pytest.raises(AccountNotFound):
        Contact.create({"given_name": "Ada", "account_id": new_id()}, None)


def test_a_contact_is_changed_whether_or_not_its_account_is_still_known() -> None:
    acme = account()
    ada = Contact.create({"given_name": "Ada", "account_id": acme.id}, acme)[0]
    ada.change({"title": "Countess", "account_id": acme.id})
    assert ada.title == "Countess"
