"""Between the protos and the domain. One module a noun."""

from services.opportunities.wire.merging import parts_of
from services.opportunities.wire.opportunities import (
    FIELDS,
    NEW_FIELDS,
    opportunity_to_proto,
    proposal_of,
    version_to_proto,
)
from services.opportunities.wire.pipelines import (
    PIPELINE_FIELDS,
    move_check_to_proto,
    pipeline_to_proto,
    pipeline_version_to_proto,
)
from services.opportunities.wire.quote_links import notice_of
from services.opportunities.wire.quote_settings import QUOTE_SETTINGS_FIELDS, quote_settings_to_proto

__all__ = [
    "FIELDS",
    "NEW_FIELDS",
    "PIPELINE_FIELDS",
    "QUOTE_SETTINGS_FIELDS",
    "move_check_to_proto",
    "notice_of",
    "opportunity_to_proto",
    "parts_of",
    "pipeline_to_proto",
    "pipeline_version_to_proto",
    "proposal_of",
    "quote_settings_to_proto",
    "version_to_proto",
]
