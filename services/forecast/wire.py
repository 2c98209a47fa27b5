"""Between the protos and what the forecast keeps and answers."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.identity.v1 import finance_pb2, organisation_pb2
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.money import Money
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import (
    Category,
    CountedDeal,
    Deal,
    Figures,
    Stage,
    State,
    Sum,
    product_shares,
)
from services.forecast.domain.periods import Period
from services.forecast.domain.trees import Node

UNDATED: Final = date.max
"""Where a deal without a close date lies; PostgreSQL calls it infinity."""
_LAST_DAY: Final = date.max - timedelta(days=1)
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)

Row = Mapping[str, Any]


# Events in


def deal_of(message: opportunities_pb2.Opportunity, version: int) -> Deal:
    """A deal. One that closed and does not say on which day closed on the day it was recorded to."""
    money = convert.money_of(message.amount, "amount") if message.HasField("amount") else None
    lines = [
        (
            UUID(line.product_id),
            Decimal(line.quantity) * convert.money_of(line.unit_price, "unit_price").amount,
        )
        for line in message.line_items
    ]
    closes_on = convert.date_of(message.close_date, "close_date") if message.HasField("close_date") else None
    if closes_on is None and message.HasField("close_time"):
        closes_on = convert.datetime_of(message.close_time).date()
    amount, currency = (money.amount, money.currency) if money else (None, "")
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
        products=product_shares(amount, lines, currency),
        lead_id=convert.uuid_of(message.lead_id),
        is_deleted=message.HasField("delete_time"),
    )


def deal_to_row(deal: Deal, recorded_at: datetime, effective_at: datetime) -> Row:
    """A deal as it is kept."""
    ends, end = [], Decimal(0)
    for _, share in deal.products:
        end += share
        ends.append(end)
    return {
        "id": deal.id,
        "version": deal.version,
        "name": deal.name,
        "owner_id": deal.owner_id,
        "account_id": deal.account_id,
        "stage_id": deal.stage_id,
        "state": deal.state,
        "amount": deal.amount,
        "currency": deal.currency,
        "closes_on": deal.close_date or UNDATED,
        "lead_id": deal.lead_id,
        "product_ids": [product for product, _ in deal.products],
        "product_ends": ends,
        "deleted": deal.is_deleted,
        "recorded_at": recorded_at,
        "effective_at": effective_at,
    }


def row_to_deal(row: Row) -> Deal:
    """A deal as it was kept."""
    starts = [Decimal(0), *row["product_ends"]]
    shares = [end - start for start, end in zip(starts, row["product_ends"], strict=False)]
    return Deal(
        id=row["id"],
        version=row["version"],
        name=row["name"],
        owner_id=row["owner_id"],
        account_id=row["account_id"],
        stage_id=row["stage_id"],
        state=State(row["state"]),
        amount=row["amount"],
        currency=row["currency"],
        close_date=row["closes_on"] if row["closes_on"] < UNDATED else None,
        products=tuple(zip(row["product_ids"], shares, strict=True)),
        lead_id=row["lead_id"],
        is_deleted=row["deleted"],
    )


def stage_rows(pipeline: opportunities_pb2.Pipeline, version: int) -> list[Row]:
    """The stages of a pipeline."""
    return [
        {
            "id": UUID(stage.id),
            "version": version,
            "pipeline_id": UUID(pipeline.id),
            "name": stage.name,
            "category": stage.forecast_category,
            "probability": stage.probability,
        }
        for stage in pipeline.stages
    ]


def stages_of(pipelines: Iterable[opportunities_pb2.Pipeline]) -> dict[UUID, Stage]:
    """The stages of some pipelines, by id."""
    return {
        UUID(stage.id): Stage(
            UUID(stage.id), Category(stage.forecast_category), stage.probability, stage.name
        )
        for pipeline in pipelines
        for stage in pipeline.stages
    }


def user_row(user: organisation_pb2.User, version: int) -> Row:
    """A user."""
    return {"id": UUID(user.id), "version": version, "name": user.display_name}


def territory_row(territory: organisation_pb2.Territory, version: int) -> Row:
    """A territory."""
    return {
        "id": UUID(territory.id),
        "version": version,
        "name": territory.name,
        "parent_id": convert.uuid_of(territory.parent_id),
        "deleted": territory.HasField("delete_time"),
    }


def assignment_row(assignment: organisation_pb2.TerritoryAssignment, version: int) -> Row:
    """Who covers a territory; one that was deleted holds at no time."""
    start = convert.datetime_of(assignment.start_time) if assignment.HasField("start_time") else _BEGINNING
    end = convert.datetime_of(assignment.end_time) if assignment.HasField("end_time") else _END
    return {
        "id": UUID(assignment.id),
        "version": version,
        "user_id": UUID(assignment.user_id),
        "territory_id": UUID(assignment.territory_id),
        "valid_from": start,
        "valid_to": start if assignment.HasField("delete_time") else end,
    }


def rate_row(rate: finance_pb2.ExchangeRate, version: int) -> Row:
    """An exchange rate."""
    return {
        "id": UUID(rate.id),
        "version": version,
        "from_currency": rate.from_currency,
        "to_currency": rate.to_currency,
        "valid_from": convert.date_of(rate.date, "date"),
        "rate": convert.decimal_of(rate.rate, "rate"),
        "deleted": rate.HasField("delete_time"),
    }


def tenant_row(tenant: organisation_pb2.Tenant, version: int) -> Row:
    """What the tenant has set."""
    return {
        "id": UUID(tenant.id),
        "version": version,
        "reporting_currency": tenant.reporting_currency,
        "time_zone": tenant.time_zone,
        "first_month": tenant.fiscal_calendar.start_month or 1,
    }


# Answers out


def period_to_proto(period: Period) -> pb.ForecastPeriod:
    """A period."""
    return pb.ForecastPeriod(
        id=period.id,
        name=period.name,
        kind=pb.ForecastPeriod.Kind.ValueType(period.granularity),
        start_date=convert.date_to_proto(period.start),
        end_date=convert.date_to_proto(period.end),
    )


def _set_sum(target: pb.Sum, value: Sum, currency: str) -> None:
    target.deals = value.deals
    if value.amount:
        convert.set_money(target.amount, Money(value.amount, currency))
    else:
        target.amount.currency_code = currency


def figures_to_proto(figures: Figures, currency: str) -> pb.Figures:
    """All figures of a node in a period."""
    result = pb.Figures(deals=figures.deals, unpriced=figures.unpriced, unconverted=figures.unconverted)
    for name in ("closed", "commit", "best_case", "pipeline", "omitted"):
        _set_sum(getattr(result.alone, name), getattr(figures, name), currency)
    _set_sum(result.cumulative.closed, figures.closed, currency)
    _set_sum(result.cumulative.commit, figures.commit_cumulative, currency)
    _set_sum(result.cumulative.best_case, figures.best_case_cumulative, currency)
    _set_sum(result.cumulative.pipeline, figures.pipeline_cumulative, currency)
    _set_sum(result.cumulative.omitted, figures.omitted, currency)
    convert.set_money(result.weighted, Money(figures.weighted, currency))
    _set_sum(result.overdue, figures.overdue, currency)
    _set_sum(result.lost, figures.lost, currency)
    return result


def node_to_proto(node: Node, periods: Iterable[Period], currency: str) -> pb.ForecastNode:
    """A node with its figures."""
    result = pb.ForecastNode(
        id=node.id,
        name=node.name,
        parent_id=node.parent_id,
        kind=pb.ForecastNode.Kind.ValueType(node.kind),
        depth=node.depth,
        own_deals=sum(figures.deals for figures in node.own.values()),
    )
    for period in periods:
        if period.id not in node.total:
            continue
        cell = result.cells.add(period_id=period.id, total=figures_to_proto(node.total[period.id], currency))
        if node.has_children:
            cell.own.CopyFrom(figures_to_proto(node.own.get(period.id, Figures()), currency))
    return result


def lacking_to_proto(lacking: Lacking, target: str) -> pb.MissingRate:
    """A rate that is missing."""
    return pb.MissingRate(
        currency=lacking.currency, target=target, date=convert.date_to_proto(lacking.day), deals=lacking.deals
    )


def deal_row_to_proto(deal: CountedDeal, currency: str) -> pb.ForecastDeal:
    """A deal as it is counted."""
    result = pb.ForecastDeal(
        opportunity_id=str(deal.id),
        etag=str(deal.version),
        name=deal.name,
        owner_id=str(deal.owner_id or ""),
        account_id=str(deal.account_id or ""),
        stage_id=str(deal.stage_id or ""),
        state=opportunities_pb2.Opportunity.State.ValueType(deal.state),
        category=opportunities_pb2.ForecastCategory.ValueType(deal.category),
        probability=deal.probability,
        overdue=deal.overdue,
    )
    if deal.closes_on < UNDATED:
        convert.set_date(result.close_date, deal.closes_on)
    if deal.amount is not None:
        convert.set_money(result.amount, Money(deal.amount, deal.currency))
    if deal.converted is not None:
        convert.set_money(result.converted_amount, Money(deal.converted, currency))
        convert.set_money(result.weighted_amount, Money(deal.weighted, currency))
    return result
