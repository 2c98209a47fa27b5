"""How somebody is reached: telephone numbers in E.164, e-mail addresses, postal addresses. The same for
every service, like money; what is not well-formed is refused, naming the field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from sfa.api.v1 import channels_pb2

from chassis.columns import Codec, listed
from chassis.errors import InvalidArgument

V = TypeVar("V")


class PhoneInvalid(InvalidArgument):
    """No such telephone number can exist."""

    def __init__(self, typed: str, region: str, field: str) -> None:
        place = f"in {region}" if region else "without a country: begin it with + and the country's code"
        super().__init__(f"{typed!r} is not a telephone number {place}.", field=field)


class EmailInvalid(InvalidArgument):
    """The e-mail address is not well-formed."""

    def __init__(self, why: str, field: str) -> None:
        super().__init__(f"This is not an e-mail address: {why}", field=field)


@dataclass(frozen=True, slots=True)
class Phone:
    """A telephone number as it was typed, and as it is found."""

    number: str
    e164: str
    extension: str = ""
    kind: int = 0
    region_code: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address, its domain in lower case."""

    address: str
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    kind: int = 0
    street: str = ""
    locality: str = ""
    administrative_area: str = ""
    postal_code: str = ""
    country_code: str = ""


PHONES: Codec = listed(Phone)
EMAILS: Codec = listed(Email)
ADDRESSES: Codec = listed(Address)


def phone(typed: str, region: str, field: str, *, kind: int = 0, region_code: str = "") -> Phone:
    """The number that somebody typed; one without `+` belongs to `region` (ISO 3166-1).

    Raises:
        PhoneInvalid: no such number can exist there, by libphonenumber's numbering plans.
    """
    region = region_code or region
    try:
        number = phonenumbers.parse(typed, region or None)
    except phonenumbers.NumberParseException:
        raise PhoneInvalid(typed, region, field) from None
    if not phonenumbers.is_valid_number(number):
        raise PhoneInvalid(typed, region, field)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(typed, e164, number.extension or "", kind, region_code)


def email(typed: str, field: str, *, kind: int = 0) -> Email:
    """The address that somebody typed. Whether it exists is not tried.

    Raises:
        EmailInvalid: it is not well-formed, or its domain can have no mail (`localhost`).
    """
    try:
        return Email(validate_email(typed, check_deliverability=False).normalized, kind)
    except EmailNotValidError as error:
        raise EmailInvalid(str(error), field) from None


def addresses_of(values: Iterable[channels_pb2.Address]) -> tuple[Address, ...]:
    """The addresses of a resource, in order."""
    return tuple(
        Address(
            value.kind,
            value.street,
            value.locality,
            value.administrative_area,
            value.postal_code,
            value.country_code,
        )
        for value in values
    )


def phones_of(values: Iterable[channels_pb2.Phone], region: str, field: str) -> tuple[Phone, ...]:
    """The telephone numbers of a resource, in order; `field` is their path in the request."""
    return tuple(
        phone(
            value.number, region, f"{field}[{index}].number", kind=value.kind, region_code=value.region_code
        )
        for index, value in enumerate(values)
    )


def emails_of(values: Iterable[channels_pb2.Email], field: str) -> tuple[Email, ...]:
    """The e-mail addresses of a resource, in order; `field` is their path in the request."""
    return tuple(
        email(value.address, f"{field}[{index}].address", kind=value.kind)
        for index, value in enumerate(values)
    )


def region_of(addresses: Iterable[Any], default: str) -> str:
    """The country that a number without `+` belongs to: that of the first address that names one."""
    return next((address.country_code for address in addresses if address.country_code), default)


def set_channels(
    target: Any, addresses: tuple[Address, ...], phones: tuple[Phone, ...], emails: tuple[Email, ...]
) -> None:
    """Writes them into a resource's fields of these names."""
    for address in addresses:
        target.addresses.add(
            kind=address.kind,
            street=address.street,
            locality=address.locality,
            administrative_area=address.administrative_area,
            postal_code=address.postal_code,
            country_code=address.country_code,
        )
    for one in phones:
        target.phones.add(
            number=one.number,
            e164=one.e164,
            extension=one.extension,
            kind=one.kind,
            region_code=one.region_code,
        )
    for mail in emails:
        target.emails.add(address=mail.address, kind=mail.kind)
