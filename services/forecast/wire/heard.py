"""What the forecast takes of the others' events: rows as they are kept (`tables.book`)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

from sfa.identity.v1 import finance_pb2, organisation_pb2
from sfa.opportunities.v1 import deals_pb2, events_pb2, opportunities_pb2

from chassis import convert
from chassis.money import minor_unit, shares
from services.forecast.domain.currencies import rounded
from services.forecast.domain.figures import Category, Deal, Stage, State, product_shares

UNDATED: Final = date.max
"""Where a deal without a close date lies; PostgreSQL calls it infinity."""
_LAST_DAY: Final = date.max - timedelta(days=1)
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Kind(IntEnum):
    """What happened to a deal that made a version of it."""

    CREATED = 1
    UPDATED = 2
    MOVED = 3
    WON = 4
    LOST = 5
    REOPENED = 6
    DELETED = 7
    UNDELETED = 8
    MERGED = 9
    SPLIT = 10


KINDS: Final[dict[str, Kind]] = {
    events_pb2.OpportunityCreated.DESCRIPTOR.full_name: Kind.CREATED,
    events_pb2.OpportunityMoved.DESCRIPTOR.full_name: Kind.MOVED,
    events_pb2.OpportunityWon.DESCRIPTOR.full_name: Kind.WON,
    events_pb2.OpportunityLost.DESCRIPTOR.full_name: Kind.LOST,
    events_pb2.OpportunityReopened.DESCRIPTOR.full_name: Kind.REOPENED,
    events_pb2.OpportunityDeleted.DESCRIPTOR.full_name: Kind.DELETED,
    events_pb2.OpportunityUndeleted.DESCRIPTOR.full_name: Kind.UNDELETED,
    events_pb2.OpportunityMerged.DESCRIPTOR.full_name: Kind.MERGED,
    events_pb2.OpportunitySplit.DESCRIPTOR.full_name: Kind.SPLIT,
}
"""By event; every other one is an update."""


def microseconds(at: datetime) -> int:
    """An instant as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


# Deals


def deal_of(message: opportunities_pb2.Opportunity, version: int) -> Deal:
    """A deal, its amount to the minor unit. One that closed and does not say on which day closed on the
    day it was recorded to."""
    money = convert.money_of(message.amount, "amount") if message.HasField("amount") else None
    amount, currency = (rounded(money.amount, money.currency), money.currency) if money else (None, "")
    closes_on = convert.date_of(message.close_date, "close_date") if message.HasField("close_date") else None
    if closes_on is None and message.HasField("close_time"):
        closes_on = convert.datetime_of(message.close_time).date()
    return Deal(
        id=UUID(message.id),
        version=version,
        name=message.name,
        owner_id=convert.uuid_of(message.owner_id),
        account_id=convert.uuid_of(message.account_id),
        stage_id=convert.uuid_of(message.stage_id),
        state=State(message.state),
        amount=amount,
        currency=currency,
        close_date=min(closes_on, _LAST_DAY) if closes_on else None,
        products=_products(message, amount, currency),
        lead_id=convert.uuid_of(message.lead_id),
        is_deleted=message.HasField("delete_time"),
        pipeline_id=convert.uuid_of(message.pipeline_id),
        category=Category(message.forecast_category) if message.forecast_category else None,
        splits=_credits(message, deals_pb2.Split.REVENUE, amount, currency),
        overlays=_credits(message, deals_pb2.Split.OVERLAY, amount, currency),
    )


def _credits(
    message: opportunities_pb2.Opportunity,
    sort: deals_pb2.Split.Type.ValueType,
    amount: Decimal | None,
    currency: str,
) -> tuple[tuple[UUID, Decimal], ...]:
    """Who is credited with how much, as the opportunities service shared it out.

    Revenue that does not add up to the amount (an amount may be finer than the minor unit) is shared out
    again, so that nothing is lost.
    """
    if not message.splits:
        return ()
    found = [split for split in message.splits if split.type == sort]
    worth = amount or Decimal(0)
    said = {
        split.user_id: rounded(convert.money_of(split.amount, "amount").amount, currency)
        if split.HasField("amount") and amount is not None
        else Decimal(0)
        for split in found
    }
    if sort == deals_pb2.Split.REVENUE and sum(said.values(), Decimal(0)) != worth:
        said = shares(worth, {split.user_id: Decimal(split.percent) for split in found}, currency)
    return tuple((UUID(user), share) for user, share in said.items())


def _products(
    message: opportunities_pb2.Opportunity, amount: Decimal | None, currency: str
) -> tuple[tuple[UUID, Decimal], ...]:
    """What of the amount is each product's, by what the line items come to."""
    lines = message.line_items
    if len(lines) <= 1:
        return tuple((UUID(line.product_id), amount or Decimal(0)) for line in lines)
    worth = (
        (
            UUID(line.product_id),
            Decimal(line.quantity) * convert.money_of(line.unit_price, "unit_price").amount,
        )
        for line in lines
    )
    return product_shares(amount, worth, currency)


def deal_row(deal: Deal, kind: Kind, recorded_at: datetime, effective_at: datetime) -> dict[str, Any]:
    """A version of a deal as it is kept."""
    unit = minor_unit(deal.currency)
    return {
        "id": deal.id,
        "version": deal.version,
        "kind": int(kind),
        "recorded_at": recorded_at,
        "effective_at": effective_at,
        "state": int(deal.state),
        "deleted": deal.is_deleted,
        "name": deal.name,
        "owner_id": deal.owner_id,
        "account_id": deal.account_id,
        "pipeline_id": deal.pipeline_id,
        "stage_id": deal.stage_id,
        "lead_id": deal.lead_id,
        "amount": None if deal.amount is None else int(deal.amount / unit),
        "currency": deal.currency,
        "closes_on": deal.close_date or UNDATED,
        "category": int(deal.category or 0),
        **_parts("product", deal.products, unit),
        **_parts("split", deal.splits, unit),
        **_parts("overlay", deal.overlays, unit),
    }


def _parts(name: str, shares: Sequence[tuple[UUID, Decimal]], unit: Decimal) -> dict[str, list[Any]]:
    ends, end = [], 0
    for _, share in shares:
        end += int(share / unit)
        ends.append(end)
    return {f"{name}_ids": [member for member, _ in shares], f"{name}_ends": ends}


# Everything that deals are counted by: the content of each, by what it is of

Content = dict[str, Any]


def stage_contents(pipeline: opportunities_pb2.Pipeline) -> dict[UUID, Content]:
    """The stages of a pipeline, by id."""
    return {
        UUID(stage.id): {
            "pipeline_id": pipeline.id,
            "name": stage.name,
            "category": stage.forecast_category,
            "probability": stage.probability,
        }
        for stage in (*pipeline.stages, *pipeline.retired_stages)
    }


def stages_of(pipelines: Iterable[opportunities_pb2.Pipeline]) -> dict[UUID, Stage]:
    """The stages of some pipelines, by id."""
    return {
        UUID(stage.id): Stage(
            UUID(stage.id), Category(stage.forecast_category), stage.probability, stage.name
        )
        for pipeline in pipelines
        for stage in (*pipeline.stages, *pipeline.retired_stages)
    }


def territory_content(territory: organisation_pb2.Territory) -> Content:
    """A territory."""
    return {
        "name": territory.name,
        "parent_id": territory.parent_id or None,
        "deleted": territory.HasField("delete_time"),
    }


def assignment_content(assignment: organisation_pb2.TerritoryAssignment) -> Content:
    """Who covers a territory; one that was deleted holds at no time."""
    return {
        "user_id": assignment.user_id,
        "territory_id": assignment.territory_id,
        "share": assignment.share or "1",
        **_interval(assignment),
    }


def line_content(line: organisation_pb2.ReportingLine) -> Content:
    """Who reports to whom; one that was deleted holds at no time."""
    return {"user_id": line.user_id, "manager_id": line.manager_id, **_interval(line)}


def _interval(dated: organisation_pb2.TerritoryAssignment | organisation_pb2.ReportingLine) -> Content:
    start = convert.datetime_of(dated.start_time) if dated.HasField("start_time") else _BEGINNING
    end = convert.datetime_of(dated.end_time) if dated.HasField("end_time") else _END
    end = start if dated.HasField("delete_time") else end
    return {"valid_from": microseconds(start), "valid_to": microseconds(end)}


def rate_content(rate: finance_pb2.ExchangeRate) -> Content:
    """An exchange rate."""
    return {
        "currency": rate.from_currency,
        "target": rate.to_currency,
        "valid_from": convert.date_of(rate.date, "date").isoformat(),
        "rate": str(convert.decimal_of(rate.rate, "rate")),
        "deleted": rate.HasField("delete_time"),
    }


def tenant_content(tenant: organisation_pb2.Tenant) -> Content:
    """What the tenant has set."""
    calendar = tenant.fiscal_calendar
    return {
        "reporting_currency": tenant.reporting_currency,
        "time_zone": tenant.time_zone,
        "first_month": calendar.start_month or 1,
        "pattern": calendar.pattern,
        "first_weekday": calendar.first_weekday,
        "year_end": calendar.year_end,
        "long_month": calendar.long_month,
    }
