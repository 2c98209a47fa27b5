"""What the machinery around a service asks of it over HTTP: whether it lives, whether it is ready, its
metrics. The gateway has the same pages on its own port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.probing import is_serving
from deploy.topology import LOOPBACK
from deploy.troubles import PortInUse

_NO_STORE: Final = {"cache-control": "no-store"}


@asynccontextmanager
async def monitored(name: str, address: str, port: int) -> AsyncIterator[None]:
    """Serves `/livez`, `/readyz` and `/metrics` of the service at a gRPC address within the block.

    Raises:
        PortInUse: the port is taken.
    """

    async def livez(request: Request) -> Response:
        return JSONResponse({"status": "alive"}, 200, _NO_STORE)

    async def readyz(request: Request) -> Response:
        """It answers gRPC and is not draining. What it needs being away makes no difference: all replicas
        would be unready at once, and some calls succeed without."""
        if await is_serving(address):
            return JSONResponse({"status": "ready"}, 200, _NO_STORE)
        return JSONResponse({"status": "stopping"}, 503, _NO_STORE)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(), 200, _NO_STORE, CONTENT_TYPE_LATEST)

    try:
        listening = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise PortInUse(f"the metrics of {name}", LOOPBACK, port, "SFA_FIRST_METRICS_PORT") from error
    app = Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])
    server = _Server(uvicorn.Config(app, lifespan="off", loop="none", log_config=None, access_log=False))
    serving = asyncio.ensure_future(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
