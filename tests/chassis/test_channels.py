"""Telephone numbers and e-mail addresses: found by one form, whatever was typed; else refused by field."""

import csv

import pytest
from sfa.api.v1.channels_pb2 import Phone

from chassis.channels import Address, EmailInvalid, PhoneInvalid, email, phone, phones_of, region_of
from tests.shared_data import shared_data


def examples() -> list[dict[str, str]]:
    with shared_data("phones/phone_examples.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_number_keeps_what_was_typed_and_is_found_by_its_international_form() -> None:
    number = phone("030 / 209 30-0", "DE", "phones[0].number")
    assert (number.number, number.e164) == ("030 / 209 30-0", "+4930209300")


def test_an_extension_is_kept_apart() -> None:
    assert phone("+1 650 253 0000 ext. 12", "", "phones[0].number").extension == "12"


def test_the_international_form_of_every_region_is_read_right() -> None:
    rows = examples()
    wrong = [row for row in rows if phone(row["international"], "", "phone").e164 != row["e164"]]
    assert rows
    assert not wrong


def test_the_national_form_is_read_right_wherever_the_numbering_plan_says_it_can_be() -> None:
    rows = [
        row
        for row in examples()
        if row["national_roundtrips_to_e164"] == row["national_parses_valid"] == "True"
    ]
    assert [row for row in rows if phone(row["national"], row["region"], "phone").e164 != row["e164"]] == []


def test_a_number_without_a_country_needs_a_region() -> None:
    with pytest.raises(PhoneInvalid, match="without a country"):
        phone("030 209300", "", "phones[0].number")


@pytest.mark.parametrize("typed", ["", "12", "call me", "\x00", "+999 123", "<script>alert(1)</script>"])
def test_what_cannot_be_a_number_is_refused(typed: str) -> None:
    with pytest.raises(PhoneInvalid):
        phone(typed, "US", "phones[0].number")


def test_the_refusal_names_the_number_that_is_wrong() -> None:
    with pytest.raises(PhoneInvalid) as refusal:
        phones_of([Phone(number="+1 650 253 0000"), Phone(number="nonsense")], "US", "account.phones")
    assert refusal.value.violations[0].field == "account.phones[1].number"


def test_a_numbers_own_country_comes_before_the_default() -> None:
    (number,) = phones_of([Phone(number="030 209300", region_code="DE")], "US", "phones")
    assert number.e164 == "+4930209300"


def test_the_country_of_the_first_address_that_has_one_is_a_numbers_country() -> None:
    assert region_of([Address(street="Unter den Linden 6"), Address(country_code="DE")], "US") == "DE"
    assert region_of([], "US") == "US"


def test_an_address_keeps_its_local_part_and_lowers_its_domain() -> None:
    assert email("Ada.Lovelace@EXAMPLE.org", "emails[0].address").address == "Ada.Lovelace@example.org"


@pytest.mark.parametrize(
    "typed", ["ada", "ada@", "@example.org", "ada@localhost", " ada@example.org", "a@b\x00.org"]
)
def test_what_cannot_be_an_address_is_refused(typed: str) -> None:
    with pytest.raises(EmailInvalid):
        email(typed, "emails[0].address")
