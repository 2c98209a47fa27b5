"""Between the protos and what the forecast keeps and answers."""

from services.forecast.wire.answers import (
    deal_row_to_proto,
    figures_to_proto,
    lacking_to_proto,
    node_to_proto,
    period_to_proto,
)
from services.forecast.wire.heard import (
    UNDATED,
    assignment_content,
    deal_of,
    deal_row,
    line_content,
    rate_content,
    row_to_deal,
    stage_contents,
    stages_of,
    tenant_content,
    territory_content,
)

__all__ = [
    "UNDATED", "assignment_content", "deal_of", "deal_row", "deal_row_to_proto", "figures_to_proto",
    "lacking_to_proto", "line_content", "node_to_proto", "period_to_proto", "rate_content", "row_to_deal",
    "stage_contents", "stages_of", "tenant_content", "territory_content",
]  # fmt: skip
