"""Reporting lines as identity's events say them: every service that keeps owners takes them in, and
`chassis.sight` answers from them who sees whom."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from chassis import convert, sight
from chassis.call import Call
from chassis.subscriptions import Received

_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)


async def reporting_line_changed(events: Sequence[Received], call: Call) -> None:
    """Takes identity's `ReportingLineChanged`. A line that was deleted holds at no time."""
    lines = []
    for event in events:
        line = event.message.reporting_line
        start = convert.datetime_of(line.start_time) if line.HasField("start_time") else _BEGINNING
        end = convert.datetime_of(line.end_time) if line.HasField("end_time") else _END
        if line.HasField("delete_time"):
            end = start
        lines.append(
            sight.Line(UUID(line.id), event.version, UUID(line.user_id), UUID(line.manager_id), start, end)
        )
    await sight.keep_lines(call.tx, lines)
