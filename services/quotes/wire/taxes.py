"""Rates of tax, exemptions and settings, to and from the protos."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sfa.quotes.v1 import taxes_pb2 as pb

from chassis import convert
from services.quotes.domain.taxation import TaxRounding
from services.quotes.domain.taxes import Calculator, TaxExemption, TaxRate, TaxSettings

_CALCULATORS = {each: pb.TaxSettings.Calculator.Value(each.name) for each in Calculator}
_CALCULATOR_OF = {number: each for each, number in _CALCULATORS.items()}
_ROUNDINGS = {each: pb.TaxSettings.Rounding.Value(each.name) for each in TaxRounding}
_ROUNDING_OF = {number: each for each, number in _ROUNDINGS.items()}


def rate_to_proto(rate: TaxRate) -> pb.TaxRate:
    """The resource."""
    result = pb.TaxRate(region=rate.region, tax_class=rate.tax_class, name=rate.name)
    convert.set_head(result, rate)
    result.percent = convert.decimal_text(rate.percent)
    _set_validity(result, rate)
    return result


def exemption_to_proto(exemption: TaxExemption) -> pb.TaxExemption:
    """The resource."""
    result = pb.TaxExemption(
        account_id=str(exemption.account_id),
        region=exemption.region,
        tax_class=exemption.tax_class,
        certificate=exemption.certificate,
    )
    convert.set_head(result, exemption)
    _set_validity(result, exemption)
    return result


def settings_to_proto(settings: TaxSettings) -> pb.TaxSettings:
    """The resource; one that was never changed has no version."""
    result = pb.TaxSettings(
        calculator=_CALCULATORS[settings.calculator],
        rounding=_ROUNDINGS[settings.rounding],
        default_region=settings.default_region,
        default_class=settings.default_class,
        freight_class=settings.freight_class,
        prices_include_tax=settings.prices_include_tax,
    )
    if settings.version:
        result.etag = str(settings.version)
    convert.set_timestamp(result.update_time, settings.updated_at)
    return result


def _set_validity(result: Any, entity: TaxRate | TaxExemption) -> None:
    if entity.valid_from is not None:
        convert.set_date(result.valid_from, entity.valid_from)
    if entity.valid_to is not None:
        convert.set_date(result.valid_to, entity.valid_to)


def _day(kind: str, name: str) -> Callable[[Any], date | None]:
    return lambda message: (
        convert.date_of(getattr(message, name), f"{kind}.{name}") if message.HasField(name) else None
    )


RATE_FIELDS: Mapping[str, Callable[[pb.TaxRate], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "region": lambda message: message.region,
    "tax_class": lambda message: message.tax_class,
    "name": lambda message: message.name,
    "percent": lambda message: Decimal(message.percent or 0),
    "valid_from": _day("tax_rate", "valid_from"),
    "valid_to": _day("tax_rate", "valid_to"),
}

EXEMPTION_FIELDS: Mapping[str, Callable[[pb.TaxExemption], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "account_id": lambda message: convert.uuid_of(message.account_id),
    "region": lambda message: message.region,
    "tax_class": lambda message: message.tax_class,
    "certificate": lambda message: message.certificate,
    "valid_from": _day("tax_exemption", "valid_from"),
    "valid_to": _day("tax_exemption", "valid_to"),
}

SETTINGS_FIELDS: Mapping[str, Callable[[pb.TaxSettings], Any]] = {
    "calculator": lambda message: _CALCULATOR_OF.get(message.calculator, Calculator.BUILT_IN),
    "rounding": lambda message: _ROUNDING_OF.get(message.rounding, TaxRounding.PER_LINE),
    "default_region": lambda message: message.default_region,
    "default_class": lambda message: message.default_class,
    "freight_class": lambda message: message.freight_class,
    "prices_include_tax": lambda message: message.prices_include_tax,
}
