"""Exchange rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from sfa.identity.v1 import finance_pb2 as pb

from chassis import batch, convert
from chassis.call import Call
from chassis.convert import decimal_of, uuid_of
from chassis.entity import Event
from chassis.ids import new_id
from services.identity import wire
from services.identity.domain.rates import ExchangeRate, ExchangeRateRecorded, rate_on
from services.identity.store import ExchangeRateStore, TenantStore

Key = tuple[str, str, date]


class ExchangeRateServicer:
    """The rates; a rate is known by its currencies and its date."""

    async def RecordExchangeRate(self, request: pb.RecordExchangeRateRequest, call: Call) -> pb.ExchangeRate:
        store = ExchangeRateStore(call)
        key = _key(request.exchange_rate)
        rate, recorded = _recorded(request.exchange_rate, (await store.on_days([key])).get(key))
        await store.save(rate, recorded)
        return wire.exchange_rate_to_proto(rate)

    async def GetExchangeRate(self, request: pb.GetExchangeRateRequest, call: Call) -> pb.ExchangeRate:
        return wire.exchange_rate_to_proto(await ExchangeRateStore(call).get(request.id))

    async def FindExchangeRate(self, request: pb.FindExchangeRateRequest, call: Call) -> pb.ExchangeRate:
        tenant = await TenantStore(call).own()
        to_currency = request.to_currency or tenant.reporting_currency
        on = wire.day_of(request.date, "date") or tenant.day_of(call.now)
        found = await ExchangeRateStore(call).latest(request.from_currency, to_currency, on)
        return wire.exchange_rate_to_proto(rate_on(found, request.from_currency, to_currency, on))

    async def ListExchangeRates(
        self, request: pb.ListExchangeRatesRequest, call: Call
    ) -> pb.ListExchangeRatesResponse:
        page = await ExchangeRateStore(call).page(request)
        return pb.ListExchangeRatesResponse(
            exchange_rates=map(wire.exchange_rate_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def BatchUpsertExchangeRates(
        self, request: pb.BatchUpsertExchangeRatesRequest, call: Call
    ) -> pb.BatchUpsertExchangeRatesResponse:
        store = ExchangeRateStore(call)
        keys = [_key_or_none(row.exchange_rate) for row in request.rows]
        known = await store.on_days([key for key in keys if key is not None])

        def put(
            row: batch.Row, found: ExchangeRate | None
        ) -> Iterator[tuple[ExchangeRate, Event, datetime | None]]:
            key = _key(row.content.exchange_rate)
            rate, recorded = _recorded(row.content.exchange_rate, known.get(key) or found, row.id)
            known[key] = rate
            yield rate, recorded, None

        ids = {key: rate.id for key, rate in known.items()}
        rows = [
            row if key is None else replace(row, id=ids.setdefault(key, row.id or new_id()))
            for key, row in zip(keys, batch.numbered(request.rows, "exchange_rate"), strict=True)
        ]
        results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        return pb.BatchUpsertExchangeRatesResponse(results=results)


def _recorded(
    asked: pb.ExchangeRate, known: ExchangeRate | None, id: UUID | None = None
) -> tuple[ExchangeRate, ExchangeRateRecorded]:
    """The rate as it is asked for: a new one, or the known one corrected."""
    from_currency, to_currency, day = _key(asked)
    value = decimal_of(asked.rate, "exchange_rate.rate")
    rate = known or ExchangeRate(
        id=id or uuid_of(asked.id) or new_id(),
        from_currency=from_currency,
        to_currency=to_currency,
        date=day,
        rate=value,
    )
    rate.from_currency, rate.to_currency, rate.date, rate.rate = from_currency, to_currency, day, value
    if asked.external_ids:
        rate.external_ids = convert.external_ids_of(asked.external_ids)
    return rate, rate.record()


def _key(asked: pb.ExchangeRate) -> Key:
    return asked.from_currency, asked.to_currency, convert.date_of(asked.date, "exchange_rate.date")


def _key_or_none(asked: pb.ExchangeRate) -> Key | None:
    """What a row is known by; None where its date is none, which the row's own outcome will say."""
    try:
        return _key(asked)
    except convert.BadValue:
        return None
