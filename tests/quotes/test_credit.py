"""Customers' credit: what the ERP says of it, and what it does to a quote that is to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given, settings
from hypothesis import strategies as st
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.erp.v1 import messages_pb2 as erp
from sfa.quotes.v1 import credit_pb2 as pb
from sfa.quotes.v1 import orders_pb2, quotes_pb2, reports_pb2
from sfa.quotes.v1.credit_pb2_grpc import CreditServiceStub
from sfa.quotes.v1.reports_pb2_grpc import ReportServiceStub

from chassis.ids import new_id
from chassis.money import Money
from services.quotes.domain.credit import (
    CreditPolicy,
    CreditSettings,
    CustomerCredit,
    Exposure,
    findings,
)
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.credit_pb2_grpc import CreditServiceAsyncStub
    from sfa.quotes.v1.reports_pb2_grpc import ReportServiceAsyncStub

Code = grpc.StatusCode
Policy = pb.CreditSettings


def euro(amount: int | str) -> Money:
    return Money(Decimal(amount), "EUR")


def credit(**fields: Any) -> CustomerCredit:
    return CustomerCredit(reported_version=1, **fields)


def said(held: CustomerCredit, exposure: Exposure | None = None, **policies: Any) -> list[str]:
    return [each.sentence for each in findings(held, CreditSettings(**policies), exposure)]


def test_a_limit_is_held_against_balance_open_orders_and_the_quote() -> None:
    limited = credit(credit_limit=euro(1000), balance=euro(500))
    assert not said(limited, Exposure(Decimal(500), Decimal(300), Decimal(200)))
    assert said(limited, Exposure(Decimal(500), Decimal(300), Decimal("200.01"))) == [
        "With this quote the customer would owe 1000.01 EUR, more than the credit limit of 1000 EUR."
    ]
    assert not said(
        limited, Exposure(Decimal(500), Decimal(300), Decimal(201)), over_limit=CreditPolicy.IGNORE
    )
    (warning,) = findings(limited, CreditSettings(over_limit=CreditPolicy.BLOCK), None)
    assert warning.policy is CreditPolicy.WARN


def test_what_is_overdue_counts_above_the_tolerance() -> None:
    late = credit(overdue=euro(50))
    assert said(late) == ["The customer is overdue with 50 EUR."]
    assert not said(late, overdue_tolerance=euro(50))
    assert said(late, overdue_tolerance=euro(49))
    assert said(late, overdue_tolerance=Money(Decimal(1000), "USD"))
    assert not said(credit(overdue=euro(0)))


def test_a_customer_whom_the_erp_blocks_is_blocked_unless_said_otherwise() -> None:
    (found,) = findings(credit(is_blocked=True), CreditSettings(), None)
    assert found.policy is CreditPolicy.BLOCK
    assert not said(credit(is_blocked=True), blocked=CreditPolicy.IGNORE)


amounts = st.none() | st.integers(0, 3).map(euro)
reports = st.tuples(st.integers(1, 4), amounts, amounts, amounts, st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(reports, max_size=8), st.data())
def test_any_order_and_any_number_of_reports_end_the_same(
    all: list[tuple[int, Money | None, Money | None, Money | None, bool]], data: st.DataObject
) -> None:
    def run(heard: Sequence[tuple[int, Money | None, Money | None, Money | None, bool]]) -> CustomerCredit:
        held = CustomerCredit(id=new_id())
        for version, limit, balance, overdue, is_blocked in heard:
            held.report(version, limit, balance, overdue, is_blocked=is_blocked)
        return held

    repeated = [*all, *data.draw(st.lists(st.sampled_from(all), max_size=4))] if all else []
    one, other = run(all), run(data.draw(st.permutations(repeated)))
    for name in ("reported_version", "is_blocked"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("credit_limit", "balance", "overdue"):
        here, there = getattr(one, name), getattr(other, name)
        assert (here or euro(0)) == (there or euro(0))


class Bank:
    """Credit to one caller."""

    def __init__(self, stack: Stack, role: str | None = None) -> None:
        channel = stack.channel("quotes", role)
        self.credit: CreditServiceAsyncStub = CreditServiceStub(channel)
        self.reports: ReportServiceAsyncStub = ReportServiceStub(stack.channel("quotes", "integration"))

    async def say(self, account: str, version: int, **fields: Any) -> RowResult:
        """What the ERP says of a customer."""
        row = erp.CreditReported(account_id=account, version=version, **fields)
        answer = await self.reports.BatchUpsertCredits(reports_pb2.BatchUpsertCreditsRequest(rows=[row]))
        return answer.results[0]

    async def set(self, **fields: Any) -> pb.CreditSettings:
        """What credit does from now on."""
        return await self.credit.UpdateCreditSettings(
            pb.UpdateCreditSettingsRequest(
                credit_settings=pb.CreditSettings(**fields), update_mask=FieldMask(paths=list(fields))
            )
        )

    async def check(self, quote: quotes_pb2.Quote) -> pb.CheckCreditResponse:
        """What it would do."""
        return await self.credit.CheckCredit(pb.CheckCreditRequest(id=quote.id))


@pytest.fixture
def bank(running: Stack) -> Bank:
    """Sales operations."""
    return Bank(running, "operations")


async def draft(shop: Shop, office: Shop, account: str, code: str = "C-1") -> quotes_pb2.Quote:
    """A draft of a hundred euros."""
    chair = await office.product(code)
    deal = await shop.deal(account_id=account)
    return await shop.quote(deal.id, line(chair, "10"))


async def send(shop: Shop, quote: quotes_pb2.Quote) -> quotes_pb2.Quote:
    return await shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))


async def test_credit_warns_or_blocks_as_the_tenant_says(shop: Shop, office: Shop, bank: Bank) -> None:
    account = str(new_id())
    quote = await draft(shop, office, account)
    assert (await bank.check(quote)).allowed
    told = await bank.say(account, 1, credit_limit=euros(150), balance=euros(60), overdue=euros(5))
    assert told.outcome == RowResult.CREATED
    found = await bank.check(quote)
    assert (found.allowed, len(found.warnings), list(found.blocks)) == (True, 2, [])
    await bank.set(over_limit=Policy.BLOCK)
    code, reason, field = await refusal(send(shop, quote))
    assert (code, reason, field) == (Code.FAILED_PRECONDITION, "CREDIT_REFUSED", "account_id")
    settings = await bank.set(over_limit=Policy.WARN, overdue_tolerance=euros(5))
    assert (settings.overdue, settings.blocked) == (Policy.WARN, Policy.BLOCK)
    sent = await send(shop, quote)
    assert list(sent.credit_warnings) == [
        "With this quote the customer would owe 160 EUR, more than the credit limit of 150 EUR."
    ]
    own = Bank(shop.stack)
    assert (await refusal(own.set(over_limit=Policy.IGNORE)))[0] is Code.PERMISSION_DENIED


async def test_what_was_ordered_and_not_booked_counts_until_the_erp_counts_it(
    shop: Shop, office: Shop, bank: Bank
) -> None:
    account = str(new_id())
    await bank.say(account, 1, credit_limit=euros(150), balance=euros(0))
    first = await send(shop, await draft(shop, office, account))
    accepted = await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=first.id))
    assert accepted.order_id
    second = await draft(shop, office, account, "C-2")
    assert (await bank.check(second)).warnings
    numbered = (await shop.orders.ListOrders(orders_pb2.ListOrdersRequest())).orders[0].number
    await bank.reports.BatchUpsertOrderConfirmations(
        reports_pb2.BatchUpsertOrderConfirmationsRequest(rows=[erp.OrderConfirmed(order=numbered, version=1)])
    )
    assert not (await bank.check(second)).warnings
    await bank.say(account, 2, credit_limit=euros(150), balance=euros(100))
    assert (await bank.check(second)).warnings


async def test_a_blocked_customer_is_told_apart_from_one_that_nobody_knows(
    shop: Shop, office: Shop, bank: Bank
) -> None:
    account = str(new_id())
    quote = await draft(shop, office, account)
    await bank.say(account, 2, is_blocked=True)
    assert (await bank.say(account, 1)).outcome == RowResult.UNCHANGED
    assert (await refusal(send(shop, quote)))[1] == "CREDIT_REFUSED"
    listed = await bank.credit.ListCustomerCredits(pb.ListCustomerCreditsRequest(filter="is_blocked = true"))
    assert [each.id for each in listed.customer_credits] == [account]
    await bank.say(account, 3)
    assert (await send(shop, quote)).state == quotes_pb2.Quote.SENT
    key = ExternalId(system="erp", id="nobody")
    row = erp.CreditReported(account=key, version=1)
    answer = await bank.reports.BatchUpsertCredits(reports_pb2.BatchUpsertCreditsRequest(rows=[row]))
    assert answer.results[0].reason == "REPORTED_ACCOUNT_UNKNOWN"
    empty = erp.CreditReported(version=1)
    answer = await bank.reports.BatchUpsertCredits(reports_pb2.BatchUpsertCreditsRequest(rows=[empty]))
    assert answer.results[0].reason == "REPORTED_ACCOUNT_MISSING"
