"""What must hold for every route there is, found by walking the descriptors."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass

from gateway.contract import load
from gateway.transcoding import Route, RuleError, Table, routes_of
from tests.gateway.conftest import Answering

ROUTES = routes_of(load().services)
UNARY = [route for route in ROUTES if not route.streams]


def path_of(route: Route) -> str:
    path = route.template
    for variable in route.variables:
        path = path.replace(f"{{{variable}}}", "0198c0de-0000-7000-8000-000000000001")
    return path


def named(route: Route) -> str:
    return f"{route.method} {route.template}"


async def ask(client: httpx.AsyncClient, route: Route, **more: Any) -> httpx.Response:
    if route.body:
        more.setdefault("json", {})
    headers = {"Content-Type": "application/json"} | more.pop("headers", {})
    return await client.request(route.method, path_of(route), headers=headers, **more)


async def test_every_route_reaches_its_rpc(client: httpx.AsyncClient, answering: Answering) -> None:
    for route in UNARY:
        answer = await ask(client, route)
        assert answer.status_code == (201 if route.creates else 200), f"{named(route)}: {answer.text}"
        seen = answering.last
        assert seen.method == route.rpc.descriptor.name
        for variable in route.variables:
            assert getattr(seen.request, variable) == "0198c0de-0000-7000-8000-000000000001"
        if route.rpc.takes_request_id:
            assert len(seen.request.request_id) == 36
        assert ("authorization" in seen.metadata) != route.is_public


async def test_every_route_keeps_out_who_has_no_token(
    nobody: httpx.AsyncClient, answering: Answering
) -> None:
    for route in ROUTES:
        if not route.is_public:
            assert (await ask(nobody, route)).status_code == 401, named(route)
    assert not answering.seen


async def test_every_route_names_what_it_does_not_know(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    for route in ROUTES:
        answer = await ask(client, route, params={"no_such": "x"})
        assert answer.status_code == 422, named(route)
        assert answer.json()["errors"][0]["field"] == "no_such"
        if route.body and not route.takes_raw_body:
            answer = await ask(client, route, json={"noSuch": 1})
            assert answer.status_code == 422, named(route)
            assert answer.json()["errors"][0]["field"].endswith("noSuch")
    assert not answering.seen


async def test_every_route_refuses_other_methods(client: httpx.AsyncClient) -> None:
    for path in {path_of(route) for route in ROUTES}:
        answer = await client.put(path)
        assert answer.status_code == 405, path
        known = {route.method for route in ROUTES if path_of(route) == path}
        assert known <= set(answer.headers["allow"].split(", "))


async def test_every_resource_gives_its_version(client: httpx.AsyncClient, answering: Answering) -> None:
    for route in UNARY:
        if "etag" in route.response.fields_by_name:
            resource: Any = GetMessageClass(route.response)(etag="7")
            if route.creates:
                resource.id = "x"
            answering.on(str(route.rpc.descriptor.name), resource)
            answer = await ask(client, route)
            assert answer.headers["etag"] == '"7"', named(route)
            if route.creates:
                assert answer.headers["location"] == f"{route.template}/x"


def test_every_variable_is_the_id() -> None:
    """Or the token of a link, by which whoever has it is let in."""
    assert {variable for route in ROUTES for variable in route.variables} <= {"id", "token"}


def test_two_routes_cannot_stand_at_one_place() -> None:
    table = Table()
    table.add(ROUTES[0], 1)
    with pytest.raises(RuleError, match="twice"):
        table.add(ROUTES[0], 2)


def test_literals_go_before_variables() -> None:
    found = _table().find("/v1/opportunities/anything/versions")
    assert found is not None
    assert found.values == ("anything",)
    deals = _table().find("/v1/forecast/deals")
    assert deals is not None
    assert not deals.values
    for path in (
        "",
        "/",
        "//",
        "/v1//x",
        "/v1/opportunities/",
        "/v1/opportunities//versions",
        "v1/x",
        "/v1/x:y:z",
    ):
        assert _table().find(path) is None, path


def _table() -> Table:
    table = Table()
    for route in ROUTES:
        table.add(route, route)
    return table
