"""Between the protos and what the forecast keeps and answers."""

from services.forecast.wire.answers import (
    deal_row_to_proto,
    lacking_to_proto,
    period_to_proto,
    set_node,
)
from services.forecast.wire.heard import (
    UNDATED,
    assignment_content,
    deal_of,
    deal_row,
    line_content,
    rate_content,
    stage_contents,
    stages_of,
    tenant_content,
    territory_content,
)

__all__ = [
    "UNDATED", "assignment_content", "deal_of", "deal_row", "deal_row_to_proto", "lacking_to_proto",
    "line_content", "period_to_proto", "rate_content", "set_node", "stage_contents",
    "stages_of", "tenant_content", "territory_content",
]  # fmt: skip
