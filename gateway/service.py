"""The gateway, put together: read as its table of contents.

Protos → routes (`contract`, `transcoding`) → endpoints (`endpoint`, `streams`) within FastAPI, beside
what is written by hand (`oauth`, `operations`, `documentation`), all behind the `edge`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
import uvloop
from fastapi import FastAPI
from opentelemetry import trace
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from chassis import telemetry
from chassis.clock import SystemClock
from chassis.tokens import RemoteKeys, TokenVerifier
from gateway import contract as contracts
from gateway.contract import Contract
from gateway.documentation import Documentation
from gateway.edge import Drain, Edge
from gateway.endpoint import Answerer, Gate, TranscodedRoutes, UnaryEndpoint, Verifier
from gateway.from_json import JsonReader
from gateway.oauth import KEYS_PATH, REVOKE_PATH, TOKEN_PATH, OAuth, PublicKeys, oauth_rpcs
from gateway.operations import Operations
from gateway.problems import camel_path
from gateway.protocol import ProblemProtocol
from gateway.settings import GatewaySettings
from gateway.streams import StreamEndpoint
from gateway.to_json import JsonWriter
from gateway.transcoding import Route, routes_of
from gateway.upstream import Upstream, rpcs_of

_EXPOSED = [
    "Consistency-Token", "ETag", "Link", "Location", "RateLimit-Limit", "RateLimit-Policy", "RateLimit-Remaining",
    "RateLimit-Reset", "Retry-After", "Sight", "Traceparent", "WWW-Authenticate",
]  # fmt: skip


class Gateway:
    """A gateway in this process.

    Args:
        settings: Where it listens and whom it calls.
        contract: What it serves; all generated protos where it is left out.
        verifier: Who says whom a token speaks for; identity's keys where it is left out.
    """

    def __init__(
        self, settings: GatewaySettings, contract: Contract | None = None, verifier: Verifier | None = None
    ) -> None:
        self.settings = settings
        self.contract = contract or contracts.load()
        self.routes = routes_of(self.contract.services)
        self.drain = Drain()
        self._verifier = verifier
        self.address = ""

    def app(self) -> FastAPI:
        """The ASGI app. It opens its channels: make it where an event loop runs."""
        self.upstream = upstream = Upstream(self.settings.peers, [*rpcs_of(self.routes), *oauth_rpcs()])
        keys = PublicKeys(upstream, self.settings)
        verifier = self._verifier or TokenVerifier(RemoteKeys(keys.fetch), SystemClock())
        gate = Gate(verifier, self.settings)
        oauth = OAuth(upstream, keys, gate, self.settings)
        operations = Operations(upstream, self.drain)

        app = FastAPI(
            title="SFA", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )  # fmt: skip
        app.router.routes.append(self._transcoded(upstream, gate))
        app.add_route(TOKEN_PATH, oauth.token, methods=["POST"])
        app.add_route(REVOKE_PATH, oauth.revoke, methods=["POST"])
        app.add_route(KEYS_PATH, oauth.keys, methods=["GET"])
        app.add_route("/livez", operations.livez, methods=["GET"])
        app.add_route("/readyz", operations.readyz, methods=["GET"])
        app.add_route("/metrics", operations.metrics, methods=["GET"])
        if self.settings.documentation:
            Documentation(self.contract, self.routes, self.settings).add_to(app)
        app.add_exception_handler(404, _to_the_edge)
        app.add_exception_handler(405, _to_the_edge)
        tracer = trace.get_tracer("sfa.gateway") if self.settings.otlp_endpoint else None
        app.add_middleware(Edge, drain=self.drain, tracer=tracer)
        if self.settings.cors_origins:
            app.add_middleware(
                CORSMiddleware, allow_origins=self.settings.cors_origins, allow_methods=["*"], allow_headers=["*"],
                expose_headers=_EXPOSED, max_age=600,
            )  # fmt: skip
        return app

    def _transcoded(self, upstream: Upstream, gate: Gate) -> TranscodedRoutes:
        reader, writer = JsonReader(), JsonWriter(dict.fromkeys(_field_paths(self.routes), camel_path))
        transcoded = TranscodedRoutes()

        def answerer(route: Route) -> Answerer:
            if route.streams:
                return StreamEndpoint(route, upstream, gate, reader, writer, self.settings, self.drain)
            return UnaryEndpoint(route, upstream, gate, reader, writer, self.settings)

        for route in self.routes:
            transcoded.add(route, answerer(route))
        return transcoded

    async def start(self) -> None:
        """Listens, and serves until `stop`.

        Raises:
            OSError: the address cannot be had.
            PeerUnknown: a service has no address.
        """
        settings = self.settings
        app = self.app()
        self._socket = listening = _listen(settings.host, settings.port)
        host, port = listening.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        config = uvicorn.Config(
            app,
            http=ProblemProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(settings.drain_seconds) or 1,
        )
        self._server = _Server(config)
        self._serving = asyncio.ensure_future(self._server.serve([listening]))
        while not self._server.started and not self._serving.done():  # uvicorn tells nobody
            await asyncio.sleep(0.005)
        if self._serving.done():
            await self._serving
        telemetry.log.info("serving", service="gateway", address=self.address)

    async def stop(self) -> None:
        """Takes nothing new, ends open streams, answers what was asked, then stops."""
        self.drain.begin()
        self._server.should_exit = True
        await self._serving
        await self.upstream.close()
        self._socket.close()

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _field_paths(routes: list[Route]) -> Iterator[str]:
    """The fields of answers whose texts are names of fields, which the JSON spells in its own way."""
    yield "sfa.api.v1.RowResult.field"
    for route in routes:
        for items in route.response.fields:
            inner = items.message_type
            if inner is not None and (names := inner.fields_by_name.get("changed_fields")) is not None:
                yield str(names.full_name)


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _to_the_edge(request: Request, error: Exception) -> Response:
    """What the router says becomes a problem where all others do."""
    raise error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stopped.set)
    async with Gateway(settings):
        await stopped.wait()


def main() -> None:
    """Runs a gateway alone in this process, by its settings."""
    settings = GatewaySettings()
    telemetry.configure_logs(settings.log_level)
    telemetry.configure_traces("gateway", settings.otlp_endpoint)
    uvloop.run(serve(settings))
