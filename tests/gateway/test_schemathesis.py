"""Schemathesis over the whole OpenAPI document, with every service behind it: whatever it thinks of, the
answer is as described, what breaks the description is refused, and nothing is an error of ours."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.engines import MakeFolder
from tests.gateway.records import records
from tests.system import System

EXAMPLES = os.environ.get("SFA_FUZZ_EXAMPLES", "2")
"""How many requests are made up for each operation: few, for every run; many, to look for trouble."""
# What would sign the test out, or lock it out; and streams, which do not end.
LEFT_OUT = ":stream$|:signOut$|:setPassword$|:deactivate$|:revoke$|^/v1/oauth/"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)


async def test_no_request_is_answered_otherwise_than_described(make_folder: MakeFolder) -> None:
    async with System.running(make_folder("system")) as system:
        company = await system.company()
        async with company.signed_in() as client:
            known = await records(client)
            token = client.headers["authorization"]
            fuzzing = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "schemathesis.cli", "run", f"{system.url}/openapi.json",
                "--header", f"Authorization: {token}",
                "--phases", "fuzzing",
                "--max-examples", EXAMPLES,
                "--generation-deterministic",
                "--checks", CHECKS,
                "--exclude-path-regex", LEFT_OUT,
                "--continue-on-failure",
                "--request-timeout", "30",
                "--warnings", "off",
                "--no-color",
                env=os.environ | {"SFA_KNOWN_IDS": json.dumps(known), "SCHEMATHESIS_HOOKS": "tests.gateway.known_ids"},
                cwd=Path(__file__).parents[2],
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await fuzzing.communicate()
        assert fuzzing.returncode == 0, said.decode()[-20_000:]
