"""The OpenAPI document, and a page that shows it, without a network: the page's assets come from a
package that ships them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import orjson
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from gateway.contract import Contract
from gateway.exchange import Exchange, gzip
from gateway.openapi import document
from gateway.settings import GatewaySettings
from gateway.transcoding import Route

OPENAPI_PATH, PAGE_PATH, ASSETS_PATH = "/openapi.json", "/docs", "/docs/assets"

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
_DAY = {"cache-control": "public, max-age=86400"}


class Documentation:
    """The endpoints; each is a Starlette endpoint."""

    def __init__(self, contract: Contract, routes: list[Route], settings: GatewaySettings) -> None:
        self._inputs = (contract, routes, settings)
        self._document: bytes | None = None
        self._assets = Path(str(files("fastapi_offline") / "static"))

    def add_to(self, app: FastAPI) -> None:
        """Serves them."""
        app.add_route(OPENAPI_PATH, self.openapi, methods=["GET"])
        app.add_route(PAGE_PATH, self.page, methods=["GET"])
        app.add_route(ASSETS_PATH + "/{name}", self.asset, methods=["GET"])

    async def openapi(self, request: Request) -> Response:
        """`GET /openapi.json`; made when it is first asked for."""
        if self._document is None:
            self._document = orjson.dumps(document(*self._inputs))
        headers = {"cache-control": "no-cache", "vary": "accept-encoding"}
        body = self._document
        exchange: Exchange = request.scope["sfa.exchange"]
        if "gzip" in exchange.header(b"accept-encoding"):
            body = gzip(body)
            headers["content-encoding"] = "gzip"
        return Response(body, 200, headers, "application/json")

    async def page(self, request: Request) -> Response:
        """`GET /docs`."""
        page = get_swagger_ui_html(
            openapi_url=OPENAPI_PATH,
            title="SFA API",
            swagger_js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url="data:,",
            swagger_ui_parameters={
                "docExpansion": "none", "displayRequestDuration": True, "filter": True, "persistAuthorization": True,
                "defaultModelsExpandDepth": 0, "validatorUrl": None,
            },
        )  # fmt: skip
        request.scope["sfa.exchange"].own_policy = True
        return HTMLResponse(page.body, headers={"content-security-policy": _POLICY})

    async def asset(self, request: Request) -> Response:
        """`GET /docs/assets/…`."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response(status_code=404)
        return FileResponse(self._assets / name, media_type=_ASSETS[name], headers=_DAY)
