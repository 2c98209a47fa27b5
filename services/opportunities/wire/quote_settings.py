"""What quotes do to deals, between the protos and the domain."""

from collections.abc import Callable, Mapping
from typing import Any

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import convert
from services.opportunities.domain import (
    Acceptance,
    PrimaryQuote,
    QuoteSettings,
)

_PRIMARY_QUOTES = {each: pb.QuoteSettings.PrimaryQuote.Value(each.name) for each in PrimaryQuote}
_ACCEPTANCES = {each: pb.QuoteSettings.Acceptance.Value(each.name) for each in Acceptance}
_PRIMARY_QUOTE_OF = {number: each for each, number in _PRIMARY_QUOTES.items()}
_ACCEPTANCE_OF = {number: each for each, number in _ACCEPTANCES.items()}


def quote_settings_to_proto(settings: QuoteSettings) -> pb.QuoteSettings:
    """The resource; one that was never changed has no version."""
    result = pb.QuoteSettings(
        primary_quote=_PRIMARY_QUOTES[settings.primary_quote], acceptance=_ACCEPTANCES[settings.acceptance]
    )
    if settings.version:
        result.etag = str(settings.version)
    if settings.updated_at is not None:
        convert.set_timestamp(result.update_time, settings.updated_at)
    if settings.acceptance_stage_id is not None:
        result.acceptance_stage_id = str(settings.acceptance_stage_id)
    return result


# A value that is not said is the one that holds at first.
QUOTE_SETTINGS_FIELDS: Mapping[str, Callable[[pb.QuoteSettings], Any]] = {
    "primary_quote": lambda message: _PRIMARY_QUOTE_OF.get(message.primary_quote, PrimaryQuote.SETS_AMOUNT),
    "acceptance": lambda message: _ACCEPTANCE_OF.get(message.acceptance, Acceptance.WINS),
    "acceptance_stage_id": lambda message: convert.uuid_of(message.acceptance_stage_id),
}
