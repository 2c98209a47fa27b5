"""Customers' credit, to and from the protos."""

from collections.abc import Callable, Mapping
from typing import Any

from sfa.quotes.v1 import credit_pb2 as pb

from chassis import convert
from services.quotes.domain.credit import CreditPolicy, CreditSettings, CustomerCredit

_POLICY_OF = {pb.CreditSettings.Policy.Value(policy.name): policy for policy in CreditPolicy}


def credit_to_proto(credit: CustomerCredit) -> pb.CustomerCredit:
    """The resource."""
    result = pb.CustomerCredit()
    convert.set_head(result, credit)
    for name in ("credit_limit", "balance", "overdue"):
        if (amount := getattr(credit, name)) is not None:
            convert.set_money(getattr(result, name), amount)
    result.is_blocked = credit.is_blocked
    return result


def settings_to_proto(settings: CreditSettings) -> pb.CreditSettings:
    """The resource."""
    result = pb.CreditSettings()
    convert.set_head(result, settings)
    result.over_limit = pb.CreditSettings.Policy.Value(settings.over_limit.name)
    result.overdue = pb.CreditSettings.Policy.Value(settings.overdue.name)
    result.blocked = pb.CreditSettings.Policy.Value(settings.blocked.name)
    if settings.overdue_tolerance is not None:
        convert.set_money(result.overdue_tolerance, settings.overdue_tolerance)
    return result


# How each field that a client may set is read; the names are those of the update mask.
SETTINGS_FIELDS: Mapping[str, Callable[[pb.CreditSettings], Any]] = {
    "over_limit": lambda message: _POLICY_OF.get(message.over_limit, CreditPolicy.WARN),
    "overdue": lambda message: _POLICY_OF.get(message.overdue, CreditPolicy.WARN),
    "blocked": lambda message: _POLICY_OF.get(message.blocked, CreditPolicy.BLOCK),
    "overdue_tolerance": lambda message: (
        convert.money_of(message.overdue_tolerance, "credit_settings.overdue_tolerance")
        if message.HasField("overdue_tolerance")
        else None
    ),
}
