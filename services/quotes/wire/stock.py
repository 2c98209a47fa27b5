"""Warehouses, stock, availability and promises, to and from the protos."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from google.type.latlng_pb2 import LatLng
from sfa.quotes.v1 import inventory_pb2 as pb
from sfa.quotes.v1 import quotes_pb2

from chassis import convert
from chassis.errors import InvalidArgument
from services.quotes.domain.availability import Allocation, Part, Promise, PromiseKind
from services.quotes.domain.quotes import QuoteState
from services.quotes.domain.stock import StockItem
from services.quotes.domain.stock_settings import HoldRule, StockSettings
from services.quotes.domain.warehouses import Place, Warehouse

_STATES = {state: quotes_pb2.Quote.State.Value(state.name) for state in QuoteState}
_STATE_OF = {number: state for state, number in _STATES.items()}
_KINDS = {kind: pb.StockPromise.Kind.Value(kind.name) for kind in PromiseKind}


class NotOnEarth(InvalidArgument):
    """Coordinates are no point on the earth."""

    def __init__(self, field: str) -> None:
        super().__init__("Latitude goes from -90 to 90, longitude from -180 to 180.", field=field)


def place_of(message: LatLng, field: str) -> Place:
    """A point.

    Raises:
        NotOnEarth: it is none.
    """
    if not (-90 <= message.latitude <= 90 and -180 <= message.longitude <= 180):
        raise NotOnEarth(field)
    return Place(message.latitude, message.longitude)


def warehouse_to_proto(warehouse: Warehouse) -> pb.Warehouse:
    """The resource."""
    result = pb.Warehouse()
    convert.set_head(result, warehouse)
    for name in ("code", "name", "address", "country", "is_active"):
        setattr(result, name, getattr(warehouse, name))
    if warehouse.place is not None:
        result.location.latitude = warehouse.place.latitude
        result.location.longitude = warehouse.place.longitude
    return result


def _coordinate(name: str) -> Callable[[pb.Warehouse], float | None]:
    def read(message: pb.Warehouse) -> float | None:
        if not message.HasField("location"):
            return None
        value: float = getattr(place_of(message.location, "warehouse.location"), name)
        return value

    return read


# How each field that a client may set is read; the names are those of the update mask.
WAREHOUSE_FIELDS: Mapping[str, Callable[[pb.Warehouse], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "code": lambda message: message.code,
    "name": lambda message: message.name,
    "address": lambda message: message.address,
    "country": lambda message: message.country,
    "location": lambda message: (_coordinate("latitude")(message), _coordinate("longitude")(message)),
    "is_active": lambda message: message.is_active if message.HasField("is_active") else True,
}


def warehouse_values(fields: dict[str, Any]) -> dict[str, Any]:
    """The domain's values of what a client set: a location is two of them."""
    if "location" in fields:
        fields["latitude"], fields["longitude"] = fields.pop("location")
    return fields


def stock_item_to_proto(item: StockItem) -> pb.StockItem:
    """The resource."""
    result = pb.StockItem()
    convert.set_head(result, item)
    result.warehouse_id, result.product_id = str(item.warehouse_id), str(item.product_id)
    for name in ("on_hand", "safety_stock", "shipped", "incoming", "shortfall"):
        setattr(result, name, convert.decimal_text(getattr(item, name)))
    result.level_version = item.level_version
    return result


def stock_settings_to_proto(settings: StockSettings) -> pb.StockSettings:
    """The resource."""
    result = pb.StockSettings(etag=str(settings.version))
    if settings.updated_at is not None:
        convert.set_timestamp(result.update_time, settings.updated_at)
    for rule in settings.hold_rules:
        item = result.hold_rules.add(hours=rule.hours)
        if rule.state is not None:
            item.state = _STATES[rule.state]
        if rule.account_id is not None:
            item.account_id = str(rule.account_id)
    return result


def _rule_of(message: pb.StockSettings.HoldRule) -> HoldRule:
    return HoldRule(
        state=_STATE_OF.get(message.state),
        account_id=convert.uuid_of(message.account_id),
        hours=message.hours if message.HasField("hours") else None,
    )


STOCK_SETTINGS_FIELDS: Mapping[str, Callable[[pb.StockSettings], Any]] = {
    "hold_rules": lambda message: tuple(map(_rule_of, message.hold_rules)),
}


def availability_to_proto(
    allocation: Allocation,
    substitutes: Iterable[tuple[UUID, Decimal]] = (),
    *,
    is_stocked: bool = True,
    of_line: bool = False,
) -> pb.Availability:
    """What can be had of one need."""
    need, shortage = allocation.need, allocation.shortage
    result = pb.Availability(
        line_id=str(need.line_id) if of_line else "",
        product_id=str(need.product_id),
        quantity=convert.decimal_text(need.quantity),
        parts=map(_part_to_proto, allocation.parts),
        missing=convert.decimal_text(shortage.missing if shortage else Decimal(0)),
        is_stocked=is_stocked,
    )
    convert.set_date(result.need_date, need.day)
    if shortage is not None and shortage.earliest is not None:
        convert.set_date(result.earliest_date, shortage.earliest)
    for product_id, available in substitutes:
        result.substitutes.add(product_id=str(product_id), available=convert.decimal_text(available))
    return result


def _part_to_proto(part: Part) -> pb.StockPart:
    return pb.StockPart(
        warehouse_id=str(part.warehouse_id),
        quantity=convert.decimal_text(part.quantity),
        distance_kilometres=part.kilometres,
    )


def promise_to_proto(
    promise: Promise, covered: Decimal | None = None, *, says_whose: bool = True
) -> pb.StockPromise:
    """One promise; `covered` is what of it there is."""
    result = pb.StockPromise(
        id=str(promise.id),
        kind=_KINDS[promise.kind],
        quote_id=str(promise.quote_id) if says_whose else "",
        line_id=str(promise.line_id) if says_whose else "",
        order_number=promise.order_number if says_whose else "",
        product_id=str(promise.product_id),
        warehouse_id=str(promise.warehouse_id),
        quantity=convert.decimal_text(promise.quantity),
        shipped=convert.decimal_text(promise.shipped),
        covered=convert.decimal_text(covered) if covered is not None else None,
    )
    convert.set_date(result.need_date, promise.due_on)
    convert.set_timestamp(result.promise_time, promise.created_at)
    if promise.expires_at is not None:
        convert.set_timestamp(result.expire_time, promise.expires_at)
    return result


def hold_to_proto(
    quote_id: UUID, promises: Iterable[Promise], lines: Iterable[pb.Availability] = ()
) -> pb.StockHold:
    """What is promised to a quote."""
    promises = list(promises)
    result = pb.StockHold(quote_id=str(quote_id), promises=map(promise_to_proto, promises), lines=lines)
    if ends := [each.expires_at for each in promises if each.expires_at is not None]:
        convert.set_timestamp(result.expire_time, min(ends))
    return result


def day_of(message: Any, field: str, default: date) -> date:
    """The day that a request's field names, `default` where it names none."""
    return convert.date_of(getattr(message, field), field) if message.HasField(field) else default
