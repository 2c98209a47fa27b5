"""Exchange rates over gRPC, on a real database."""

from __future__ import annotations

from datetime import date

import grpc
import pytest
from google.type.date_pb2 import Date
from sfa.api.v1.resource_pb2 import RowResult
from sfa.identity.v1 import finance_pb2 as pb
from sfa.identity.v1 import finance_pb2_grpc as stubs

from tests.identity.conftest import Company, Refused


def day(value: date) -> Date:
    return Date(year=value.year, month=value.month, day=value.day)


def rate(value: str, on: date, from_currency: str = "USD", to_currency: str = "EUR") -> pb.ExchangeRate:
    return pb.ExchangeRate(from_currency=from_currency, to_currency=to_currency, date=day(on), rate=value)


@pytest.fixture
def rates(company: Company) -> stubs.ExchangeRateServiceAsyncStub:
    return stubs.ExchangeRateServiceStub(company.stack.channel("identity", "operations"))


async def record(rates: stubs.ExchangeRateServiceAsyncStub, recorded: pb.ExchangeRate) -> pb.ExchangeRate:
    return await rates.RecordExchangeRate(pb.RecordExchangeRateRequest(exchange_rate=recorded))


async def find(
    rates: stubs.ExchangeRateServiceAsyncStub, on: date, from_currency: str = "USD"
) -> pb.ExchangeRate:
    return await rates.FindExchangeRate(pb.FindExchangeRateRequest(from_currency=from_currency, date=day(on)))


async def test_the_latest_rate_on_or_before_the_day_is_found(
    rates: stubs.ExchangeRateServiceAsyncStub,
) -> None:
    await record(rates, rate("0.9", date(2026, 1, 1)))
    await record(rates, rate("0.95000", date(2026, 2, 1)))
    assert (await find(rates, date(2026, 1, 31))).rate == "0.9"
    assert (await find(rates, date(2026, 2, 1))).rate == "0.95"


async def test_a_missing_rate_is_reported(rates: stubs.ExchangeRateServiceAsyncStub) -> None:
    await record(rates, rate("0.9", date(2026, 1, 2)))
    async with Refused("EXCHANGE_RATE_MISSING", grpc.StatusCode.NOT_FOUND) as refused:
        await find(rates, date(2026, 1, 1))
    assert refused.facts == {"from_currency": "USD", "to_currency": "EUR", "date": "2026-01-01"}
    async with Refused("EXCHANGE_RATE_MISSING"):
        await find(rates, date(2026, 1, 2), "JPY")


async def test_a_rate_of_the_same_day_is_corrected(rates: stubs.ExchangeRateServiceAsyncStub) -> None:
    first = await record(rates, rate("0.9", date(2026, 1, 1)))
    corrected = await record(rates, rate("0.91", date(2026, 1, 1)))
    assert (corrected.id, corrected.etag) == (first.id, "2")
    assert await record(rates, rate("0.910", date(2026, 1, 1))) == corrected


async def test_many_rates_come_in_at_once_and_a_second_time_change_nothing(
    rates: stubs.ExchangeRateServiceAsyncStub,
) -> None:
    row = pb.BatchUpsertExchangeRatesRequest.Row
    request = pb.BatchUpsertExchangeRatesRequest(
        rows=[row(exchange_rate=rate(f"0.{number}", date(2026, 1, number))) for number in range(1, 29)]
        + [
            row(exchange_rate=rate("0", date(2026, 2, 1))),
            row(exchange_rate=rate("1", date(2026, 2, 1), "EUR")),
            row(exchange_rate=rate("0.5", date(2026, 1, 1))),
            row(
                exchange_rate=pb.ExchangeRate(
                    from_currency="USD", to_currency="EUR", date=Date(year=2026, month=2, day=30), rate="1"
                )
            ),
        ]
    )
    results = (await rates.BatchUpsertExchangeRates(request)).results
    assert [result.outcome for result in results[:28]] == [RowResult.CREATED] * 28
    assert [result.outcome for result in results[28:]] == [
        RowResult.REJECTED,
        RowResult.REJECTED,
        RowResult.UPDATED,
        RowResult.REJECTED,
    ]
    again = (
        await rates.BatchUpsertExchangeRates(pb.BatchUpsertExchangeRatesRequest(rows=request.rows[1:28]))
    ).results
    assert {result.outcome for result in again} == {RowResult.UNCHANGED}
    listed = await rates.ListExchangeRates(
        pb.ListExchangeRatesRequest(filter='date >= "2026-01-20"', order_by="date")
    )
    assert [each.date.day for each in listed.exchange_rates] == list(range(20, 29))
