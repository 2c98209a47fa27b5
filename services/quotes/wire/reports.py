"""Parked reports, to the protos."""

from collections.abc import Mapping
from typing import Any

from sfa.quotes.v1 import reports_pb2 as pb

from chassis import convert

_LONGEST = 4000


def parked_report_to_proto(row: Mapping[str, Any]) -> pb.ParkedReport:
    """The resource, of a row."""
    result = pb.ParkedReport(
        id=str(row["sequence"]), subject=row["subject"], error=row["error"], attempts=row["attempts"]
    )
    convert.set_timestamp(result.park_time, row["parked_at"])
    try:
        result.content = row["data"].decode()[:_LONGEST]
    except UnicodeDecodeError:  # protobuf: the subject says of what
        result.content = ""
    return result
