"""Customers' credit where quotes are sent, and where the ERP reports it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from sfa.erp.v1 import messages_pb2 as erp

from chassis.call import Call
from chassis.convert import money_of
from chassis.entity import ExternalId
from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.money import Money
from services.quotes.domain.credit import (
    CreditPolicy,
    CreditRefused,
    CustomerCredit,
    Exposure,
    Finding,
    findings,
)
from services.quotes.domain.quotes import Quote
from services.quotes.reports import Effect, Outcome, Report
from services.quotes.store.credit import CreditSettingsStore, CustomerCreditStore, account_named, unbooked
from services.quotes.store.currencies import ExchangeRates


class ReportedAccountMissing(InvalidArgument):
    """A credit of nobody."""

    def __init__(self) -> None:
        super().__init__("Say whose credit it is: account_id, or the ERP's own number.", field="account_id")


class ReportedAccountUnknown(NotFound):
    """Nobody has the ERP's number."""

    def __init__(self, key: ExternalId) -> None:
        super().__init__(f"There is no account with the external id {key.system}:{key.id}.", field="account")


async def found(call: Call, quote: Quote) -> tuple[Finding, ...]:
    """What the customer's credit says against sending the quote, by the tenant's policy."""
    if quote.account_id is None:
        return ()
    credit = await CustomerCreditStore(call).find(quote.account_id)
    if credit is None:
        return ()
    settings = await CreditSettingsStore(call).current()
    exposure = await _exposure(call, credit, quote) if credit.credit_limit is not None else None
    return findings(credit, settings, exposure)


async def check(call: Call, quote: Quote) -> tuple[str, ...]:
    """To be asked before a quote is sent: what is to be warned of.

    Raises:
        CreditRefused: the customer's credit does not allow it.
    """
    said = await found(call, quote)
    blocks = [each.sentence for each in said if each.policy is CreditPolicy.BLOCK]
    if blocks:
        raise CreditRefused(blocks)
    return tuple(each.sentence for each in said)


async def credits_reported(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """The ERP says how much credit customers have."""
    outcomes: list[Outcome] = []
    store = CustomerCreditStore(call)
    known: dict[UUID, CustomerCredit] = {}
    for report in said:
        message = report.message
        try:
            id = await _account(call, message)
            amounts = [_amount(message, name) for name in ("credit_limit", "balance", "overdue")]
        except Refusal as refusal:
            outcomes.append(refusal)
            continue
        credit = known.get(id) or await store.find(id) or CustomerCredit(id=id)
        known[id] = credit
        is_new = not credit.reported_version
        changed = credit.report(message.version, *amounts, is_blocked=message.is_blocked)
        if changed is None:
            outcomes.append(Effect.UNCHANGED)
            continue
        store.stage(credit, changed)
        outcomes.append(Effect.CREATED if is_new else Effect.UPDATED)
    await store.flush()
    return outcomes


async def _account(call: Call, message: erp.CreditReported) -> UUID:
    if message.account_id:
        return UUID(message.account_id)
    if not message.HasField("account"):
        raise ReportedAccountMissing
    key = ExternalId(message.account.system, message.account.id)
    id = await account_named(call, key)
    if id is None:
        raise ReportedAccountUnknown(key)
    return id


def _amount(message: erp.CreditReported, name: str) -> Money | None:
    return money_of(getattr(message, name), name) if message.HasField(name) else None  # type: ignore[arg-type]


async def _exposure(call: Call, credit: CustomerCredit, quote: Quote) -> Exposure | None:
    """All in the limit's currency; None where a rate is missing."""
    assert credit.credit_limit is not None
    assert quote.account_id is not None
    currency = credit.credit_limit.currency
    open_orders = await unbooked(call, quote.account_id)
    balance = credit.balance or Money(Decimal(0), currency)
    amounts = [balance, *(Money(amount, each) for each, amount in open_orders.items())]
    amounts.append(Money(quote.payable_total, quote.currency))
    converted = [await _converted(call, amount, currency) for amount in amounts]
    sums = [each for each in converted if each is not None]
    if len(sums) < len(converted):
        return None
    return Exposure(sums[0], sum(sums[1:-1], Decimal(0)), sums[-1])


async def _converted(call: Call, money: Money, currency: str) -> Decimal | None:
    """By way of the reporting currency."""
    if money.currency == currency or not money.amount:
        return money.amount
    rates, day = ExchangeRates(call), call.now.date()
    one = await rates.into_reporting_currency(money.currency, day)
    other = await rates.into_reporting_currency(currency, day)
    if one is None or other is None or not other.rate:
        return None
    return Money(money.amount * one.rate / other.rate, currency).rounded().amount
