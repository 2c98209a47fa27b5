"""What the machinery around the gateway asks it: whether it lives, whether it is ready, its metrics."""

from __future__ import annotations

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from gateway.edge import Drain
from gateway.problems import Problem
from gateway.upstream import Upstream

_NO_STORE = {"cache-control": "no-store"}


class Operations:
    """The endpoints; each is a Starlette endpoint."""

    def __init__(self, upstream: Upstream, drain: Drain) -> None:
        self._upstream = upstream
        self._drain = drain

    async def livez(self, request: Request) -> Response:
        """`GET /livez`: the process answers."""
        return Response(b'{"status":"alive"}', 200, _NO_STORE, "application/json")

    async def readyz(self, request: Request) -> Response:
        """`GET /readyz`: requests may be sent here.

        A service that is away does not make the gateway unready: the others are still served, and
        every replica of the gateway would be unready at once. How the channels stand is told.
        """
        if self._drain.has_begun:
            raise Problem(503, "STOPPING", "The gateway is stopping; ask another one.")
        document = {"status": "ready", "services": self._upstream.states()}
        return Response(orjson.dumps(document), 200, _NO_STORE, "application/json")

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics`, for Prometheus."""
        return Response(generate_latest(), 200, _NO_STORE, CONTENT_TYPE_LATEST)
