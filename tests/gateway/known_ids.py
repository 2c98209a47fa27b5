"""Hooks of Schemathesis. Half of the ids in paths are those of records that are there, so that verbs find
something to work on: `SFA_KNOWN_IDS` has them as JSON, by collection. Bulk requests get rows that are as
described: what is wrong with a row stands in the row's result, and the answer is 200."""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

KNOWN: dict[str, list[str]] = json.loads(os.environ.get("SFA_KNOWN_IDS", "{}"))


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Decides by the drawn id itself, so that a run can be repeated."""
    operation = context.operation
    if not path_parameters or "id" not in path_parameters or operation is None:
        return path_parameters
    known = KNOWN.get(operation.path.split("/")[2], [])
    drawn = zlib.crc32(str(path_parameters["id"]).encode("utf-8", "replace"))
    if known and drawn % 2:
        path_parameters["id"] = known[drawn // 2 % len(known)]
    return path_parameters


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leaves out what breaks the description of a bulk request."""
    made = case.meta.generation.mode if case.meta is not None else None
    return not (case.path.endswith(":batchUpsert") and made == schemathesis.GenerationMode.NEGATIVE)
